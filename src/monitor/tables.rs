//! `system.metrics`, `system.queries` and `system.health`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;

use super::health::{self, Check};
use super::samples::samples;
use crate::access::Touch;
use crate::catalog::Lake;
use crate::error::Result;
use crate::plan::{Command, Running, command_table};

/// The tables' names.
pub(crate) const TABLES: [&str; 3] = ["health", "metrics", "queries"];

/// The table of this name; its rows are made when they are asked for.
pub(crate) fn table(lake: &Arc<Lake>, name: &str) -> Option<Arc<dyn TableProvider>> {
    let what = match name {
        "health" => What::Health,
        "metrics" => What::Metrics,
        "queries" => What::Queries,
        _ => return None,
    };
    let lake = lake.clone();
    Some(command_table(Arc::new(SystemTable { lake, what })))
}

#[derive(Debug)]
enum What {
    Health,
    Metrics,
    Queries,
}

#[derive(Debug)]
struct SystemTable {
    lake: Arc<Lake>,
    what: What,
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

impl SystemTable {
    fn metrics(&self) -> Vec<ArrayRef> {
        let samples = samples(&self.lake);
        vec![
            texts(samples.iter().map(|sample| sample.name())),
            texts(samples.iter().map(|sample| sample.labels())),
            Arc::new(Float64Array::from_iter_values(
                samples.iter().map(|sample| sample.value),
            )),
            texts(samples.iter().map(|sample| sample.family.unit)),
            texts(samples.iter().map(|sample| sample.family.help)),
        ]
    }

    fn queries(&self) -> Vec<ArrayRef> {
        let monitor = self.lake.monitor();
        let user = self.lake.access().user();
        let queries = monitor.queries();
        let done: Vec<_> = queries.iter().map(|query| query.done()).collect();
        let started = queries.iter().map(|query| query.started.timestamp_micros());
        let progress = queries.iter().zip(&done).map(|(query, done)| query.progress(*done));
        let state = |killed: bool| if killed { "killed" } else { "running" };
        vec![
            Arc::new(UInt64Array::from_iter_values(queries.iter().map(|query| query.number))),
            Arc::new(queries.iter().map(|_| user.as_deref()).collect::<StringArray>()),
            texts(queries.iter().map(|_| monitor.door())),
            texts(queries.iter().map(|query| query.text.as_str())),
            texts(queries.iter().map(|query| state(query.is_killed()))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(started).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter_values(
                queries.iter().map(|query| query.clock.elapsed().as_secs_f64() * 1000.0),
            )),
            Arc::new(UInt64Array::from_iter_values(
                queries.iter().map(|query| query.rows.load(Ordering::Relaxed)),
            )),
            Arc::new(UInt64Array::from_iter_values(done.iter().map(|done| done.files as u64))),
            Arc::new(UInt64Array::from_iter_values(done.iter().map(|done| done.bytes as u64))),
            Arc::new(progress.collect::<Float64Array>()),
        ]
    }
}

fn health_columns(checks: &[Check]) -> Vec<ArrayRef> {
    vec![
        texts(checks.iter().map(|check| check.check.as_str())),
        texts(checks.iter().map(|check| check.status.name())),
        texts(checks.iter().map(|check| check.detail.as_str())),
    ]
}

#[async_trait]
impl Command for SystemTable {
    fn describe(&self) -> String {
        match self.what {
            What::Health => "system.health".to_string(),
            What::Metrics => "system.metrics".to_string(),
            What::Queries => "system.queries".to_string(),
        }
    }

    /// Counters name nobody's rows; running statements and the state of all tables are for those who may change users.
    fn touches(&self) -> Vec<Touch> {
        match self.what {
            What::Metrics => Vec::new(),
            What::Health | What::Queries => vec![Touch::Users],
        }
    }

    fn schema(&self) -> SchemaRef {
        let number = |name| Field::new(name, DataType::UInt64, false);
        Arc::new(Schema::new(match self.what {
            What::Health => vec![text("check"), text("status"), text("detail")],
            What::Metrics => vec![
                text("name"),
                text("labels"),
                Field::new("value", DataType::Float64, false),
                text("unit"),
                text("help"),
            ],
            What::Queries => vec![
                number("id"),
                Field::new("user", DataType::Utf8, true),
                text("door"),
                text("statement"),
                text("state"),
                Field::new(
                    "started_at",
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                    false,
                ),
                Field::new("elapsed_ms", DataType::Float64, false),
                number("rows"),
                number("files"),
                number("bytes"),
                Field::new("progress", DataType::Float64, true),
            ],
        }))
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let columns = match self.what {
            What::Health => health_columns(&health::checks(&self.lake).await),
            What::Metrics => self.metrics(),
            What::Queries => self.queries(),
        };
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}
