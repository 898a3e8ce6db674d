//! `REORG TABLE … APPLY (PURGE)`.

use datafusion::logical_expr::LogicalPlan;
use posixlake_sql::Reorg;

use crate::error::{Error, Result};
use crate::plan::Planner;

/// Refuses the statement, for a table that is there.
///
/// # Errors
/// Always.
pub(super) async fn plan(planner: &Planner, reorg: &Reorg) -> Result<LogicalPlan> {
    let (id, _) = planner.table(&reorg.table).await?;
    Err(Error::unsupported(format!(
        "REORG TABLE {0} APPLY (PURGE) is not supported yet; OPTIMIZE {0} rewrites files of which many rows are deleted",
        id.display()
    )))
}
