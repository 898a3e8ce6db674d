//! Maintenance, procedures and descriptions as text.

use std::fmt::{self, Display, Formatter};

use super::nodes::{Node, Text, list};
use crate::names::{Name, Qualified};
use crate::statement::{
    Argument, Call, DescribeHistory, Fsck, Generate, Optimize, Reorg, Restore, ShowProperties, Vacuum, VacuumMode,
};

impl Display for Optimize {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "OPTIMIZE {}", Qualified(&self.table))?;
        if let Some(selection) = &self.selection {
            write!(f, " WHERE {}", Node(selection))?;
        }
        if self.zorder.is_empty() {
            return Ok(());
        }
        write!(f, " ZORDER BY ({})", list(&self.zorder, Name))
    }
}

impl Display for Vacuum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "VACUUM {}", Qualified(&self.table))?;
        if self.mode == VacuumMode::Lite {
            f.write_str(" LITE")?;
        }
        if let Some(hours) = self.retain_hours {
            write!(f, " RETAIN {hours} HOURS")?;
        }
        f.write_str(if self.dry_run { " DRY RUN" } else { "" })
    }
}

impl Display for Restore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "RESTORE TABLE {} TO {}", Qualified(&self.table), self.as_of)
    }
}

impl Display for Fsck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tail = if self.dry_run { " DRY RUN" } else { "" };
        write!(f, "FSCK REPAIR TABLE {}{tail}", Qualified(&self.table))
    }
}

impl Display for Reorg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "REORG TABLE {}", Qualified(&self.table))?;
        if let Some(selection) = &self.selection {
            write!(f, " WHERE {}", Node(selection))?;
        }
        f.write_str(" APPLY (PURGE)")
    }
}

impl Display for Generate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "GENERATE {} FOR TABLE {}", self.mode, Qualified(&self.table))
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CALL {}({})",
            Name(&self.procedure),
            list(&self.arguments, |argument| argument)
        )
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} => ", Name(name))?;
        }
        write!(f, "{}", Node(&self.value))
    }
}

impl Display for DescribeHistory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DESCRIBE HISTORY {}", Qualified(&self.table))?;
        self.limit.map_or(Ok(()), |limit| write!(f, " LIMIT {limit}"))
    }
}

impl Display for ShowProperties {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW TBLPROPERTIES {}", Qualified(&self.table))?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, " ({})", Text(key)))
    }
}
