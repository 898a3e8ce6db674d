//! Checkpoints and log clean-up, outside every statement: they never delay one and never fail one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use url::Url;

use super::Snapshot;

/// The commits between two checkpoints where the table does not say, as in Spark.
const CHECKPOINT_INTERVAL: u64 = 10;

/// How long a log is left alone after it was cleaned up: what is in it expires by the day.
const BETWEEN_CLEANUPS: Duration = Duration::from_secs(3600);

/// Work that goes on behind the statements of a session.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: Mutex<JoinSet<()>>,
    busy: Arc<Mutex<HashSet<Url>>>,
    /// When a table's log was last cleaned up, which takes a listing of it.
    cleaned: Mutex<HashMap<Url, Instant>>,
}

impl Background {
    /// Looks at a version that was just committed, and starts what is due.
    pub(crate) fn after_commit(&self, table: &Snapshot, version: u64) {
        if version == 0 || !version.is_multiple_of(interval(table)) {
            return;
        }
        let url = table.url().clone();
        if !self.busy.lock().insert(url.clone()) {
            return;
        }
        let busy = self.busy.clone();
        let clean = self.is_time_to_clean(&url);
        let table = DeltaTable::new(table.log_store());
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            if let Err(error) = checkpoint(table, version, clean).await {
                tracing::warn!(%url, version, %error, "a checkpoint could not be written; the log stays as it is");
            }
            busy.lock().remove(&url);
        });
    }

    fn is_time_to_clean(&self, url: &Url) -> bool {
        let mut cleaned = self.cleaned.lock();
        let due = cleaned.get(url).is_none_or(|last| last.elapsed() >= BETWEEN_CLEANUPS);
        if due {
            cleaned.insert(url.clone(), Instant::now());
        }
        due
    }

    /// Waits for what is under way.
    pub(crate) async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

fn interval(table: &Snapshot) -> u64 {
    let configured = table
        .property("delta.checkpointInterval")
        .and_then(|value| value.parse().ok());
    configured
        .filter(|interval| *interval > 0)
        .unwrap_or(CHECKPOINT_INTERVAL)
}

async fn checkpoint(mut table: DeltaTable, version: u64, clean: bool) -> deltalake_core::DeltaResult<()> {
    table.load_version(version).await?;
    // The kernel's checkpoint writer blocks its thread.
    let handle = tokio::runtime::Handle::current();
    let table = match tokio::task::spawn_blocking(move || {
        handle.block_on(async { checkpoints::create_checkpoint(&table, None).await.map(|()| table) })
    })
    .await
    {
        Ok(written) => written?,
        Err(error) => return Err(deltalake_core::DeltaTableError::Generic(error.to_string())),
    };
    // With this feature, only a writer that checks the protection rules may remove old checkpoints and commits.
    let protected = table.snapshot()?.protocol().writer_features().is_some_and(|features| {
        features
            .iter()
            .any(|feature| feature.to_string() == "checkpointProtection")
    });
    let wanted = table
        .snapshot()?
        .metadata()
        .configuration()
        .get("delta.enableExpiredLogCleanup");
    if clean && !protected && wanted.is_none_or(|value| value != "false") {
        checkpoints::cleanup_metadata(&table, None).await?;
    }
    Ok(())
}
