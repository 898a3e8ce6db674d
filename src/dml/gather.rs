//! Tasks that each work on a part of one thing.

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{SinkExt, StreamExt};
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// What the tasks came to, as they ended, and the first failure among them, at which the others are stopped. What ended well
/// before it is there to be undone.
pub(crate) async fn gather<T: 'static>(mut tasks: JoinSet<Result<T>>) -> (Vec<T>, Option<Error>) {
    let mut parts = Vec::new();
    let mut failure = None;
    while let Some(finished) = tasks.join_next().await {
        match finished {
            Ok(Ok(part)) => parts.push(part),
            Ok(Err(error)) => {
                tasks.abort_all();
                failure.get_or_insert(error);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                failure.get_or_insert(Error::internal(format!("a writer stopped: {error}")));
            }
        }
    }
    (parts, failure)
}

/// Reads a stream in a task of its own, a few batches ahead: rows are read on one core while they are written on another.
pub(crate) fn ahead(mut stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (mut sender, receiver) = futures::channel::mpsc::channel(2);
    let reader = SpawnedTask::spawn(async move {
        while let Some(batch) = stream.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
    });
    // The task ends with the stream that it feeds.
    let batches = receiver.map(move |batch| {
        let _ = &reader;
        batch
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}
