//! `CHECKPOINT`: a table's state in one file, so that it opens faster.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::ObjectName;
use deltalake_core::protocol::checkpoints;

use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::check_writable;
use crate::plan::{Command, Planner, Running, command_plan};

/// Plans `CHECKPOINT`.
///
/// # Errors
/// Where there is no such table.
pub(super) async fn plan(planner: &Planner, name: &ObjectName, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(name).await?;
    check_writable(&table, &id.display())?;
    command_plan(
        "checkpoint",
        Arc::new(CheckpointCommand {
            lake: planner.lake().clone(),
            id,
            statement,
        }),
    )
}

#[derive(Debug)]
struct CheckpointCommand {
    lake: Arc<Lake>,
    id: TableId,
    statement: String,
}

#[async_trait]
impl Command for CheckpointCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("version", DataType::Int64, false)]))
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let table = self.lake.open_table(&self.id).await?;
        check_writable(&table, &self.id.display())?;
        let version = table.version();
        let table = table.delta_table().await?;
        // The writer blocks its thread.
        let handle = tokio::runtime::Handle::current();
        let write = move || handle.block_on(async { checkpoints::create_checkpoint(&table, None).await });
        match tokio::task::spawn_blocking(write).await {
            Ok(written) => written?,
            Err(error) => {
                return Err(Error::internal(format!(
                    "the writer of the checkpoint stopped: {error}"
                )));
            }
        }
        let version = Int64Array::from(vec![i64::try_from(version).unwrap_or(i64::MAX)]);
        Ok(RecordBatch::try_new(self.schema(), vec![Arc::new(version)])?)
    }
}
