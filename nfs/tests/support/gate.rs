//! Calls that wait until they are let through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Semaphore;

use super::eventually;
use super::memory::Hook;

/// Counts calls and holds them.
pub(crate) struct Gate {
    entered: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Gate {
    /// One for calls of `method`, or of all.
    pub(crate) fn new(method: Option<&'static str>) -> (Self, Hook) {
        let gate = Self {
            entered: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        };
        let (entered, permits) = (Arc::clone(&gate.entered), Arc::clone(&gate.permits));
        let hook: Hook = Arc::new(move |name, _| {
            let (entered, permits) = (Arc::clone(&entered), Arc::clone(&permits));
            Box::pin(async move {
                if method.is_none_or(|method| method == name) {
                    entered.fetch_add(1, SeqCst);
                    permits.acquire().await.unwrap().forget();
                }
            })
        });
        (gate, hook)
    }

    /// How many calls came.
    pub(crate) fn entered(&self) -> usize {
        self.entered.load(SeqCst)
    }

    /// Waits until so many calls came.
    pub(crate) async fn wait(&self, count: usize) {
        eventually(|| self.entered() >= count).await;
    }

    /// Lets all through.
    pub(crate) fn open(&self) {
        self.permits.add_permits(10_000);
    }
}
