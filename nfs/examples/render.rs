//! How fast rows become text, by time of the processor: other work on the machine does not count. Linux; run with `--release`.
#![allow(clippy::print_stdout)]

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use posixlake_nfs::lake::{At, Change, DataFile, Kind, Lake, LakeError, Result, Rows, Statement, TableName, Version};
use posixlake_nfs::render::{Format, Options, Renderer};

const BATCH: u64 = 8_192;

/// Files that are the same batch again and again, so that the time is that of rendering.
struct Generated {
    batch: RecordBatch,
}

fn refused<T>() -> Result<T> {
    Err(LakeError {
        kind: Kind::Unsupported,
        message: "generated".into(),
    })
}

#[async_trait]
impl Lake for Generated {
    async fn tables(&self) -> Result<Vec<TableName>> {
        refused()
    }

    async fn check(&self, _: &TableName, _: &[Change]) -> Result<()> {
        Ok(())
    }

    async fn version(&self, _: &TableName, _: &At) -> Result<Arc<Version>> {
        refused()
    }

    async fn rows(
        &self,
        _: &Version,
        _: &DataFile,
        places: Range<u64>,
        columns: bool,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let batch = self.batch.clone();
        let starts = places.clone().step_by(BATCH as usize);
        let batches = starts.map(move |start| {
            let rows = (places.end - start).min(BATCH) as usize;
            let row: ArrayRef = Arc::new((start as i64..start as i64 + rows as i64).collect::<Int64Array>());
            let mut all = vec![("_row".to_string(), row)];
            if columns {
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    all.push((field.name().clone(), column.slice(0, rows)));
                }
            }
            RecordBatch::try_from_iter(all).map_err(|error| LakeError {
                kind: Kind::Internal,
                message: error.to_string(),
            })
        });
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn bytes(&self, _: &Version, _: &DataFile, _: Range<u64>) -> Result<Bytes> {
        refused()
    }

    async fn run(&self, _: Statement) -> Result<Rows> {
        refused()
    }
}

fn table(columns: Vec<(&str, ArrayRef)>) -> (SchemaRef, RecordBatch) {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap_or_else(|_| RecordBatch::new_empty(schema.clone()));
    (schema, batch)
}

fn rows_of<T>(value: impl Fn(i64) -> T) -> impl Iterator<Item = T> {
    (0..BATCH as i64).map(move |n| value(n.wrapping_mul(2_654_435_761) % 1_000_003))
}

/// Seconds that all threads have run.
fn processor_seconds() -> std::result::Result<f64, Box<dyn std::error::Error>> {
    let ticks = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = ticks.rsplit_once(')').ok_or("no process")?;
    let of = |at: usize| {
        fields
            .split_whitespace()
            .nth(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((of(11) + of(12)) / 100.0)
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let integers = || -> ArrayRef { Arc::new(rows_of(|n| Some(n * 7_919)).collect::<Int64Array>()) };
    let floats = || -> ArrayRef { Arc::new(rows_of(|n| Some(n as f64 / 1_000.0)).collect::<Float64Array>()) };
    let texts = || -> ArrayRef { Arc::new(rows_of(|n| Some(format!("name {n}"))).collect::<StringViewArray>()) };
    let moments = || -> ArrayRef {
        let moments: TimestampMicrosecondArray = rows_of(|n| Some(1_795_341_600_000_000 + n * 1_001)).collect();
        Arc::new(moments.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))))
    };
    let tables = [
        (
            "integers",
            table(vec![("a", integers()), ("b", integers()), ("c", integers())]),
        ),
        ("floats", table(vec![("a", floats()), ("b", floats()), ("c", floats())])),
        ("texts", table(vec![("a", texts()), ("b", texts()), ("c", texts())])),
        ("moments", table(vec![("a", moments()), ("b", moments())])),
        (
            "mixed",
            table(vec![
                ("id", integers()),
                ("x", floats()),
                ("name", texts()),
                ("at", moments()),
            ]),
        ),
    ];
    println!("table     format      measure MB/s  read MB/s   (a core)");
    for (name, (schema, batch)) in tables {
        for format in [Format::Csv, Format::JsonLines, Format::Json] {
            let rows = 4_000_000;
            let version = Arc::new(Version {
                name: TableName {
                    schema: None,
                    table: name.into(),
                },
                id: name.into(),
                number: 0,
                time: 0,
                schema: Arc::clone(&schema),
                key: Vec::new(),
                files: vec![DataFile {
                    path: "file".into(),
                    vector: None,
                    rows,
                    hidden: 0,
                    size: 1,
                }],
            });
            let folder = tempfile::tempdir()?;
            let lake = Arc::new(Generated { batch: batch.clone() });
            let options = Options {
                parallel: 1,
                disk: 0,
                ..Options::default()
            };
            let renderer = Renderer::new(lake, folder.path().into(), &options)?;
            let start = processor_seconds()?;
            let rendering = renderer.open(version, format).await?;
            let measured = processor_seconds()? - start;
            let megabytes = rendering.size() as f64 / 1e6;
            let start = processor_seconds()?;
            let read: usize = rendering
                .text(0..rendering.size())
                .map_ok(|piece| piece.len())
                .try_fold(0, async |a, b| Ok(a + b))
                .await?;
            let reading = processor_seconds()? - start;
            assert_eq!(read as u64, rendering.size());
            println!(
                "{name:9} {:11} {:12.0}  {:9.0}",
                format!("{format:?}"),
                megabytes / measured,
                megabytes / reading
            );
        }
    }
    Ok(())
}
