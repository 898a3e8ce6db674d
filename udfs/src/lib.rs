//! Functions of posixlake, on DataFusion alone: readers of plain files as tables, and scalar functions.
//!
//! A host that resolves names in `FROM` before it plans uses [`open_path`] and [`open_files`]; any other session gets
//! all by [`register`].

mod files;
mod functions;

pub use files::{
    FileError, FileErrorKind, FileFormat, FileScanRequest, FoundFile, open_files, open_path, resolve_files,
};
pub use functions::register;
