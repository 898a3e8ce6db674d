//! The mount, served by this process.

use std::net::SocketAddr;
use std::path::PathBuf;

use parking_lot::Mutex;
use posixlake::{Error, Serving, serve_nfs};
use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::{named, raise};
use crate::runtime::{handle, wait};
use crate::session::Engine;

/// A server that runs.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct NfsHandle {
    addresses: Vec<SocketAddr>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: Mutex<Option<JoinHandle<posixlake::Result<()>>>>,
}

#[pymethods]
impl NfsHandle {
    /// Starts a server, and returns when clients can connect.
    #[new]
    #[pyo3(signature = (engine, listen, state, cache, read_only = false))]
    fn new(
        py: Python<'_>,
        engine: &Engine,
        listen: Vec<String>,
        state: PathBuf,
        cache: PathBuf,
        read_only: bool,
    ) -> PyResult<Self> {
        let listen = listen.iter().map(|address| {
            address.parse::<SocketAddr>().map_err(|_| {
                named(
                    py,
                    "Invalid",
                    &format!("'{address}' is not an address and port such as 127.0.0.1:12049"),
                )
            })
        });
        let mut serving = Serving::new(listen.collect::<PyResult<_>>()?, state, cache);
        serving.read_only = read_only;
        let session = engine.session().clone();
        let (stop, stopped) = oneshot::channel();
        let (ready, addresses) = oneshot::channel();
        let task = handle().map_err(|error| raise(py, &error))?.spawn(async move {
            let ready = move |addresses: &[SocketAddr]| {
                let _ = ready.send(addresses.to_vec());
                Ok(())
            };
            let stop = async move {
                // Also when the handle is gone.
                let _ = stopped.await;
            };
            serve_nfs(session, serving, ready, stop).await
        });
        let (task, addresses) = wait(py, async move {
            match addresses.await {
                Ok(addresses) => Ok((task, addresses)),
                Err(_) => match task.await {
                    Ok(Err(error)) => Err(error),
                    _ => Err(Error::internal("the NFS server did not start")),
                },
            }
        })?;
        Ok(Self {
            addresses,
            stop: Mutex::new(Some(stop)),
            task: Mutex::new(Some(task)),
        })
    }

    /// Where clients connect.
    #[getter]
    fn addresses(&self) -> Vec<(String, u16)> {
        let pair = |address: &SocketAddr| (address.ip().to_string(), address.port());
        self.addresses.iter().map(pair).collect()
    }

    /// Whether it serves.
    fn is_ready(&self) -> bool {
        self.task.lock().as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Applies the edits that clients are done with, and ends.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        drop(self.stop.lock().take());
        let Some(task) = self.task.lock().take() else {
            return Ok(());
        };
        wait(py, async move {
            task.await
                .unwrap_or_else(|error| Err(Error::internal(error.to_string())))
        })
    }
}
