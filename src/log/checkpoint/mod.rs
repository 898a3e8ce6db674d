//! Checkpoints as actions: in one file or several, with or without sidecars, in Parquet or JSON (Delta protocol,
//! "Checkpoints").

mod rows;
mod structs;
#[cfg(test)]
mod tests;
mod tombstones;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use serde::{Deserialize, Serialize};

use super::actions::CommitActions;
use super::files::DataFile;
use super::{FOLDER, checkpoint_files};
use crate::error::{Error, Result};

pub(super) use tombstones::gather as tombstones_behind;
pub(crate) use write::write;

/// Rows of a checkpoint that are read at a time.
const BATCH: usize = 8192;
/// How many files are read at once.
const READS: usize = 8;
/// The actions that a state consists of.
const ACTIONS: [&str; 6] = ["add", "metaData", "protocol", "txn", "domainMetadata", "sidecar"];
/// The actions that say which files a state was made of before.
const TOMBSTONES: [&str; 2] = ["remove", "sidecar"];
/// What tells whether a checkpoint can be read at all, and which files it consists of.
const OUTLINE: [&str; 3] = ["metaData", "protocol", "sidecar"];

/// A file of the log that is part of a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) version: u64,
    /// What parts of one checkpoint have in common.
    group: String,
    parts: usize,
    path: Path,
}

/// A checkpoint all of whose parts are there.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) version: u64,
    paths: Vec<Path>,
}

impl Checkpoint {
    /// Its own files, without sidecars.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }
}

/// What the log's hint says (Delta protocol, "Last Checkpoint File").
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u64>,
    size_in_bytes: Option<u64>,
    num_of_add_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v2_checkpoint: Option<HintedFile>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct HintedFile {
    path: String,
    size_in_bytes: Option<u64>,
    modification_time: Option<i64>,
}

/// Where the log's hint lies, from the table's folder.
pub(crate) fn hint_path() -> Path {
    Path::from(format!("{FOLDER}/_last_checkpoint"))
}

/// The checkpoint that the log's hint names; none where there is no hint, or none that can be understood.
pub(super) async fn last(store: &dyn ObjectStore) -> Option<Checkpoint> {
    let found = store.get(&hint_path()).await.ok()?;
    let hint: Hint = serde_json::from_slice(&found.bytes().await.ok()?).ok()?;
    let version = hint.version;
    let names = match (hint.v2_checkpoint, hint.parts) {
        (Some(file), _) => vec![file.path.rsplit('/').next()?.to_string()],
        (None, Some(parts)) => (1..=parts)
            .map(|part| format!("{version:020}.checkpoint.{part:010}.{parts:010}.parquet"))
            .collect(),
        (None, None) => vec![format!("{version:020}.checkpoint.parquet")],
    };
    let paths = names.into_iter().map(|name| Path::from(format!("{FOLDER}/{name}")));
    Some(Checkpoint {
        version,
        paths: paths.collect(),
    })
}

/// The part that a file of this name is; none where it is something else.
pub(super) fn part(name: &str, path: Path) -> Option<Part> {
    let (version, rest) = name.split_once(".checkpoint.")?;
    let version = (version.len() == 20).then(|| version.parse().ok()).flatten()?;
    let pieces: Vec<&str> = rest.split('.').collect();
    let (group, parts) = match pieces.as_slice() {
        ["parquet"] => ("whole".to_string(), 1),
        [_, parts, "parquet"] => (format!("of {parts}"), parts.parse().ok()?),
        [id, "parquet" | "json"] => (format!("id {id}"), 1),
        _ => return None,
    };
    Some(Part {
        version,
        group,
        parts,
        path,
    })
}

/// The checkpoints that the parts make up.
pub(super) fn complete(parts: Vec<Part>) -> Vec<Checkpoint> {
    let mut groups: BTreeMap<(u64, String), Vec<Part>> = BTreeMap::new();
    for part in parts {
        groups.entry((part.version, part.group.clone())).or_default().push(part);
    }
    let whole = groups
        .into_iter()
        .filter(|(_, parts)| parts.first().is_some_and(|first| first.parts == parts.len()));
    whole
        .map(|((version, _), mut parts)| {
            parts.sort_by(|a, b| a.path.cmp(&b.path));
            Checkpoint {
                version,
                paths: parts.into_iter().map(|part| part.path).collect(),
            }
        })
        .collect()
}

/// The actions of a checkpoint, its sidecars' included.
///
/// # Errors
/// Where a file cannot be read.
pub(super) async fn read(store: &Arc<dyn ObjectStore>, checkpoint: &Checkpoint) -> Result<Vec<CommitActions>> {
    let mut actions = files(store, checkpoint.version, checkpoint.paths.clone(), &ACTIONS).await?;
    let sidecars = sidecars_of(&actions);
    actions.extend(files(store, checkpoint.version, sidecars, &ACTIONS).await?);
    Ok(actions)
}

/// The tombstones of a checkpoint.
async fn removes(store: &Arc<dyn ObjectStore>, checkpoint: &Checkpoint) -> Result<Vec<CommitActions>> {
    let mut actions = files(store, checkpoint.version, checkpoint.paths.clone(), &TOMBSTONES).await?;
    let sidecars = sidecars_of(&actions);
    actions.extend(files(store, checkpoint.version, sidecars, &TOMBSTONES).await?);
    Ok(actions)
}

/// The sidecars of a checkpoint.
///
/// # Errors
/// Where it cannot be read, or is not one.
pub(super) async fn sidecars(store: &Arc<dyn ObjectStore>, checkpoint: &Checkpoint) -> Result<Vec<Path>> {
    let actions = files(store, checkpoint.version, checkpoint.paths.clone(), &OUTLINE).await?;
    let has = |what: fn(&CommitActions) -> bool| actions.iter().any(what);
    if has(|actions| actions.metadata.is_some()) && has(|actions| actions.protocol.is_some()) {
        Ok(sidecars_of(&actions))
    } else {
        Err(Error::corrupt(format!(
            "checkpoint {} lacks the table's metadata or protocol",
            checkpoint.version
        )))
    }
}

fn sidecars_of(actions: &[CommitActions]) -> Vec<Path> {
    let sidecars = actions.iter().flat_map(|actions| &actions.sidecars);
    sidecars
        // A full path is one in the log's own folder of sidecars.
        .filter_map(|sidecar| sidecar.rsplit('/').next())
        .map(|name| Path::from(format!("{FOLDER}/_sidecars/{name}")))
        .collect()
}

async fn files(
    store: &Arc<dyn ObjectStore>,
    version: u64,
    paths: Vec<Path>,
    wanted: &'static [&'static str],
) -> Result<Vec<CommitActions>> {
    futures::stream::iter(paths)
        .map(|path| {
            let store = store.clone();
            async move {
                let bytes = store.get(&path).await?.bytes().await?;
                let is_json = path.as_ref().ends_with(".json");
                let parsed = tokio::task::spawn_blocking(move || {
                    if is_json {
                        CommitActions::parse(version, &bytes)
                    } else {
                        parquet_actions(version, bytes, wanted)
                    }
                });
                parsed.await.map_err(|error| Error::internal(error.to_string()))?
            }
        })
        .buffered(READS)
        .try_collect()
        .await
}

/// The actions of a checkpoint's file. Data files come as columns; whatever else there is, as lines of a commit: both say the same.
fn parquet_actions(version: u64, bytes: Bytes, wanted: &[&str]) -> Result<CommitActions> {
    let broken =
        |error: &dyn std::fmt::Display| Error::corrupt(format!("checkpoint {version} cannot be read: {error}"));
    let footer = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(|error| broken(&error))?;
    let read = |leaf: &dyn Fn(&[String]) -> bool| -> Result<Vec<RecordBatch>> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), footer.clone());
        let schema = builder.parquet_schema();
        let leaves = (0..schema.num_columns()).filter(|place| leaf(schema.column(*place).path().parts()));
        let mask = ProjectionMask::leaves(schema, leaves.collect::<Vec<_>>());
        let reader = builder.with_projection(mask).with_batch_size(BATCH).build();
        let batches = reader
            .map_err(|error| broken(&error))?
            .collect::<std::result::Result<_, _>>();
        batches.map_err(|error| broken(&error))
    };
    let is_text = |path: &[String]| matches!(path, [add, stats] if add == "add" && stats == "stats");
    let schema = footer.parquet_schema();
    let texts = (0..schema.num_columns()).any(|leaf| is_text(schema.column(leaf).path().parts()));
    // Some columns say again, in other types, what other columns say.
    let is_wanted = |path: &[String]| {
        let is_repeated = match path.get(1).map(String::as_str) {
            Some("stats_parsed") => texts,
            Some("partitionValues_parsed") => true,
            _ => false,
        };
        path.first().is_some_and(|action| wanted.contains(&action.as_str())) && !is_repeated
    };
    let mut actions = CommitActions::default();
    if !texts || !wanted.contains(&"add") {
        for batch in read(&is_wanted)? {
            let batch = if texts {
                batch
            } else {
                structs::to_texts(batch).map_err(|error| broken(&error))?
            };
            add_lines(version, &batch, &mut actions)?;
        }
        return Ok(actions);
    }
    // The texts are most of the bytes.
    let (rows, texts) = std::thread::scope(|scope| {
        let texts = scope.spawn(|| read(&is_text));
        let rows = read(&|path| is_wanted(path) && !is_text(path));
        (rows, texts.join())
    });
    let texts = texts.map_err(|_| broken(&"a reader stopped"))??;
    let rows = rows?;
    let batches: Vec<(&RecordBatch, &RecordBatch)> = rows.iter().zip(&texts).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let parts = batches.chunks(batches.len().div_ceil(threads).max(1));
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| taken(part))).collect();
        parts.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut files = Vec::new();
    for part in parts {
        let part = part.map_err(|_| broken(&"a reader stopped"))?;
        let (more, others) = part.map_err(|error| broken(&error))?;
        files.extend(more);
        for batch in &others {
            add_lines(version, batch, &mut actions)?;
        }
    }
    actions.files.extend(files);
    Ok(actions)
}

/// Rows of a checkpoint as lines of a commit.
fn add_lines(version: u64, batch: &RecordBatch, actions: &mut CommitActions) -> Result<()> {
    let broken =
        |error: &dyn std::fmt::Display| Error::corrupt(format!("checkpoint {version} cannot be read: {error}"));
    let is_of_file = |name: &String| ["add", "remove"].contains(&name.as_str());
    for of_files in [false, true] {
        let schema = batch.schema();
        let columns = schema.fields().iter().enumerate();
        let columns = columns.filter(|(_, field)| is_of_file(field.name()) == of_files);
        let part = batch.project(&columns.map(|(place, _)| place).collect::<Vec<_>>());
        let part = part.map_err(|error| broken(&error))?;
        if part.columns().iter().all(|column| column.null_count() == column.len()) {
            continue;
        }
        let mut lines = Vec::new();
        // A partition value that is NULL is one that is said; elsewhere, what is NULL is missing.
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(part.columns().iter().any(has_null_partition))
            .build::<_, LineDelimited>(&mut lines);
        writer
            .write(&part)
            .and_then(|()| writer.finish())
            .map_err(|error| broken(&error))?;
        actions.parse_more(version, &lines)?;
    }
    Ok(())
}

/// Whether a file of a column of actions has NULL as a partition value.
fn has_null_partition(actions: &ArrayRef) -> bool {
    let actions = actions.as_struct_opt();
    let values = actions.and_then(|actions| actions.column_by_name("partitionValues")?.as_map_opt());
    values.is_some_and(|values| values.values().null_count() > 0)
}

/// The files of batches, and the rows that are something else.
fn taken(batches: &[(&RecordBatch, &RecordBatch)]) -> Result<(Vec<Arc<DataFile>>, Vec<RecordBatch>)> {
    let mut files = Vec::new();
    let mut others = Vec::new();
    for (rows, texts) in batches {
        let taken = checkpoint_files::read(rows, texts, &mut files)?;
        others.push(filter_record_batch(rows, &not(&taken)?)?);
    }
    Ok((files, others))
}
