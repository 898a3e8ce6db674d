//! Lakes for tests.

mod rows;

use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use posixlake::{Error, Session};
use tempfile::TempDir;

pub(crate) use rows::{cell, lines};

/// A folder that is a lake, removed at the end.
pub(crate) struct Lake {
    folder: TempDir,
}

impl Lake {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn session(&self) -> Session {
        session(self.path()).await.unwrap()
    }
}

/// A session on a folder.
pub(crate) async fn session(folder: &Path) -> Result<Session, Error> {
    Session::builder().lake(folder.to_str().unwrap()).build().await
}

/// Runs a statement to its end.
pub(crate) async fn run(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, Error> {
    Ok(session.sql(sql).await?.collect().await?)
}

/// The project's folder.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The small files that tests import.
pub(crate) fn data() -> PathBuf {
    project().join("tests/data")
}
