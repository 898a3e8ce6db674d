//! Python objects with Arrow's PyCapsule interface as tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use arrow::ffi_stream::ArrowArrayStreamReader;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::arrow_stream::import;
use crate::error::named;

/// An object that gives its rows as often as it is asked to; one that can give them once is read once.
struct Source {
    object: Py<PyAny>,
    schema: SchemaRef,
    /// The stream whose schema was looked at: for an object that can be read once, the only one.
    first: Mutex<Option<ArrowArrayStreamReader>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// The objects as tables of these names.
///
/// # Errors
/// Where one is not Arrow's.
pub(crate) fn tables(
    py: Python<'_>,
    objects: HashMap<String, Bound<'_, PyAny>>,
) -> PyResult<HashMap<String, Arc<dyn TableProvider>>> {
    let table = |(name, object): (String, Bound<'_, PyAny>)| {
        let first = import(&object)
            .map_err(|error| named(py, "Invalid", &format!("'{name}' cannot be read as a table: {error}")))?;
        let source = Source {
            schema: first.schema(),
            object: object.unbind(),
            first: Mutex::new(Some(first)),
        };
        let schema = source.schema.clone();
        let table = StreamingTable::try_new(schema, vec![Arc::new(source)])
            .map_err(|error| crate::error::raise(py, &error.into()))?;
        Ok((name, Arc::new(table) as Arc<dyn TableProvider>))
    };
    objects.into_iter().map(table).collect()
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut rows = RecordBatchReceiverStream::builder(self.schema.clone(), 2);
        let sender = rows.tx();
        let first = self.first.lock().take();
        let object = Python::attach(|py| self.object.clone_ref(py));
        rows.spawn_blocking(move || {
            let reader = match first {
                Some(first) => first,
                None => Python::attach(|py| import(object.bind(py)))
                    .map_err(|error| DataFusionError::Execution(error.to_string()))?,
            };
            for batch in reader {
                if sender.blocking_send(batch.map_err(Into::into)).is_err() {
                    // Nobody reads on: a LIMIT is reached, or the statement was cancelled.
                    break;
                }
            }
            Ok(())
        });
        rows.build()
    }
}
