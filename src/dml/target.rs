//! The table that a statement changes, at the version that the statement reads.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{LogicalPlan, ident, lit};
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::Add;
use futures::future::BoxFuture;

use super::touched::Twice;
use super::validate::show;
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::{CommitActions, DataFile, Snapshot};
use crate::plan::Running;
use crate::table::{Definition, FILE, ROW, Rows, RowsTable, readings};

/// A version of a table whose rows say where they lie.
#[derive(Clone)]
pub(super) struct Target {
    rows: Rows,
    /// Whether the statement also reads the table in another place, such as a subquery, or may.
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
        let readings = readings(plan, self.snapshot().url())?;
        self.read_elsewhere = readings.version.is_some() || readings.others;
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
    pub(super) async fn may_have_read(&self, commit: &CommitActions) -> Result<bool> {
        // What a compaction writes was there before; what it took away, its places tell.
        let changed: Vec<&Add> = commit.adds.iter().filter(|add| add.data_change).collect();
        if self.read_elsewhere {
            return Ok(!changed.is_empty() || commit.removes.iter().any(|remove| remove.data_change));
        }
        let mut new = Vec::new();
        for add in changed {
            // A file that comes back with more rows hidden brings none; going back to an older state may.
            let before = commit.removes.iter().find(|remove| remove.path == add.path);
            let brings_none = match before {
                Some(remove) => self.rows.keeps_hidden(remove, add).await,
                None => false,
            };
            if !brings_none {
                new.push(Arc::new(DataFile::new(add.clone())));
            }
        }
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
