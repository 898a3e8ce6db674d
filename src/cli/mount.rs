//! `mount`, `unmount` and `status`: the lake as a file system of this machine, by the system's own NFS client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::LogFormat;
use super::exit::ExitCode;
use super::login::{PASSWORD_VARIABLE, USER_VARIABLE};
use super::server::{READY, ServerArguments, absolute, failed, is_running, mount_options, say, servers, state_folder};
use super::shell::Runtimes;
use crate::error::{Error, ErrorKind, Result};

/// How long a server in the background may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to apply the last edits after it was told to end.
const END: Duration = Duration::from_secs(60);

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
