//! A lake in memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use crate::lake::{At, Change, DataFile, Kind, Lake, LakeError, Result, Rows, Statement, TableName, Version};

#[derive(Default)]
pub(super) struct FakeLake {
    pub(super) files: Mutex<HashMap<String, RecordBatch>>,
    pub(super) vectors: Mutex<HashMap<String, BTreeSet<u64>>>,
    /// How long a call takes.
    pub(super) delay: Duration,
    /// Calls that asked for columns, and for places alone.
    pub(super) text_calls: AtomicU64,
    pub(super) place_calls: AtomicU64,
}

impl FakeLake {
    pub(super) fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("note", DataType::Utf8, true),
        ]))
    }

    /// Adds a file of rows whose text has all that must be quoted, now and then.
    pub(super) fn add(&self, path: &str, rows: u64) -> DataFile {
        let ids: Int64Array = (0..rows as i64).map(|id| (id % 11 != 3).then_some(id * 37)).collect();
        let note = |id: u64| match id % 13 {
            0 => None,
            1 => Some(String::new()),
            2 => Some(format!("two\nlines, \"{id}\"")),
            3 => Some("żółw\r\n".into()),
            n => Some("x".repeat((id % 40 + n) as usize)),
        };
        let notes: StringArray = (0..rows).map(note).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(notes)];
        let batch = RecordBatch::try_new(Self::schema(), columns).unwrap();
        self.files.lock().insert(path.into(), batch);
        DataFile {
            path: path.into(),
            vector: None,
            rows,
            hidden: 0,
            size: rows * 10,
        }
    }

    /// The file with rows hidden.
    pub(super) fn hide(&self, file: &DataFile, name: &str, hidden: impl IntoIterator<Item = u64>) -> DataFile {
        let hidden: BTreeSet<u64> = hidden.into_iter().filter(|place| *place < file.rows).collect();
        let count = hidden.len() as u64;
        self.vectors.lock().insert(name.into(), hidden);
        DataFile {
            vector: Some(name.into()),
            hidden: count,
            ..file.clone()
        }
    }

    /// The live rows of a file with their places.
    pub(super) fn live(&self, file: &DataFile, places: Range<u64>) -> (Vec<u64>, RecordBatch) {
        let vectors = self.vectors.lock();
        let hidden = file.vector.as_ref().map(|name| &vectors[name]);
        let files = self.files.lock();
        let batch = &files[&file.path];
        let is_live =
            |place: &u64| *place < batch.num_rows() as u64 && !hidden.is_some_and(|hidden| hidden.contains(place));
        let places: Vec<u64> = places.filter(is_live).collect();
        let batch = take_record_batch(batch, &UInt64Array::from(places.clone())).unwrap();
        (places, batch)
    }

    pub(super) fn version(number: u64, files: &[DataFile]) -> Arc<Version> {
        Arc::new(Version {
            name: TableName {
                schema: None,
                table: "t".into(),
            },
            id: "id of t".into(),
            number,
            time: 0,
            schema: Self::schema(),
            key: Vec::new(),
            files: files.to_vec(),
        })
    }
}

fn unsupported<T>() -> Result<T> {
    Err(LakeError {
        kind: Kind::Unsupported,
        message: "not in a fake".into(),
    })
}

#[async_trait]
impl Lake for FakeLake {
    async fn tables(&self) -> Result<Vec<TableName>> {
        unsupported()
    }

    async fn check(&self, _: &TableName, _: &[Change]) -> Result<()> {
        Ok(())
    }

    async fn version(&self, _: &TableName, _: &At) -> Result<Arc<Version>> {
        unsupported()
    }

    async fn rows(
        &self,
        _: &Version,
        file: &DataFile,
        places: Range<u64>,
        columns: bool,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let calls = if columns { &self.text_calls } else { &self.place_calls };
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.delay).await;
        if !self.files.lock().contains_key(&file.path) {
            return Err(LakeError {
                kind: Kind::NotFound,
                message: format!("{} was vacuumed", file.path),
            });
        }
        let (places, batch) = self.live(file, places);
        let places: ArrayRef = Arc::new(places.into_iter().map(|place| place as i64).collect::<Int64Array>());
        let mut all = vec![("_row", places)];
        if columns {
            all.push(("id", Arc::clone(batch.column(0))));
            all.push(("note", Arc::clone(batch.column(1))));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, array)| (name, array, true)));
        let batch = batch.unwrap();
        let starts: Vec<usize> = (0..batch.num_rows()).step_by(7_000).collect();
        let batches = starts
            .into_iter()
            .map(move |start| Ok(batch.slice(start, 7_000.min(batch.num_rows() - start))));
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn bytes(&self, _: &Version, _: &DataFile, _: Range<u64>) -> Result<Bytes> {
        unsupported()
    }

    async fn run(&self, _: Statement) -> Result<Rows> {
        unsupported()
    }
}
