//! Statements about backups as text.

use std::fmt::{self, Display, Formatter};

use super::nodes::Text;
use crate::names::Qualified;
use crate::statement::{Backup, RestoreBackup, VerifyBackup};

impl Display for Backup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "BACKUP TABLE {}", Qualified(table))?,
            None => f.write_str("BACKUP LAKE")?,
        }
        write!(f, " TO {}", Text(&self.location))?;
        f.write_str(if self.incremental { " INCREMENTAL" } else { "" })
    }
}

impl Display for VerifyBackup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "VERIFY BACKUP {}", Text(&self.location))
    }
}

impl Display for RestoreBackup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "RESTORE TABLE {}", Qualified(table))?,
            None => f.write_str("RESTORE LAKE")?,
        }
        if let Some(target) = &self.target {
            write!(f, " AS {}", Qualified(target))?;
        }
        write!(f, " FROM {}", Text(&self.location))?;
        if let Some(as_of) = &self.as_of {
            write!(f, " TO {as_of}")?;
        }
        f.write_str(if self.overwrite { " OVERWRITE" } else { "" })
    }
}
