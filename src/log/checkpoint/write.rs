//! The checkpoint of a version, from its snapshot.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use deltalake_core::kernel::Transaction;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::rows::{CheckpointMetadata, FileRow, Kind, Row, Sidecar, Statistics, encode};
use super::structs::Structs;
use super::{Hint, HintedFile, hint_path, last, sidecars, tombstones};
use crate::error::{Error, Result};
use crate::log::{FOLDER, Snapshot, checksum};

/// How long removed files are remembered where the table does not say.
const DELETED_FILES: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many files one sidecar tells of.
const FILES_A_SIDECAR: usize = 50_000;

/// Writes a checkpoint of the version, and the log's hint to it.
///
/// A table with the feature `v2Checkpoint` gets one of the second kind, whose files are told by sidecars, unless its
/// `delta.checkpointPolicy` is `classic`. Two writers of one checkpoint say the same, so that neither is in the other's way.
///
/// # Errors
/// [`crate::ErrorKind::Corrupt`] where the version's checksum file contradicts the log, or the log cannot be read; where the
/// store fails.
pub(crate) async fn write(table: &Snapshot) -> Result<()> {
    write_in_parts(table, FILES_A_SIDECAR).await
}

pub(super) async fn write_in_parts(table: &Snapshot, files_a_sidecar: usize) -> Result<()> {
    checksum::check(table).await?;
    let content = Content::of(table).await?;
    let store = table.store();
    let version = table.version();
    let size = (content.transactions.len() + table.domains().len() + 2 + content.files.len()) as u64;
    let (name, bytes) = if is_v2(table) {
        content.write_v2(store.as_ref(), files_a_sidecar).await?
    } else {
        let name = format!("{version:020}.checkpoint.parquet");
        let files = 0..content.files.len();
        let bytes = content.encode(Kind::Classic, Vec::new(), files).await?;
        let size = put(store.as_ref(), &name_path("", &name), bytes).await?;
        (name, size)
    };
    let v2 = is_v2(table).then(|| HintedFile {
        path: name,
        size_in_bytes: Some(bytes),
        modification_time: Some(Utc::now().timestamp_millis()),
    });
    let next = Hint {
        version,
        size: Some(size),
        parts: None,
        size_in_bytes: Some(bytes),
        num_of_add_files: Some(table.files().len() as u64),
        v2_checkpoint: v2,
    };
    // Another writer's may be newer, where it is not mistaken.
    let outdated = match last(store.as_ref()).await {
        Some(newer) if newer.version > version => sidecars(&store, &newer).await.is_err(),
        _ => true,
    };
    if outdated {
        let text = serde_json::to_vec(&next).map_err(|error| Error::internal(error.to_string()))?;
        put(store.as_ref(), &hint_path(), text).await?;
    }
    Ok(())
}

fn is_v2(table: &Snapshot) -> bool {
    let features = table.protocol().writer_features().unwrap_or_default();
    let listed = features.iter().any(|feature| feature.to_string() == "v2Checkpoint");
    listed && table.property("delta.checkpointPolicy") != Some("classic")
}

fn name_path(folder: &str, name: &str) -> Path {
    Path::from(format!("{FOLDER}/{folder}{name}"))
}

async fn put(store: &dyn ObjectStore, path: &Path, bytes: Vec<u8>) -> Result<u64> {
    let size = bytes.len() as u64;
    store.put(path, bytes.into()).await?;
    Ok(size)
}

/// What a checkpoint tells.
#[derive(Clone)]
struct Content {
    table: Snapshot,
    transactions: Arc<Vec<Transaction>>,
    files: Arc<Vec<FileRow>>,
    statistics: Statistics,
}

impl Content {
    async fn of(table: &Snapshot) -> Result<Self> {
        let properties = table.properties();
        let now = Utc::now().timestamp_millis();
        let before = |duration: Duration| now.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
        let kept = properties.deleted_file_retention_duration.unwrap_or(DELETED_FILES);
        let removes = tombstones::gather(table, before(kept)).await?;
        let removes = removes.into_iter().map(|remove| FileRow::Remove(Arc::new(remove)));
        let adds = table.files().iter().cloned().map(FileRow::Add);
        let since = properties.set_transaction_retention_duration.map(before);
        let lives = |transaction: &&Transaction| match (since, transaction.last_updated) {
            (Some(since), Some(updated)) => updated > since,
            _ => true,
        };
        let mut transactions: Vec<Transaction> = table.transactions().filter(lives).cloned().collect();
        transactions.sort_by(|a, b| a.app_id.cmp(&b.app_id));
        let structs = properties.should_write_stats_as_struct();
        Ok(Self {
            table: table.clone(),
            transactions: Arc::new(transactions),
            files: Arc::new(removes.chain(adds).collect()),
            statistics: Statistics {
                texts: properties.should_write_stats_as_json(),
                structs: structs.then(|| Structs::of(table)).transpose()?.map(Arc::new),
            },
        })
    }

    /// A file of the checkpoint, made on a thread of its own.
    async fn encode(&self, kind: Kind, sidecars: Vec<Sidecar>, files: std::ops::Range<usize>) -> Result<Vec<u8>> {
        let content = self.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let others = match kind {
                Kind::Sidecar => Vec::new(),
                Kind::Classic | Kind::V2 => content.others(kind, sidecars),
            };
            let files = content.files.get(files).unwrap_or_default();
            encode(kind, &content.statistics, &others, files)
        });
        encoded.await.map_err(|error| Error::internal(error.to_string()))?
    }

    /// All actions but those of files.
    fn others(&self, kind: Kind, sidecars: Vec<Sidecar>) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        if kind == Kind::V2 {
            rows.push(Row {
                checkpoint_metadata: Some(CheckpointMetadata {
                    version: self.table.version(),
                }),
                ..Row::default()
            });
        }
        rows.push(Row {
            protocol: Some(Cow::Borrowed(self.table.protocol())),
            ..Row::default()
        });
        rows.push(Row {
            meta_data: Some(Cow::Borrowed(self.table.metadata())),
            ..Row::default()
        });
        rows.extend(self.transactions.iter().map(|transaction| Row {
            txn: Some(Cow::Borrowed(transaction)),
            ..Row::default()
        }));
        rows.extend(self.table.domains().values().map(|domain| Row {
            domain_metadata: Some(Cow::Borrowed(domain)),
            ..Row::default()
        }));
        rows.extend(sidecars.into_iter().map(|sidecar| Row {
            sidecar: Some(sidecar),
            ..Row::default()
        }));
        rows
    }

    /// Writes sidecars and what refers to them, whose name and size are returned.
    async fn write_v2(&self, store: &dyn ObjectStore, files_a_sidecar: usize) -> Result<(String, u64)> {
        let mut sidecars = Vec::new();
        for first in (0..self.files.len()).step_by(files_a_sidecar.max(1)) {
            let files = first..(first + files_a_sidecar).min(self.files.len());
            let bytes = self.encode(Kind::Sidecar, Vec::new(), files).await?;
            let name = format!("{}.parquet", Uuid::new_v4());
            sidecars.push(Sidecar {
                size_in_bytes: put(store, &name_path("_sidecars/", &name), bytes).await?,
                path: name,
                modification_time: Utc::now().timestamp_millis(),
            });
        }
        let bytes = self.encode(Kind::V2, sidecars, 0..0).await?;
        let name = format!("{:020}.checkpoint.{}.parquet", self.table.version(), Uuid::new_v4());
        let size = put(store, &name_path("", &name), bytes).await?;
        Ok((name, size))
    }
}
