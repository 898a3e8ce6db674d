//! `t$files`: one row a live data file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Add;
use object_store::path::Path;
use serde_json::{Map, Value};

use super::columns::{map_column, map_type};
use super::history::instant_type;
use crate::error::Result;
use crate::table::Definition;

/// A data file of a version, with what the log says of it.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    /// The action that the file stands by.
    pub(crate) add: Add,
    /// The rows in the file, deleted ones included.
    pub(crate) records: Option<u64>,
    /// The rows that the file's deletion vector hides.
    pub(crate) deleted: u64,
}

impl LiveFile {
    /// What tells two states of the file apart: its path and its deletion vector.
    pub(crate) fn key(&self) -> (String, Option<String>) {
        let vector = self.add.deletion_vector.as_ref();
        let vector = vector.map(|vector| format!("{}{:?}", vector.path_or_inline_dv, vector.offset));
        (self.add.path.clone(), vector)
    }

    /// The rows that a query sees.
    pub(crate) fn live_records(&self) -> Option<u64> {
        self.records.map(|records| records.saturating_sub(self.deleted))
    }

    /// The statistics, as the log has them.
    pub(crate) fn statistics(&self) -> Map<String, Value> {
        match self.add.stats.as_deref().map(serde_json::from_str) {
            Some(Ok(Value::Object(statistics))) => statistics,
            _ => Map::new(),
        }
    }
}

/// Where a file of the table's folder lies, by the path that the log has: signs that stand for others in it stay as they
/// are, since they do in the store's name, too.
pub(crate) fn data_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// The data files of the version that is loaded, in the order of their paths.
///
/// # Errors
/// Where no version is loaded.
pub(crate) fn live_files(table: &DeltaTable) -> Result<Vec<LiveFile>> {
    let snapshot = table.snapshot()?;
    let mut files: Vec<LiveFile> = snapshot
        .log_data()
        .iter()
        .map(|file| {
            #[expect(deprecated, reason = "the only public way to the action as it stands in the log")]
            let add = file.add_action();
            let deleted = add.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality);
            LiveFile {
                records: file.num_records().map(|records| records as u64),
                deleted: u64::try_from(deleted).unwrap_or_default(),
                add,
            }
        })
        .collect();
    files.sort_by(|a, b| a.add.path.cmp(&b.add.path));
    Ok(files)
}

/// One row a file.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn files(definition: &Definition, files: &[LiveFile]) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("size_in_bytes", DataType::Int64, false),
        Field::new("modification_time", instant_type(), false),
        Field::new("num_records", DataType::Int64, true),
        Field::new("num_deleted_records", DataType::Int64, false),
        Field::new("partition_values", map_type(), false),
        Field::new("min_values", DataType::Utf8, true),
        Field::new("max_values", DataType::Utf8, true),
        Field::new("null_counts", DataType::Utf8, true),
    ]);
    let logical: HashMap<&str, &str> = definition
        .fields()
        .map(|field| (definition.physical_name(field.name()), field.name().as_str()))
        .collect();
    let statistics: Vec<Map<String, Value>> = files.iter().map(LiveFile::statistics).collect();
    let part = |key: &'static str| -> ArrayRef {
        let values = statistics.iter().map(|statistics| match statistics.get(key) {
            Some(Value::Object(values)) => Some(Value::Object(renamed(values, &logical)).to_string()),
            _ => None,
        });
        Arc::new(values.collect::<StringArray>())
    };
    let partition_values = files.iter().map(|file| {
        let columns = definition.partition_columns().iter();
        let value = |column: &String| {
            file.add
                .partition_values
                .get(definition.physical_name(column))
                .cloned()
                .flatten()
        };
        Some(
            columns
                .map(|column| (column.clone(), value(column)))
                .collect::<Vec<_>>(),
        )
    });
    let times = files.iter().map(|file| file.add.modification_time.saturating_mul(1000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.add.path))),
        Arc::new(Int64Array::from_iter_values(files.iter().map(|file| file.add.size))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(
            files
                .iter()
                .map(|file| file.records.and_then(|rows| i64::try_from(rows).ok()))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            files
                .iter()
                .map(|file| i64::try_from(file.deleted).ok())
                .collect::<Int64Array>(),
        ),
        map_column(partition_values)?,
        part("minValues"),
        part("maxValues"),
        part("nullCount"),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// The same values under the names that users see.
fn renamed(values: &Map<String, Value>, logical: &HashMap<&str, &str>) -> Map<String, Value> {
    let name = |key: &String| {
        logical
            .get(key.as_str())
            .map_or_else(|| key.clone(), ToString::to_string)
    };
    values.iter().map(|(key, value)| (name(key), value.clone())).collect()
}
