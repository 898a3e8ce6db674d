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

use super::Lake;
use crate::monitor;
use crate::table::ScanLog;

/// The name of the schema.
pub(crate) const SYSTEM_SCHEMA: &str = "system";
/// Its tables, beside those of the monitor.
const SCANS: &str = "scans";

/// The names of its tables: those that all sessions have, and others.
pub(super) fn names(others: &BTreeMap<String, Arc<dyn TableProvider>>) -> Vec<String> {
    let common = monitor::TABLES.into_iter().chain([SCANS]).map(str::to_string);
    common.chain(others.keys().cloned()).collect()
}

/// The schema of a session.
#[derive(Debug)]
pub(super) struct SystemSchema {
    pub(super) lake: Arc<Lake>,
    /// What the program around the session adds.
    pub(super) others: BTreeMap<String, Arc<dyn TableProvider>>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        names(&self.others)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == SCANS {
            let scans = self.lake.scans().clone();
            return Ok(Some(Arc::new(ScansTable { scans })));
        }
        Ok(monitor::table(&self.lake, name).or_else(|| self.others.get(name).cloned()))
    }

    fn table_exist(&self, name: &str) -> bool {
        names(&self.others).iter().any(|table| table == name)
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
