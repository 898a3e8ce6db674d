//! Which files the versions of a stretch of history need.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use deltalake_core::kernel::DeletionVectorDescriptor;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::manifest::Ranges;
use crate::error::Result;
use crate::log::{CommitActions, DataFile, FileKey, Snapshot, read_commit};
use crate::table::{data_path, vector_file};

/// How many commits are read at a time.
const READS: usize = 16;

/// The versions from one on.
pub(super) struct Walk {
    first: u64,
    base: Vec<Need>,
    steps: Vec<Step>,
}

/// A data file of a version.
struct Need {
    key: FileKey,
    /// Its data file, and its deletion vector's: below the table's folder, or an absolute location.
    paths: Vec<String>,
    /// The rows that the log says are in the data file.
    records: Option<u64>,
}

/// What a commit changed.
struct Step {
    removed: HashSet<FileKey>,
    added: Vec<Need>,
    /// Files of its change data.
    changes: Vec<String>,
}

impl Need {
    fn new(file: &DataFile) -> Result<Self> {
        Ok(Self {
            key: file.key(),
            paths: paths(&file.add.path, file.add.deletion_vector.as_ref())?,
            records: file.records(),
        })
    }
}

fn paths(path: &str, vector: Option<&DeletionVectorDescriptor>) -> Result<Vec<String>> {
    let vector = vector.map(vector_file).transpose()?.flatten();
    Ok([Some(path.to_string()), vector]
        .into_iter()
        .flatten()
        .map(|path| location(&path))
        .collect())
}

/// A path of the log as stores have it.
fn location(path: &str) -> String {
    match is_elsewhere(path) {
        true => path.to_string(),
        false => data_path(path).to_string(),
    }
}

/// Whether a path leads out of the table's folder.
pub(super) fn is_elsewhere(path: &str) -> bool {
    path.contains(":/")
}

impl Step {
    fn new(actions: CommitActions) -> Result<Self> {
        let removed = actions.removed_keys();
        let changes = actions.changes.iter().map(|file| location(&file.path)).collect();
        let added = actions.adds.into_iter().map(|add| Need::new(&DataFile::new(add)));
        Ok(Self {
            removed,
            changes,
            added: added.collect::<Result<_>>()?,
        })
    }
}

impl Walk {
    /// The versions from that of `base` to `last`; none where a commit between them is gone.
    ///
    /// # Errors
    /// Where a commit cannot be read.
    pub(super) async fn read(store: &Arc<dyn ObjectStore>, base: &Snapshot, last: u64) -> Result<Option<Self>> {
        let reads: Vec<_> = (base.version() + 1..=last)
            .map(|version| {
                let store = store.clone();
                async move { read_commit(store.as_ref(), version).await }
            })
            .collect();
        let mut commits = futures::stream::iter(reads).buffered(READS);
        let mut walk = Self::of(base)?;
        while let Some(actions) = commits.try_next().await? {
            let Some(actions) = actions else { return Ok(None) };
            walk.steps.push(Step::new(actions)?);
        }
        Ok(Some(walk))
    }

    /// One version alone.
    ///
    /// # Errors
    /// Where a deletion vector makes no sense.
    pub(super) fn of(base: &Snapshot) -> Result<Self> {
        Ok(Self {
            first: base.version(),
            base: base.files().iter().map(|file| Need::new(file)).collect::<Result<_>>()?,
            steps: Vec::new(),
        })
    }

    fn needs(&self) -> impl Iterator<Item = &Need> {
        self.base.iter().chain(self.steps.iter().flat_map(|step| &step.added))
    }

    /// All files in the table's folder that a version needs, or a change feed.
    pub(super) fn paths(&self) -> BTreeSet<String> {
        let data = self.needs().flat_map(|need| &need.paths);
        let changes = self.steps.iter().flat_map(|step| &step.changes);
        let all = data.chain(changes).filter(|path| !is_elsewhere(path));
        all.cloned().collect()
    }

    /// The rows that the log says are in data files, by their paths.
    pub(super) fn records(&self) -> impl Iterator<Item = (&str, u64)> {
        self.needs()
            .filter_map(|need| Some((need.paths.first()?.as_str(), need.records?)))
    }

    /// Goes from version to version, and tells of each which of its files is not there, if any.
    pub(super) fn each(&self, is_there: impl Fn(&str) -> bool, mut tell: impl FnMut(u64, Option<&str>)) {
        let mut missing: Vec<&Need> = Vec::new();
        let lacks = |need: &&Need| !need.paths.iter().all(|path| is_there(path));
        let gone = |need: &Need| need.paths.iter().find(|path| !is_there(path)).cloned();
        missing.extend(self.base.iter().filter(lacks));
        let first = missing.first().and_then(|need| gone(need));
        tell(self.first, first.as_deref());
        for (version, step) in (self.first + 1..).zip(&self.steps) {
            if !missing.is_empty() {
                let again: HashSet<&FileKey> = step.added.iter().map(|need| &need.key).collect();
                missing.retain(|need| !step.removed.contains(&need.key) && !again.contains(&need.key));
            }
            missing.extend(step.added.iter().filter(lacks));
            let first = missing.first().and_then(|need| gone(need));
            tell(version, first.as_deref());
        }
    }

    /// Adds the versions all of whose files are there.
    pub(super) fn note_restorable(&self, is_there: impl Fn(&str) -> bool, into: &mut Ranges) {
        self.each(is_there, |version, missing| {
            if missing.is_none() {
                into.push(version);
            }
        });
    }

    /// A file that the last version lacks.
    pub(super) fn missing_at_last(&self, is_there: impl Fn(&str) -> bool) -> Option<String> {
        let mut last = None;
        self.each(is_there, |_, missing| last = missing.map(str::to_string));
        last
    }
}
