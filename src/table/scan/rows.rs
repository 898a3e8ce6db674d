//! Rows without columns: how many there are is all that is asked, and the log knows it.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

/// Rows of a batch, and how many batches there are at most.
const BATCH: usize = 8192;
const BATCHES: usize = 1 << 16;

/// The plan of so many rows.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn without_columns(rows: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema: SchemaRef = Arc::new(Schema::empty());
    let size = BATCH.max(rows.div_ceil(BATCHES));
    let mut batches = Vec::with_capacity(rows.div_ceil(size));
    let mut left = rows;
    while left > 0 {
        let count = left.min(size);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        batches.push(RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)?);
        left -= count;
    }
    Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
}
