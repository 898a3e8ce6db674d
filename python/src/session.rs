//! A session of the engine.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as SqlStatement};
use posixlake::sql::{Parsed, Statement};
use posixlake::{Door, Error, ErrorKind, Session};
use pyo3::prelude::*;

use crate::error::{named, raise};
use crate::ffi::{CatalogCapsule, FunctionCapsule, TableCapsule};
use crate::rows::Rows;
use crate::runtime::wait;
use crate::source::tables;
use crate::view::View;

/// Objects that statements read by name.
type Objects<'py> = Option<HashMap<String, Bound<'py, PyAny>>>;
/// Tables of the lake that a statement reads by other names.
type Names = Option<HashMap<String, String>>;

/// A lake, and what runs statements on it. Threads may share it.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct Engine {
    session: Session,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (location = None, options = None, settings = None, memory_limit = None, user = None))]
    fn new(
        py: Python<'_>,
        location: Option<String>,
        options: Option<HashMap<String, String>>,
        settings: Option<HashMap<String, String>>,
        memory_limit: Option<usize>,
        user: Option<(String, String)>,
    ) -> PyResult<Self> {
        let mut builder = Session::builder()
            .options(options.unwrap_or_default())
            .door(Door::Python);
        if let Some(location) = location {
            builder = builder.lake(location);
        }
        if let Some((name, password)) = user {
            builder = builder.user(name, password);
        }
        if let Some(bytes) = memory_limit {
            builder = builder.memory_limit(bytes);
        }
        let session = wait(py, async move {
            let session = builder.build().await?;
            for (name, value) in settings.unwrap_or_default() {
                set(&session, &name, &value).await?;
            }
            Ok(session)
        })?;
        Ok(Self { session })
    }

    /// Runs the statement to its end, and returns its rows.
    #[pyo3(signature = (sql, tables = None, names = None))]
    fn execute(&self, py: Python<'_>, sql: String, tables: Objects<'_>, names: Names) -> PyResult<Rows> {
        let session = self.with(py, tables, names)?;
        wait(py, async move {
            let rows = session.sql(&sql).await?;
            let schema = Arc::new(rows.schema().as_arrow().clone());
            let batches = rows.collect().await?;
            let schema = batches.first().map_or(schema, |batch| batch.schema());
            Ok(Rows::batches(schema, batches))
        })
    }

    /// Begins a statement, whose rows are made while they are read.
    #[pyo3(signature = (sql, tables = None, names = None))]
    fn stream(&self, py: Python<'_>, sql: String, tables: Objects<'_>, names: Names) -> PyResult<Rows> {
        let session = self.with(py, tables, names)?;
        wait(py, async move {
            let rows = session.sql(&sql).await?;
            Ok(Rows::stream(rows.execute_stream().await?))
        })
    }

    /// A query's rows as a table for a DataFusion of another build; `keep` lives as long as the table.
    #[pyo3(signature = (sql, tables = None, keep = None))]
    fn view(
        &self,
        py: Python<'_>,
        sql: String,
        tables: Objects<'_>,
        keep: Option<Py<PyAny>>,
    ) -> PyResult<TableCapsule> {
        let session = self.with(py, tables, None)?;
        let view = wait(py, async move { View::query(session, &sql).await })?;
        Ok(TableCapsule::new(Arc::new(view.keeping(keep))))
    }

    /// Rows as a table for a DataFusion of another build; `keep` lives as long as the table.
    #[pyo3(signature = (rows, keep = None))]
    fn result(&self, py: Python<'_>, rows: &Rows, keep: Option<Py<PyAny>>) -> PyResult<TableCapsule> {
        let batches = rows.collected(py)?;
        let table = MemTable::try_new(rows.schema(), vec![batches]).map_err(|error| raise(py, &error.into()))?;
        let view = View::rows(self.session.clone(), Arc::new(table));
        let view = view.map_err(|error| raise(py, &error.into()))?;
        Ok(TableCapsule::new(Arc::new(view.keeping(keep))))
    }

    /// The lake as a catalog for a DataFusion of another build.
    fn catalog(&self) -> CatalogCapsule {
        CatalogCapsule::new(self.session.clone())
    }

    /// A table function for a DataFusion of another build: `posixlake_sql`, or one of the session's.
    fn function(&self, name: String) -> FunctionCapsule {
        FunctionCapsule::new(self.session.clone(), name)
    }

    /// The rows of a JSON array, with columns of the types that a query has.
    fn decode_json(&self, py: Python<'_>, text: String, query: String) -> PyResult<Rows> {
        let session = self.session.clone();
        let schema: SchemaRef = wait(py, async move {
            Ok(Arc::new(session.sql(&query).await?.schema().as_arrow().clone()))
        })?;
        let decoded = py.detach(|| crate::json::decode(&text, &schema));
        let (batches, _) = decoded.map_err(|error| match error.kind() {
            ErrorKind::Schema => raise(py, &error),
            _ => named(py, crate::json::kind_of(&error), error.message()),
        })?;
        let schema = batches.first().map_or_else(|| schema.clone(), |batch| batch.schema());
        Ok(Rows::batches(schema, batches))
    }

    /// A query's columns: name, type as `Field` spells it, whether it may be NULL.
    fn columns(&self, py: Python<'_>, sql: String) -> PyResult<Vec<(String, String, bool)>> {
        let session = self.session.clone();
        wait(py, async move {
            let rows = session.sql(&sql).await?;
            let fields = rows.schema().fields().iter();
            let column = |field: &FieldRef| {
                (
                    field.name().clone(),
                    crate::types::name(field.data_type()),
                    field.is_nullable(),
                )
            };
            Ok(fields.map(column).collect())
        })
    }

    /// Whether the lake has a table of this name.
    fn has_table(&self, py: Python<'_>, name: String) -> PyResult<bool> {
        let session = self.session.clone();
        wait(py, async move {
            Ok(session
                .context()
                .table_provider(TableReference::bare(name))
                .await
                .is_ok())
        })
    }

    /// Waits for the work behind statements.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let session = self.session.clone();
        wait(py, async move {
            session.close().await;
            Ok(())
        })
    }
}

impl Engine {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    fn with(&self, py: Python<'_>, objects: Objects<'_>, names: Names) -> PyResult<Session> {
        let mut given = match objects {
            Some(objects) => tables(py, objects)?,
            None => HashMap::new(),
        };
        if let Some(names) = names {
            let session = self.session.clone();
            given.extend(wait(py, async move {
                let mut found = HashMap::new();
                for (name, table) in names {
                    let table = session.context().table_provider(TableReference::bare(table)).await?;
                    found.insert(name, table);
                }
                Ok(found)
            })?);
        }
        Ok(if given.is_empty() {
            self.session.clone()
        } else {
            self.session.with_tables(given)
        })
    }
}

/// Makes a setting by SQL, which knows names and values.
///
/// # Errors
/// Where there is no such setting, or it does not take the value.
async fn set(session: &Session, name: &str, value: &str) -> posixlake::Result<()> {
    let spelled = |sign: char| sign.is_ascii_alphanumeric() || "_.".contains(sign);
    if name.is_empty() || !name.chars().all(spelled) {
        return Err(Error::invalid(format!(
            "settings: {name:?} is not the name of a setting, such as datafusion.execution.batch_size"
        )));
    }
    let statement = format!("SET {name} = '{}'", value.replace('\'', "''"));
    session.sql(&statement).await?.collect().await?;
    Ok(())
}

/// Whether the text is one statement that only reads.
#[pyfunction]
pub(crate) fn is_query(py: Python<'_>, sql: &str) -> PyResult<bool> {
    let parsed = single(sql).map_err(|error| raise(py, &error))?;
    Ok(reads(&parsed.statement))
}

/// The one statement of a text.
///
/// # Errors
/// Where there is none, or more than one.
pub(crate) fn single(sql: &str) -> posixlake::Result<Parsed> {
    let mut statements = posixlake::sql::parse(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::invalid("no statement in the text")),
        (Some(_), false) => Err(Error::invalid(
            "more than one statement in the text; run them one by one",
        )),
    }
}

/// Whether a statement is a query: nothing else may be run twice, or not at all, without harm.
pub(crate) fn reads(statement: &Statement) -> bool {
    let Statement::Native(native) = statement else {
        return false;
    };
    let NativeStatement::Statement(sql) = native.as_ref() else {
        return false;
    };
    let SqlStatement::Query(query) = sql.as_ref() else {
        return false;
    };
    // SELECT … INTO makes a table.
    !matches!(query.body.as_ref(), SetExpr::Select(select) if select.into.is_some())
}
