//! Files that a table had and that may still be there (Delta protocol, "Checkpoints").

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::kernel::Remove;
use object_store::ObjectStore;

use super::Checkpoint;
use crate::error::Result;
use crate::log::actions::CommitActions;
use crate::log::files::FileKey;
use crate::log::replay::{Listing, needed_commit};
use crate::log::{Snapshot, checkpoint};

/// The removals up to a version that are younger than `since`, in milliseconds, of files that did not come back. Only
/// checkpoints ask for them, so they are gathered from the checkpoint before and the commits behind it, and no reader pays
/// for them.
///
/// # Errors
/// Where the log cannot be read.
pub(in crate::log) async fn gather(table: &Snapshot, since: i64) -> Result<Vec<Remove>> {
    let store = table.store();
    let mut standing = HashMap::new();
    let mut first = 0;
    if let Some(before) = before(&store, table.version()).await? {
        for actions in checkpoint::removes(&store, &before).await? {
            note(&mut standing, actions);
        }
        first = before.version + 1;
    }
    for version in first..=table.version() {
        note(&mut standing, needed_commit(store.as_ref(), version).await?);
    }
    let mut removes: Vec<Remove> = standing.into_values().collect();
    removes.retain(|remove| remove.deletion_timestamp.unwrap_or_default() >= since);
    removes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(removes)
}

/// The newest checkpoint up to a version.
async fn before(store: &Arc<dyn ObjectStore>, version: u64) -> Result<Option<Checkpoint>> {
    if let Some(last) = checkpoint::last(store.as_ref()).await
        && last.version <= version
        && checkpoint::sidecars(store, &last).await.is_ok()
    {
        return Ok(Some(last));
    }
    let log = Listing::read(store.as_ref()).await?.unwrap_or_default();
    let candidates = log.checkpoints.range(..=version).rev().flat_map(|(_, found)| found);
    for candidate in candidates {
        if checkpoint::sidecars(store, candidate).await.is_ok() {
            return Ok(Some(candidate.clone()));
        }
    }
    Ok(None)
}

fn note(standing: &mut HashMap<FileKey, Remove>, actions: CommitActions) {
    for mut remove in actions.removes {
        let key = FileKey::of_remove(&remove);
        // What a checkpoint says of a file that is gone.
        remove.data_change = false;
        remove.tags = None;
        standing.insert(key, remove);
    }
    for add in &actions.adds {
        standing.remove(&FileKey::new(&add.path, add.deletion_vector.as_ref()));
    }
}
