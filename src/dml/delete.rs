//! `DELETE` and `TRUNCATE`.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::sql::sqlparser::ast::ObjectName;
use posixlake_sql::Delete;

use super::delta::{commit_properties, last_metric, session_state, with_retries};
use super::expression::{Scope, qualified, target_name, unqualified};
use super::{count_batch, count_schema, merge};
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::check_writable;
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;

/// Plans `DELETE`.
///
/// # Errors
/// Where the table or a column is not there, or the condition cannot be taken.
pub(crate) async fn plan(planner: &Planner, delete: &Delete, text: String) -> Result<LogicalPlan> {
    if !delete.using.is_empty() {
        return merge::plan_delete_using(planner, delete, text).await;
    }
    let (id, table) = planner.table(&delete.table).await?;
    check_writable(&table, &id.display())?;
    let definition = Definition::of(&table)?;
    let target = target_name(delete.alias.as_ref(), &id.name);
    let schema = qualified(definition.arrow_schema()?.as_ref(), &target)?;
    let scope = Scope {
        planner,
        statement: "DELETE",
        schema,
    };
    let predicate = match &delete.selection {
        Some(selection) => Some(unqualified(scope.resolve(selection)?)?),
        None => None,
    };
    deleting(planner, id, predicate, text)
}

/// Plans `TRUNCATE TABLE`.
///
/// # Errors
/// Where the table is not there or cannot be written.
pub(crate) async fn plan_truncate(planner: &Planner, name: &ObjectName, text: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(name).await?;
    check_writable(&table, &id.display())?;
    deleting(planner, id, None, text)
}

fn deleting(planner: &Planner, id: TableId, predicate: Option<Expr>, statement: String) -> Result<LogicalPlan> {
    command_plan(
        "delete",
        Arc::new(DeleteCommand {
            lake: planner.lake().clone(),
            id,
            predicate,
            statement,
        }),
    )
}

#[derive(Debug)]
struct DeleteCommand {
    lake: Arc<Lake>,
    id: TableId,
    predicate: Option<Expr>,
    statement: String,
}

#[async_trait]
impl Command for DeleteCommand {
    fn describe(&self) -> String {
        match &self.predicate {
            Some(predicate) => format!("DELETE from {} where {predicate}", self.id.display()),
            None => format!("DELETE from {}, all rows", self.id.display()),
        }
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let state = Arc::new(session_state(&running));
        // Without a condition delta-rs would not look at files that were added meanwhile.
        let predicate = self.predicate.clone().unwrap_or_else(|| lit(true));
        let count = with_retries(&self.lake, &self.id, |table| {
            let builder = table
                .delete()
                .with_predicate(predicate.clone())
                .with_session_state(state.clone())
                .with_commit_properties(commit_properties(Some(&self.statement)));
            async move {
                let (table, metrics) = builder.await?;
                let count = match metrics.num_deleted_rows {
                    Some(count) => count as u64,
                    None => last_metric(&table, "num_deleted_rows").await.unwrap_or_default(),
                };
                Ok((count, table))
            }
        })
        .await?;
        running.progress.rows.add(usize::try_from(count).unwrap_or(usize::MAX));
        count_batch(count)
    }
}
