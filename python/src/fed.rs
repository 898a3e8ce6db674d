//! Rows of the other DataFusion for a plan of the session. Its streams must be polled on threads of its own runtime, where the
//! session's plan must not run them: so whoever polls the result hands batches over.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Batches of a partition that wait for their reader.
const AHEAD: usize = 2;

/// One partition's rows.
#[derive(Debug)]
struct Fed {
    schema: SchemaRef,
    batches: Mutex<Option<Receiver<Result<RecordBatch>>>>,
}

impl PartitionStream for Fed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = futures::stream::unfold(self.batches.lock().take(), |batches| async {
            let mut batches = batches?;
            let batch = batches.recv().await?;
            Some((batch, Some(batches)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

/// Runs a plan whose inputs are the other's: those with the other's context, by whoever polls the stream, the plan with its own.
///
/// # Errors
/// Where one does not start.
pub(crate) fn execute(
    plan: &Arc<dyn ExecutionPlan>,
    own: Arc<TaskContext>,
    others: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let mut inputs = Vec::new();
    let mut pumps = Vec::new();
    for child in plan.children() {
        let mut partitions: Vec<Arc<dyn PartitionStream>> = Vec::new();
        for partition in 0..child.output_partitioning().partition_count() {
            let (sender, batches) = channel(AHEAD);
            pumps.push(pump(child.execute(partition, others.clone())?, sender));
            partitions.push(Arc::new(Fed {
                schema: child.schema(),
                batches: Mutex::new(Some(batches)),
            }));
        }
        let input = StreamingTableExec::try_new(child.schema(), partitions, None, Vec::new(), false, None)?;
        inputs.push(Arc::new(input) as Arc<dyn ExecutionPlan>);
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let rows = plan.clone().replace_children(inputs, options)?.execute(0, own)?;
    let schema = rows.schema();
    let both = async move {
        let (rows, _) = futures::join!(rows.try_collect::<Vec<RecordBatch>>(), join_all(pumps));
        rows
    };
    let rows = futures::stream::once(both)
        .map_ok(|batches| futures::stream::iter(batches.into_iter().map(Ok::<_, DataFusionError>)))
        .try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Hands over a stream's batches, as long as somebody takes them.
async fn pump(mut rows: SendableRecordBatchStream, taker: Sender<Result<RecordBatch>>) {
    while let Some(batch) = rows.next().await {
        let failed = batch.is_err();
        if taker.send(batch).await.is_err() || failed {
            return;
        }
    }
}
