//! Many small files of a day to one: sessions that end after a statement leave a file each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use deltalake_core::kernel::{Action, Add};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Trail;
use super::write::{day_of, day_values, file_fields, new_path, statistics};
use crate::access::place::Home;
use crate::access::table::{added, lost, parquet_file};
use crate::catalog::SnapshotCache;
use crate::error::{Error, Result};
use crate::log::{Commit, DataFile, Mode, Snapshot, commit};
use crate::table::data_path;

/// From how many files of a day on they become one, and how many at a time: whoever ends a session waits for it.
const MANY: usize = 64;
const MOST: usize = 256;
/// The size from which on a file stays as it is.
const LARGE: u64 = 1 << 20;
/// How many files are read at a time.
const READS: usize = 16;

impl Trail {
    /// Makes the small files of the day that has most of them one, where they are many. What fails is left as it is.
    pub(super) async fn compact(&self) {
        let (Some(home), Some(tables)) = (&self.home, &self.tables) else {
            return;
        };
        let Ok(_alone) = self.compacting.try_lock() else { return };
        if let Err(error) = compact(home, tables).await {
            tracing::warn!(%error, "small files of the audit trail could not be joined");
        }
    }
}

async fn compact(home: &Home, tables: &SnapshotCache) -> Result<()> {
    let Some(table) = tables.latest(&home.audit).await? else {
        return Ok(());
    };
    let Some((day, files)) = small_files(&table) else {
        return Ok(());
    };
    let store = table.store();
    let batch = rows(&store, &files).await?;
    let times = batch.column_by_name("time");
    let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>().cloned());
    let times = times.ok_or_else(|| Error::internal("the audit trail has no times"))?;
    let bytes = parquet_file(&batch)?;
    let path = new_path(&day);
    let size = i64::try_from(bytes.len()).unwrap_or_default();
    store.put(&data_path(&path), PutPayload::from(bytes)).await?;
    let add = Add {
        data_change: false,
        ..added(
            path.clone(),
            size,
            batch.num_rows(),
            day_values(&day),
            Some(statistics(times.iter().flatten())),
        )
    };
    if commit_in_place(home, tables, &files, add).await? {
        remove_old(&store, home, tables, &day).await
    } else {
        Ok(store.delete(&data_path(&path)).await?)
    }
}

/// The small files of the day that has most of them; none where no day has many.
fn small_files(table: &Snapshot) -> Option<(String, Vec<Arc<DataFile>>)> {
    let mut days: HashMap<String, Vec<Arc<DataFile>>> = HashMap::new();
    for file in table.files().iter().filter(|file| file.size() < LARGE) {
        if let Some(day) = day_of(file) {
            days.entry(day).or_default().push(file.clone());
        }
    }
    let (day, mut files) = days.into_iter().max_by_key(|(_, files)| files.len())?;
    files.truncate(MOST);
    (files.len() >= MANY).then_some((day, files))
}

async fn rows(store: &Arc<dyn ObjectStore>, files: &[Arc<DataFile>]) -> Result<RecordBatch> {
    let schema = Arc::new(Schema::new(file_fields()));
    let paths: Vec<Path> = files.iter().map(|file| data_path(&file.add.path)).collect();
    let from = store.clone();
    let reads = futures::stream::iter(paths).map(move |path| {
        let store = from.clone();
        async move { store.get(&path).await?.bytes().await }
    });
    let reads: Vec<Bytes> = reads.buffered(READS).try_collect().await?;
    let mut batches = Vec::new();
    for bytes in reads {
        let fault = |error: parquet::errors::ParquetError| Error::corrupt(format!("the audit trail: {error}"));
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(|builder| builder.build())
            .map_err(fault)?
        {
            batches.push(RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())?);
        }
    }
    Ok(concat_batches(&schema, &batches)?)
}

/// Commits the file in the place of those that it is made of; false where one of them is gone meanwhile.
async fn commit_in_place(home: &Home, tables: &SnapshotCache, files: &[Arc<DataFile>], add: Add) -> Result<bool> {
    loop {
        let Some(table) = tables.latest(&home.audit).await? else {
            return Ok(false);
        };
        let live: HashSet<&str> = table.files().iter().map(|file| file.add.path.as_str()).collect();
        if !files.iter().all(|file| live.contains(file.add.path.as_str())) {
            return Ok(false);
        }
        let mut actions: Vec<Action> = files.iter().map(|file| Action::Remove(file.remove(false))).collect();
        actions.push(Action::Add(add.clone()));
        let next = Commit {
            operation: "OPTIMIZE",
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            actions,
            read_version: Some(table.version()),
            mode: Mode::Exclusive,
            statement: None,
        };
        match commit(home.stores.log_store(&home.audit)?.as_ref(), next).await {
            Ok(_) => return Ok(true),
            Err(error) if lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Deletes files of a day that no version of the last hour has.
async fn remove_old(store: &Arc<dyn ObjectStore>, home: &Home, tables: &SnapshotCache, day: &str) -> Result<()> {
    let Some(table) = tables.latest(&home.audit).await? else {
        return Ok(());
    };
    let live: HashSet<_> = table.files().iter().map(|file| data_path(&file.add.path)).collect();
    let before = Utc::now() - TimeDelta::hours(1);
    let folder = data_path(&new_path(day)).parts().take(1).collect();
    let mut found = store.list(Some(&folder));
    while let Some(object) = found.try_next().await? {
        if object.last_modified < before && !live.contains(&object.location) {
            let _ = store.delete(&object.location).await;
        }
    }
    Ok(())
}
