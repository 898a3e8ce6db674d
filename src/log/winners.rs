//! What others committed between two versions.

use object_store::ObjectStoreExt;

use super::actions::CommitActions;
use super::{Snapshot, commit_path};
use crate::error::Result;

/// The commits behind `before`, up to `now`, oldest first.
///
/// # Errors
/// Where one cannot be read.
pub(crate) async fn winners(before: &Snapshot, now: &Snapshot) -> Result<Vec<CommitActions>> {
    let store = now.store();
    let mut commits = Vec::new();
    for version in before.version() + 1..=now.version() {
        let bytes = store.get(&commit_path(version)).await?.bytes().await?;
        commits.push(CommitActions::parse(version, &bytes)?);
    }
    Ok(commits)
}
