//! One [`Statement`] for each thing a user can ask, whatever spelling it was asked in.
//!
//! Names and expressions are `sqlparser` nodes and keep their source spans; equality ignores spans, so two spellings of
//! one statement compare equal. Queries inside a statement hold time travel in exactly two forms,
//! [`TableVersion::VersionAsOf`](datafusion::sql::sqlparser::ast::TableVersion) with a number and `TimestampAsOf`.

mod change;
mod maintenance;
mod table;

use std::str::FromStr;

use datafusion::common::format::{ExplainAnalyzeCategories, ExplainFormat, ExplainStatementOptions, MetricType};
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName};

use crate::access::Access;

pub use self::change::*;
pub use self::maintenance::*;
pub use self::table::*;

/// A statement of posixlake's SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// What follows DataFusion to the letter: queries, `SET`, `SHOW TABLES`, `CREATE VIEW`, `CREATE EXTERNAL TABLE`,
    /// `COPY … TO`, `CREATE SCHEMA`, `EXECUTE`, `DEALLOCATE` and so on.
    Native(Box<NativeStatement>),
    /// `EXPLAIN [ANALYZE] [VERBOSE] [FORMAT f] statement`.
    Explain(Explain),
    /// `PREPARE name [(types)] AS statement`.
    Prepare(Prepare),
    /// `CREATE [OR REPLACE] TABLE …`, with columns, a query, or both clauses' absence where a `LOCATION` is given.
    CreateTable(CreateTable),
    /// `CREATE TABLE [IF NOT EXISTS] t LIKE s`.
    CreateTableLike(CreateTableLike),
    /// `CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t [SHALLOW | DEEP] CLONE s [VERSION | TIMESTAMP AS OF x]`.
    CloneTable(CloneTable),
    /// `CONVERT TO DELTA parquet.`path` …`.
    Convert(Convert),
    /// `DROP TABLE [IF EXISTS] t`.
    DropTable(DropTable),
    /// `ALTER TABLE t …`, one operation a statement.
    AlterTable(AlterTable),
    /// `COMMENT ON {TABLE t | COLUMN t.c} IS {'s' | NULL}`.
    CommentOn(CommentOn),
    /// `INSERT …` in all its forms.
    Insert(Insert),
    /// `UPDATE …`.
    Update(Update),
    /// `DELETE FROM …`.
    Delete(Delete),
    /// `TRUNCATE TABLE t`.
    Truncate(ObjectName),
    /// `MERGE …`.
    Merge(Merge),
    /// `COPY INTO t FROM 'url' …`.
    CopyInto(CopyInto),
    /// `OPTIMIZE t [WHERE p] [ZORDER BY (c, …)]`.
    Optimize(Optimize),
    /// `VACUUM t …`.
    Vacuum(Vacuum),
    /// `RESTORE TABLE t TO {VERSION | TIMESTAMP} AS OF x`.
    Restore(Restore),
    /// `FSCK REPAIR TABLE t [DRY RUN]`.
    Fsck(Fsck),
    /// `REORG TABLE t [WHERE p] APPLY (PURGE)`.
    Reorg(Reorg),
    /// `CHECKPOINT t`.
    Checkpoint(ObjectName),
    /// `GENERATE symlink_format_manifest FOR TABLE t`.
    Generate(Generate),
    /// `ANALYZE TABLE t COMPUTE STATISTICS`.
    Analyze(ObjectName),
    /// `BACKUP {TABLE t | LAKE} TO 'url' [INCREMENTAL]`.
    Backup(Backup),
    /// `VERIFY BACKUP 'url'`.
    VerifyBackup(VerifyBackup),
    /// `RESTORE {TABLE t [AS new] | LAKE} FROM 'url' …`.
    RestoreBackup(RestoreBackup),
    /// `KILL QUERY n`.
    KillQuery(u64),
    /// `CALL [system.]procedure(arguments)`.
    Call(Call),
    /// `DESCRIBE HISTORY t [LIMIT n]`.
    DescribeHistory(DescribeHistory),
    /// `DESCRIBE DETAIL t`.
    DescribeDetail(ObjectName),
    /// `SHOW TBLPROPERTIES t [('key')]`.
    ShowProperties(ShowProperties),
    /// `SHOW PARTITIONS t`.
    ShowPartitions(ObjectName),
    /// `SHOW CREATE TABLE t`.
    ShowCreateTable(ObjectName),
    /// `SHOW PROCEDURES`.
    ShowProcedures,
    /// `CREATE [OR REPLACE] SECRET [IF NOT EXISTS] [name] (TYPE t, option value, …)`.
    CreateSecret(CreateSecret),
    /// `DROP SECRET [IF EXISTS] name`.
    DropSecret(DropSecret),
    /// `SHOW SECRETS`.
    ShowSecrets,
    /// Users, roles and rights.
    Access(Access),
}

/// `EXPLAIN` of any statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// Run the statement and show its metrics.
    pub analyze: bool,
    /// Show all intermediate plans.
    pub verbose: bool,
    /// The output format, such as `tree` or `indent`.
    pub format: Option<String>,
    /// How many metrics to show, from `(LEVEL …)` or `(SUMMARY …)`.
    pub level: Option<MetricType>,
    /// Which kinds of metrics to show, from `(METRICS …)` or `(TIMING …)`.
    pub categories: Option<ExplainAnalyzeCategories>,
    /// Whether to show statistics, from `(COSTS …)`.
    pub costs: Option<bool>,
    /// The statement that is explained.
    pub statement: Box<Statement>,
}

impl Explain {
    /// What is asked of the explanation, in DataFusion's type.
    pub fn options(&self) -> ExplainStatementOptions {
        ExplainStatementOptions {
            analyze: self.analyze,
            verbose: self.verbose,
            format: self
                .format
                .as_deref()
                .and_then(|format| ExplainFormat::from_str(format).ok()),
            analyze_level: self.level,
            analyze_categories: self.categories.clone(),
            show_statistics: self.costs,
        }
    }
}

/// A statement kept under a name, with parameters `$1 …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepare {
    /// The name for `EXECUTE`.
    pub name: Ident,
    /// The declared parameter types, possibly none.
    pub parameter_types: Vec<datafusion::sql::sqlparser::ast::DataType>,
    /// The statement that is kept.
    pub statement: Box<Statement>,
}

/// A point in a table's history.
#[derive(Debug, Clone, PartialEq)]
pub enum AsOf {
    /// A version number.
    Version(u64),
    /// A constant expression that yields a time.
    Timestamp(Expr),
}

/// `CALL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The procedure in lower case, without `system.`.
    pub procedure: Ident,
    /// The arguments in order.
    pub arguments: Vec<Argument>,
}

/// An argument of `CALL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// The name, for `name => value`.
    pub name: Option<Ident>,
    /// A constant expression.
    pub value: Expr,
}

/// `DESCRIBE HISTORY`.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeHistory {
    /// The table.
    pub table: ObjectName,
    /// `LIMIT n`: the newest n.
    pub limit: Option<u64>,
}

/// `SHOW TBLPROPERTIES`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowProperties {
    /// The table.
    pub table: ObjectName,
    /// `('key')`.
    pub key: Option<String>,
}

/// Credentials and settings of stores, for the URLs below a scope.
#[derive(Clone, PartialEq)]
pub struct CreateSecret {
    /// Take the place of a secret of that name.
    pub or_replace: bool,
    /// Do nothing where there is one.
    pub if_not_exists: bool,
    /// The name; without one, the type's.
    pub name: Option<Ident>,
    /// Names in lower case, each once, and values as text, in the order of the statement.
    pub options: Vec<(String, String)>,
}

/// Values may be secret.
impl std::fmt::Debug for CreateSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// `DROP SECRET`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropSecret {
    /// The secret.
    pub name: Ident,
    /// Do nothing where there is none.
    pub if_exists: bool,
}
