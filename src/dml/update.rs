//! `UPDATE`.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use posixlake_sql::Update;

use super::delta::{commit_properties, session_state, with_retries};
use super::expression::{Assignments, Scope, assignments, qualified, target_name, unqualified};
use super::{count_batch, count_schema, merge};
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::check_writable;
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;

/// Plans `UPDATE`.
///
/// # Errors
/// Where the table or a column is not there, or an expression cannot be taken.
pub(crate) async fn plan(planner: &Planner, update: &Update, text: String) -> Result<LogicalPlan> {
    if !update.from.is_empty() {
        return merge::plan_update_from(planner, update, text).await;
    }
    let (id, table) = planner.table(&update.table).await?;
    check_writable(&table, &id.display())?;
    let definition = Definition::of(&table)?;
    let target = target_name(update.alias.as_ref(), &id.name);
    let schema = qualified(definition.arrow_schema()?.as_ref(), &target)?;
    let scope = Scope {
        planner,
        statement: "UPDATE",
        schema,
    };
    let predicate = match &update.selection {
        Some(selection) => Some(unqualified(scope.resolve(selection)?)?),
        None => None,
    };
    let assignments = assignments(&scope, &definition, &target, &update.assignments)?
        .into_iter()
        .map(|(column, value)| Ok((column, unqualified(value)?)))
        .collect::<Result<_>>()?;
    let command = UpdateCommand {
        lake: planner.lake().clone(),
        id,
        predicate,
        assignments,
        statement: text,
    };
    command_plan("update", Arc::new(command))
}

#[derive(Debug)]
struct UpdateCommand {
    lake: Arc<Lake>,
    id: TableId,
    predicate: Option<Expr>,
    assignments: Assignments,
    statement: String,
}

#[async_trait]
impl Command for UpdateCommand {
    fn describe(&self) -> String {
        let set: Vec<String> = self
            .assignments
            .iter()
            .map(|(column, value)| format!("{column} = {value}"))
            .collect();
        let condition = match &self.predicate {
            Some(predicate) => format!(" where {predicate}"),
            None => ", all rows".to_string(),
        };
        format!("UPDATE {} set {}{condition}", self.id.display(), set.join(", "))
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let state = Arc::new(session_state(&running));
        let count = with_retries(&self.lake, &self.id, |table| {
            let mut builder = table
                .update()
                .with_session_state(state.clone())
                .with_commit_properties(commit_properties(Some(&self.statement)));
            if let Some(predicate) = &self.predicate {
                builder = builder.with_predicate(predicate.clone());
            }
            for (column, value) in &self.assignments {
                builder = builder.with_update(Column::new_unqualified(column), value.clone());
            }
            async move {
                let (table, metrics) = builder.await?;
                Ok((metrics.num_updated_rows as u64, table))
            }
        })
        .await?;
        running.progress.rows.add(usize::try_from(count).unwrap_or(usize::MAX));
        count_batch(count)
    }
}
