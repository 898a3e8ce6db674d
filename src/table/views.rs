//! What can be seen of a table besides its rows: `t$history`, `t$detail` and so on.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;
use deltalake_core::DeltaTable;

use crate::catalog::{Lake, Point, TableId, View};
use crate::error::{Error, Result};
use crate::plan::Planner;

/// The provider of a view of a table.
///
/// # Errors
/// Where the view cannot be made of this table.
pub(crate) async fn view(
    _lake: &Arc<Lake>,
    id: TableId,
    _table: DeltaTable,
    _at: Option<Point>,
    kind: View,
) -> Result<Arc<dyn TableProvider>> {
    Err(Error::unsupported(format!("{}${kind:?} is not available", id.display())))
}

/// `table_changes(table, from[, to])`.
///
/// # Errors
/// Where the arguments do not name a table with a change data feed and a range of its versions.
pub(crate) async fn table_changes(
    _planner: &Planner,
    _positional: Vec<ScalarValue>,
    _named: Vec<(String, ScalarValue)>,
) -> Result<Arc<dyn TableProvider>> {
    Err(Error::unsupported("table_changes is not available"))
}

/// Functions that need the lake.
pub(crate) fn register_functions(_context: &SessionContext, _lake: &Arc<Lake>) {}
