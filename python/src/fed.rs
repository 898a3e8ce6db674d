//! Rows of the other DataFusion for a plan of the session. Its streams must be polled on threads of its own runtime, where the
//! session's plan must not run them: so whoever polls the result hands batches over.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
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

pub(crate) type Partitions = Vec<Arc<dyn PartitionStream>>;

/// The rows of a plan of the other's, as partitions for the session, and what hands them over: to be polled by whoever polls the
/// session's plan.
///
/// # Errors
/// Where a partition does not start.
pub(crate) fn feed(
    plan: &Arc<dyn ExecutionPlan>,
    others: &Arc<TaskContext>,
) -> Result<(Partitions, impl Future<Output = ()> + use<>)> {
    let mut partitions = Partitions::new();
    let mut pumps = Vec::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let (sender, batches) = channel(AHEAD);
        pumps.push(pump(plan.execute(partition, others.clone())?, sender));
        partitions.push(Arc::new(Fed {
            schema: plan.schema(),
            batches: Mutex::new(Some(batches)),
        }));
    }
    Ok((partitions, join_all(pumps).map(drop)))
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
