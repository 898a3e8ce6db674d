//! The Delta log: what was committed, and how a statement's actions become a version.

mod actions;
mod author;
mod background;
mod checkpoint;
mod checkpoint_files;
mod checksum;
mod clean_up;
mod commit;
mod compaction;
mod features;
mod files;
pub(crate) mod history;
mod outline;
mod replay;
mod snapshot;
mod tombstones;
mod winners;

pub(crate) use actions::CommitActions;
pub(crate) use author::Author;
pub(crate) use background::Background;
pub(crate) use checkpoint::{hint_path, write as write_checkpoint};
pub(crate) use checksum::check as check_against_checksum;
pub(crate) use commit::{COMMITTED, Commit, Mode, USER, commit};
pub(crate) use features::{FEATURES, check_readable, check_writable};
pub(crate) use files::{DataFile, FileKey, Files, MakeColumns, remove};
pub(crate) use outline::{Outline, version_of_commit};
pub(crate) use replay::read_commit;
pub(crate) use snapshot::Snapshot;
pub(crate) use tombstones::tombstones;
pub(crate) use winners::winners;

use object_store::path::Path;

/// The log's folder below a table's.
pub(crate) const FOLDER: &str = "_delta_log";

/// Where a version's commit lies, below the table's folder.
pub(crate) fn commit_path(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}.json"))
}
