//! Checkpoints as actions: in one file or several, with or without sidecars, in Parquet or JSON (Delta protocol,
//! "Checkpoints").

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, not};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use serde::Deserialize;

use super::actions::CommitActions;
use super::files::DataFile;
use super::{FOLDER, checkpoint_files};
use crate::error::{Error, Result};

/// Rows of a checkpoint that are read at a time.
const BATCH: usize = 8192;
/// How many files are read at once.
const READS: usize = 8;
/// The actions that a state consists of.
const ACTIONS: [&str; 6] = ["add", "metaData", "protocol", "txn", "domainMetadata", "sidecar"];
/// Columns of actions that say again, in other types, what other columns say.
const REPEATED: [&str; 2] = ["stats_parsed", "partitionValues_parsed"];

/// A file of the log that is part of a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Part {
    version: u64,
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

/// What the log's hint says (Delta protocol, "Last Checkpoint File").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    parts: Option<u64>,
    v2_checkpoint: Option<HintedFile>,
}

#[derive(Debug, Deserialize)]
struct HintedFile {
    path: String,
}

/// The checkpoint that the log's hint names; none where there is no hint, or none that can be understood.
pub(super) async fn last(store: &dyn ObjectStore) -> Option<Checkpoint> {
    let found = store
        .get(&Path::from(format!("{FOLDER}/_last_checkpoint")))
        .await
        .ok()?;
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
    let mut actions = files(store, checkpoint.version, checkpoint.paths.clone()).await?;
    let sidecars: Vec<Path> = actions
        .iter()
        .flat_map(|actions| &actions.sidecars)
        .map(|sidecar| match sidecar.rsplit_once('/') {
            // A full path is one in the log's own folder of sidecars.
            Some((_, name)) => Path::from(format!("{FOLDER}/_sidecars/{name}")),
            None => Path::from(format!("{FOLDER}/_sidecars/{sidecar}")),
        })
        .collect();
    actions.extend(files(store, checkpoint.version, sidecars).await?);
    Ok(actions)
}

async fn files(store: &Arc<dyn ObjectStore>, version: u64, paths: Vec<Path>) -> Result<Vec<CommitActions>> {
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
                        parquet_actions(version, bytes)
                    }
                });
                parsed.await.map_err(|error| Error::internal(error.to_string()))?
            }
        })
        .buffered(READS)
        .try_collect()
        .await
}

/// The actions of a checkpoint's file. Data files come as columns; whatever else there is (and files in a form that is not
/// known) as lines of a commit: both say the same.
fn parquet_actions(version: u64, bytes: Bytes) -> Result<CommitActions> {
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
    let is_wanted = |path: &[String]| {
        let repeated = |name: &String| REPEATED.contains(&name.as_str()) && (texts || name != "stats_parsed");
        path.first().is_some_and(|action| ACTIONS.contains(&action.as_str())) && !path.get(1).is_some_and(repeated)
    };
    if !texts {
        let lines = lines(&read(&is_wanted)?).map_err(|error| broken(&error))?;
        return CommitActions::parse(version, &lines);
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
    let mut others = Vec::new();
    let mut files = Vec::new();
    for part in parts {
        let part = part.map_err(|_| broken(&"a reader stopped"))?;
        let (more, rest) = part.map_err(|error| broken(&error))?;
        files.extend(more);
        others.extend(rest);
    }
    let lines = lines(&others).map_err(|error| broken(&error))?;
    let mut actions = CommitActions::parse(version, &lines)?;
    actions.files = files;
    Ok(actions)
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

fn lines(batches: &[RecordBatch]) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut lines);
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(lines)
}
