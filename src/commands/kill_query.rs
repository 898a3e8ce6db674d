//! `KILL QUERY`: a statement that runs is cancelled.

use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;

use crate::access::Touch;
use crate::catalog::Lake;
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};

/// Plans `KILL QUERY`.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn plan(planner: &Planner, number: u64) -> Result<LogicalPlan> {
    let lake = planner.lake().clone();
    command_plan("kill_query", Arc::new(KillQuery { lake, number }))
}

#[derive(Debug)]
struct KillQuery {
    lake: Arc<Lake>,
    number: u64,
}

#[async_trait]
impl Command for KillQuery {
    fn describe(&self) -> String {
        format!("KILL QUERY {}", self.number)
    }

    /// In a lake with users, an admin ends what runs.
    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Users]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::UInt64, false)]))
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        if !self.lake.monitor().kill(self.number) {
            return Err(Error::not_found(format!(
                "no query {} runs; SELECT * FROM system.queries lists those that do",
                self.number
            )));
        }
        let ids = UInt64Array::from(vec![self.number]);
        Ok(RecordBatch::try_new(self.schema(), vec![Arc::new(ids)])?)
    }
}
