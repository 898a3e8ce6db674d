//! `t$files`: one row a live data file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use object_store::path::Path;
use serde_json::{Map, Value};

use super::columns::{map_column, map_type};
use super::history::instant_type;
use crate::error::Result;
use crate::log::{DataFile, Snapshot};
use crate::table::Definition;

/// Where a file of the table's folder lies, by the path that the log has: signs that stand for others in it stay as they
/// are, since they do in the store's name, too.
pub(crate) fn data_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// The data files of a version, in the order of their paths.
pub(crate) fn live_files(table: &Snapshot) -> Vec<Arc<DataFile>> {
    let mut files: Vec<Arc<DataFile>> = table.files().iter().cloned().collect();
    files.sort_by(|a, b| a.add.path.cmp(&b.add.path));
    files
}

/// One row a file.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn files(definition: &Definition, files: &[Arc<DataFile>]) -> Result<RecordBatch> {
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
    let statistics: Vec<&Map<String, Value>> = files.iter().map(|file| file.statistics()).collect();
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
                .map(|file| file.records().and_then(|rows| i64::try_from(rows).ok()))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            files
                .iter()
                .map(|file| i64::try_from(file.deleted()).ok())
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
