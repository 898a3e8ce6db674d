//! Commits that change files and leave all rows as they are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::kernel::{Action, Add};
use object_store::ObjectStoreExt;

use crate::catalog::{Lake, TableId};
use crate::error::{ErrorKind, Result};
use crate::log::{Commit, DataFile, Mode, Snapshot, commit};
use crate::table::data_path;

/// How often a commit is tried behind those of others.
const ATTEMPTS: u32 = 100;

/// Removes files that no commit will refer to; what cannot be removed is left to VACUUM.
pub(super) async fn discard(table: &Snapshot, adds: &[Add]) {
    let store = table.store();
    for add in adds {
        let _ = store.delete(&data_path(&add.path)).await;
    }
}

/// What a commit of this kind says in the history.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) operation: &'static str,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, String>,
    pub(super) statement: String,
}

/// Commits a change of files that keeps all rows. Others may commit before it as long as the files stand as they were
/// read, in a table of the same schema: the same rows then are where this commit says, whatever else came. None where
/// that is not so any more: nothing was committed.
///
/// # Errors
/// Where the store fails.
pub(super) async fn commit_unchanged_rows(
    lake: &Arc<Lake>,
    id: &TableId,
    table: &Snapshot,
    inputs: &[Arc<DataFile>],
    actions: &[Action],
    story: &Story,
) -> Result<Option<u64>> {
    let mut latest = table.clone();
    for attempt in 0..ATTEMPTS {
        let next = Commit {
            operation: story.operation,
            parameters: story.parameters.clone(),
            metrics: story.metrics.clone(),
            actions: actions.to_vec(),
            read_version: Some(latest.version()),
            mode: Mode::Exclusive,
            statement: Some(story.statement.clone()),
        };
        match commit(latest.log_store().as_ref(), next).await {
            Ok(version) => {
                lake.after_commit(id, version).await;
                return Ok(Some(version));
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let limit = 2 << attempt.min(6);
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..=limit))).await;
                latest = lake.open_table(id).await?;
                if !still_stand(table, &latest, &[inputs]).contains(&true) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// For each list of files, whether all of them stand as they were read, in a table of the same schema.
pub(super) fn still_stand(before: &Snapshot, now: &Snapshot, lists: &[&[Arc<DataFile>]]) -> Vec<bool> {
    if before.metadata() != now.metadata() || before.protocol() != now.protocol() {
        return vec![false; lists.len()];
    }
    let standing: HashSet<_> = now.files().iter().map(|file| file.key()).collect();
    let stands = |list: &&[Arc<DataFile>]| list.iter().all(|file| standing.contains(&file.key()));
    lists.iter().map(stands).collect()
}
