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
use crate::monitor;
use crate::table::ScanLog;

/// The name of the schema.
pub(crate) const SYSTEM_SCHEMA: &str = "system";
/// Its tables, beside those of the monitor and those that the program around the session adds.
const OWN: [&str; 2] = ["audit", "scans"];

/// The names of its tables, of those that the session's user may see.
pub(super) fn names(lake: &Lake) -> Vec<String> {
    let own = OWN.iter().chain(&monitor::TABLES);
    let own = own.filter(|name| **name != "audit" || lake.access().is_admin());
    own.map(ToString::to_string)
        .chain(lake.system_tables().into_keys())
        .collect()
}

/// The schema of a session.
#[derive(Debug)]
pub(super) struct SystemSchema {
    pub(super) lake: Arc<Lake>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        names(&self.lake)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(match name {
            "audit" => Some(audit_table(&self.lake).await?),
            "scans" => {
                let scans = self.lake.scans().clone();
                Some(Arc::new(ScansTable { scans }))
            }
            _ => monitor::table(&self.lake, name).or_else(|| self.lake.system_tables().remove(name)),
        })
    }

    fn table_exist(&self, name: &str) -> bool {
        names(&self.lake).iter().any(|table| table == name)
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
