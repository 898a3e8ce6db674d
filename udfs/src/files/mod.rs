//! Files as tables: CSV, JSON, Parquet; local or by URL; one, many, a folder or a pattern.

mod chunk;
mod compression;
mod csv;
mod error;
mod exec;
mod glob;
mod json;
mod parquet;
mod provider;
mod request;
mod resolve;
mod source;
mod types;
mod values;

pub use error::{FileError, FileErrorKind};
pub use provider::{files_of, open_files, open_path};
pub use request::{FileFormat, FileScanRequest};
pub use resolve::{FoundFile, resolve_files};
