//! Rows of the trail to files of its table: one commit for what was gathered, partitioned by day.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Days, NaiveDate, Utc};
use deltalake_core::kernel::{Action, Add, DataType, StructField, StructType, new_metadata};
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::json;
use uuid::Uuid;

use super::{Entry, Trail};
use crate::access::table::{added, lost, parquet_file};
use crate::error::{Error, Result};
use crate::log::{Commit, DataFile, Mode, commit};
use crate::store::path_of;
use crate::table::{data_path, protocol_for, to_arrow};

/// The column that the table is partitioned by.
const DAY: &str = "date";

impl Trail {
    /// Writes rows, and removes those that are older than what is kept.
    pub(super) async fn write(&self, entries: &[Entry]) -> Result<()> {
        let (Some(home), Some(tables)) = (&self.home, &self.tables) else {
            return Ok(());
        };
        let store = home.stores.folder(&home.audit)?;
        let mut days: BTreeMap<NaiveDate, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            days.entry(day(entry)).or_default().push(entry);
        }
        let mut adds: Vec<Add> = Vec::new();
        for (day, entries) in days {
            let bytes = parquet_file(&self.batch(&entries)?)?;
            let size = i64::try_from(bytes.len()).unwrap_or_default();
            let day = day.to_string();
            let path = new_path(&day);
            store.put(&data_path(&path), PutPayload::from(bytes)).await?;
            let times = entries.iter().map(|entry| entry.time);
            adds.push(added(
                path,
                size,
                entries.len(),
                day_values(&day),
                Some(statistics(times)),
            ));
        }
        loop {
            let table = tables.latest(&home.audit).await?;
            let mut actions = Vec::new();
            let mut expired: Vec<Arc<DataFile>> = Vec::new();
            match &table {
                Some(table) => expired.extend(table.files().iter().filter(|file| self.is_expired(file)).cloned()),
                None => {
                    let schema = delta_schema()?;
                    let protocol = protocol_for(&schema, &HashMap::new(), None)?;
                    let metadata = new_metadata(&schema, vec![DAY], HashMap::<String, String>::new())?;
                    actions.extend([Action::Protocol(protocol), Action::Metadata(metadata)]);
                }
            }
            actions.extend(expired.iter().map(|file| Action::Remove(file.remove(true))));
            actions.extend(adds.iter().cloned().map(Action::Add));
            let next = Commit {
                operation: "WRITE",
                parameters: BTreeMap::from([("mode".to_string(), "Append".to_string())]),
                metrics: BTreeMap::new(),
                actions,
                read_version: table.as_ref().map(|table| table.version()),
                mode: Mode::Append,
                statement: None,
            };
            match commit(home.stores.log_store(&home.audit)?.as_ref(), next).await {
                Ok(version) => {
                    for file in expired {
                        let path = path_of(&home.audit)?;
                        tracing::info!(file = %file.add.path, folder = %path, "rows of the audit trail are past their time");
                        let _ = store.delete(&data_path(&file.add.path)).await;
                    }
                    if let Some(table) = tables.latest(&home.audit).await? {
                        self.background.after_commit(&table, version);
                    }
                    return Ok(());
                }
                Err(error) if lost(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn is_expired(&self, file: &DataFile) -> bool {
        let Ok(keep) = u64::try_from(self.keep.load(Ordering::Relaxed)) else {
            return false;
        };
        if keep == 0 {
            return false;
        }
        let day = day_of(file).and_then(|day| day.parse::<NaiveDate>().ok());
        let first = Utc::now().date_naive().checked_sub_days(Days::new(keep));
        matches!((day, first), (Some(day), Some(first)) if day < first)
    }

    fn batch(&self, entries: &[&Entry]) -> Result<RecordBatch> {
        let door = self.door.name();
        let texts = |value: &dyn Fn(&Entry) -> Option<String>| -> ArrayRef {
            Arc::new(entries.iter().map(|entry| value(entry)).collect::<StringArray>())
        };
        let numbers = |value: &dyn Fn(&Entry) -> Option<i64>| -> ArrayRef {
            Arc::new(entries.iter().map(|entry| value(entry)).collect::<Int64Array>())
        };
        let times = entries.iter().map(|entry| entry.time).collect::<Vec<_>>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            texts(&|entry| entry.user.clone()),
            texts(&|entry| Some(entry.client.clone())),
            texts(&|_| Some(door.to_string())),
            texts(&|entry| Some(entry.kind.to_string())),
            texts(&|entry| entry.statement.clone()),
            texts(&|entry| entry.tables.clone()),
            numbers(&|entry| entry.rows),
            numbers(&|entry| entry.version),
            texts(&|entry| Some(entry.outcome.name().to_string())),
            texts(&|entry| entry.message.clone()),
            Arc::new(entries.iter().map(|entry| entry.milliseconds).collect::<Float64Array>()),
        ];
        let fields: Vec<_> = file_fields();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

fn day(entry: &Entry) -> NaiveDate {
    DateTime::from_timestamp_micros(entry.time)
        .unwrap_or_default()
        .date_naive()
}

/// The name of a file that is to have rows of a day.
pub(super) fn new_path(day: &str) -> String {
    format!("{DAY}={day}/part-00000-{}-c000.snappy.parquet", Uuid::new_v4())
}

/// The partition values of a file with rows of a day.
pub(super) fn day_values(day: &str) -> HashMap<String, Option<String>> {
    HashMap::from([(DAY.to_string(), Some(day.to_string()))])
}

/// The day that a file's rows are of.
pub(super) fn day_of(file: &DataFile) -> Option<String> {
    file.add.partition_values.get(DAY).cloned().flatten()
}

/// The statistics of a file with rows of these times, by which files are chosen.
pub(super) fn statistics(times: impl Iterator<Item = i64> + Clone) -> String {
    let text = |time: Option<i64>| {
        let time = time.and_then(DateTime::from_timestamp_micros).unwrap_or_default();
        time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    };
    json!({
        "numRecords": times.clone().count(),
        "minValues": { "time": text(times.clone().min()) },
        "maxValues": { "time": text(times.max()) },
        "nullCount": { "time": 0 },
    })
    .to_string()
}

const COLUMNS: [(&str, DataType); 12] = [
    ("time", DataType::TIMESTAMP),
    ("user", DataType::STRING),
    ("client", DataType::STRING),
    ("door", DataType::STRING),
    ("kind", DataType::STRING),
    ("statement", DataType::STRING),
    ("tables", DataType::STRING),
    ("rows", DataType::LONG),
    ("version", DataType::LONG),
    ("outcome", DataType::STRING),
    ("message", DataType::STRING),
    ("duration_ms", DataType::DOUBLE),
];

fn delta_schema() -> Result<StructType> {
    let fields = COLUMNS.into_iter().chain([(DAY, DataType::DATE)]);
    let fields = fields.map(|(name, data_type)| StructField::nullable(name, data_type));
    StructType::try_new(fields).map_err(|error| Error::internal(error.to_string()))
}

/// The columns as a query sees them.
pub(super) fn schema() -> SchemaRef {
    let schema = delta_schema().and_then(|schema| to_arrow(&schema));
    schema.unwrap_or_else(|_| Arc::new(Schema::empty()))
}

/// The columns as files have them.
pub(super) fn file_fields() -> Vec<Field> {
    let arrow = |data_type: &DataType| match data_type {
        data_type if *data_type == DataType::TIMESTAMP => {
            ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        data_type if *data_type == DataType::LONG => ArrowType::Int64,
        data_type if *data_type == DataType::DOUBLE => ArrowType::Float64,
        _ => ArrowType::Utf8,
    };
    COLUMNS
        .iter()
        .map(|(name, data_type)| Field::new(*name, arrow(data_type), true))
        .collect()
}
