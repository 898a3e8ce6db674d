//! What is asked once in a call of a client, however many parts of the answer need it.

use std::collections::HashSet;
use std::future::Future;

use parking_lot::Mutex;

tokio::task_local! {
    static KNOWN: Mutex<HashSet<u64>>;
}

/// Answers a call.
pub(crate) async fn answered<T>(work: impl Future<Output = T>) -> T {
    KNOWN.scope(Mutex::default(), work).await
}

/// Whether something was asked before in the call at hand.
pub(crate) fn knows(what: u64) -> bool {
    KNOWN.try_with(|known| known.lock().contains(&what)).unwrap_or(false)
}

/// Takes note that something was asked.
pub(crate) fn learned(what: u64) {
    let _ = KNOWN.try_with(|known| known.lock().insert(what));
}
