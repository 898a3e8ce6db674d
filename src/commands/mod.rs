//! One file a command: what it takes, what it returns, what it does.

mod prepare;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use posixlake_sql::Statement;

use crate::error::{Error, Result};
use crate::plan::Planner;

pub(crate) use prepare::deallocate;

/// Plans a statement of posixlake's own.
///
/// # Errors
/// As [`Planner::plan`].
pub(crate) async fn plan(planner: &Planner, statement: &Statement) -> Result<LogicalPlan> {
    match statement {
        Statement::Prepare(prepare) => prepare::plan(planner, prepare),
        Statement::Update(update) => crate::dml::update::plan(planner, update, statement.to_string()).await,
        Statement::Delete(delete) => crate::dml::delete::plan(planner, delete, statement.to_string()).await,
        Statement::Truncate(table) => crate::dml::delete::plan_truncate(planner, table, statement.to_string()).await,
        Statement::Merge(merge) => crate::dml::merge::plan(planner, merge, statement.to_string()).await,
        other => Err(Error::unsupported(format!("{} is not available", other.name()))),
    }
}

/// Plans those of DataFusion's statements that mean something else for a lake; none for the others.
///
/// # Errors
/// As [`Planner::plan`].
pub(crate) async fn plan_native(_planner: &Planner, _statement: &SqlStatement) -> Result<Option<LogicalPlan>> {
    Ok(None)
}
