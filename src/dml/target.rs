//! The table that a statement changes, at the version that the statement reads.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, ident, lit};
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;

use super::touched::Twice;
use super::validate::show;
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::{CommitActions, DataFile, Snapshot};
use crate::plan::Running;
use crate::table::{Definition, FILE, LakeTable, ROW, Rows, RowsTable};

/// A version of a table whose rows say where they lie.
#[derive(Clone)]
pub(super) struct Target {
    rows: Rows,
    /// Whether the statement also reads the table in another place, such as a subquery.
    read_elsewhere: bool,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.snapshot().url())
    }
}

impl Target {
    /// # Errors
    /// Where the table cannot be read, or has columns that are called as the places of rows are.
    pub(super) fn new(lake: &Lake, id: &TableId, snapshot: &Snapshot) -> Result<Self> {
        let rows = Rows::new(lake.stores().clone(), snapshot.clone(), &id.display(), true)?;
        Ok(Self {
            rows,
            read_elsewhere: false,
        })
    }

    /// Takes note of what a plan reads besides the target's own rows.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn noting(mut self, plan: &LogicalPlan) -> Result<Self> {
        let url = self.snapshot().url().clone();
        let mut elsewhere = false;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && let Some(table) = provider.downcast_ref::<LakeTable>()
                && table.is_at(&url)
            {
                elsewhere = true;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        self.read_elsewhere = elsewhere;
        Ok(self)
    }

    pub(super) fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(RowsTable(self.rows.clone()))
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        self.rows.snapshot()
    }

    /// Whether the statement would have read rows that a commit brought, or (where it reads the whole table) took away.
    ///
    /// # Errors
    /// Where the commit's files cannot be understood.
    pub(super) fn may_have_read(&self, commit: &CommitActions) -> Result<bool> {
        // What a compaction writes was there before; what it took away, its places tell.
        let changed = commit.adds.iter().filter(|add| add.data_change);
        if self.read_elsewhere {
            return Ok(changed.count() > 0 || commit.removes.iter().any(|remove| remove.data_change));
        }
        // A file that comes back with another deletion vector brings no rows.
        let again = |path: &String| commit.removes.iter().any(|remove| remove.path == *path);
        let new = changed.filter(|add| !again(&add.path));
        let new: Vec<Arc<DataFile>> = new.map(|add| Arc::new(DataFile::new(add.clone()))).collect();
        self.rows.may_match(new)
    }
}

/// A row by its place, as an error shows it: its key, or its first columns.
pub(super) async fn show_row(
    lake: &Lake,
    id: &TableId,
    snapshot: &Snapshot,
    definition: &Definition,
    place: &Twice,
    running: &Running,
) -> String {
    let found: BoxFuture<'_, Result<Vec<RecordBatch>>> = Box::pin(async {
        let rows = Rows::new(lake.stores().clone(), snapshot.clone(), &id.display(), true)?;
        let row = i64::try_from(place.row).unwrap_or_default();
        let rows = SessionContext::new_with_state(running.state())
            .read_table(Arc::new(RowsTable(rows)))?
            .filter(ident(FILE).eq(lit(place.file.as_str())).and(ident(ROW).eq(lit(row))))?;
        let key = definition.primary_key();
        let columns: Vec<String> = match key.is_empty() {
            false => key,
            true => definition.fields().map(|field| field.name().clone()).collect(),
        };
        let rows = rows.select(columns.iter().map(ident))?;
        Ok(rows.collect().await?)
    });
    match found.await {
        Ok(batches) => match batches.iter().find(|batch| batch.num_rows() > 0) {
            Some(batch) => show(batch, 0),
            None => format!("{} of file {}", place.row, place.file),
        },
        Err(_) => format!("{} of file {}", place.row, place.file),
    }
}
