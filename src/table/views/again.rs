//! What is seen of a table at one moment, and how to look again.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

type Look = dyn Fn() -> BoxFuture<'static, crate::Result<Arc<dyn TableProvider>>> + Send + Sync;

/// A table that was made from the state of another at one moment.
pub(crate) struct Momentary {
    seen: Arc<dyn TableProvider>,
    look: Arc<Look>,
}

impl Momentary {
    pub(super) fn new(
        seen: Arc<dyn TableProvider>,
        look: impl Fn() -> BoxFuture<'static, crate::Result<Arc<dyn TableProvider>>> + Send + Sync + 'static,
    ) -> Self {
        let look = Arc::new(look);
        Self { seen, look }
    }

    /// The table as it is at this moment.
    ///
    /// # Errors
    /// Where it cannot be made any more.
    pub(crate) async fn again(&self) -> crate::Result<Self> {
        let look = self.look.clone();
        let seen = look().await?;
        Ok(Self { seen, look })
    }
}

impl fmt::Debug for Momentary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.fmt(f)
    }
}

#[async_trait]
impl TableProvider for Momentary {
    fn schema(&self) -> SchemaRef {
        self.seen.schema()
    }

    fn table_type(&self) -> TableType {
        self.seen.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.seen.scan(state, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.seen.supports_filters_pushdown(filters)
    }
}
