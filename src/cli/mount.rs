//! `mount`, `unmount`, `serve nfs` and `status`: the lake as a file system of this machine, by the system's own NFS client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::LogFormat;
use super::exit::ExitCode;
use super::history::folder;
use super::login::{LoginArguments, PASSWORD_VARIABLE, USER_VARIABLE};
use super::shell::Runtimes;
use crate::access::Door;
use crate::error::{Error, ErrorKind, Result};
use crate::nfs::{Serving, serve};
use crate::session::Session;

/// What the server says on its standard output when clients can connect.
const READY: &str = "ready ";
/// How long a server in the background may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to apply the last edits after it was told to end.
const END: Duration = Duration::from_secs(60);

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

/// `posixlake mount`.
#[derive(Debug, Clone, Args)]
pub(crate) struct MountArguments {
    /// The lake: a folder, or a URL
    pub(crate) lake: String,

    /// The folder to mount it on, which is made where it is not there
    pub(crate) mountpoint: PathBuf,

    /// Stay in the foreground, and unmount at the end
    #[arg(long, conflicts_with = "daemon")]
    pub(crate) foreground: bool,

    /// Go to the background when it is mounted (the default)
    #[arg(long)]
    pub(crate) daemon: bool,

    /// Mount options beside those that are needed, such as write=wait instead of sync for bulk work
    #[arg(short = 'o', long = "mount-options", value_name = "OPTIONS", default_value = "sync")]
    pub(crate) mount_options: String,

    #[command(flatten)]
    pub(crate) server: ServerArguments,
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
    pid: i32,
    lake: String,
    addresses: Vec<SocketAddr>,
    mountpoint: Option<PathBuf>,
    /// Where it answers monitoring systems.
    #[serde(default)]
    pub(super) metrics: Option<SocketAddr>,
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Storage, message.into())
}

fn seconds(given: f64) -> Result<Duration> {
    let duration = Duration::try_from_secs_f64(given).ok();
    let duration = duration.filter(|duration| *duration <= Duration::from_secs(3600));
    duration.ok_or_else(|| Error::invalid(format!("{given} seconds: give a number from 0 to 3600")))
}

fn absolute(lake: &str) -> String {
    if lake.contains("://") {
        return lake.to_string();
    }
    let absolute = std::path::absolute(lake).ok();
    absolute
        .and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or_else(|| lake.to_string())
}

/// Where the servers of this user keep their state, and say that they run.
fn mounts() -> Option<PathBuf> {
    Some(folder("XDG_STATE_HOME", ".local/state")?.join("mounts"))
}

/// The file in which a server says that it runs.
fn note_of(pid: u32) -> Option<PathBuf> {
    Some(mounts()?.join(format!("server-{pid}.json")))
}

/// A lake's own folder: its name for people, and a number that tells it from others of that name.
fn state_folder(lake: &str, server: &ServerArguments) -> Result<PathBuf> {
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
pub(crate) fn run_server(
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

fn say(text: &str) {
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

fn mount_options(address: SocketAddr, more: &str) -> String {
    let port = address.port();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(",{more}")
    };
    format!("vers=3,tcp,hard,nolock,lookupcache=none,port={port},mountport={port},mountproto=tcp{more}")
}

/// Mounts what is served at an address.
///
/// # Errors
/// Where there is no NFS client, or no right to mount.
fn mount_here(address: SocketAddr, mountpoint: &Path, more: &str) -> Result<()> {
    let host = if address.ip().is_unspecified() {
        "127.0.0.1".to_string()
    } else {
        address.ip().to_string()
    };
    let source = if address.is_ipv6() {
        format!("[{host}]:/")
    } else {
        format!("{host}:/")
    };
    let (program, mut arguments) = if cfg!(target_os = "macos") {
        let port = address.port();
        let options = format!("vers=3,tcp,nolocks,actimeo=1,nonegnamecache,port={port},mountport={port}");
        ("mount_nfs", vec!["-o".to_string(), options])
    } else {
        (
            "mount",
            vec![
                "-t".to_string(),
                "nfs".to_string(),
                "-o".to_string(),
                mount_options(address, more),
            ],
        )
    };
    arguments.extend([source, mountpoint.display().to_string()]);
    let output = Command::new(program)
        .args(&arguments)
        .output()
        .map_err(|error| failed(format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(failed(format!("{program} {}: {said}", arguments.join(" "))))
}

/// Whether this machine and this user can mount at all, asked before anything is started.
///
/// # Errors
/// Where there is no NFS client, or the user is not root.
fn can_mount(lake: &str) -> Result<()> {
    let helper = ["/sbin/mount.nfs", "/usr/sbin/mount.nfs"];
    if cfg!(target_os = "linux") && !helper.iter().any(|path| Path::new(path).exists()) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "this machine has no NFS client: install it (Debian and Ubuntu: apt install nfs-common; Fedora: dnf install nfs-utils)",
        ));
    }
    if cfg!(target_os = "linux") && !nix::unistd::geteuid().is_root() {
        return Err(Error::new(
            ErrorKind::Permission,
            format!(
                "mounting needs root: run it with sudo, or serve the lake with 'posixlake serve nfs {lake}' and have root run the \
                 mount command that it prints"
            ),
        ));
    }
    Ok(())
}

/// `posixlake mount`.
///
/// # Errors
/// As [`run_server`] and where it cannot be mounted, the server then being ended again.
pub(crate) fn mount(arguments: &MountArguments) -> Result<()> {
    can_mount(&arguments.lake)?;
    let mountpoint = std::path::absolute(&arguments.mountpoint).map_err(|error| failed(error.to_string()))?;
    std::fs::create_dir_all(&mountpoint).map_err(|error| failed(format!("{}: {error}", mountpoint.display())))?;
    if is_mounted(&mountpoint) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "something is mounted on {} already: posixlake unmount {0}",
                mountpoint.display()
            ),
        ));
    }
    let log = state_folder(&absolute(&arguments.lake), &arguments.server)?.join("server.log");
    let mut server = start_server(arguments, &mountpoint, &log)?;
    let mounted = wait_ready(&mut server, &log)
        .and_then(|address| mount_here(address, &mountpoint, &arguments.mount_options).map(|()| address));
    let address = match mounted {
        Ok(address) => address,
        Err(error) => {
            end_process(i32::try_from(server.id()).unwrap_or_default());
            let _ = server.wait();
            return Err(error);
        }
    };
    say(&format!(
        "{} is mounted on {} (served at {address}, process {})",
        arguments.lake,
        mountpoint.display(),
        server.id()
    ));
    if !arguments.foreground {
        return Ok(());
    }
    // A child that nobody waits for would not be gone when it has ended.
    std::thread::spawn(move || server.wait());
    let runtimes = Runtimes::start().map_err(|error| Error::internal(format!("cannot start threads: {error}")))?;
    runtimes.workers.block_on(async {
        let (Ok(mut end), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    unmount(&mountpoint)
}

/// Starts the server as a process of its own, which outlives this one.
fn start_server(arguments: &MountArguments, mountpoint: &Path, log: &Path) -> Result<std::process::Child> {
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let state = state_folder(&absolute(&arguments.lake), &arguments.server)?;
    std::fs::create_dir_all(&state).map_err(|error| failed(format!("{}: {error}", state.display())))?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|error| failed(format!("{}: {error}", log.display())))?;
    let mut command = Command::new(program);
    command
        .args(["serve", "nfs", &absolute(&arguments.lake), "--mountpoint"])
        .arg(mountpoint);
    let server = &arguments.server;
    // What was asked for here is not to be seen among the arguments of processes.
    if let Some((user, password)) = server.login.credentials()? {
        command.env(USER_VARIABLE, user).env(PASSWORD_VARIABLE, password);
    }
    if let Some(map) = &server.uid_map {
        let map = std::path::absolute(map).map_err(|error| failed(format!("--uid-map {}: {error}", map.display())))?;
        command.arg("--uid-map").arg(map);
    }
    for address in &server.listen {
        command.args(["--listen", &address.to_string()]);
    }
    for client in &server.clients {
        command.args(["--client", client]);
    }
    for (key, value) in &server.options {
        command.args(["--option", &format!("{key}={value}")]);
    }
    command
        .arg("--state")
        .arg(&state)
        .args(["--cache", &server.cache.to_string()])
        .args(["--silence", &server.silence.to_string()])
        .args(["--grace", &server.grace.to_string()]);
    if let Some(address) = server.metrics_listen {
        command.args(["--metrics-listen", &address.to_string()]);
    }
    if server.log_format == LogFormat::Json {
        command.args(["--log-format", "json"]);
    }
    if server.read_only {
        command.arg("--read-only");
    }
    if server.privileged_ports {
        command.arg("--privileged-ports");
    }
    if std::env::var_os("POSIXLAKE_LOG").is_none() {
        command.env("POSIXLAKE_LOG", "warn");
    }
    // A group of its own: Ctrl-C in this terminal is not for it.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0);
    command
        .spawn()
        .map_err(|error| failed(format!("cannot start the server: {error}")))
}

fn wait_ready(server: &mut std::process::Child, log: &Path) -> Result<SocketAddr> {
    let stdout = server
        .stdout
        .take()
        .ok_or_else(|| Error::internal("the server has no output"))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = receiver
        .recv_timeout(START)
        .map_err(|_| failed("the server is not ready after a minute"))?;
    let address = line.trim().strip_prefix(READY).and_then(|address| address.parse().ok());
    address.ok_or_else(|| {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let last = text
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let reason = last.trim_start_matches("error: ");
        failed(format!(
            "the server did not start: {reason} (all that it said: {})",
            log.display()
        ))
    })
}

fn is_mounted(mountpoint: &Path) -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return false;
    };
    let wanted = mountpoint.display().to_string().replace(' ', "\\040");
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(wanted.as_str()))
}

fn end_process(pid: i32) {
    if pid > 0 {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
    }
}

fn is_running(pid: i32) -> bool {
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

/// `posixlake unmount`.
///
/// # Errors
/// Where it is in use, or not mounted.
pub(crate) fn unmount(mountpoint: &Path) -> Result<()> {
    let mountpoint = std::path::absolute(mountpoint).map_err(|error| failed(error.to_string()))?;
    let server = servers()
        .into_iter()
        .find(|server| server.mountpoint.as_deref() == Some(mountpoint.as_path()));
    if is_mounted(&mountpoint) || cfg!(target_os = "macos") {
        let output = Command::new("umount")
            .arg(&mountpoint)
            .output()
            .map_err(|error| failed(format!("cannot run umount: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(failed(format!(
                "{said} (which programs use it: fuser -vm {})",
                mountpoint.display()
            )));
        }
    } else if server.is_none() {
        return Err(Error::not_found(format!(
            "nothing is mounted on {}; posixlake status lists the mounts",
            mountpoint.display()
        )));
    }
    let Some(server) = server else { return Ok(()) };
    end_process(server.pid);
    let begun = Instant::now();
    while is_running(server.pid) {
        if begun.elapsed() > END {
            return Err(failed(format!(
                "the server (process {}) has not ended after a minute: it may still apply a large edit",
                server.pid
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// `posixlake status`: the servers of this user, and the edits that wait in them.
pub(crate) fn status() {
    let servers = servers();
    if servers.is_empty() {
        say("no lake is mounted or served");
    }
    for server in servers {
        let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
        let place = server.mountpoint.as_ref().map_or_else(
            || "not mounted here".to_string(),
            |path| format!("on {}", path.display()),
        );
        say(&format!(
            "{} {place}, served at {} by process {}",
            server.lake,
            addresses.join(", "),
            server.pid
        ));
        let Some(mountpoint) = server.mountpoint.filter(|path| is_mounted(path)) else {
            continue;
        };
        let mut text = String::new();
        let read = std::fs::File::open(mountpoint.join(".status")).and_then(|mut file| file.read_to_string(&mut text));
        let Some(pending) = read
            .ok()
            .and_then(|_| serde_json::from_str::<serde_json::Value>(&text).ok())
        else {
            continue;
        };
        let edits = pending
            .get("edits")
            .and_then(serde_json::Value::as_array)
            .cloned()
            .unwrap_or_default();
        if edits.is_empty() {
            say("  no edit is pending");
        }
        for edit in edits {
            let part = |key: &str| {
                edit.get(key)
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_string))
                    .unwrap_or_default()
            };
            say(&format!(
                "  pending: {} by {} on version {}",
                part("table"),
                part("client"),
                part("version")
            ));
        }
    }
}

/// Runs an action and reports what is wrong with it.
pub(crate) fn reported(outcome: Result<()>) -> Result<(), ExitCode> {
    outcome.map_err(|error| report(&error))
}

/// Prints an error, and returns the code that its kind has.
pub(crate) fn report(error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {}", error.message());
    error.kind().into()
}
