//! Snapshots of tables: one a table, shared by all readers, brought up to date by one listing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use url::Url;

use crate::error::{Error, Result};
use crate::log::{Snapshot, commit_path};
use crate::store::Stores;

/// What a file of a snapshot takes in memory, roughly: its action with statistics, parsed and as text.
const BYTES_PER_FILE: u64 = 2048;

/// Snapshots are dropped, least recently used first, above this many bytes.
const CAPACITY: u64 = 512 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    url: Url,
    /// Absent for the latest.
    version: Option<u64>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held while the table is read, so that a table is loaded once however many ask.
    table: tokio::sync::Mutex<Option<Held>>,
    last_used: AtomicU64,
    bytes: AtomicU64,
}

/// A loaded table, and how its last commit looked then.
#[derive(Debug, Clone)]
struct Held {
    table: Snapshot,
    /// Absent where the commit file is gone already, behind a checkpoint.
    last_commit: Option<Stamp>,
}

/// What tells a commit file from another that took its place: the table was dropped and made again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: DateTime<Utc>,
    size: u64,
    e_tag: Option<String>,
}

/// Tables that were opened, by location and version.
#[derive(Debug)]
pub(crate) struct SnapshotCache {
    stores: Arc<Stores>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    clock: AtomicU64,
}

impl SnapshotCache {
    pub(crate) fn new(stores: Arc<Stores>) -> Self {
        Self {
            stores,
            slots: Mutex::default(),
            clock: AtomicU64::new(0),
        }
    }

    /// The table's latest state as of this call, or `None` where no table stands.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(crate) async fn latest(&self, url: &Url) -> Result<Option<Snapshot>> {
        self.check_open(url)?;
        let key = Key {
            url: url.clone(),
            version: None,
        };
        let slot = self.slot(&key);
        let mut slot_table = slot.table.lock().await;
        let refreshed = match slot_table.take() {
            Some(held) => refresh(held).await,
            None => None,
        };
        let held = match refreshed {
            Some(held) => held,
            None => match self.load(url, None).await? {
                Some(table) => Held {
                    last_commit: stamp(&table).await,
                    table,
                },
                None => {
                    self.slots.lock().remove(&key);
                    return Ok(None);
                }
            },
        };
        let table = held.table.clone();
        *slot_table = Some(held);
        self.used(&slot, &table);
        self.check_mark(&table)?;
        Ok(Some(table))
    }

    /// The table at a version.
    ///
    /// # Errors
    /// Where there is no such table or version, or it cannot be read any more.
    pub(crate) async fn at(&self, url: &Url, version: u64) -> Result<Snapshot> {
        self.check_open(url)?;
        let slot = self.slot(&Key {
            url: url.clone(),
            version: Some(version),
        });
        let mut held = slot.table.lock().await;
        if let Some(Held { table, .. }) = held.as_ref() {
            self.used(&slot, table);
            return Ok(table.clone());
        }
        match self.load(url, Some(version)).await? {
            Some(table) => {
                *held = Some(Held {
                    table: table.clone(),
                    last_commit: None,
                });
                self.used(&slot, &table);
                Ok(table)
            }
            None => Err(Error::not_found(format!("no Delta table at '{url}'"))),
        }
    }

    /// Whether the session's user has anything to do with a table, before a byte of it is read.
    fn check_open(&self, url: &Url) -> Result<()> {
        self.stores.access().map_or(Ok(()), |access| access.check_open(url))
    }

    fn check_mark(&self, table: &Snapshot) -> Result<()> {
        self.stores.access().map_or(Ok(()), |access| access.check_mark(table))
    }

    /// Forgets all tables.
    pub(crate) fn clear(&self) {
        self.slots.lock().clear();
    }

    /// Forgets a table that was dropped or replaced.
    pub(crate) fn forget(&self, url: &Url) {
        self.slots.lock().retain(|key, _| key.url != *url);
    }

    async fn load(&self, url: &Url, version: Option<u64>) -> Result<Option<Snapshot>> {
        Snapshot::load(self.stores.log_store(url)?, version).await
    }

    fn slot(&self, key: &Key) -> Arc<Slot> {
        self.slots.lock().entry(key.clone()).or_default().clone()
    }

    fn used(&self, slot: &Slot, table: &Snapshot) {
        slot.last_used
            .store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let files = table.files().len() as u64;
        slot.bytes.store((files + 8) * BYTES_PER_FILE, Ordering::Relaxed);
        self.evict();
    }

    fn evict(&self) {
        let mut slots = self.slots.lock();
        let mut total: u64 = slots.values().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum();
        while total > CAPACITY && slots.len() > 1 {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.last_used.load(Ordering::Relaxed));
            let Some((key, bytes)) = oldest.map(|(key, slot)| (key.clone(), slot.bytes.load(Ordering::Relaxed))) else {
                return;
            };
            slots.remove(&key);
            total = total.saturating_sub(bytes);
        }
    }
}

/// The table as of this moment, or `None` where it must be loaded anew.
///
/// Two look-ups settle the common case, that nothing happened: whether the last commit is still the one that was read, and
/// whether there is a next. A listing would cost a log of ten thousand commits each time.
async fn refresh(mut held: Held) -> Option<Held> {
    let version = held.table.version();
    let store = held.table.store();
    let (last, next) = (commit_path(version), commit_path(version + 1));
    let (last, next) = futures::join!(look(store.as_ref(), &last), look(store.as_ref(), &next));
    match (last, next) {
        // A table whose last commit is gone was dropped or renamed; an update would find nothing new and keep it.
        (Ok(None), _) => return None,
        (Ok(Some(now)), _) if held.last_commit.as_ref().is_some_and(|then| *then != now) => return None,
        (Ok(Some(_)), Ok(None)) if held.last_commit.is_some() => return Some(held),
        _ => {}
    }
    held.table = held.table.refreshed().await.ok()?;
    held.last_commit = stamp(&held.table).await;
    Some(held)
}

async fn stamp(table: &Snapshot) -> Option<Stamp> {
    let store = table.store();
    look(store.as_ref(), &commit_path(table.version())).await.ok().flatten()
}

async fn look(store: &dyn ObjectStore, path: &object_store::path::Path) -> object_store::Result<Option<Stamp>> {
    match store.head(path).await {
        Ok(meta) => Ok(Some(Stamp {
            modified: meta.last_modified,
            size: meta.size,
            e_tag: meta.e_tag,
        })),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
