//! `t$history`: one row a commit, newest first.

use std::sync::{Arc, LazyLock};

use crate::log::Snapshot;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use serde_json::Value;

use super::columns::{map_column, map_type};
use crate::error::Result;
use crate::log::history::{CommitRecord, records};

/// An instant, as views show it.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("version", DataType::Int64, false),
        Field::new("timestamp", instant_type(), false),
        text("userId"),
        text("userName"),
        text("operation"),
        Field::new("operationParameters", map_type(), true),
        text("job"),
        text("notebook"),
        text("clusterId"),
        Field::new("readVersion", DataType::Int64, true),
        text("isolationLevel"),
        Field::new("isBlindAppend", DataType::Boolean, true),
        Field::new("operationMetrics", map_type(), true),
        text("userMetadata"),
        text("engineInfo"),
    ]))
});

/// The commits of a table that are still in its log, up to the version that is loaded.
#[derive(Debug)]
pub(crate) struct HistoryTable {
    table: Snapshot,
}

impl HistoryTable {
    pub(crate) fn new(table: Snapshot) -> Self {
        Self { table }
    }
}

#[async_trait]
impl TableProvider for HistoryTable {
    fn schema(&self) -> SchemaRef {
        SCHEMA.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// Commits are read here, and with a limit no more of them than it asks for: logs can be long.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let batch = rows(&records(&self.table, limit).await?)?;
        let rows = MemTable::try_new(SCHEMA.clone(), vec![vec![batch]])?;
        rows.scan(state, projection, filters, limit).await
    }
}

fn rows(records: &[CommitRecord]) -> Result<RecordBatch> {
    let text = |key: &'static str| -> ArrayRef {
        Arc::new(
            records
                .iter()
                .map(|record| record.info.get(key).and_then(plain))
                .collect::<StringArray>(),
        )
    };
    let versions = records.iter().map(|record| i64::try_from(record.version).ok());
    let times = records.iter().map(|record| record.timestamp.timestamp_micros());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(versions.collect::<Int64Array>()),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        text("userId"),
        text("userName"),
        text("operation"),
        map_column(records.iter().map(parameters))?,
        text("job"),
        text("notebook"),
        text("clusterId"),
        Arc::new(
            records
                .iter()
                .map(|record| record.info.get("readVersion").and_then(Value::as_i64))
                .collect::<Int64Array>(),
        ),
        text("isolationLevel"),
        Arc::new(
            records
                .iter()
                .map(|record| record.info.get("isBlindAppend").and_then(Value::as_bool))
                .collect::<BooleanArray>(),
        ),
        map_column(records.iter().map(|record| entries(record, "operationMetrics")))?,
        text("userMetadata"),
        text("engineInfo"),
    ];
    Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
}

type Entries = Vec<(String, Option<String>)>;

/// The operation's parameters, and the statement behind it.
fn parameters(record: &CommitRecord) -> Option<Entries> {
    let statement = record
        .info
        .get("statement")
        .and_then(plain)
        .map(|text| ("statement".to_string(), Some(text)));
    match (entries(record, "operationParameters"), statement) {
        (None, None) => None,
        (parameters, statement) => Some(parameters.unwrap_or_default().into_iter().chain(statement).collect()),
    }
}

fn entries(record: &CommitRecord, key: &str) -> Option<Entries> {
    let object = record.info.get(key)?.as_object()?;
    let mut entries: Entries = object.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    entries.sort();
    Some(entries)
}

/// A value as text: strings as they are, all else as JSON; NULL as none.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
