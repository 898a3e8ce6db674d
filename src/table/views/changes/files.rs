//! Which rows of which files a commit brought and took away (Delta protocol, "Add CDC File", "Reader Requirements for
//! AddCDCFile").

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use deltalake_core::kernel::{Add, Remove};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use roaring::RoaringTreemap;

use super::provider::{TIMESTAMP, TYPE, VERSION};
use crate::error::{Error, Result};
use crate::log::{CommitActions, DataFile, Snapshot};
use crate::store::Stores;
use crate::table::{Selected, data_path, hidden_rows};

/// How many deletion vectors are read at once.
const READS: usize = 16;

/// What is read for the changes of some versions.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Files of change data, whose rows say what happened.
    pub(super) changes: Vec<Selected>,
    /// Data files, all of whose rows came or went.
    pub(super) data: Vec<Selected>,
}

/// The rows that a commit is about, of one file.
enum Part {
    /// Files that came or went as a whole, but for what a deletion vector hides.
    Whole(Add, &'static str),
    /// A file that stays, with other rows hidden.
    Rehidden(Remove, Add),
}

/// The files of commits.
///
/// # Errors
/// Where the log lacks what it must say of a file, or a deletion vector cannot be read.
pub(super) async fn files(
    stores: &Stores,
    table: &Snapshot,
    commits: Vec<(u64, DateTime<Utc>, CommitActions)>,
) -> Result<Changed> {
    let mut changed = Changed::default();
    let mut parts = Vec::new();
    for (version, time, actions) in commits {
        let stamp = Stamp { version, time };
        if actions.changes.is_empty() {
            parts.extend(whole_files(actions)?.into_iter().map(|part| (stamp, part)));
            continue;
        }
        for file in actions.changes {
            let file = Add {
                path: file.path,
                size: file.size,
                partition_values: file.partition_values,
                ..Add::default()
            };
            changed.changes.push(selected(stamp.on(file, None), None));
        }
    }
    let read = futures::stream::iter(parts).map(|(stamp, part)| part.selected(stores, table, stamp));
    let data: Vec<Vec<Selected>> = read.buffered(READS).try_collect().await?;
    changed.data = data.into_iter().flatten().collect();
    Ok(changed)
}

fn whole_files(actions: CommitActions) -> Result<Vec<Part>> {
    let removes = actions.removes.into_iter().filter(|remove| remove.data_change);
    let mut removed: HashMap<String, Remove> = removes.map(|remove| (remove.path.clone(), remove)).collect();
    let mut parts = Vec::new();
    for add in actions.adds.into_iter().filter(|add| add.data_change) {
        parts.push(match removed.remove(&add.path) {
            Some(remove) => Part::Rehidden(remove, add),
            None => Part::Whole(add, "insert"),
        });
    }
    let mut gone: Vec<Remove> = removed.into_values().collect();
    gone.sort_by(|a, b| a.path.cmp(&b.path));
    for remove in gone {
        parts.push(Part::Whole(as_add(remove)?, "delete"));
    }
    Ok(parts)
}

/// A file that went, as it was.
fn as_add(remove: Remove) -> Result<Add> {
    let Some(partition_values) = remove.partition_values else {
        return Err(Error::corrupt(format!(
            "the log does not say which partition the removed file {} was in, so the rows that went with it cannot be shown",
            remove.path
        )));
    };
    Ok(Add {
        path: remove.path,
        partition_values,
        size: remove.size.unwrap_or_default(),
        deletion_vector: remove.deletion_vector,
        ..Add::default()
    })
}

impl Part {
    async fn selected(self, stores: &Stores, table: &Snapshot, stamp: Stamp) -> Result<Vec<Selected>> {
        match self {
            Self::Whole(mut add, kind) => {
                if add.size == 0 {
                    let meta = table.store().head(&data_path(&add.path)).await?;
                    add.size = i64::try_from(meta.size).unwrap_or(i64::MAX);
                }
                Ok(vec![selected(stamp.on(add, Some(kind)), None)])
            }
            Self::Rehidden(remove, add) => {
                let before = DataFile::new(Add {
                    deletion_vector: remove.deletion_vector,
                    ..add.clone()
                });
                let after = DataFile::new(add.clone());
                let (before, after) =
                    futures::try_join!(hidden_rows(stores, table, &before), hidden_rows(stores, table, &after))?;
                let before = before.unwrap_or_default();
                let hidden = after.unwrap_or_default();
                let rows = DataFile::new(add.clone()).records().ok_or_else(|| {
                    Error::corrupt(format!(
                        "the log does not say how many rows the file {} has, which it must for one with a deletion vector",
                        add.path
                    ))
                })?;
                let mut found = Vec::new();
                for (shown, kind) in [(&*hidden - &*before, "delete"), (&*before - &*hidden, "insert")] {
                    if !shown.is_empty() {
                        let mut others = RoaringTreemap::new();
                        others.insert_range(0..rows);
                        others -= shown;
                        found.push(selected(stamp.on(add.clone(), Some(kind)), Some(others)));
                    }
                }
                Ok(found)
            }
        }
    }
}

fn selected(add: Add, hidden: Option<RoaringTreemap>) -> Selected {
    Selected {
        file: Arc::new(DataFile::new(add)),
        hidden: hidden.map(Arc::new),
    }
}

/// What all rows of a commit have in common.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    version: u64,
    time: DateTime<Utc>,
}

impl Stamp {
    /// The file as one of partitions by version, time and (where all its rows have the same) kind of change.
    fn on(self, mut file: Add, kind: Option<&str>) -> Add {
        let mut set = |column: &str, value: String| file.partition_values.insert(column.to_string(), Some(value));
        set(VERSION, self.version.to_string());
        set(TIMESTAMP, self.time.to_rfc3339_opts(SecondsFormat::Micros, true));
        if let Some(kind) = kind {
            set(TYPE, kind.to_string());
        }
        file
    }
}
