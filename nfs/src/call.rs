//! What is asked once in a call of a client, however many parts of the answer need it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What a call has found out.
#[derive(Default)]
struct Call {
    known: Mutex<HashSet<u64>>,
    is_content: AtomicBool,
}

tokio::task_local! {
    static CALL: Call;
}

/// Answers a call.
pub(crate) async fn answered<T>(work: impl Future<Output = T>) -> T {
    CALL.scope(Call::default(), work).await
}

/// Whether something was asked before in the call at hand.
pub(crate) fn knows(what: u64) -> bool {
    CALL.try_with(|call| call.known.lock().contains(&what)).unwrap_or(false)
}

/// Takes note that something was asked.
pub(crate) fn learned(what: u64) {
    let _ = CALL.try_with(|call| call.known.lock().insert(what));
}

/// The call does with what other calls found out a moment ago.
pub(crate) fn recent_will_do() {
    let _ = CALL.try_with(|call| call.is_content.store(true, Ordering::Relaxed));
}

/// Whether [`recent_will_do`] was said in the call at hand.
pub(crate) fn is_content_with_recent() -> bool {
    CALL.try_with(|call| call.is_content.load(Ordering::Relaxed))
        .unwrap_or(false)
}
