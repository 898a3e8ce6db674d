//! The lake as a catalog. Its tables are the session's, and what the other DataFusion makes or drops here is one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::TableType;
use datafusion_ffi::table_provider::ForeignTableProvider;
use posixlake::Session;
use posixlake::sql::quote_identifier;

use crate::runtime::wait_elsewhere;
use crate::view::{View, here, noted};

/// The name that the session has the lake under.
const LAKE: &str = "lake";
/// What the rows of a new table are called in the statement that makes it.
const ROWS: &str = "rows_of_the_new_table";

/// The catalog.
pub(super) struct LakeCatalog {
    session: Session,
}

impl LakeCatalog {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    fn inner(&self) -> Option<Arc<dyn CatalogProvider>> {
        self.session.context().catalog(LAKE)
    }
}

impl std::fmt::Debug for LakeCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LakeCatalog")
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner().map(|inner| inner.schema_names()).unwrap_or_default()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner()?.schema(name)?;
        Some(Arc::new(LakeSchema {
            session: self.session.clone(),
            name: name.to_string(),
            inner,
        }))
    }

    fn register_schema(&self, name: &str, schema: Arc<dyn SchemaProvider>) -> Result<Option<Arc<dyn SchemaProvider>>> {
        match self.inner() {
            Some(inner) => inner.register_schema(name, schema),
            None => Ok(None),
        }
    }

    fn deregister_schema(&self, name: &str, cascade: bool) -> Result<Option<Arc<dyn SchemaProvider>>> {
        match self.inner() {
            Some(inner) => inner.deregister_schema(name, cascade),
            None => Ok(None),
        }
    }
}

/// A schema of the lake.
struct LakeSchema {
    session: Session,
    name: String,
    inner: Arc<dyn SchemaProvider>,
}

impl std::fmt::Debug for LakeSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeSchema")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl LakeSchema {
    /// The table's name in a statement.
    fn called(&self, table: &str) -> String {
        format!("{LAKE}.{}.{}", quote_identifier(&self.name), quote_identifier(table))
    }

    fn run(session: Session, sql: String) -> Result<()> {
        wait_elsewhere(async move {
            session.sql(&sql).await?.collect().await?;
            Ok(())
        })
        .map_err(Into::into)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let (session, inner, name) = (self.session.clone(), self.inner.clone(), name.to_string());
        here(async move {
            let table = noted(&session, &name, inner.table(&name).await).await?;
            let view = table.map(|table| View::table(session, &name, table)).transpose()?;
            Ok(view.map(|view| Arc::new(view) as Arc<dyn TableProvider>))
        })
        .await
    }

    /// `CREATE TABLE … AS` comes here with its rows and becomes a table of the lake. The plan of a view is the other's, and can be
    /// planned there alone.
    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = match table.downcast_ref::<ForeignTableProvider>() {
            Some(foreign) => Arc::<dyn TableProvider>::from(&foreign.0),
            None => table,
        };
        if table.table_type() == TableType::View {
            let own = quote_identifier(&name);
            return Err(posixlake::Error::unsupported(format!(
                "a view of this context cannot be part of the lake; make it in the context's own catalog: \
                 CREATE VIEW datafusion.public.{own} AS …"
            ))
            .into());
        }
        let sql = format!("CREATE TABLE {} AS SELECT * FROM {ROWS}", self.called(&name));
        let rows = HashMap::from([(ROWS.to_string(), table)]);
        Self::run(self.session.with_tables(rows), sql)?;
        Ok(None)
    }

    /// `DROP TABLE` and `DROP VIEW` come here.
    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(registered) = self.inner.deregister_table(name)? {
            return Ok(Some(registered));
        }
        Self::run(self.session.clone(), format!("DROP TABLE {}", self.called(name)))?;
        Ok(None)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}
