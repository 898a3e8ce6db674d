//! The threads that statements run on, and how a Python thread waits for them.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{internal, raise};

/// How often a waiting thread looks for Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(50);
/// Deep queries are planned recursively.
const STACK_SIZE: usize = 8 << 20;

static THREADS: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);
/// Threads of the runtime, of both kinds.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The process's threads. A process that was forked has none of its parent's, and starts its own.
///
/// # Errors
/// Where the system gives no threads.
pub(crate) fn handle() -> posixlake::Result<Handle> {
    let process = std::process::id();
    let mut threads = THREADS.lock();
    if let Some((owner, runtime)) = threads.as_ref()
        && *owner == process
    {
        return Ok(runtime.handle().clone());
    }
    RUNNING.store(0, Ordering::SeqCst);
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("posixlake")
        .thread_stack_size(STACK_SIZE)
        .on_thread_start(|| {
            RUNNING.fetch_add(1, Ordering::SeqCst);
        })
        .on_thread_stop(|| {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        })
        .build()
        .map_err(|error| posixlake::Error::internal(format!("cannot start threads: {error}")))?;
    let handle = runtime.handle().clone();
    if let Some(parents) = threads.replace((process, Arc::new(runtime))) {
        // To end threads that are not there would wait for them for ever.
        mem::forget(parents);
    }
    Ok(handle)
}

/// The process's threads by their kinds.
pub(crate) struct Threads {
    pub(crate) handle: Handle,
    /// Those that run tasks.
    pub(crate) workers: usize,
    /// Those that do what blocks, or wait for it.
    pub(crate) blocking: usize,
}

impl Threads {
    /// The threads, where there are any.
    pub(crate) fn of_this_process() -> Option<Self> {
        let threads = THREADS.lock();
        let (owner, runtime) = threads.as_ref()?;
        let handle = runtime.handle().clone();
        let workers = handle.metrics().num_workers();
        (*owner == std::process::id()).then(|| Self {
            handle,
            workers,
            blocking: RUNNING.load(Ordering::SeqCst).saturating_sub(workers),
        })
    }
}

/// Runs the work on the process's threads while this one waits without Python's lock. Ctrl-C cancels it.
///
/// # Errors
/// The work's, as the exception of its kind; `KeyboardInterrupt`.
pub(crate) fn wait<T, F>(py: Python<'_>, work: F) -> PyResult<T>
where
    T: Send + 'static,
    F: Future<Output = posixlake::Result<T>> + Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    let task = handle().map_err(|error| raise(py, &error))?.spawn(async move {
        let _ = sender.send(work.await);
    });
    let receiver = Mutex::new(receiver);
    loop {
        match py.detach(|| receiver.lock().recv_timeout(SIGNALS)) {
            Ok(outcome) => return outcome.map_err(|error| raise(py, &error)),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = py.check_signals() {
                    task.abort();
                    return Err(interrupt);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(internal(py, "the statement's task broke off")),
        }
    }
}

/// Runs the work on the process's threads while this one, of another library, waits.
///
/// # Errors
/// The work's.
pub(crate) fn wait_elsewhere<T, F>(work: F) -> posixlake::Result<T>
where
    T: Send + 'static,
    F: Future<Output = posixlake::Result<T>> + Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    handle()?.spawn(async move {
        let _ = sender.send(work.await);
    });
    receiver
        .recv()
        .unwrap_or_else(|_| Err(posixlake::Error::internal("the statement's task broke off")))
}

/// Does what blocks without Python's lock, whether this thread has it or not.
pub(crate) fn unlocked<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let done = Python::try_attach(|py| work.take().map(|work| py.detach(work))).flatten();
    match (done, work) {
        (Some(done), _) => done,
        (None, Some(work)) => work(),
        // The work was taken, and has given its value.
        (None, None) => unreachable!("work that was begun gives a value"),
    }
}
