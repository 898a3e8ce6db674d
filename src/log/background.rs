//! Checkpoints, log compaction, checksums and log clean-up, outside every statement: they never delay one and never fail one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use url::Url;

use super::{Snapshot, checkpoint, checksum, clean_up, commit_path, compaction};
use crate::error::Result;

/// The commits between two checkpoints where the table does not say, as in Spark.
const CHECKPOINT_INTERVAL: u64 = 10;

/// How long a log is left alone after it was cleaned up: what is in it expires by the day.
const BETWEEN_CLEAN_UPS: Duration = Duration::from_secs(3600);

/// How long no commit must come before a version gets its checksum: of many in a row, the last gets one.
const QUIET: Duration = Duration::from_millis(200);

/// Work that goes on behind the statements of a session.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: Mutex<JoinSet<()>>,
    tables: Mutex<HashMap<Url, Arc<Table>>>,
    closing: watch::Sender<bool>,
}

/// What there is to do for a table.
#[derive(Debug, Default)]
struct Table {
    due: Mutex<Due>,
    /// Held while something is done.
    busy: tokio::sync::Mutex<()>,
    /// Told of what cannot wait for a pause between commits.
    called: Notify,
}

#[derive(Debug, Default)]
struct Due {
    checkpoint: Option<Snapshot>,
    /// With the first of the versions that go together.
    compaction: Option<(Snapshot, u64)>,
    checksum: Option<Snapshot>,
    /// The first and the last of the versions that this session committed without another's between them.
    own: Option<(u64, u64)>,
    /// When the log was last cleaned up, which takes a listing of it.
    cleaned: Option<Instant>,
    /// Whether a task looks after the table.
    attended: bool,
}

#[derive(Debug)]
enum Job {
    Checkpoint {
        table: Snapshot,
        clean_up: bool,
    },
    Compaction {
        table: Snapshot,
        first: u64,
    },
    Checksum {
        table: Snapshot,
        /// At the end of the session, which waits for no pause: the version before it that is another's.
        behind: Option<u64>,
    },
    /// Wait whether another version comes behind this one.
    Wait(u64),
}

impl Background {
    /// Looks at a version that was just committed, and starts what is due.
    pub(crate) fn after_commit(&self, table: &Snapshot, version: u64) {
        let work = self.tables.lock().entry(table.url().clone()).or_default().clone();
        if !work.note(table, version) {
            return;
        }
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work.attend(self.closing.subscribe()));
    }

    /// Leaves a table alone that goes away: when this returns, nothing more is written.
    pub(crate) async fn leave(&self, url: &Url) {
        let work = self.tables.lock().get(url).cloned();
        if let Some(work) = work {
            work.due.lock().clear();
            drop(work.busy.lock().await);
        }
    }

    /// Waits for what is due and under way.
    pub(crate) async fn finish(&self) {
        self.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
        self.closing.send_replace(false);
    }
}

impl Table {
    /// Notes what a version makes due; true where nobody attends to it yet.
    fn note(&self, table: &Snapshot, version: u64) -> bool {
        let interval = interval(table);
        let mut due = self.due.lock();
        if version > 0 && version.is_multiple_of(interval) {
            due.checkpoint = Some(table.clone());
            self.called.notify_one();
        } else if table.version() == version
            && let Some(first) = compaction::first_due(version, interval)
        {
            due.compaction = Some((table.clone(), first));
            self.called.notify_one();
        }
        due.checksum = Some(table.clone());
        due.own = match due.own {
            Some((first, last)) if last + 1 == version => Some((first, version)),
            _ => Some((version, version)),
        };
        !std::mem::replace(&mut due.attended, true)
    }

    async fn attend(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        let mut quiet = None;
        loop {
            let busy = self.busy.lock().await;
            let next = self.due.lock().next(quiet, *closing.borrow());
            match next {
                None => return,
                Some(Job::Wait(version)) => {
                    drop(busy);
                    tokio::select! {
                        () = self.called.notified() => {}
                        // At the end of the session nothing more comes.
                        _ = tokio::time::timeout(QUIET, closing.wait_for(|closing| *closing)) => quiet = Some(version),
                    }
                }
                Some(job) => job.run().await,
            }
        }
    }
}

impl Due {
    fn next(&mut self, quiet: Option<u64>, closing: bool) -> Option<Job> {
        if let Some(table) = self.checkpoint.take() {
            let clean_up = self.cleaned.is_none_or(|last| last.elapsed() >= BETWEEN_CLEAN_UPS);
            if clean_up {
                self.cleaned = Some(Instant::now());
            }
            return Some(Job::Checkpoint { table, clean_up });
        }
        if let Some((table, first)) = self.compaction.take() {
            return Some(Job::Compaction { table, first });
        }
        match self.checksum.as_ref().map(Snapshot::version) {
            Some(version) if quiet == Some(version) => {
                let first = self.own.map_or(version, |(first, _)| first);
                let behind = first.checked_sub(1).filter(|_| closing);
                self.checksum.take().map(|table| Job::Checksum { table, behind })
            }
            Some(version) => Some(Job::Wait(version)),
            None => {
                self.attended = false;
                None
            }
        }
    }

    fn clear(&mut self) {
        self.checkpoint = None;
        self.compaction = None;
        self.checksum = None;
        self.own = None;
    }
}

impl Job {
    async fn run(self) {
        let (what, table) = match &self {
            Self::Checkpoint { table, .. } => ("a checkpoint", table),
            Self::Compaction { table, .. } => ("compacted commits", table),
            Self::Checksum { table, .. } => ("a checksum", table),
            Self::Wait(_) => return,
        };
        if let Err(error) = self.write(table).await {
            let (url, version) = (table.url(), table.version());
            tracing::warn!(%url, version, %error, "{what} could not be written; the log stays as it is");
        }
    }

    async fn write(&self, table: &Snapshot) -> Result<()> {
        if !table.stands().await? {
            return Ok(());
        }
        match self {
            Self::Checkpoint { clean_up, .. } => {
                checkpoint::write(table).await?;
                if *clean_up {
                    clean_up::clean_up(table).await?;
                }
                Ok(())
            }
            Self::Compaction { first, .. } => compaction::write(table, *first).await,
            // Readers of the kernel fail where they list a checksum and overlook its commit, both made meanwhile: where many
            // processes make one version each, none gets a checksum at once.
            Self::Checksum {
                behind: Some(other), ..
            } if !is_quiet(table, *other).await? => Ok(()),
            Self::Checksum { .. } => checksum::write(table).await,
            Self::Wait(_) => Ok(()),
        }
    }
}

/// Whether the table's version came a while after an earlier one, by the store's clock.
async fn is_quiet(table: &Snapshot, earlier: u64) -> Result<bool> {
    let store = table.store();
    let before = match store.head(&commit_path(earlier)).await {
        Ok(before) => before.last_modified,
        // It was cleaned up long ago.
        Err(object_store::Error::NotFound { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let since = store.head(&commit_path(table.version())).await?.last_modified - before;
    Ok(since.to_std().is_ok_and(|since| since >= QUIET))
}

fn interval(table: &Snapshot) -> u64 {
    let configured = table
        .property("delta.checkpointInterval")
        .and_then(|value| value.parse().ok());
    configured
        .filter(|interval| *interval > 0)
        .unwrap_or(CHECKPOINT_INTERVAL)
}
