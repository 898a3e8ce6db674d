//! Views of a session: a query, asked again each time.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{ViewTable, provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan};
use url::Url;

use super::{Lake, TableId};
use crate::error::{Error, Result};
use crate::table::LakeTable;

/// The view over the tables as they are: DataFusion keeps the plan of a view, and with it the versions that its tables had
/// when the view was made. What is no view is returned as it is.
///
/// # Errors
/// Where a table of the view is gone, or has lost a column.
pub(super) async fn current(lake: &Arc<Lake>, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let Some(view) = table.downcast_ref::<ViewTable>() else {
        return Ok(table);
    };
    let mut tables: HashMap<Url, TableId> = HashMap::new();
    view.logical_plan().apply_with_subqueries(|node| {
        if let Some(id) = latest_of(node) {
            tables.insert(id.url.clone(), id);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut fresh: HashMap<Url, Arc<dyn TableProvider>> = HashMap::new();
    for (url, id) in tables {
        let snapshot = lake.open_table(&id).await?;
        let table = LakeTable::try_new(lake.clone(), id, snapshot, false, false)?;
        fresh.insert(url, Arc::new(table));
    }
    let plan = view.logical_plan().clone().transform_up_with_subqueries(|node| {
        let found = latest_of(&node).and_then(|id| fresh.get(&id.url));
        match (node, found) {
            (LogicalPlan::TableScan(scan), Some(table)) => Ok(Transformed::yes(rescan(scan, table)?)),
            (node, _) => Ok(Transformed::no(node)),
        }
    })?;
    let plan = plan.data.recompute_schema()?;
    Ok(Arc::new(ViewTable::new(plan, view.definition().cloned())))
}

/// The table that a scan reads as it is, and not at a past version.
fn latest_of(node: &LogicalPlan) -> Option<TableId> {
    let LogicalPlan::TableScan(scan) = node else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<LakeTable>()?.latest_id().cloned()
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
