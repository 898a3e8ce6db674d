//! A lake served as a mount: what is opened for it, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posixlake_nfs::lake::Lake;
use posixlake_nfs::mount::{FSID, Mount, Options};
use posixlake_nfs::render::{self, Renderer};
use posixlake_nfs::rpc::{self, Server};
use posixlake_nfs::scratch::{self, Scratch};

use super::lake::SessionLake;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long calls under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(20);

/// What a mount is served with.
pub struct Serving {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Networks whose hosts may connect; all where there are none.
    pub clients: Vec<String>,
    /// Where staged edits and scratch files are kept.
    pub state: PathBuf,
    /// Where rendered rows are kept.
    pub cache: PathBuf,
    /// Bytes of rendered rows on disk.
    pub cache_bytes: u64,
    /// Whether every change is refused.
    pub read_only: bool,
    /// Whether only clients on ports below 1024 are believed to be who they say.
    pub privileged_ports: bool,
}

/// Serves the session's lake until `stop` ends. `ready` gets the addresses when clients can connect.
///
/// # Errors
/// Where an address or a folder cannot be had.
pub async fn serve(
    session: Session,
    serving: Serving,
    ready: impl FnOnce(&[SocketAddr]) -> Result<()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let lake: Arc<dyn Lake> = Arc::new(SessionLake::new(session.clone())?);
    let (state, cache) = (serving.state.clone(), serving.cache.clone());
    let folder = |folder: &PathBuf, error: std::io::Error| {
        Error::new(crate::ErrorKind::Storage, format!("{}: {error}", folder.display()))
    };
    std::fs::create_dir_all(&state).map_err(|error| folder(&state, error))?;
    let render_options = render::Options {
        disk: serving.cache_bytes,
        ..render::Options::default()
    };
    let renderer =
        Renderer::new(lake.clone(), cache.clone(), &render_options).map_err(|error| folder(&cache, error))?;
    let scratch_root = state.join("scratch");
    let owner = scratch::Options {
        fsid: FSID,
        ..scratch::Options::default()
    };
    let scratch = Scratch::open(scratch_root.clone(), owner.clone()).map_err(|error| folder(&scratch_root, error))?;
    let mut options = Options::new(state.clone());
    (options.uid, options.gid) = (owner.uid, owner.gid);
    options.read_only = serving.read_only;
    let mount = Mount::open(lake, Arc::new(renderer), scratch, options)
        .await
        .map_err(|error| folder(&state, error))?;
    let clients = serving
        .clients
        .iter()
        .map(|text| rpc::parse_network(text).map_err(|error| Error::invalid(error.to_string())));
    let rpc_options = rpc::Options {
        listen: serving.listen,
        clients: clients.collect::<Result<_>>()?,
        trust: if serving.privileged_ports {
            rpc::Trust::PrivilegedPorts
        } else {
            rpc::Trust::Any
        },
        ..rpc::Options::default()
    };
    let server = Server::bind(rpc_options, mount.clone())
        .map_err(|error| Error::new(crate::ErrorKind::Storage, error.to_string()))?;
    ready(server.addresses())?;
    tokio::select! {
        () = server.serve() => {}
        () = stop => {}
    }
    server.shutdown(DRAIN).await;
    mount.close().await;
    session.close().await;
    Ok(())
}
