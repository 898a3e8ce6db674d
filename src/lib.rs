//! posixlake: a folder or bucket of Delta Lake tables as one SQL database that is also a file system.

mod catalog;
pub mod cli;
mod commands;
mod dml;
mod error;
mod failpoint;
mod log;
mod nfs;
mod plan;
pub mod reference;
mod session;
mod store;
mod table;

pub use error::{Error, ErrorKind, Result};
pub use nfs::{Serving, serve as serve_nfs};
pub use posixlake_sql as sql;
pub use session::{Session, SessionBuilder, install};
