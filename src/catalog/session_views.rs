//! Views of a session: a query, asked again each time.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{ViewTable, provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan};

use super::Lake;
use crate::error::{Error, Result};
use crate::table::{LakeTable, Momentary};

/// The view over the tables as they are: DataFusion keeps the plan of a view, and with it the versions that its tables had
/// when the view was made. What is no view is returned as it is.
///
/// # Errors
/// Where a table of the view is gone, or has lost a column.
pub(super) async fn current(lake: &Arc<Lake>, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let Some(view) = table.downcast_ref::<ViewTable>() else {
        return Ok(table);
    };
    let mut stale: HashMap<usize, Arc<dyn TableProvider>> = HashMap::new();
    view.logical_plan().apply_with_subqueries(|node| {
        if let Some((place, provider)) = provider_of(node) {
            stale.insert(place, provider);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut fresh: HashMap<usize, Arc<dyn TableProvider>> = HashMap::new();
    for (place, provider) in stale {
        if let Some(table) = again(lake, &provider).await? {
            fresh.insert(place, table);
        }
    }
    let plan = view.logical_plan().clone().transform_up_with_subqueries(|node| {
        let found = provider_of(&node).and_then(|(place, _)| fresh.get(&place));
        match (node, found) {
            (LogicalPlan::TableScan(scan), Some(table)) => Ok(Transformed::yes(rescan(scan, table)?)),
            (node, _) => Ok(Transformed::no(node)),
        }
    })?;
    let plan = plan.data.recompute_schema()?;
    Ok(Arc::new(ViewTable::new(plan, view.definition().cloned())))
}

/// What a scan reads, and a number that tells it from all else that the plan reads.
fn provider_of(node: &LogicalPlan) -> Option<(usize, Arc<dyn TableProvider>)> {
    let LogicalPlan::TableScan(scan) = node else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    Some((Arc::as_ptr(&provider).cast::<()>() as usize, provider))
}

/// The same as it is at this moment; none where it is one of a past version, or does not change.
async fn again(lake: &Arc<Lake>, provider: &Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
    if let Some(seen) = provider.downcast_ref::<Momentary>() {
        return Ok(Some(Arc::new(seen.again().await?)));
    }
    let table = provider.downcast_ref::<LakeTable>();
    let Some((id, identity)) = table.and_then(LakeTable::latest_id) else {
        return Ok(None);
    };
    let snapshot = lake.open_table(id).await?;
    let table = LakeTable::try_new(lake.clone(), id.clone(), snapshot, false, identity)?;
    Ok(Some(Arc::new(table)))
}

fn rescan(scan: TableScan, table: &Arc<dyn TableProvider>) -> std::result::Result<LogicalPlan, DataFusionError> {
    let schema = table.schema();
    let columns = scan.projected_schema.fields().iter().map(|field| {
        schema.index_of(field.name()).map_err(|_| {
            Error::schema(format!(
                "a view reads column {} of table {}, which has it no longer: create the view again",
                field.name(),
                scan.table_name
            ))
            .into()
        })
    });
    let columns = columns.collect::<std::result::Result<Vec<usize>, DataFusionError>>()?;
    let source = provider_as_source(table.clone());
    LogicalPlanBuilder::scan_with_filters(scan.table_name, source, Some(columns), scan.filters)?.build()
}
