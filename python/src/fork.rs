//! Holds the threads still while the process forks.
//!
//! A child has the memory of its parent but not its threads. Idle threads wait in lists that are shared by all locks of a kind
//! (`parking_lot`'s table of parked threads, which Tokio waits in), and a list that names threads which are not there, in memory that
//! their successors get, ends the child. So no thread may wait in one at the moment of the fork.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use crate::runtime::Threads;

/// How long a fork waits for threads that are at work; those that do not come by then are no different to the child than
/// threads of other libraries.
const PATIENCE: Duration = Duration::from_secs(1);

static GATE: Mutex<Option<Arc<Gate>>> = Mutex::new(None);

/// Where threads wait for the end of a fork. Its lock is the standard library's, which keeps no list.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    open: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// A thread waits here.
    fn pass(&self) {
        let mut state = lock(&self.state);
        state.waiting += 1;
        self.changed.notify_all();
        let closed = self.changed.wait_while(state, |state| !state.open);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }

    /// Until as many threads wait.
    fn wait_for(&self, threads: usize) {
        let state = lock(&self.state);
        let come = |state: &mut State| state.waiting < threads;
        drop(self.changed.wait_timeout_while(state, PATIENCE, come));
    }

    fn open(&self) {
        lock(&self.state).open = true;
        self.changed.notify_all();
    }
}

/// Before a fork.
#[pyfunction]
pub(crate) fn hold_threads(py: Python<'_>) {
    let Some(threads) = Threads::of_this_process() else {
        return;
    };
    let gate = Arc::new(Gate::default());
    for _ in 0..threads.workers {
        let gate = gate.clone();
        threads.handle.spawn(async move { gate.pass() });
    }
    for _ in 0..threads.blocking {
        let gate = gate.clone();
        threads.handle.spawn_blocking(move || gate.pass());
    }
    // A thread may need Python's lock to come to the end of its work.
    py.detach(|| gate.wait_for(threads.workers + threads.blocking));
    if let Some(earlier) = lock(&GATE).replace(gate) {
        earlier.open();
    }
}

/// After a fork, in the parent.
#[pyfunction]
pub(crate) fn release_threads() {
    if let Some(gate) = lock(&GATE).take() {
        gate.open();
    }
}
