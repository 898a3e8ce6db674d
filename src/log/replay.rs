//! From a log to the contents of a version: the last checkpoint before it, and the commits from there on (Delta protocol,
//! "Checkpoints" and "Action Reconciliation").

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deltalake_core::kernel::{DomainMetadata, Metadata, Protocol, Transaction};
use deltalake_core::logstore::LogStoreRef;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::actions::CommitActions;
use super::checkpoint::{self, Checkpoint};
use super::files::{DataFile, FileKey, Files};
use super::snapshot::Contents;
use super::{FOLDER, commit_path, compaction};
use crate::error::{Error, Result};

/// How many files of the log are read at once.
const READS: usize = 16;

/// The contents of a version, the latest where none is named; `None` where no table stands.
///
/// # Errors
/// Where the store fails, the log cannot be read, or the version is not in it.
pub(super) async fn replay(log_store: &LogStoreRef, version: Option<u64>) -> Result<Option<Contents>> {
    let store = log_store.object_store(None);
    if version.is_none()
        && let Some(contents) = from_hint(&store).await?
    {
        return Ok(Some(contents));
    }
    let Some(log) = Listing::read(store.as_ref()).await? else {
        return Ok(None);
    };
    let Some(latest) = log.latest() else { return Ok(None) };
    let version = version.unwrap_or(latest);
    if version > latest {
        return Err(Error::not_found(format!(
            "there is no version {version}; the latest is {latest}"
        )));
    }
    let mut broken = None;
    let candidates = log.checkpoints.range(..=version).rev().flat_map(|(_, found)| found);
    for checkpoint in candidates {
        match checkpoint::read(&store, checkpoint).await {
            Ok(actions) => {
                return log
                    .contents(&store, version, Some((checkpoint.version, actions)))
                    .await
                    .map(Some);
            }
            // An older one, or the whole log, tells the same.
            Err(error) => {
                tracing::warn!(version = checkpoint.version, %error, "a checkpoint cannot be read");
                broken.get_or_insert(error);
            }
        }
    }
    match log.contents(&store, version, None).await {
        Ok(contents) => Ok(Some(contents)),
        Err(error) => Err(broken.unwrap_or(error)),
    }
}

/// The latest contents, from the checkpoint that the log's hint names; none where a listing has to tell. Commits are asked
/// for one behind the other until there is none: a log whose checkpoint is near need not be listed.
async fn from_hint(store: &Arc<dyn ObjectStore>) -> Result<Option<Contents>> {
    let Some(checkpoint) = checkpoint::last(store.as_ref()).await else {
        return Ok(None);
    };
    let Ok(actions) = checkpoint::read(store, &checkpoint).await else {
        return Ok(None);
    };
    let mut state = State::of_checkpoint(actions);
    let near = checkpoint.version + READS as u64;
    let mut version = follow(store, checkpoint.version, near, &mut state).await?;
    if version == near {
        // The checkpoint is far behind: there may be a later one, or commits that were compacted.
        let log = Listing::read(store.as_ref()).await?.unwrap_or_default();
        let latest = log.latest().unwrap_or(version);
        let Ok(steps) = log.steps(store.as_ref(), version + 1, latest).await else {
            return Ok(None);
        };
        if log
            .checkpoints
            .keys()
            .next_back()
            .is_some_and(|last| *last > checkpoint.version)
        {
            return Ok(None);
        }
        walk(store, steps, &mut state).await?;
        version = follow(store, latest.max(version), u64::MAX, &mut state).await?;
    }
    // A state without protocol or metadata is for the listing to explain.
    Ok(state.contents(version).ok())
}

/// Applies the commits behind `version` until there is none, or one is `last`, and returns the version that is reached.
async fn follow(store: &Arc<dyn ObjectStore>, mut version: u64, last: u64, state: &mut State) -> Result<u64> {
    let mut commits = futures::stream::iter(version + 1..=last)
        .map(|version| {
            let store = store.clone();
            async move { read_commit(store.as_ref(), version).await }
        })
        .buffered(READS);
    while let Some(actions) = commits.try_next().await? {
        let Some(actions) = actions else { break };
        state.apply(actions);
        version += 1;
    }
    Ok(version)
}

/// Some commits of a log, one or more that are compacted into one file.
#[derive(Debug, Clone, Copy)]
struct Step {
    first: u64,
    last: u64,
}

/// Applies the commits of the steps, in their order.
async fn walk(store: &Arc<dyn ObjectStore>, steps: Vec<Step>, state: &mut State) -> Result<()> {
    let mut commits = futures::stream::iter(steps)
        .map(|step| {
            let store = store.clone();
            async move { read_step(store.as_ref(), step).await }
        })
        .buffered(READS);
    while let Some(actions) = commits.try_next().await? {
        actions.into_iter().for_each(|actions| state.apply(actions));
    }
    Ok(())
}

async fn read_step(store: &dyn ObjectStore, step: Step) -> Result<Vec<CommitActions>> {
    if step.first < step.last {
        match compaction::read(store, step.first, step.last).await {
            Ok(actions) => return Ok(vec![actions]),
            // The commits themselves tell the same.
            Err(error) => tracing::warn!(step.first, step.last, %error, "compacted commits cannot be read"),
        }
    }
    let mut commits = Vec::new();
    for version in step.first..=step.last {
        commits.push(needed_commit(store, version).await?);
    }
    Ok(commits)
}

/// The actions of a commit without which a version cannot be told.
///
/// # Errors
/// Where it is not there, or cannot be read.
pub(super) async fn needed_commit(store: &dyn ObjectStore, version: u64) -> Result<CommitActions> {
    read_commit(store, version).await?.ok_or_else(|| lacks(version))
}

fn lacks(version: u64) -> Error {
    Error::corrupt(format!(
        "the log lacks version {version}, and has no checkpoint that makes up for it"
    ))
}

/// The actions of a commit; none where it is not there.
pub(crate) async fn read_commit(store: &dyn ObjectStore, version: u64) -> Result<Option<CommitActions>> {
    let bytes = match store.get(&commit_path(version)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let parsed = tokio::task::spawn_blocking(move || CommitActions::parse(version, &bytes)).await;
    parsed.map_err(|error| Error::internal(error.to_string()))?.map(Some)
}

/// What is in the log's folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The versions whose commits were seen, in order. One before the last may have been overlooked: a folder's listing need
    /// not have all files that were made while it went on.
    commits: Vec<u64>,
    /// Complete checkpoints, by version.
    pub(super) checkpoints: BTreeMap<u64, Vec<Checkpoint>>,
    /// Ranges of versions that were compacted into one file: the last of each, by the first.
    compacted: BTreeMap<u64, Vec<u64>>,
}

impl Listing {
    pub(super) async fn read(store: &dyn ObjectStore) -> Result<Option<Self>> {
        let listed = match store.list_with_delimiter(Some(&Path::from(FOLDER))).await {
            Ok(listed) => listed.objects,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self::of(listed)))
    }

    fn of(listed: Vec<ObjectMeta>) -> Self {
        let mut log = Self::default();
        let mut parts = Vec::new();
        for meta in listed {
            let Some(name) = meta.location.filename() else { continue };
            if let Some(version) = commit_version(name) {
                log.commits.push(version);
            } else if let Some((first, last)) = compaction::range(name) {
                log.compacted.entry(first).or_default().push(last);
            } else {
                parts.extend(checkpoint::part(name, meta.location.clone()));
            }
        }
        log.commits.sort_unstable();
        for checkpoint in checkpoint::complete(parts) {
            log.checkpoints.entry(checkpoint.version).or_default().push(checkpoint);
        }
        log
    }

    fn latest(&self) -> Option<u64> {
        let checkpoint = self.checkpoints.keys().next_back();
        self.commits.last().max(checkpoint).copied()
    }

    /// The contents of a version, from a checkpoint on.
    async fn contents(
        &self,
        store: &Arc<dyn ObjectStore>,
        version: u64,
        checkpoint: Option<(u64, Vec<CommitActions>)>,
    ) -> Result<Contents> {
        let (mut state, first) = match checkpoint {
            Some((version, actions)) => (State::of_checkpoint(actions), version + 1),
            None => (State::default(), 0),
        };
        let steps = self.steps(store.as_ref(), first, version).await?;
        walk(store, steps, &mut state).await?;
        state.contents(version)
    }

    /// The steps from version `first` to `last`, as few as there are files for.
    ///
    /// # Errors
    /// Where a commit is missing, or the store fails.
    async fn steps(&self, store: &dyn ObjectStore, mut first: u64, last: u64) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        while first <= last {
            let compacted = self.compacted.get(&first).into_iter().flatten();
            let step = Step {
                first,
                last: compacted.filter(|end| **end <= last).max().copied().unwrap_or(first),
            };
            if step.last == first && self.commits.binary_search(&first).is_err() {
                match store.head(&commit_path(first)).await {
                    Ok(_) => {}
                    Err(object_store::Error::NotFound { .. }) => return Err(lacks(first)),
                    Err(error) => return Err(error.into()),
                }
            }
            steps.push(step);
            first = step.last + 1;
        }
        Ok(steps)
    }
}

/// The version of a commit file of this name.
pub(super) fn commit_version(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(".json")?;
    (stem.len() == 20).then(|| stem.parse().ok()).flatten()
}

/// The contents while the log is read.
#[derive(Debug, Default)]
struct State {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    /// The files of the checkpoint.
    base: Vec<Arc<DataFile>>,
    /// What commits took away, of the checkpoint's files and their own.
    removed: HashSet<FileKey>,
    /// What commits brought, with the order in which it came.
    files: HashMap<FileKey, (usize, Arc<DataFile>)>,
    came: usize,
    transactions: HashMap<String, Transaction>,
    domains: BTreeMap<String, DomainMetadata>,
    commit: Option<String>,
}

impl State {
    /// The contents that the parts of a checkpoint tell: no file is in it twice.
    fn of_checkpoint(parts: Vec<CommitActions>) -> Self {
        let mut state = Self::default();
        for mut actions in parts {
            let files = actions.take_files();
            if state.base.is_empty() {
                state.base = files;
            } else {
                state.base.extend(files);
            }
            actions.removes.clear();
            state.apply(actions);
        }
        state
    }

    fn apply(&mut self, mut actions: CommitActions) {
        self.commit = actions.id().map(ToString::to_string);
        for key in actions.removed_keys() {
            self.files.remove(&key);
            self.removed.insert(key);
        }
        for file in actions.take_files() {
            self.came += 1;
            self.files.insert(file.key(), (self.came, file));
        }
        actions.note_transactions(&mut self.transactions);
        actions.note_domains(&mut self.domains);
        self.protocol = actions.protocol.or(self.protocol.take());
        self.metadata = actions.metadata.or(self.metadata.take());
    }

    fn contents(self, version: u64) -> Result<Contents> {
        let lacks = |what: &str| Error::corrupt(format!("the log up to version {version} has no {what}"));
        let mut files: Vec<(usize, Arc<DataFile>)> = self.files.into_values().collect();
        files.sort_by_key(|(came, _)| *came);
        let files: Vec<Arc<DataFile>> = files.into_iter().map(|(_, file)| file).collect();
        let files = if self.base.is_empty() {
            Files::new(files)
        } else {
            Files::new(self.base).after(&self.removed, files)
        };
        Ok(Contents {
            version,
            protocol: self.protocol.ok_or_else(|| lacks("protocol"))?,
            metadata: self.metadata.ok_or_else(|| lacks("metadata"))?,
            files,
            transactions: Arc::new(self.transactions),
            domains: Arc::new(self.domains),
            commit: self.commit,
        })
    }
}

#[cfg(test)]
mod tests;
