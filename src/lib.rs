//! posixlake: a folder or bucket of Delta Lake tables as one SQL database that is also a file system.

mod access;
mod catalog;
pub mod cli;
mod commands;
mod dml;
mod error;
mod failpoint;
mod log;
mod monitor;
mod nfs;
mod plan;
pub mod reference;
mod session;
mod store;
mod system;
mod table;

pub use access::Door;
pub use error::{Error, ErrorKind, Result};
pub use nfs::{Serving, serve as serve_nfs};
pub use posixlake_sql as sql;
pub use session::{Session, SessionBuilder, install, install_as};
