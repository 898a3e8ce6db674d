//! posixlake: a folder or bucket of Delta Lake tables as one SQL database that is also a file system.

mod error;
mod session;

pub use error::{Error, ErrorKind, Result};
pub use posixlake_sql as sql;
pub use session::{Session, SessionBuilder};
