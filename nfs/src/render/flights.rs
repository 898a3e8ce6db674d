//! Work that several wait for and one does.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::lake::{Kind, LakeError, Result};

type Flight<V> = Shared<BoxFuture<'static, Result<V>>>;

/// Work under way by what it is for. It goes on when those who wait for it give up.
pub(super) struct Flights<K, V>(Arc<Mutex<HashMap<K, Flight<V>>>>);

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Joins the work for `key`, or begins it as a task when what is returned is first polled, within a Tokio runtime.
    pub(super) fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let landing = Landing {
            flights: Arc::clone(&self.0),
            key: key.clone(),
        };
        let work = work();
        // Not spawned under the lock: a runtime that ends drops the task at once, and the task takes the lock then.
        let flight = async move {
            let task = tokio::spawn(async move {
                let _landing = landing;
                work.await
            });
            task.await.unwrap_or_else(|error| {
                Err(LakeError {
                    kind: Kind::Internal,
                    message: format!("a task of the mount ended early: {error}"),
                })
            })
        };
        let flight = flight.boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }
}

/// Takes a flight out of the map when its task has ended, however it did.
struct Landing<K: Hash + Eq, V> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
