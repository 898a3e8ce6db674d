//! What of a log is old enough to go (Delta protocol, "Metadata Cleanup" and "Checkpoint Protection").

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::checkpoint::{self, Checkpoint};
use super::replay::commit_version;
use super::{FOLDER, Snapshot, compaction};
use crate::error::Result;

/// How long commits are kept where the table does not say.
const COMMITS: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a file may belong to a checkpoint that is still being written.
const UNDER_WAY: Duration = Duration::from_secs(24 * 3600);

/// Removes what no version within the table's `delta.logRetentionDuration` needs, unless the table does not want it.
///
/// # Errors
/// Where the store fails; what is left then goes another time.
pub(super) async fn clean_up(table: &Snapshot) -> Result<()> {
    if table.property("delta.enableExpiredLogCleanup") == Some("false") {
        return Ok(());
    }
    let store = table.store();
    let listed = store.list_with_delimiter(Some(&Path::from(FOLDER))).await?;
    let log = Log::of(&listed.objects);
    let retention = table.properties().log_retention_duration.unwrap_or(COMMITS);
    let Some(first) = log.first_kept(&store, midnight_before(retention)).await else {
        return Ok(());
    };
    if first.version < protected_before(table) {
        return Ok(());
    }
    let mut gone = log.before(first.version);
    gone.extend(unreferenced(&store, &log, first.version).await?);
    delete(store.as_ref(), gone).await
}

/// The last midnight (UTC) that was as long ago.
fn midnight_before(age: Duration) -> DateTime<Utc> {
    let age = chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX);
    let then = Utc::now().checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
    then.with_time(NaiveTime::MIN).single().unwrap_or(then)
}

/// The version up to which history may only go as a whole.
fn protected_before(table: &Snapshot) -> u64 {
    let features = table.protocol().writer_features().unwrap_or_default();
    let protected = features
        .iter()
        .any(|feature| feature.to_string() == "checkpointProtection");
    let before = table.property("delta.requireCheckpointProtectionBeforeVersion");
    match before.map(str::parse) {
        _ if !protected => 0,
        None => 0,
        // What cannot be understood protects everything.
        Some(version) => version.unwrap_or(u64::MAX),
    }
}

/// The files of a log's folder, by what they are.
#[derive(Default)]
struct Log<'a> {
    commits: BTreeMap<u64, &'a ObjectMeta>,
    checkpoints: Vec<Checkpoint>,
    /// Parts of checkpoints and checksums, with their versions.
    others: Vec<(u64, &'a ObjectMeta)>,
    /// Compacted commits, with the first version of each.
    compacted: Vec<(u64, &'a ObjectMeta)>,
    /// Files that a put that was cut off has left.
    temporary: Vec<&'a ObjectMeta>,
}

impl<'a> Log<'a> {
    fn of(listed: &'a [ObjectMeta]) -> Self {
        let mut log = Self::default();
        let mut parts = Vec::new();
        for meta in listed {
            let Some(name) = meta.location.filename() else { continue };
            if let Some(version) = commit_version(name) {
                log.commits.insert(version, meta);
            } else if let Some(part) = checkpoint::part(name, meta.location.clone()) {
                log.others.push((part.version, meta));
                parts.push(part);
            } else if let Some((first, _)) = compaction::range(name) {
                log.compacted.push((first, meta));
            } else if let Some(Ok(version)) = name.strip_suffix(".crc").map(str::parse) {
                log.others.push((version, meta));
            } else if name.starts_with('.') && name.ends_with(".tmp") {
                log.temporary.push(meta);
            }
        }
        log.checkpoints = checkpoint::complete(parts);
        log
    }

    /// The checkpoint with which the log is to begin: the newest that is not newer than the newest commit of `cutoff` or
    /// before, and that can be read.
    async fn first_kept(&self, store: &Arc<dyn ObjectStore>, cutoff: DateTime<Utc>) -> Option<&Checkpoint> {
        let mut newest = None;
        let mut time = DateTime::<Utc>::MIN_UTC;
        for (version, meta) in &self.commits {
            // Copies and clock changes can turn times round; each commit is later than the one before.
            time = meta.last_modified.max(time + chrono::Duration::milliseconds(1));
            if time <= cutoff {
                newest = Some(*version);
            }
        }
        let newest = newest?;
        for checkpoint in self.checkpoints.iter().rev().filter(|found| found.version <= newest) {
            if stands(store, checkpoint).await {
                return Some(checkpoint);
            }
        }
        None
    }

    /// What tells of versions before one that has a checkpoint.
    fn before(&self, version: u64) -> Vec<Path> {
        let commits = self.commits.range(..version).map(|(_, meta)| *meta);
        let others = self.others.iter().filter(|(of, _)| *of < version);
        let compacted = self.compacted.iter().filter(|(first, _)| *first <= version);
        let temporary = self.temporary.iter().copied().filter(|meta| is_old(meta));
        commits
            .chain(others.chain(compacted).map(|(_, meta)| *meta))
            .chain(temporary)
            .map(|meta| meta.location.clone())
            .collect()
    }
}

fn is_old(meta: &ObjectMeta) -> bool {
    meta.last_modified < midnight_before(UNDER_WAY)
}

/// Whether a checkpoint can be read and all its sidecars are there.
async fn stands(store: &Arc<dyn ObjectStore>, checkpoint: &Checkpoint) -> bool {
    use object_store::ObjectStoreExt;
    let Ok(sidecars) = checkpoint::sidecars(store, checkpoint).await else {
        return false;
    };
    let looks = futures::stream::iter(sidecars).map(|sidecar| {
        let store = store.clone();
        async move { store.head(&sidecar).await.is_ok() }
    });
    looks.buffered(8).all(std::future::ready).await
}

/// Old sidecars that no checkpoint from version `first` on refers to; none where one of those cannot be read.
async fn unreferenced(store: &Arc<dyn ObjectStore>, log: &Log<'_>, first: u64) -> Result<Vec<Path>> {
    let folder = Path::from(format!("{FOLDER}/_sidecars"));
    let listed = match store.list_with_delimiter(Some(&folder)).await {
        Ok(listed) => listed.objects,
        Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let old: Vec<ObjectMeta> = listed.into_iter().filter(is_old).collect();
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let mut referenced = HashSet::new();
    for checkpoint in log.checkpoints.iter().filter(|checkpoint| checkpoint.version >= first) {
        match checkpoint::sidecars(store, checkpoint).await {
            Ok(sidecars) => referenced.extend(sidecars),
            Err(error) => {
                tracing::warn!(version = checkpoint.version, %error, "a checkpoint cannot be read; sidecars stay");
                return Ok(Vec::new());
            }
        }
    }
    let unreferenced = old.into_iter().map(|meta| meta.location);
    Ok(unreferenced.filter(|path| !referenced.contains(path)).collect())
}

async fn delete(store: &dyn ObjectStore, paths: Vec<Path>) -> Result<()> {
    let locations = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
    let deleted = store.delete_stream(locations).filter(|result| {
        // Another's clean-up was faster.
        std::future::ready(!matches!(result, Err(object_store::Error::NotFound { .. })))
    });
    Ok(deleted.try_for_each(|_| std::future::ready(Ok(()))).await?)
}
