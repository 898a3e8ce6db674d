//! One [`Statement`] for each thing a user can ask, whatever spelling it was asked in.
//!
//! Names and expressions are `sqlparser` nodes and keep their source spans; equality ignores spans, so two spellings of
//! one statement compare equal. Queries inside a statement hold time travel in exactly two forms,
//! [`TableVersion::VersionAsOf`](datafusion::sql::sqlparser::ast::TableVersion) with a number and `TimestampAsOf`.

use std::str::FromStr;

use datafusion::common::format::{ExplainAnalyzeCategories, ExplainFormat, ExplainStatementOptions, MetricType};
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, TableWithJoins};

use crate::access::Access;
use crate::types::TypeName;

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

/// A column definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: Ident,
    /// Its type; absent only in `CONVERT … PARTITIONED BY` and generated columns that take their expression's type.
    pub data_type: TypeName,
    /// False where `NOT NULL` was said (or the column is part of the primary key).
    pub nullable: bool,
    /// `DEFAULT e`.
    pub default: Option<Expr>,
    /// `GENERATED ALWAYS AS (e)`.
    pub generated: Option<Expr>,
    /// `GENERATED {ALWAYS | BY DEFAULT} AS IDENTITY …`.
    pub identity: Option<Identity>,
    /// `COMMENT 's'`.
    pub comment: Option<String>,
}

/// An identity column's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// False for `BY DEFAULT`.
    pub always: bool,
    /// `START WITH`.
    pub start: i64,
    /// `INCREMENT BY`.
    pub increment: i64,
}

/// A `CHECK` constraint.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name; a column's own unnamed check has none.
    pub name: Option<Ident>,
    /// What must be true of every row.
    pub expression: Expr,
}

/// `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// The table's name.
    pub name: ObjectName,
    /// Replace what stands there, in one commit.
    pub or_replace: bool,
    /// Do nothing where the table stands.
    pub if_not_exists: bool,
    /// The columns, empty where a query or an existing location gives them.
    pub columns: Vec<Column>,
    /// `PRIMARY KEY (c, …)`.
    pub primary_key: Vec<Ident>,
    /// Table constraints and column checks.
    pub checks: Vec<Check>,
    /// `PARTITIONED BY (c, …)`; typed partition columns are added to `columns` by the parser.
    pub partitioned_by: Vec<Ident>,
    /// `CLUSTER BY (c, …)`.
    pub cluster_by: Vec<Ident>,
    /// `LOCATION 'url'`.
    pub location: Option<String>,
    /// `COMMENT 's'`.
    pub comment: Option<String>,
    /// `TBLPROPERTIES ('k' = 'v', …)` in the order given.
    pub properties: Vec<(String, String)>,
    /// `AS query`.
    pub query: Option<Box<Query>>,
}

impl CreateTable {
    /// A table of this name without columns and without any clause.
    pub fn named(name: ObjectName) -> Self {
        Self {
            name,
            or_replace: false,
            if_not_exists: false,
            columns: Vec::new(),
            primary_key: Vec::new(),
            checks: Vec::new(),
            partitioned_by: Vec::new(),
            cluster_by: Vec::new(),
            location: None,
            comment: None,
            properties: Vec::new(),
            query: None,
        }
    }
}

/// `CREATE TABLE t LIKE s`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTableLike {
    /// The new table.
    pub name: ObjectName,
    /// Do nothing where it stands.
    pub if_not_exists: bool,
    /// The model.
    pub source: ObjectName,
    /// `LOCATION 'url'`.
    pub location: Option<String>,
}

/// `CREATE TABLE x [SHALLOW] CLONE t`.
#[derive(Debug, Clone, PartialEq)]
pub struct CloneTable {
    /// The new table.
    pub name: ObjectName,
    /// Replace what stands there.
    pub or_replace: bool,
    /// Do nothing where it stands.
    pub if_not_exists: bool,
    /// True for `SHALLOW`: the new table refers to the source's files.
    pub shallow: bool,
    /// What is cloned.
    pub source: ObjectName,
    /// The source's version, its latest where absent.
    pub as_of: Option<AsOf>,
    /// `LOCATION 'url'`.
    pub location: Option<String>,
    /// `TBLPROPERTIES (…)` on top of the source's.
    pub properties: Vec<(String, String)>,
}

/// `CONVERT TO DELTA`.
#[derive(Debug, Clone, PartialEq)]
pub struct Convert {
    /// The folder of Parquet files, by path or URL.
    pub location: String,
    /// False where `NO STATISTICS` was said.
    pub statistics: bool,
    /// `PARTITIONED BY (c TYPE, …)`.
    pub partitioned_by: Vec<Column>,
}

/// `DROP TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropTable {
    /// The table, or view.
    pub name: ObjectName,
    /// No error where it is not there.
    pub if_exists: bool,
}

/// `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub name: ObjectName,
    /// What changes.
    pub operation: AlterOperation,
}

/// The operations of `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterOperation {
    /// `ADD COLUMN[S] (…)`; a nested column's name holds dots.
    AddColumns(Vec<AddColumn>),
    /// `DROP COLUMN[S] c, …`.
    DropColumns(Vec<Vec<Ident>>),
    /// `RENAME COLUMN a TO b`.
    RenameColumn {
        /// The column, with its parents where nested.
        from: Vec<Ident>,
        /// The new name.
        to: Ident,
    },
    /// `ALTER COLUMN c TYPE T`.
    SetType {
        /// The column.
        column: Vec<Ident>,
        /// The new type.
        data_type: TypeName,
    },
    /// `ALTER COLUMN c SET NOT NULL`.
    SetNotNull(Vec<Ident>),
    /// `ALTER COLUMN c DROP NOT NULL`.
    DropNotNull(Vec<Ident>),
    /// `ALTER COLUMN c COMMENT 's'`.
    SetColumnComment {
        /// The column.
        column: Vec<Ident>,
        /// The comment.
        comment: String,
    },
    /// `ALTER COLUMN c SET DEFAULT e`.
    SetDefault {
        /// The column.
        column: Ident,
        /// The default.
        value: Expr,
    },
    /// `ALTER COLUMN c DROP DEFAULT`.
    DropDefault(Ident),
    /// `ADD CONSTRAINT n CHECK (e)`; the name is always there.
    AddConstraint(Check),
    /// `DROP CONSTRAINT [IF EXISTS] n`.
    DropConstraint {
        /// The constraint.
        name: Ident,
        /// No error where it is not there.
        if_exists: bool,
    },
    /// `SET TBLPROPERTIES (…)`.
    SetProperties(Vec<(String, String)>),
    /// `UNSET TBLPROPERTIES [IF EXISTS] (…)`.
    UnsetProperties {
        /// The keys.
        keys: Vec<String>,
        /// No error where a key is not there.
        if_exists: bool,
    },
    /// `ADD PRIMARY KEY (c, …)`.
    AddPrimaryKey(Vec<Ident>),
    /// `DROP PRIMARY KEY`.
    DropPrimaryKey,
    /// `RENAME TO u`.
    RenameTo(ObjectName),
    /// `CLUSTER BY (c, …)`, or `CLUSTER BY NONE` with no column.
    ClusterBy(Vec<Ident>),
    /// `DROP FEATURE f [TRUNCATE HISTORY]`.
    DropFeature {
        /// The table feature.
        feature: String,
        /// Whether history is truncated.
        truncate_history: bool,
    },
}

/// A column that `ALTER TABLE … ADD COLUMN` adds.
#[derive(Debug, Clone, PartialEq)]
pub struct AddColumn {
    /// The structs around it, outermost first.
    pub parents: Vec<Ident>,
    /// The column.
    pub column: Column,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `FIRST` or `AFTER c`.
    pub position: Option<Position>,
}

/// Where a column goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Before all others.
    First,
    /// Behind this one.
    After(Ident),
}

/// `COMMENT ON`.
#[derive(Debug, Clone, PartialEq)]
pub struct CommentOn {
    /// The table.
    pub table: ObjectName,
    /// The column, for `COMMENT ON COLUMN t.c`.
    pub column: Option<Ident>,
    /// The comment; `NULL` takes it away.
    pub comment: Option<String>,
}

/// `INSERT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// The table.
    pub table: ObjectName,
    /// `(c, …)`, empty where not given.
    pub columns: Vec<Ident>,
    /// What happens to the rows that stand.
    pub mode: InsertMode,
    /// `PARTITION (c = v, d)`: a value, or none for a dynamic partition column.
    pub partition: Vec<(Ident, Option<Expr>)>,
    /// `BY NAME`: columns are paired by name, not by position.
    pub by_name: bool,
    /// `WITH SCHEMA EVOLUTION`.
    pub schema_evolution: bool,
    /// The rows.
    pub source: Box<Query>,
}

/// What an `INSERT` does to the rows that stand.
#[derive(Debug, Clone, PartialEq)]
pub enum InsertMode {
    /// They stay.
    Append,
    /// They go: all of them, or those in the partitions named.
    Overwrite,
    /// Those that match go, and every new row must match.
    ReplaceWhere(Expr),
}

/// `c = e`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column, with its parents where nested; a leading table alias is kept.
    pub target: Vec<Ident>,
    /// Its new value.
    pub value: Expr,
}

/// `UPDATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The table.
    pub table: ObjectName,
    /// `AS x`.
    pub alias: Option<Ident>,
    /// `SET …`.
    pub assignments: Vec<Assignment>,
    /// `FROM s`.
    pub from: Vec<TableWithJoins>,
    /// `WHERE p`.
    pub selection: Option<Expr>,
}

/// `DELETE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// The table.
    pub table: ObjectName,
    /// `AS x`.
    pub alias: Option<Ident>,
    /// `USING s`.
    pub using: Vec<TableWithJoins>,
    /// `WHERE p`.
    pub selection: Option<Expr>,
}

/// `MERGE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// `WITH SCHEMA EVOLUTION`.
    pub schema_evolution: bool,
    /// The table.
    pub table: ObjectName,
    /// `AS x`.
    pub alias: Option<Ident>,
    /// The source relation with its alias.
    pub source: TableFactor,
    /// `ON p`.
    pub on: Expr,
    /// The `WHEN` clauses in order; the first that applies to a row wins.
    pub clauses: Vec<MergeClause>,
}

/// A `WHEN` clause of `MERGE`.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeClause {
    /// Which rows it is for.
    pub kind: MergeKind,
    /// `AND c`.
    pub predicate: Option<Expr>,
    /// What it does.
    pub action: MergeAction,
}

/// Which rows a `WHEN` clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeKind {
    /// Rows of both sides.
    Matched,
    /// Source rows without a target row.
    NotMatched,
    /// Target rows without a source row.
    NotMatchedBySource,
}

/// What a `WHEN` clause does.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    /// `UPDATE SET *`.
    UpdateAll,
    /// `UPDATE SET c = e, …`.
    Update(Vec<Assignment>),
    /// `DELETE`.
    Delete,
    /// `INSERT *`.
    InsertAll,
    /// `INSERT [(c, …)] VALUES (e, …)`.
    Insert {
        /// The columns, empty for all in order.
        columns: Vec<Ident>,
        /// Their values.
        values: Vec<Expr>,
    },
}

/// `COPY INTO`.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyInto {
    /// The table.
    pub table: ObjectName,
    /// A file, a folder or a glob.
    pub location: String,
    /// `FILEFORMAT`.
    pub format: FileFormat,
    /// `FILES = ('a', …)`, relative to the location.
    pub files: Vec<String>,
    /// `PATTERN = 'glob'`.
    pub pattern: Option<String>,
    /// `FORMAT_OPTIONS ('k' = 'v', …)`.
    pub format_options: Vec<(String, String)>,
    /// `COPY_OPTIONS ('k' = 'v', …)`.
    pub copy_options: Vec<(String, String)>,
}

/// A file format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Delimited text.
    Csv,
    /// One object a line.
    Json,
    /// Parquet.
    Parquet,
}

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
