//! Which files a log consists of, for those who copy it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::checkpoint::{self, Checkpoint};
use super::replay::commit_version;
use super::{FOLDER, commit_path};
use crate::error::Result;

/// The files of a log, up to a version. What repeats others (compacted commits) or points at them (the hint) is left out.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    commits: BTreeSet<u64>,
    checksums: BTreeSet<u64>,
    /// Complete checkpoints.
    checkpoints: BTreeMap<u64, Vec<Checkpoint>>,
}

impl Outline {
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn read(store: &dyn ObjectStore, last: u64) -> Result<Self> {
        let listed = store.list_with_delimiter(Some(&Path::from(FOLDER))).await?;
        let mut outline = Self::default();
        let mut parts = Vec::new();
        for meta in listed.objects {
            let Some(name) = meta.location.filename() else { continue };
            if let Some(version) = commit_version(name) {
                outline.commits.insert(version);
            } else if let Some(Ok(version)) = name.strip_suffix(".crc").map(str::parse) {
                outline.checksums.insert(version);
            } else {
                parts.extend(checkpoint::part(name, meta.location.clone()));
            }
        }
        for checkpoint in checkpoint::complete(parts) {
            let of_version = outline.checkpoints.entry(checkpoint.version).or_default();
            of_version.push(checkpoint);
        }
        outline.commits.retain(|version| *version <= last);
        outline.checksums.retain(|version| *version <= last);
        outline.checkpoints.retain(|version, _| *version <= last);
        Ok(outline)
    }

    /// The first version from which on all up to `last` can be told: the first of all, or that of a checkpoint.
    pub(crate) fn start(&self, last: u64) -> Option<u64> {
        let mut first = last + 1;
        while let Some(before) = first.checked_sub(1)
            && self.commits.contains(&before)
        {
            first = before;
        }
        if first == 0 {
            return Some(0);
        }
        let mut checkpoints = self.checkpoints.range(first - 1..=last);
        checkpoints.next().map(|(version, _)| *version)
    }

    /// The last version of which there is a commit or a checkpoint.
    pub(crate) fn last(&self) -> Option<u64> {
        self.commits.last().max(self.checkpoints.keys().next_back()).copied()
    }

    /// How many commits lie behind the last checkpoint.
    pub(crate) fn behind_checkpoint(&self, version: u64) -> u64 {
        let checkpoint = self.checkpoints.keys().next_back();
        checkpoint.map_or(version + 1, |checkpoint| version.saturating_sub(*checkpoint))
    }

    /// Whether all commits of the versions are there.
    pub(crate) fn has_all(&self, mut versions: RangeInclusive<u64>) -> bool {
        versions.all(|version| self.commits.contains(&version))
    }

    /// Whether the version's commit is there.
    pub(crate) fn has(&self, version: u64) -> bool {
        self.commits.contains(&version)
    }

    /// The checksum files of the versions.
    pub(crate) fn checksums(&self, versions: RangeInclusive<u64>) -> Vec<Path> {
        let of = |version: &u64| Path::from(format!("{FOLDER}/{version:020}.crc"));
        self.checksums.range(versions).map(of).collect()
    }

    /// The files of each checkpoint of the versions: sidecars first, then what refers to them. One that cannot be read is
    /// left out: a log can do without.
    pub(crate) async fn checkpoints(
        &self,
        store: &Arc<dyn ObjectStore>,
        versions: RangeInclusive<u64>,
    ) -> Vec<(u64, Vec<Path>)> {
        let mut found = Vec::new();
        for checkpoint in self.checkpoints.range(versions).flat_map(|(_, of)| of) {
            match checkpoint::sidecars(store, checkpoint).await {
                Ok(mut files) => {
                    files.extend(checkpoint.paths().iter().cloned());
                    found.push((checkpoint.version, files));
                }
                Err(error) => {
                    tracing::warn!(version = checkpoint.version, %error, "a checkpoint cannot be read; it is left out");
                }
            }
        }
        found
    }
}

/// The version of a commit, by its path below the table.
pub(crate) fn version_of_commit(path: &str) -> Option<u64> {
    let version = path.strip_prefix(FOLDER)?.strip_prefix('/').and_then(commit_version)?;
    (commit_path(version).as_ref() == path).then_some(version)
}
