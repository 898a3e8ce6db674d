//! What the log says of its commits: versions, times, operations.

use chrono::{DateTime, TimeZone, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value};

use super::replay::commit_version;
use super::{CommitActions, FOLDER, Snapshot, commit_path};
use crate::catalog::show_time;
use crate::error::{Error, Result};

/// A commit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitFile {
    /// The version.
    pub(crate) version: u64,
    /// When it was written, as the store says.
    pub(crate) modified: DateTime<Utc>,
}

/// A commit as history shows it.
#[derive(Debug, Clone)]
pub(crate) struct CommitRecord {
    /// The version.
    pub(crate) version: u64,
    /// The commit's own time where the table keeps one, else the file's.
    pub(crate) timestamp: DateTime<Utc>,
    /// The `commitInfo` action, empty where the commit has none.
    pub(crate) info: Map<String, Value>,
}

/// The commits that are still in the log up to the table's version, oldest first.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn commit_files(table: &Snapshot) -> Result<Vec<CommitFile>> {
    let latest = table.version();
    let store = table.store();
    let mut files: Vec<CommitFile> = store
        .list(Some(&Path::from(FOLDER)))
        .try_filter_map(|meta| async move {
            Ok(meta
                .location
                .filename()
                .and_then(commit_version)
                .map(|version| CommitFile {
                    version,
                    modified: meta.last_modified,
                }))
        })
        .try_collect()
        .await?;
    files.retain(|file| file.version <= latest);
    files.sort_by_key(|file| file.version);
    Ok(files)
}

/// The newest commits, newest first; all where `limit` is none.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn records(table: &Snapshot, limit: Option<usize>) -> Result<Vec<CommitRecord>> {
    let mut files = commit_files(table).await?;
    files.reverse();
    files.truncate(limit.unwrap_or(usize::MAX));
    read_records(table, files).await
}

async fn read_records(table: &Snapshot, files: Vec<CommitFile>) -> Result<Vec<CommitRecord>> {
    let store = table.store();
    futures::stream::iter(files)
        .map(|file| {
            let store = store.clone();
            async move { read_record(store.as_ref(), file).await }
        })
        .buffered(16)
        .try_collect()
        .await
}

async fn read_record(store: &dyn ObjectStore, file: CommitFile) -> Result<CommitRecord> {
    let bytes = store.get(&commit_path(file.version)).await?.bytes().await?;
    let info = CommitActions::parse(file.version, &bytes)?.info;
    let own_time = info.get("inCommitTimestamp").and_then(Value::as_i64).and_then(millis);
    Ok(CommitRecord {
        version: file.version,
        timestamp: own_time.unwrap_or(file.modified),
        info,
    })
}

fn millis(millis: i64) -> Option<DateTime<Utc>> {
    Utc.timestamp_millis_opt(millis).single()
}

/// The times of the commits that are still in the log, oldest first, each later than the one before.
///
/// In-commit timestamps win over file times from the version on at which they were enabled (Delta protocol, "In-Commit
/// Timestamps"). File times are made increasing as Spark does, since copies and clock changes can turn them round.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn commit_times(table: &Snapshot) -> Result<Vec<(u64, DateTime<Utc>)>> {
    let files = commit_files(table).await?;
    let configuration = table.metadata().configuration();
    let enabled = configuration
        .get("delta.enableInCommitTimestamps")
        .is_some_and(|value| value == "true");
    let since: u64 = configuration
        .get("delta.inCommitTimestampEnablementVersion")
        .and_then(|value| value.parse().ok())
        .unwrap_or_default();
    let mut times = if enabled {
        let (by_file, by_commit): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.version < since);
        let by_commit = read_records(table, by_commit).await?;
        let by_file = by_file.into_iter().map(|file| (file.version, file.modified));
        by_file
            .chain(by_commit.into_iter().map(|record| (record.version, record.timestamp)))
            .collect::<Vec<_>>()
    } else {
        files.into_iter().map(|file| (file.version, file.modified)).collect()
    };
    let mut previous: Option<DateTime<Utc>> = None;
    for (_, time) in &mut times {
        if let Some(previous) = previous
            && *time <= previous
        {
            *time = previous + chrono::Duration::milliseconds(1);
        }
        previous = Some(*time);
    }
    Ok(times)
}

/// The latest version at or before a time.
///
/// # Errors
/// Where the time is before the first commit in the log or after the last: there is no answer then, as in Spark.
pub(crate) async fn version_at(table: &Snapshot, name: &str, time: DateTime<Utc>) -> Result<u64> {
    let times = commit_times(table).await?;
    let (Some((first_version, first)), Some((last_version, last))) = (times.first(), times.last()) else {
        return Err(Error::not_found(format!("table {name} has no commits in its log")));
    };
    if time < *first {
        return Err(Error::not_found(format!(
            "{} is before the first commit of table {name} that can be read: version {first_version} of {}",
            show_time(time),
            show_time(*first)
        )));
    }
    if time > *last {
        return Err(Error::not_found(format!(
            "{} is after the last commit of table {name}: version {last_version} of {}; leave AS OF out to read the latest",
            show_time(time),
            show_time(*last)
        )));
    }
    let at = times.partition_point(|(_, commit)| *commit <= time);
    Ok(times
        .get(at.saturating_sub(1))
        .map_or(*last_version, |(version, _)| *version))
}
