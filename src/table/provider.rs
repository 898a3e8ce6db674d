//! The rows of one version of a table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::DeltaTable;
use deltalake_core::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake_core::kernel::EagerSnapshot;

use crate::catalog::{Lake, TableId};
use crate::dml::{InsertCommand, Overwrite};
use crate::error::Error;
use crate::plan::SinkExec;

/// A table of the lake at the version that the statement sees.
#[derive(Debug)]
pub(crate) struct LakeTable {
    lake: Arc<Lake>,
    id: TableId,
    table: DeltaTable,
    scan: DeltaScanNext,
    /// Past versions are read only.
    pinned: bool,
}

impl LakeTable {
    /// The table as loaded.
    ///
    /// # Errors
    /// Where the table's protocol asks for a feature that cannot be read.
    pub(crate) fn try_new(lake: Arc<Lake>, id: TableId, table: DeltaTable, pinned: bool) -> crate::Result<Self> {
        let snapshot: Arc<EagerSnapshot> = Arc::new(table.snapshot()?.snapshot().clone());
        let scan = DeltaScanNext::new(snapshot, DeltaScanConfig::new().with_wrap_partition_values(false))
            .map_err(|error| unreadable(&id, error))?;
        Ok(Self {
            lake,
            id,
            table,
            scan,
            pinned,
        })
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

fn unreadable(id: &TableId, error: DataFusionError) -> Error {
    let error = Error::from(error);
    Error::unsupported(format!("table {} cannot be read: {}", id.display(), error.message())).with_source(error)
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
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
        self.table.update_datafusion_session(state).map_err(Error::from)?;
        self.scan.scan(state, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.scan.supports_filters_pushdown(filters)
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
