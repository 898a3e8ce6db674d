//! The schema `system`: what a session knows about itself. No folder of the lake stands behind it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::Lake;
use crate::access::audit_table;
use crate::table::ScanLog;

/// The name of the schema.
pub(crate) const SYSTEM_SCHEMA: &str = "system";
/// Its tables.
pub(super) const SYSTEM_TABLES: [&str; 2] = ["audit", "scans"];

/// Those that the session's user may see.
pub(super) fn system_tables(lake: &Lake) -> Vec<String> {
    let tables = SYSTEM_TABLES
        .iter()
        .filter(|name| **name != "audit" || lake.access().is_admin());
    tables.map(ToString::to_string).collect()
}

/// The schema of a session.
#[derive(Debug)]
pub(super) struct SystemSchema {
    pub(super) lake: Arc<Lake>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        system_tables(&self.lake)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name {
            "audit" => Ok(Some(audit_table(&self.lake).await?)),
            "scans" => {
                let scans = self.lake.scans().clone();
                Ok(Some(Arc::new(ScansTable { scans })))
            }
            _ => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        SYSTEM_TABLES.contains(&name)
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
