//! `t$detail`: a table in one row.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::log::Snapshot;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};

use super::columns::{list_column, list_type, map_column, map_type};
use super::history::instant_type;
use super::properties::features;
use crate::catalog::TableId;
use crate::error::Result;
use crate::log::history::records;
use crate::table::Definition;

/// The row, with Databricks' columns.
///
/// # Errors
/// Where the store fails.
pub(super) async fn detail(id: &TableId, table: &Snapshot) -> Result<RecordBatch> {
    let definition = Definition::of(table)?;
    let metadata = definition.metadata();
    let (files, bytes) = table.files().iter().fold((0_i64, 0_i64), |(files, bytes), file| {
        (files + 1, bytes + file.add.size)
    });
    let last = records(table, Some(1)).await?.first().map(|record| record.timestamp);
    let created = metadata.created_time().and_then(DateTime::from_timestamp_millis);
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        text("format"),
        text("id"),
        text("name"),
        text("description"),
        text("location"),
        Field::new("createdAt", instant_type(), true),
        Field::new("lastModified", instant_type(), true),
        Field::new("partitionColumns", list_type(), false),
        Field::new("clusteringColumns", list_type(), false),
        Field::new("numFiles", DataType::Int64, false),
        Field::new("sizeInBytes", DataType::Int64, false),
        Field::new("properties", map_type(), false),
        Field::new("minReaderVersion", DataType::Int32, false),
        Field::new("minWriterVersion", DataType::Int32, false),
        Field::new("tableFeatures", list_type(), false),
    ]);
    let one = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let instant = |time: Option<DateTime<Utc>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![time.map(|time| time.timestamp_micros())]).with_timezone("UTC"))
    };
    let configuration: BTreeMap<_, _> = definition.configuration().iter().collect();
    let configuration = configuration
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        one(Some("delta")),
        one(Some(metadata.id())),
        one(Some(&id.display())),
        one(metadata.description()),
        one(Some(id.url.as_str())),
        instant(created),
        instant(last),
        list_column([definition.partition_columns().to_vec()]),
        list_column([Vec::<String>::new()]),
        Arc::new(Int64Array::from(vec![files])),
        Arc::new(Int64Array::from(vec![bytes])),
        map_column([Some(configuration)])?,
        Arc::new(Int32Array::from(vec![definition.protocol().min_reader_version()])),
        Arc::new(Int32Array::from(vec![definition.protocol().min_writer_version()])),
        list_column([features(definition.protocol())]),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
