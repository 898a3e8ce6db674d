//! The lake as DataFusion sees it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::TableType;
use posixlake_sql::Privilege;

use super::session_views::current;
use super::system::{SYSTEM_SCHEMA, SystemSchema};
use super::{DEFAULT_SCHEMA, LOCATION_SCHEMA, Lake, TableId, TableName};
use crate::access::Touch;
use crate::error::ErrorKind;
use crate::table::{LakeTable, view};

/// The catalog `lake`.
#[derive(Debug)]
pub(crate) struct LakeCatalog {
    lake: Arc<Lake>,
}

impl LakeCatalog {
    pub(crate) fn new(lake: Arc<Lake>) -> Self {
        Self { lake }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.lake.schema_names()
    }

    /// A schema is a folder; whether it is there shows when a table in it is named.
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == "information_schema" {
            return None;
        }
        if name == SYSTEM_SCHEMA {
            let lake = self.lake.clone();
            return Some(Arc::new(SystemSchema { lake }));
        }
        Some(Arc::new(LakeSchema {
            lake: self.lake.clone(),
            name: name.to_string(),
        }))
    }

    /// `CREATE SCHEMA`: a schema needs no more than a name, its folder comes with its first table.
    fn register_schema(
        &self,
        _name: &str,
        _schema: Arc<dyn SchemaProvider>,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        Ok(None)
    }

    fn deregister_schema(&self, name: &str, cascade: bool) -> Result<Option<Arc<dyn SchemaProvider>>> {
        let tables = self.lake.table_names(name);
        if name == DEFAULT_SCHEMA || !tables.is_empty() {
            let hint = if cascade { "CASCADE is not supported; " } else { "" };
            return Err(DataFusionError::Plan(format!(
                "schema {name} cannot be dropped while it has tables; {hint}drop its tables first"
            )));
        }
        Ok(None)
    }
}

/// A schema of the lake.
#[derive(Debug)]
pub(crate) struct LakeSchema {
    lake: Arc<Lake>,
    name: String,
}

impl LakeSchema {
    fn is_function(&self, name: &str) -> crate::Result<bool> {
        Ok(self.name == DEFAULT_SCHEMA && self.lake.session_state()?.table_functions().contains_key(name))
    }

    async fn lake_table(&self, name: &str) -> crate::Result<Option<Arc<dyn TableProvider>>> {
        let parsed = match (self.name.as_str(), TableName::parse(name)) {
            (_, Ok(parsed)) => parsed,
            // A location may hold any sign.
            (LOCATION_SCHEMA, Err(_)) => TableName {
                base: name.to_string(),
                at: None,
                view: None,
            },
            (_, Err(error)) => return Err(error),
        };
        let Ok(url) = self.lake.locate(&self.name, &parsed.base) else {
            return Ok(None);
        };
        let id = TableId {
            schema: self.name.clone(),
            name: parsed.base.clone(),
            url,
        };
        let Some(latest) = self.lake.snapshots().latest(&id.url).await? else {
            return Ok(None);
        };
        let table = match parsed.at {
            Some(point) => self.lake.open_at(&id, point).await?,
            None => latest,
        };
        if parsed.view.is_some() {
            self.lake
                .access()
                .check(&[Touch::Table(id.url.clone(), Privilege::Select)])?;
        }
        match parsed.view {
            Some(kind) => Ok(Some(view(&self.lake, id, table, parsed.at, kind).await?)),
            None => Ok(Some(Arc::new(LakeTable::try_new(
                self.lake.clone(),
                id,
                table,
                parsed.at.is_some(),
                false,
            )?))),
        }
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.lake.table_names(&self.name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.lake.registered(&self.name, name) {
            return Ok(Some(current(&self.lake, table).await?));
        }
        match self.lake_table(name).await {
            Ok(Some(table)) => return Ok(Some(table)),
            Ok(None) => {}
            // DataFusion asks for tables by the names of table functions, too.
            Err(error) if error.kind() == ErrorKind::Permission && self.is_function(name)? => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if self.name == DEFAULT_SCHEMA && posixlake_udfs::FileFormat::of_path(name).is_some() {
            self.lake.access().check(&[Touch::Files(name.to_string())])?;
            let state = self.lake.session_state()?;
            return Ok(Some(posixlake_udfs::open_path(&state, name).await?));
        }
        Ok(None)
    }

    /// Without opening the table: listings ask this of every name.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        match self.lake.registered(&self.name, name) {
            Some(table) => Ok(Some(table.table_type())),
            None => Ok(Some(TableType::Base)),
        }
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.lake.register(&self.name, name, table))
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.lake.deregister(&self.name, name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.lake.exists_locally(&self.name, name)
    }
}
