//! `serve nfs`: the process that serves a lake, and what it writes down for others of its user.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::LogFormat;
use super::login::LoginArguments;
use super::shell::Runtimes;
use crate::access::Door;
use crate::error::{Error, ErrorKind, Result};
use crate::nfs::{Serving, serve};
use crate::session::Session;
use crate::system::folder;

/// What the server says on its standard output when clients can connect.
pub(super) const READY: &str = "ready ";

/// The server's part of the arguments.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArguments {
    /// An address to listen on; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", default_values_t = [SocketAddr::from(([127, 0, 0, 1], 12049))])]
    pub(crate) listen: Vec<SocketAddr>,

    /// A network whose hosts may connect, such as 192.168.1.0/24; may be repeated [default: all that reach the address]
    #[arg(long = "client", value_name = "NETWORK")]
    pub(crate) clients: Vec<String>,

    /// Refuse every change
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Believe only clients on ports below 1024, which need root there
    #[arg(long)]
    pub(crate) privileged_ports: bool,

    /// Seconds of silence after which a file that was written with fewer rows is taken for whole
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    pub(crate) silence: f64,

    /// Seconds in which a removed file may be made again before its rows are deleted
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    pub(crate) grace: f64,

    /// Where edits under way and scratch files are kept [default: a folder a lake in ~/.local/state/posixlake/mounts]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,

    /// Gigabytes of disk for rows as text, kept in ~/.cache/posixlake
    #[arg(long, value_name = "GIGABYTES", default_value_t = 4)]
    pub(crate) cache: u64,

    #[command(flatten)]
    pub(crate) login: LoginArguments,

    /// Lines 'uid user': each account works as its user; others get nothing. --user must be an admin
    #[arg(long, value_name = "FILE")]
    pub(crate) uid_map: Option<PathBuf>,
    /// Answer monitoring systems here: /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// How POSIXLAKE_LOG's lines look
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// A setting of the store, such as aws_region=eu-central-1; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = super::arguments::parse_option)]
    pub(crate) options: Vec<(String, String)>,
}

/// `posixlake serve`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ServeAction {
    /// Serve the lake to NFSv3 clients, without mounting it here
    Nfs {
        /// The lake: a folder, or a URL
        lake: String,

        /// The folder that it is mounted on, for `status`
        #[arg(long, hide = true)]
        mountpoint: Option<PathBuf>,

        #[command(flatten)]
        server: ServerArguments,
    },
}

impl ServeAction {
    pub(crate) fn log_format(&self) -> LogFormat {
        let Self::Nfs { server, .. } = self;
        server.log_format
    }
}

/// What a server writes down about itself while it runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) pid: i32,
    pub(super) lake: String,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) mountpoint: Option<PathBuf>,
    /// Where it answers monitoring systems.
    #[serde(default)]
    pub(super) metrics: Option<SocketAddr>,
}

pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Storage, message.into())
}

fn seconds(given: f64) -> Result<Duration> {
    let duration = Duration::try_from_secs_f64(given).ok();
    let duration = duration.filter(|duration| *duration <= Duration::from_secs(3600));
    duration.ok_or_else(|| Error::invalid(format!("{given} seconds: give a number from 0 to 3600")))
}

pub(super) fn absolute(lake: &str) -> String {
    if lake.contains("://") {
        return lake.to_string();
    }
    let absolute = std::path::absolute(lake).ok();
    absolute
        .and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or_else(|| lake.to_string())
}

/// Where the servers of this user keep their state, and say that they run.
pub(super) fn mounts() -> Option<PathBuf> {
    Some(folder("XDG_STATE_HOME", ".local/state")?.join("mounts"))
}

/// The file in which a server says that it runs.
fn note_of(pid: u32) -> Option<PathBuf> {
    Some(mounts()?.join(format!("server-{pid}.json")))
}

/// A lake's own folder: its name for people, and a number that tells it from others of that name.
pub(super) fn state_folder(lake: &str, server: &ServerArguments) -> Result<PathBuf> {
    if let Some(state) = &server.state {
        return std::path::absolute(state).map_err(|error| failed(format!("--state {}: {error}", state.display())));
    }
    let name: String = lake
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or("lake")
        .chars()
        .filter(|sign| sign.is_alphanumeric() || "-_.".contains(*sign))
        .collect();
    let mounts = mounts();
    let mounts = mounts.ok_or_else(|| Error::invalid("neither XDG_STATE_HOME nor HOME is set: say --state FOLDER"))?;
    Ok(mounts.join(format!("{name}-{:08x}", crc32fast::hash(lake.as_bytes()))))
}

/// Serves a lake until a signal, then applies what clients are done with.
///
/// # Errors
/// Where the lake, an address or a folder cannot be had.
fn run_server(
    lake: &str,
    server: &ServerArguments,
    mountpoint: Option<&Path>,
    ready: impl FnOnce(&[SocketAddr]) -> Result<()>,
) -> Result<()> {
    let lake = absolute(lake);
    let state = state_folder(&lake, server)?;
    let cache = folder("XDG_CACHE_HOME", ".cache")
        .unwrap_or_else(|| state.clone())
        .join("rows");
    std::fs::create_dir_all(&state).map_err(|error| failed(format!("{}: {error}", state.display())))?;
    let note = note_of(std::process::id());
    let runtimes = Runtimes::start().map_err(|error| Error::internal(format!("cannot start threads: {error}")))?;
    let mut options = std::collections::HashMap::new();
    options.extend(server.options.iter().cloned());
    let outcome = runtimes.workers.block_on(async {
        let builder = Session::builder().lake(&lake).options(options).door(Door::Mount);
        let session = server.login.apply(builder.clone())?.build().await?;
        let mut users = Vec::new();
        for (uid, user) in uid_map(server)? {
            users.push((uid, session.on_behalf_of(builder.clone(), &user).await?));
        }
        let metrics = match server.metrics_listen {
            Some(address) => Some(session.serve_metrics(address).await?),
            None => None,
        };
        let serving = Serving {
            listen: server.listen.clone(),
            clients: server.clients.clone(),
            state: state.clone(),
            cache,
            cache_bytes: server.cache << 30,
            silence: seconds(server.silence)?,
            grace: seconds(server.grace)?,
            read_only: server.read_only,
            privileged_ports: server.privileged_ports,
            users,
        };
        let mut end = signal(SignalKind::terminate()).map_err(|error| failed(error.to_string()))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(error.to_string()))?;
        let stop = async move {
            tokio::select! {
                _ = end.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let ready = |addresses: &[SocketAddr]| {
            let running = Running {
                pid: i32::try_from(std::process::id()).unwrap_or_default(),
                lake: lake.clone(),
                addresses: addresses.to_vec(),
                mountpoint: mountpoint.map(Path::to_path_buf),
                metrics,
            };
            let text = serde_json::to_vec(&running).map_err(|error| Error::internal(error.to_string()))?;
            if let Some(note) = &note {
                let written = note.parent().map_or(Ok(()), std::fs::create_dir_all);
                written
                    .and_then(|()| std::fs::write(note, text))
                    .map_err(|error| failed(format!("{}: {error}", note.display())))?;
            }
            ready(addresses)
        };
        serve(session, serving, ready, stop).await
    });
    if let Some(note) = note {
        let _ = std::fs::remove_file(note);
    }
    outcome
}

/// Who the accounts of clients are: a number and a name in each line.
fn uid_map(server: &ServerArguments) -> Result<Vec<(u32, String)>> {
    let Some(file) = &server.uid_map else {
        return Ok(Vec::new());
    };
    let refuse = |what: String| Error::invalid(format!("--uid-map {}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let mut users: Vec<(u32, String)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(uid), Some(user), None) = (
            words.next().and_then(|uid| uid.parse().ok()),
            words.next(),
            words.next(),
        ) else {
            return Err(refuse(format!(
                "'{line}' is not the number of an account and the name of a user"
            )));
        };
        if users.iter().any(|(known, _)| *known == uid) {
            return Err(refuse(format!("account {uid} is there twice")));
        }
        users.push((uid, user.to_string()));
    }
    match users.is_empty() {
        true => Err(refuse("no account is in it".to_string())),
        false => Ok(users),
    }
}

pub(super) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// `posixlake serve nfs`.
///
/// # Errors
/// As [`run_server`].
pub(crate) fn serve_nfs(action: &ServeAction) -> Result<()> {
    let ServeAction::Nfs {
        lake,
        mountpoint,
        server,
    } = action;
    let for_mount = mountpoint.is_some();
    run_server(lake, server, mountpoint.as_deref(), |addresses| {
        let Some(address) = addresses.first() else {
            return Ok(());
        };
        if for_mount {
            say(&format!("{READY}{address}"));
            return Ok(());
        }
        let (host, port) = (address.ip(), address.port());
        say(&format!("Serving {lake} on {address}. Ctrl-C ends it. To mount it:"));
        say(&format!(
            "  Linux    mount -t nfs -o {} {host}:/ /mnt/lake",
            mount_options(*address, "sync")
        ));
        say(&format!(
            "  macOS    mount_nfs -o vers=3,tcp,nolocks,actimeo=1,nonegnamecache,port={port},mountport={port} {host}:/ /Volumes/lake"
        ));
        say(&format!(
            "  Windows  mount -o anon,nolock \\\\{host}\\ L:   (needs --listen {host}:2049)"
        ));
        Ok(())
    })
}

pub(super) fn mount_options(address: SocketAddr, more: &str) -> String {
    let port = address.port();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(",{more}")
    };
    format!("vers=3,tcp,hard,nolock,lookupcache=none,port={port},mountport={port},mountproto=tcp{more}")
}

pub(super) fn is_running(pid: i32) -> bool {
    pid > 0 && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
}

/// The servers of this user that run, the oldest first. Notes of others that were killed are removed.
pub(super) fn servers() -> Vec<Running> {
    let Some(Ok(entries)) = mounts().map(std::fs::read_dir) else {
        return Vec::new();
    };
    let mut running = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(server) = std::fs::read(&path)
            .ok()
            .and_then(|note| serde_json::from_slice::<Running>(&note).ok())
        else {
            continue;
        };
        if is_running(server.pid) {
            running.push(server);
        } else {
            let _ = std::fs::remove_file(path);
        }
    }
    running.sort_by_key(|server| server.pid);
    running
}
