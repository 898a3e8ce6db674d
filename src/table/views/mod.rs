//! What can be seen of a table besides its rows: `t$history`, `t$detail` and so on.

mod changes;
mod columns;
mod current_version;
mod detail;
mod files;
mod history;
mod partitions;
mod properties;

use std::sync::Arc;

use crate::log::Snapshot;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::ObjectName;
use posixlake_sql::Statement;

use super::{Definition, LakeTable};
use crate::catalog::{Lake, Point, TableId, View};
use crate::error::{Error, Result};

pub(crate) use changes::table_changes;
pub(crate) use files::{data_path, live_files};
pub(crate) use history::HistoryTable;
pub(crate) use partitions::{partition_column, partition_rows, partitions};
pub(crate) use properties::{hidden_property, properties};

/// The provider of a view of a table.
///
/// # Errors
/// Where the view cannot be made of this table.
pub(crate) async fn view(
    lake: &Arc<Lake>,
    id: TableId,
    table: Snapshot,
    at: Option<Point>,
    kind: View,
) -> Result<Arc<dyn TableProvider>> {
    match kind {
        View::History => Ok(Arc::new(HistoryTable::new(table))),
        View::Detail => rows(detail::detail(&id, &table).await?),
        View::Files => rows(files::files(&Definition::of(&table)?, &live_files(&table))?),
        View::Partitions => rows(partitions(&Definition::of(&table)?, &live_files(&table), true)?),
        View::Properties => rows(properties::rows(&properties(&Definition::of(&table)?))?),
        View::Changes => changes::all(lake, &id, table, at).await,
        View::Rows => Ok(Arc::new(LakeTable::try_new(lake.clone(), id, table, true, true)?)),
    }
}

/// A table of rows that stand.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn rows(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// Functions that need the lake.
pub(crate) fn register_functions(context: &SessionContext, lake: &Arc<Lake>) {
    context.register_udf(ScalarUDF::from(current_version::CurrentVersion::new(lake.clone())));
    context.register_udtf("table_changes", Arc::new(changes::TableChanges::new(lake.clone())));
}

/// The table name that stands in a text, as SQL spells it.
///
/// # Errors
/// Where the text is not exactly a table name.
pub(crate) fn table_name(text: &str) -> Result<ObjectName> {
    let mut parsed = posixlake_sql::parse(&format!("CHECKPOINT {text}")).unwrap_or_default();
    match (parsed.pop().map(|parsed| parsed.statement), parsed.is_empty()) {
        (Some(Statement::Checkpoint(name)), true) => Ok(name),
        _ => Err(Error::invalid(format!(
            "'{text}' is not a table name; write it as in SQL: t, schema.t, `any name`, or delta.`/path/to/table`"
        ))),
    }
}

/// Waits for `work` where waiting is not possible: on a thread of its own, on the caller's runtime where other threads of
/// it go on working, else on a small one.
///
/// # Errors
/// The work's own.
pub(crate) fn wait_for<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    use tokio::runtime::{Builder, Handle, RuntimeFlavor};
    let shared = Handle::try_current()
        .ok()
        .filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    let run = || match shared {
        Some(handle) => handle.block_on(work),
        None => match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(work),
            Err(error) => Err(Error::internal(format!("cannot start a runtime: {error}"))),
        },
    };
    std::thread::scope(|scope| {
        scope
            .spawn(run)
            .join()
            .unwrap_or_else(|_| Err(Error::internal("a look at a table's log panicked")))
    })
}
