//! The rows of one version of a table.

use std::sync::Arc;

use crate::log::Snapshot;
use crate::table::{Rows, RowsTable};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use posixlake_sql::Privilege;
use url::Url;

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::dml::{InsertCommand, Overwrite};
use crate::error::Error;
use crate::plan::SinkExec;

/// A table of the lake at the version that the statement sees.
#[derive(Debug)]
pub(crate) struct LakeTable {
    lake: Arc<Lake>,
    id: TableId,
    rows: Rows,
    /// Past versions are read only.
    pinned: bool,
}

impl LakeTable {
    /// The table as loaded.
    ///
    /// # Errors
    /// Where the table's protocol asks for a feature that cannot be read.
    pub(crate) fn try_new(
        lake: Arc<Lake>,
        id: TableId,
        table: Snapshot,
        pinned: bool,
        identity: bool,
    ) -> crate::Result<Self> {
        let rows = Rows::new(lake.stores().clone(), table, &id.display(), identity)?;
        Ok(Self { lake, id, rows, pinned })
    }

    /// The table, where it is read as it is, and not at a past version; and whether its rows say where they lie.
    pub(crate) fn latest_id(&self) -> Option<(&TableId, bool)> {
        (!self.pinned).then_some((&self.id, self.rows.has_identity()))
    }

    /// The version, where it is the latest of the table in this folder.
    fn version_of(&self, url: &Url) -> Option<u64> {
        (!self.pinned && self.rows.snapshot().url() == url).then(|| self.rows.snapshot().version())
    }

    pub(crate) fn url(&self) -> &Url {
        &self.id.url
    }

    fn check(&self, privilege: Privilege) -> Result<()> {
        let touch = Touch::Table(self.id.url.clone(), privilege);
        Ok(self.lake.access().check(&[touch])?)
    }

    fn refuse(&self, statement: &str) -> DataFusionError {
        let reason = if self.pinned {
            format!("{} is a past version, which cannot be changed", self.id.display())
        } else if self.rows.has_identity() {
            format!(
                "{}$rows shows where rows lie; {statement} takes the table itself, whose rows may be named by _file and _row",
                self.id.display()
            )
        } else {
            format!(
                "{statement} of a Delta table needs posixlake's planner: run it through posixlake::Session (or a context \
                 that posixlake::install was called on)"
            )
        };
        Error::unsupported(reason).into()
    }
}

/// What a plan reads of one table besides that table's own rows under a change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readings {
    /// The version of the table that is read as it is, and not at a past version.
    pub(crate) version: Option<u64>,
    /// Whether there are relations that do not tell what they are made of: they may read the table, too.
    pub(crate) others: bool,
}

/// What a plan reads of the table in this folder.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn readings(plan: &LogicalPlan, url: &Url) -> crate::Result<Readings> {
    let mut found = Readings::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            if let Some(table) = provider.downcast_ref::<LakeTable>() {
                found.version = found.version.or(table.version_of(url));
            } else if let Some(view) = provider.get_logical_plan() {
                let inner = readings(&view, url)?;
                found.version = found.version.or(inner.version);
                found.others |= inner.others;
            } else if !provider.is::<RowsTable>() {
                found.others = true;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Plans of other planners come here without having been checked.
        self.check(Privilege::Select)?;
        self.rows.scan(state, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(self.rows.pushdown(filters))
    }

    /// `INSERT` as DataFusion's own planner has it: by position, over all columns.
    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.pinned || self.rows.has_identity() {
            return Err(self.refuse("INSERT"));
        }
        let overwrite = match op {
            InsertOp::Append => Overwrite::Nothing,
            InsertOp::Overwrite => Overwrite::All,
            InsertOp::Replace => return Err(Error::unsupported("REPLACE INTO is not supported; use MERGE").into()),
        };
        self.check(Privilege::Insert)?;
        if !matches!(overwrite, Overwrite::Nothing) {
            self.check(Privilege::Delete)?;
        }
        let command = InsertCommand::new(self.lake.clone(), self.id.clone(), overwrite, None);
        Ok(Arc::new(SinkExec::new(input, Arc::new(command))))
    }

    async fn delete_from(&self, _: &dyn Session, _: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        Err(self.refuse("DELETE"))
    }

    async fn update(&self, _: &dyn Session, _: Vec<(String, Expr)>, _: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        Err(self.refuse("UPDATE"))
    }

    async fn truncate(&self, _: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        Err(self.refuse("TRUNCATE"))
    }

    async fn merge_into(
        &self,
        _: &dyn Session,
        _: Arc<dyn ExecutionPlan>,
        _: DFSchemaRef,
        _: Expr,
        _: Vec<MergeIntoClause>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(self.refuse("MERGE"))
    }
}
