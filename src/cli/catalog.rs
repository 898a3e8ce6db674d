//! The names in the session, for completion.

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::CatalogProvider;
use tokio::runtime::Handle;

use super::completion::Names;
use super::functions;
use crate::session::Session;

/// How long the Tab key may wait for a store.
const PATIENCE: Duration = Duration::from_secs(2);

/// The session's names. To be asked outside of asynchronous code only.
pub(crate) struct Catalog {
    session: Session,
    runtime: Handle,
}

impl Catalog {
    pub(crate) fn new(session: Session, runtime: Handle) -> Self {
        Self { session, runtime }
    }

    /// The default catalog and the name of its default schema.
    fn default(&self) -> Option<(Arc<dyn CatalogProvider>, String)> {
        let config = self.session.context().copied_config();
        let defaults = &config.options().catalog;
        let catalog = self.session.context().catalog(&defaults.default_catalog)?;
        Some((catalog, defaults.default_schema.clone()))
    }

    /// Runs what may have to wait, in the session's own runtime, and gives up when it takes long.
    fn wait<T: Default>(&self, work: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap_or_default() })
    }
}

impl Names for Catalog {
    fn schemas(&self) -> Vec<String> {
        self.wait(async {
            let Some((catalog, default)) = self.default() else {
                return Vec::new();
            };
            catalog
                .schema_names()
                .into_iter()
                .filter(|name| *name != default)
                .collect()
        })
    }

    fn tables(&self, schema: Option<&str>) -> Vec<String> {
        self.wait(async {
            let Some((catalog, default)) = self.default() else {
                return Vec::new();
            };
            let schema = catalog.schema(schema.unwrap_or(&default));
            schema.map(|schema| schema.table_names()).unwrap_or_default()
        })
    }

    fn columns(&self, table: &[String]) -> Vec<String> {
        self.wait(async {
            let Some((catalog, default)) = self.default() else {
                return Vec::new();
            };
            let (schema, table) = match table {
                [table] => (default.as_str(), table),
                [.., schema, table] => (schema.as_str(), table),
                [] => return Vec::new(),
            };
            let Some(schema) = catalog.schema(schema) else {
                return Vec::new();
            };
            match schema.table(table).await {
                Ok(Some(table)) => table
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect(),
                _ => Vec::new(),
            }
        })
    }

    fn functions(&self) -> Vec<String> {
        functions::names(&self.session.context().state())
    }
}
