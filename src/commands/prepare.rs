//! `PREPARE` and `DEALLOCATE`: a session's statements under names.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use posixlake_sql::{Prepare, Statement};

use crate::access::Touch;
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, PreparedStatements, Running, command_plan};

/// Plans `PREPARE`.
///
/// # Errors
/// Where the statement has a password. Others were parsed, and are planned when they are executed.
pub(super) fn plan(planner: &Planner, prepare: &Prepare) -> Result<LogicalPlan> {
    if matches!(prepare.statement.as_ref(), Statement::Access(access) if access.has_password()) {
        return Err(Error::unsupported(format!(
            "{} cannot be prepared: its password would be kept with it",
            prepare.statement.name()
        )));
    }
    let change = Change::Keep(Box::new(prepare.clone()));
    command_plan(
        "prepare",
        Arc::new(Preparing {
            prepared: planner.prepared().clone(),
            change,
        }),
    )
}

/// Plans `DEALLOCATE`.
///
/// # Errors
/// None: whether the statement is there shows when this is executed.
pub(crate) fn deallocate(planner: &Planner, name: &str) -> Result<LogicalPlan> {
    let change = Change::Forget(name.to_string());
    command_plan(
        "deallocate",
        Arc::new(Preparing {
            prepared: planner.prepared().clone(),
            change,
        }),
    )
}

#[derive(Debug)]
enum Change {
    Keep(Box<Prepare>),
    Forget(String),
}

#[derive(Debug)]
struct Preparing {
    prepared: Arc<PreparedStatements>,
    change: Change,
}

#[async_trait]
impl Command for Preparing {
    fn describe(&self) -> String {
        match &self.change {
            Change::Keep(prepare) => format!("PREPARE {}", prepare.name),
            Change::Forget(name) => format!("DEALLOCATE {name}"),
        }
    }

    fn touches(&self) -> Vec<Touch> {
        // What is prepared is checked when it is executed.
        Vec::new()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        match &self.change {
            Change::Keep(prepare) => self.prepared.keep(prepare.as_ref().clone())?,
            Change::Forget(name) => self.prepared.forget(name)?,
        }
        Ok(RecordBatch::new_empty(self.schema()))
    }
}
