//! The Delta log: what was committed, and how a statement's actions become a version.

mod background;
mod commit;
pub(crate) mod history;

pub(crate) use background::Background;
pub(crate) use commit::{Commit, Mode, check_writable, commit};

use object_store::path::Path;

/// The log's folder below a table's.
pub(crate) const FOLDER: &str = "_delta_log";

/// Where a version's commit lies, below the table's folder.
pub(crate) fn commit_path(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}.json"))
}
