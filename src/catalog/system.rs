//! The schema `system`: what a session knows about itself. No folder of the lake stands behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::table::ScanLog;

/// The name of the schema.
pub(crate) const SYSTEM_SCHEMA: &str = "system";
/// The table that all sessions have in it.
const SCANS: &str = "scans";

/// The schema of a session.
#[derive(Debug)]
pub(super) struct SystemSchema {
    pub(super) scans: Arc<ScanLog>,
    /// What the program around the session adds.
    pub(super) others: BTreeMap<String, Arc<dyn TableProvider>>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        std::iter::once(SCANS.to_string())
            .chain(self.others.keys().cloned())
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == SCANS {
            let scans = self.scans.clone();
            return Ok(Some(Arc::new(ScansTable { scans })));
        }
        Ok(self.others.get(name).cloned())
    }

    fn table_exist(&self, name: &str) -> bool {
        name == SCANS || self.others.contains_key(name)
    }
}

/// `system.scans`: the last scans of the session's statements, oldest first.
#[derive(Debug)]
struct ScansTable {
    scans: Arc<ScanLog>,
}

#[async_trait]
impl TableProvider for ScansTable {
    fn schema(&self) -> SchemaRef {
        ScanLog::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.scans.rows()?;
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![rows]],
            self.schema(),
            projection.cloned(),
        )?)
    }
}
