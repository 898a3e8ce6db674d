//! From which version to which a table kept its changes.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::history::commit_files;
use crate::log::{CommitActions, Snapshot, commit_path};

const PROPERTY: &str = "delta.enableChangeDataFeed";
/// How many commits are read at once.
const READS: usize = 16;

/// From which version on the feed was on or off, oldest first.
#[derive(Debug)]
pub(super) struct Feed(Vec<(u64, bool)>);

impl Feed {
    /// Reads the metadata of all commits that are still in the log.
    ///
    /// # Errors
    /// Where a commit cannot be read.
    pub(super) async fn of(lake: &Arc<Lake>, id: &TableId, table: &Snapshot) -> Result<Self> {
        let versions: Vec<u64> = commit_files(table).await?.iter().map(|file| file.version).collect();
        let first = versions.first().copied();
        let commits = read(table, versions).await?;
        let switches = commits.into_iter().filter_map(|(version, actions)| {
            let metadata = actions.metadata?;
            Some((version, is_on(metadata.configuration())))
        });
        let mut feed: Vec<(u64, bool)> = switches.collect();
        if let Some(first) = first
            && feed.first().is_none_or(|(version, _)| *version != first)
        {
            let table = lake.snapshots().at(&id.url, first).await?;
            feed.insert(0, (first, is_on(table.metadata().configuration())));
        }
        feed.dedup_by_key(|(_, on)| *on);
        Ok(Self(feed))
    }

    /// The first version of the run that lasts until now.
    pub(super) fn last_run(&self) -> Option<u64> {
        self.0.last().filter(|(_, on)| *on).map(|(version, _)| *version)
    }

    /// What is to be said of a version at which the feed was off.
    pub(super) fn gap(&self, name: &str, version: u64) -> Error {
        match self.0.iter().rev().find(|(_, on)| *on) {
            None => off(name),
            Some((run, _)) => Error::invalid(format!(
                "the change data feed of table {name} was off at version {version}; the last versions that have it begin at \
                 {run}"
            )),
        }
    }
}

/// The actions of commits, in the order of their versions.
///
/// # Errors
/// Where a commit cannot be read.
pub(super) async fn read(table: &Snapshot, versions: Vec<u64>) -> Result<Vec<(u64, CommitActions)>> {
    let store = table.store();
    futures::stream::iter(versions)
        .map(|version| {
            let store = store.clone();
            async move {
                let bytes = store.get(&commit_path(version)).await?.bytes().await?;
                let parsed = tokio::task::spawn_blocking(move || CommitActions::parse(version, &bytes)).await;
                let parsed = parsed.map_err(|error| Error::internal(error.to_string()))?;
                Ok((version, parsed?))
            }
        })
        .buffered(READS)
        .try_collect()
        .await
}

pub(super) fn is_on(configuration: &HashMap<String, String>) -> bool {
    let value = configuration.get(PROPERTY);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

pub(super) fn off(name: &str) -> Error {
    Error::invalid(format!(
        "table {name} keeps no change data feed; turn it on for the versions to come: ALTER TABLE {name} SET TBLPROPERTIES \
         ('{PROPERTY}' = 'true')"
    ))
}
