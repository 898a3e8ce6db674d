//! What the mount asks of the engine: tables and their versions, rows by data file, and statements to run.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Why the engine refused, in the coarse kinds that decide an NFS status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The table, version or file is not there.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The statement or its data is wrong: types, columns, constraints, keys.
    Invalid,
    /// Another writer was first.
    Conflict,
    /// The caller has no right to it.
    Permission,
    /// The table or the engine cannot do that.
    Unsupported,
    /// A store failed; the same may succeed later.
    Storage,
    /// Anything else.
    Internal,
}

/// A refusal of the engine.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct LakeError {
    /// What a caller can do about it.
    pub kind: Kind,
    /// One line for people.
    pub message: String,
}

/// What the engine answers.
pub type Result<T> = std::result::Result<T, LakeError>;

/// The name of a table: its schema, where it is not the default one, and its own name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// `None`: the default schema, whose tables stand at the root.
    pub schema: Option<String>,
    /// The table's name as it is written in SQL, without quotes.
    pub table: String,
}

/// One live data file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataFile {
    /// Its path as the log has it.
    pub path: String,
    /// What names its deletion vector in the log, where it has one: another vector has another name.
    pub vector: Option<String>,
    /// Rows in the file, hidden ones included.
    pub rows: u64,
    /// Rows that the deletion vector hides.
    pub hidden: u64,
    /// Bytes.
    pub size: u64,
}

/// A table at a version. Its rows stand in the order of `files`, and within a file in the file's own.
#[derive(Debug, Clone)]
pub struct Version {
    /// The table.
    pub name: TableName,
    /// The table's id in its log: another table under the same name has another.
    pub id: String,
    /// The version.
    pub number: u64,
    /// When it was committed, in milliseconds since 1970.
    pub time: i64,
    /// The columns that users see.
    pub schema: SchemaRef,
    /// The columns of the primary key; none where none is declared.
    pub key: Vec<String>,
    /// The live files, the oldest rows first: what was appended last is last.
    pub files: Vec<DataFile>,
}

/// Which version is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The latest.
    Latest,
    /// By number.
    Version(u64),
    /// By a time as SQL's `TIMESTAMP AS OF` takes it.
    Time(String),
}

/// Who runs a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Author {
    /// The user that rights are checked for, where the mount knows one.
    pub user: Option<String>,
    /// The client, for the table's history: `uid@machine (address)`.
    pub client: String,
}

/// A statement with what it must carry.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The SQL text.
    pub sql: String,
    /// Application and number of a transaction: the statement is skipped where the table has it.
    pub transaction: Option<(String, i64)>,
    /// Who it is for.
    pub author: Author,
}

/// Rows that a statement answered with.
pub struct Rows {
    /// Their columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

/// What becomes of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New ones come.
    Insert,
    /// Some become others.
    Update,
    /// Some go.
    Delete,
}

/// The engine, as the mount sees it. Every method may wait; none may be called from within another's stream.
#[async_trait]
pub trait Lake: Send + Sync + 'static {
    /// The tables, in no order.
    ///
    /// # Errors
    /// As the store's.
    async fn tables(&self) -> Result<Vec<TableName>>;

    /// A table at a version. Cheap when nothing was committed since the last call.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a table or version that is not there.
    async fn version(&self, table: &TableName, at: &At) -> Result<Arc<Version>>;

    /// The live rows of one file whose place in the file is within `places`, in the file's order: the column `_row` (Int64: the place),
    /// followed, where `columns` says so, by the version's columns.
    ///
    /// # Errors
    /// As the store's; [`Kind::NotFound`] where the file was vacuumed.
    async fn rows(
        &self,
        version: &Version,
        file: &DataFile,
        places: Range<u64>,
        columns: bool,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>>;

    /// Bytes of a data file, as they are.
    ///
    /// # Errors
    /// As the store's.
    async fn bytes(&self, version: &Version, file: &DataFile, range: Range<u64>) -> Result<Bytes>;

    /// Whether an edit may begin that needs one of the changes, whichever it turns out to be.
    ///
    /// # Errors
    /// [`Kind::Permission`] where the user may make none of them.
    async fn check(&self, table: &TableName, changes: &[Change]) -> Result<()>;

    /// Runs a statement. Effects are durable when the rows have ended without an error.
    ///
    /// # Errors
    /// As the statement's.
    async fn run(&self, statement: Statement) -> Result<Rows>;
}
