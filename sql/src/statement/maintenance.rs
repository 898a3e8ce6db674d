//! Statements that look after tables and copy them.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName};

use super::AsOf;

/// `OPTIMIZE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimize {
    /// The table.
    pub table: ObjectName,
    /// `WHERE p`, over partition columns.
    pub selection: Option<Expr>,
    /// `ZORDER BY (c, …)`.
    pub zorder: Vec<Ident>,
}

/// `VACUUM`.
#[derive(Debug, Clone, PartialEq)]
pub struct Vacuum {
    /// The table.
    pub table: ObjectName,
    /// `LITE` or `FULL`; FULL where not said.
    pub mode: VacuumMode,
    /// `RETAIN n HOURS`.
    pub retain_hours: Option<f64>,
    /// `DRY RUN`.
    pub dry_run: bool,
}

/// How `VACUUM` finds files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VacuumMode {
    /// By listing the table's folder.
    Full,
    /// By the log alone.
    Lite,
}

/// `RESTORE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The table.
    pub table: ObjectName,
    /// The state to go back to.
    pub as_of: AsOf,
}

/// `BACKUP`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The table; the whole lake where none is named.
    pub table: Option<ObjectName>,
    /// Where the backup lies.
    pub location: String,
    /// `INCREMENTAL`: adds to the backup that is there.
    pub incremental: bool,
}

/// `VERIFY BACKUP`.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyBackup {
    /// Where the backup lies.
    pub location: String,
}

/// `RESTORE … FROM` a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreBackup {
    /// The table, as it is called in the backup; all of them where none is named.
    pub table: Option<ObjectName>,
    /// `AS new`: what it will be called; as it was where not said.
    pub target: Option<ObjectName>,
    /// Where the backup lies.
    pub location: String,
    /// The state to bring back; the last of the backup where not said. For the whole lake, a time.
    pub as_of: Option<AsOf>,
    /// `OVERWRITE`: a table that stands gets the state as its next version.
    pub overwrite: bool,
}

/// `FSCK REPAIR TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fsck {
    /// The table.
    pub table: ObjectName,
    /// `DRY RUN`.
    pub dry_run: bool,
}

/// `REORG TABLE … APPLY (PURGE)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reorg {
    /// The table.
    pub table: ObjectName,
    /// `WHERE p`.
    pub selection: Option<Expr>,
}

/// `GENERATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// `symlink_format_manifest`.
    pub mode: String,
    /// The table.
    pub table: ObjectName,
}
