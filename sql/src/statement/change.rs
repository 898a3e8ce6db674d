//! Statements that change rows.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, TableWithJoins};

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
