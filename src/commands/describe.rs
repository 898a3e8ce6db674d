//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`: the views of a table as statements.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::ObjectName;
use posixlake_sql::DescribeHistory;

use crate::catalog::View;
use crate::error::Result;
use crate::plan::Planner;
use crate::table::{HistoryTable, view};

/// The rows of a provider.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn read(name: &str, provider: Arc<dyn TableProvider>, limit: Option<usize>) -> Result<LogicalPlan> {
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(provider), None)?;
    match limit {
        Some(limit) => Ok(plan.limit(0, Some(limit))?.build()?),
        None => Ok(plan.build()?),
    }
}

/// Plans `DESCRIBE HISTORY`.
///
/// # Errors
/// Where there is no such table.
pub(super) async fn history(planner: &Planner, describe: &DescribeHistory) -> Result<LogicalPlan> {
    let (_, table) = planner.shown_table(&describe.table).await?;
    let limit = describe.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    read("history", Arc::new(HistoryTable::new(table)), limit)
}

/// Plans `DESCRIBE DETAIL`.
///
/// # Errors
/// Where there is no such table.
pub(super) async fn detail(planner: &Planner, name: &ObjectName) -> Result<LogicalPlan> {
    let (id, table) = planner.shown_table(name).await?;
    read(
        "detail",
        view(planner.lake(), id, table, None, View::Detail).await?,
        None,
    )
}
