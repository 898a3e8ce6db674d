//! Functions of posixlake, on DataFusion alone: readers of plain files as tables, and scalar functions.
//!
//! A host that resolves names in `FROM` before it plans uses [`open_path`] and [`open_files`]; any other session gets
//! all by [`register`].
//!
//! # CSV
//! - The empty field is NULL, and so is one that is a `null_value`. In quotes, both are text if the column is STRING;
//!   quotes mean nothing to other types.
//! - A quote opens a field at its very start only, and is written twice inside (or after `escape`). Line ends are LF or
//!   CR LF, and may stand in quotes.
//! - The first line is the header unless `header => false`; spaces around its names do not count. An empty name is
//!   `columnN`, a name twice is an error.
//! - Empty lines are passed over; in a table of one column, they are rows of NULL.
//! - Types are found in the first rows (`sample_rows`): BOOLEAN, BIGINT, DOUBLE, DATE, TIMESTAMP_NTZ, TIMESTAMP where a
//!   zone is written, else STRING. What a number would lose makes text: zeros in front, a plus sign, more digits than a
//!   BIGINT has.
//! - Several files have the same header, or are united by name with `union_by_name => true`.
//!
//! # JSON
//! One object a line, one array of objects, or objects with white space between them. Types are found as in CSV, but text
//! stays STRING; nested objects are STRUCT, arrays are ARRAY. A field that appears after the sample is an error where
//! whole rows are read.
//!
//! # Parquet
//! Several files are united by column name; a column of different types is an error.
//!
//! Nothing is guessed: a value that does not fit its column is an error that tells the file, the line, the column, the
//! value and what to set.

mod files;
mod functions;

pub use files::{
    FileError, FileErrorKind, FileFormat, FileScanRequest, FoundFile, files_of, open_files, open_path, resolve_files,
};
pub use functions::register;
