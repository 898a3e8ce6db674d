//! Tasks that each work on a part of one thing.

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
