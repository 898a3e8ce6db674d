//! The rows of a statement.

use std::collections::HashMap;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use tokio::sync::mpsc::{Receiver, channel};

use crate::arrow_stream::{Batches, export, export_schema};
use crate::error::{named, raise};
use crate::runtime::{handle, unlocked};

/// Batches that are made ahead of their reader.
const AHEAD: usize = 2;

enum Source {
    /// Rows that stand in memory, and can be read again.
    Batches(Vec<RecordBatch>),
    /// Rows that are made while they are read, once.
    Stream(Mutex<Option<SendableRecordBatchStream>>),
}

/// The rows that a statement gave, by Arrow's PyCapsule interface.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct Rows {
    schema: SchemaRef,
    source: Source,
}

impl Rows {
    pub(crate) fn batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self {
            schema,
            source: Source::Batches(batches),
        }
    }

    pub(crate) fn stream(stream: SendableRecordBatchStream) -> Self {
        Self {
            schema: stream.schema(),
            source: Source::Stream(Mutex::new(Some(stream))),
        }
    }

    fn reader(&self, py: Python<'_>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
        match &self.source {
            Source::Batches(batches) => Ok(Box::new(Batches {
                schema: self.schema.clone(),
                batches: batches.clone().into_iter(),
            })),
            Source::Stream(stream) => {
                let stream = stream.lock().take().ok_or_else(|| {
                    named(
                        py,
                        "Closed",
                        "these rows were read already: a stream is read once; run the statement again",
                    )
                })?;
                Ok(Box::new(Flowing::start(stream).map_err(|error| raise(py, &error))?))
            }
        }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub(crate) fn collected(&self, py: Python<'_>) -> PyResult<Vec<RecordBatch>> {
        let reader = self.reader(py)?;
        let batches: Result<Vec<RecordBatch>, ArrowError> = py.detach(|| reader.collect());
        batches.map_err(|error| raise(py, &error.into()))
    }
}

#[pymethods]
impl Rows {
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A request that may be ignored, by the interface's rules.
        drop(requested_schema);
        export(py, self.reader(py)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, &self.schema)
    }

    /// The columns' names.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The rows as texts by column.
    fn texts(&self, py: Python<'_>) -> PyResult<Vec<HashMap<String, String>>> {
        let batches = self.collected(py)?;
        let rows = py.detach(|| texts(&batches));
        rows.map_err(|error| raise(py, &error.into()))
    }

    /// The rows as a JSON array.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        let batches = self.collected(py)?;
        let text = py.detach(|| crate::json::encode(&batches, &self.schema));
        text.map_err(|error| raise(py, &error))
    }

    /// The rows as a table of text.
    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        let batches = self.collected(py)?;
        let text = pretty_format_batches(&batches).map_err(|error| raise(py, &error.into()))?;
        Ok(text.to_string())
    }
}

fn texts(batches: &[RecordBatch]) -> Result<Vec<HashMap<String, String>>, ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = schema.fields().iter().zip(&columns);
            let cells = cells.map(|(field, column)| Ok((field.name().clone(), column.value(row).try_to_string()?)));
            rows.push(cells.collect::<Result<_, ArrowError>>()?);
        }
    }
    Ok(rows)
}

/// A stream read by a thread that may hold Python's lock. Dropped, it ends the statement.
struct Flowing {
    schema: SchemaRef,
    batches: Receiver<Result<RecordBatch, ArrowError>>,
}

impl Flowing {
    fn start(mut stream: SendableRecordBatchStream) -> posixlake::Result<Self> {
        let schema = stream.schema();
        let (sender, batches) = channel(AHEAD);
        handle()?.spawn(async move {
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(|error| ArrowError::ExternalError(Box::new(posixlake::Error::from(error))));
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self { schema, batches })
    }
}

impl Iterator for Flowing {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        unlocked(|| self.batches.blocking_recv())
    }
}

impl RecordBatchReader for Flowing {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
