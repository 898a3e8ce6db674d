//! `CHECKPOINT`: a table's state in one file, so that it opens faster.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::ObjectName;
use posixlake_sql::Privilege;

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::{check_writable, write_checkpoint};
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

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("version", DataType::Int64, false)]))
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let table = self.lake.open_table(&self.id).await?;
        check_writable(&table, &self.id.display())?;
        write_checkpoint(&table).await?;
        let version = Int64Array::from(vec![i64::try_from(table.version()).unwrap_or(i64::MAX)]);
        Ok(RecordBatch::try_new(self.schema(), vec![Arc::new(version)])?)
    }
}
