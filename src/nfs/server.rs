//! A lake served as a mount: what is opened for it, and how it ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posixlake_nfs::FileSystem;
use posixlake_nfs::lake::Lake;
use posixlake_nfs::mount::{FSID, Mount, Options};
use posixlake_nfs::render::{self, Renderer};
use posixlake_nfs::rpc::{self, Server};
use posixlake_nfs::scratch::{self, Scratch};

use super::lake::SessionLake;
use super::system;
use super::users::PerUser;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long calls under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(20);

/// How many bytes of rendered rows are kept on disk, where nothing else is said.
const CACHE_BYTES: u64 = 4 << 30;

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
    /// After how much silence a file with fewer rows is taken for whole.
    pub silence: Duration,
    /// How long a removed file may be made again.
    pub grace: Duration,
    /// Whether every change is refused.
    pub read_only: bool,
    /// Whether only clients on ports below 1024 are believed to be who they say.
    pub privileged_ports: bool,
    /// The sessions of the accounts that act for themselves; where there are none, all act as the server's own.
    pub users: Vec<(u32, Session)>,
}

impl Serving {
    /// A server for everyone who can reach its addresses, whose files are all the session's own.
    pub fn new(listen: Vec<SocketAddr>, state: PathBuf, cache: PathBuf) -> Self {
        let Options { silence, grace, .. } = Options::new(state.clone());
        Self {
            listen,
            clients: Vec::new(),
            state,
            cache,
            cache_bytes: CACHE_BYTES,
            silence,
            grace,
            read_only: false,
            privileged_ports: false,
            users: Vec::new(),
        }
    }
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
    posixlake_nfs::failpoint::set_hook(crate::failpoint::at);
    let folders = (serving.state.clone(), serving.cache.clone());
    let own = open(session.clone(), &serving, folders, None).await?;
    let mut mounts = BTreeMap::new();
    for (uid, session) in &serving.users {
        let state = serving.state.join("users").join(uid.to_string());
        std::fs::create_dir_all(&state)
            .and_then(|()| std::fs::copy(serving.state.join("key"), state.join("key")))
            .map_err(|error| Error::new(crate::ErrorKind::Storage, format!("{}: {error}", state.display())))?;
        let folders = (state.clone(), state.join("rows"));
        mounts.insert(*uid, open(session.clone(), &serving, folders, Some(*uid)).await?);
    }
    let files: Arc<dyn FileSystem> = if mounts.is_empty() {
        own.clone()
    } else {
        Arc::new(PerUser::new(mounts.clone()))
    };
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
    let server =
        Server::bind(rpc_options, files).map_err(|error| Error::new(crate::ErrorKind::Storage, error.to_string()))?;
    ready(server.addresses())?;
    tokio::select! {
        () = server.serve() => {}
        () = stop => {}
    }
    server.shutdown(DRAIN).await;
    for mount in mounts.values().chain([&own]) {
        mount.close().await;
    }
    for (_, session) in &serving.users {
        session.close().await;
    }
    session.close().await;
    Ok(())
}

/// Opens a mount with folders for its edits and its rendered rows; its files belong to `uid`, where one is given.
pub(super) async fn open(
    session: Session,
    serving: &Serving,
    (state, cache): (PathBuf, PathBuf),
    uid: Option<u32>,
) -> Result<Arc<Mount>> {
    let lake: Arc<dyn Lake> = Arc::new(SessionLake::new(session.clone())?);
    let folder = |folder: &PathBuf, error: std::io::Error| {
        Error::new(crate::ErrorKind::Storage, format!("{}: {error}", folder.display()))
    };
    let mut options = Options::new(state.clone());
    let edits = options.edits();
    std::fs::create_dir_all(&edits).map_err(|error| folder(&edits, error))?;
    // Statements read the rows of an edit from there, whoever's they are.
    session.lend(&edits)?;
    let render_options = render::Options {
        disk: serving.cache_bytes,
        ..render::Options::default()
    };
    let renderer =
        Renderer::new(lake.clone(), cache.clone(), &render_options).map_err(|error| folder(&cache, error))?;
    let scratch_root = state.join("scratch");
    let mut owner = scratch::Options {
        fsid: FSID,
        sync_data: false,
        ..scratch::Options::default()
    };
    owner.uid = uid.unwrap_or(owner.uid);
    let scratch = Scratch::open(scratch_root.clone(), owner.clone()).map_err(|error| folder(&scratch_root, error))?;
    (options.uid, options.gid) = (owner.uid, owner.gid);
    options.read_only = serving.read_only;
    (options.silence, options.grace) = (serving.silence, serving.grace);
    let mount = Mount::open(lake, Arc::new(renderer), scratch, options)
        .await
        .map_err(|error| folder(&state, error))?;
    for (name, table) in system::tables(&mount) {
        session.add_to_system(name, table);
    }
    Ok(mount)
}
