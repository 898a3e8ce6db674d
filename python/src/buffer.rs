//! Rows of a table that wait to be written together.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemTable;
use parking_lot::Mutex;
use posixlake::sql::quote_identifier;
use posixlake::{Error, Result, Session};
use pyo3::prelude::*;

use crate::error::{named, raise};
use crate::runtime::wait;
use crate::session::Engine;

/// What the rows are called in the statement that writes them.
const ROWS: &str = "new_rows";

/// Rows that have values for the same columns.
#[derive(Debug, Clone)]
struct Group {
    keys: BTreeSet<String>,
    batches: Vec<RecordBatch>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The table's columns as they were when the first row came.
    schema: Option<SchemaRef>,
    groups: Vec<Group>,
    rows: usize,
}

/// JSON rows for one table. Those of a statement that failed stay.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct JsonRows {
    session: Session,
    table: String,
    waiting: Mutex<Waiting>,
    /// Held while rows are written, so that they are written once.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[pymethods]
impl JsonRows {
    #[new]
    fn new(engine: &Engine, table: String) -> Self {
        Self {
            session: engine.session().clone(),
            table,
            waiting: Mutex::default(),
            writing: Arc::default(),
        }
    }

    /// Writes a JSON array's rows at once; how many there were.
    fn insert(&self, py: Python<'_>, text: &str) -> PyResult<usize> {
        let schema = self.schema(py)?;
        let group = decoded(py, text, &schema)?;
        let rows = group.rows();
        let (session, table) = (self.session.clone(), self.table.clone());
        wait(py, async move { write(&session, &table, group).await })?;
        Ok(rows)
    }

    /// Keeps a JSON array's rows; how many there were.
    fn add(&self, py: Python<'_>, text: &str) -> PyResult<usize> {
        let known = self.waiting.lock().schema.clone();
        let schema = match known {
            Some(schema) => schema,
            None => self.schema(py)?,
        };
        let group = decoded(py, text, &schema)?;
        let added = group.rows();
        let mut waiting = self.waiting.lock();
        waiting.schema = Some(schema);
        waiting.rows += added;
        match waiting.groups.last_mut() {
            Some(last) if last.keys == group.keys => last.batches.extend(group.batches),
            _ => waiting.groups.push(group),
        }
        Ok(added)
    }

    fn __len__(&self) -> usize {
        self.waiting.lock().rows
    }

    /// Writes what waits; how many rows. Where that fails, what is not written waits on.
    fn flush(&self, py: Python<'_>) -> PyResult<usize> {
        let writing = self.writing.clone();
        let turn = wait(py, async move { Ok(writing.lock_owned().await) })?;
        let mut taken = mem::take(&mut *self.waiting.lock());
        let mut written = 0;
        while !taken.groups.is_empty() {
            let group = taken.groups.remove(0);
            let (session, table, again) = (self.session.clone(), self.table.clone(), group.clone());
            if let Err(error) = wait(py, async move { write(&session, &table, group).await }) {
                taken.groups.insert(0, again);
                let mut waiting = self.waiting.lock();
                taken.groups.append(&mut waiting.groups);
                waiting.rows = taken.groups.iter().map(Group::rows).sum();
                waiting.groups = taken.groups;
                return Err(error);
            }
            written += again.rows();
        }
        drop(turn);
        Ok(written)
    }

    /// Forgets what waits: it is another process's.
    fn forget(&self) {
        *self.waiting.lock() = Waiting::default();
    }
}

impl JsonRows {
    fn schema(&self, py: Python<'_>) -> PyResult<SchemaRef> {
        let (session, sql) = (self.session.clone(), format!("SELECT * FROM {}", self.table));
        wait(py, async move {
            Ok(Arc::new(session.sql(&sql).await?.schema().as_arrow().clone()))
        })
    }
}

impl Group {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

fn decoded(py: Python<'_>, text: &str, schema: &SchemaRef) -> PyResult<Group> {
    let decoded = py.detach(|| crate::json::decode(text, schema));
    match decoded {
        Ok((batches, keys)) if !batches.is_empty() => Ok(Group { keys, batches }),
        Ok(_) => Err(named(py, "Empty", "No data to insert")),
        Err(error) if error.kind() == posixlake::ErrorKind::Schema => Err(raise(py, &error)),
        Err(error) => Err(named(py, crate::json::kind_of(&error), error.message())),
    }
}

async fn write(session: &Session, table: &str, group: Group) -> Result<()> {
    let Some(first) = group.batches.first() else {
        return Ok(());
    };
    let schema = first.schema();
    let rows = concat_batches(&schema, &group.batches)?;
    let expected = rows.num_rows();
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| group.keys.contains(field.name()))
        .map(|field| quote_identifier(field.name()))
        .collect();
    if columns.is_empty() {
        return Err(Error::schema("the rows have no values: {}"));
    }
    let columns = columns.join(", ");
    let rows = MemTable::try_new(schema, vec![vec![rows]])?;
    let given = HashMap::from([(ROWS.to_string(), Arc::new(rows) as _)]);
    let sql = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {ROWS}");
    let result = session.with_tables(given).sql(&sql).await?.collect().await?;
    let count = result
        .first()
        .and_then(|batch| {
            batch
                .column(0)
                .as_any()
                .downcast_ref::<UInt64Array>()
                .filter(|column| !column.is_empty())
        })
        .map(|column| column.value(0));
    match count {
        Some(count) if count as usize != expected => Err(Error::internal(format!(
            "{expected} rows were given, and {count} written"
        ))),
        _ => Ok(()),
    }
}
