//! Statements that define tables.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query};

use super::AsOf;
use crate::types::TypeName;

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
