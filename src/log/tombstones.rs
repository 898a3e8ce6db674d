//! What commits took away.

use deltalake_core::kernel::Remove;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::actions::CommitActions;
use super::checkpoint::tombstones_behind;
use super::history::commit_files;
use super::{Snapshot, commit_path};
use crate::error::Result;

/// How many commits are read at once.
const READS: usize = 16;

/// The removals of all commits that are still in the log, up to the table's version, and those that its checkpoint keeps of commits that are cleaned up. A file may
/// be told twice.
///
/// # Errors
/// Where a commit cannot be read.
pub(crate) async fn tombstones(table: &Snapshot) -> Result<Vec<Remove>> {
    let store = table.store();
    let removes = futures::stream::iter(commit_files(table).await?)
        .map(|file| {
            let store = store.clone();
            async move {
                let bytes = match store.get(&commit_path(file.version)).await {
                    Ok(found) => found.bytes().await?,
                    // Cleaned up meanwhile: it was old.
                    Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
                    Err(error) => return Err(error.into()),
                };
                CommitActions::parse(file.version, &bytes).map(|actions| actions.removes)
            }
        })
        .buffer_unordered(READS)
        .try_collect::<Vec<_>>();
    let mut removes = removes.await?.concat();
    removes.extend(tombstones_behind(table, i64::MIN).await?);
    Ok(removes)
}
