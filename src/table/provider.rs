//! The rows of one version of a table.

use std::sync::Arc;

use crate::log::Snapshot;
use crate::table::Rows;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

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

    /// Whether it is the table in this folder, at whatever version.
    pub(crate) fn is_at(&self, url: &url::Url) -> bool {
        self.rows.snapshot().url() == url && !self.pinned
    }

    fn refuse(&self, statement: &str) -> DataFusionError {
        let reason = if self.pinned {
            format!("{} is a past version, which cannot be changed", self.id.display())
        } else {
            format!(
                "{statement} of a Delta table needs posixlake's planner: run it through posixlake::Session (or a context \
                 that posixlake::install was called on)"
            )
        };
        Error::unsupported(reason).into()
    }
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
        if self.pinned {
            return Err(self.refuse("INSERT"));
        }
        let overwrite = match op {
            InsertOp::Append => Overwrite::Nothing,
            InsertOp::Overwrite => Overwrite::All,
            InsertOp::Replace => return Err(Error::unsupported("REPLACE INTO is not supported; use MERGE").into()),
        };
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
