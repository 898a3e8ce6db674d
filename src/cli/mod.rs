//! The command line: arguments, prompt, scripts and printed rows. It knows the session and nothing below it.

mod arguments;
mod catalog;
mod commands;
mod completion;
mod diagnostics;
mod editor;
mod exit;
mod functions;
mod generate;
mod history;
mod limits;
mod log;
mod login;
mod monitor;
mod mount;
mod progress;
mod prompt;
mod rows;
mod server;
mod settings;
mod shell;
mod statement;
mod style;
mod tokens;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use self::arguments::{Action, Arguments, LogFormat};
use self::commands::Next;
use self::diagnostics::Source;
use self::exit::ExitCode;
use self::log::Log;
use self::monitor::HealthArguments;
use self::settings::Settings;
use self::shell::{Runtimes, Shell};
use clap::Parser;

use crate::access::Door;
use crate::error::{Error, Result};
use crate::monitor::Status;
use crate::session::Session;

/// Runs the command line with the process's arguments, and returns the code that the process ends with.
pub fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|panic| report_panic(&panic.to_string())));
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Success
            }
            .into();
        }
    };
    let result = match &arguments.action {
        Some(Action::Completions { shell }) => print(&generate::completions(*shell)),
        Some(Action::Man) => generate::manual()
            .map_err(|_| ExitCode::Failed)
            .and_then(|text| print(&text)),
        Some(Action::SqlReference) => print(crate::reference::markdown().as_bytes()),
        Some(Action::Mount(arguments)) => {
            let _log = Log::start(arguments.server.log_format);
            mount::reported(mount::mount(arguments))
        }
        Some(Action::Unmount { mountpoint }) => mount::reported(mount::unmount(mountpoint)),
        Some(Action::Serve(action)) => {
            let _log = Log::start(action.log_format());
            mount::reported(server::serve_nfs(action))
        }
        Some(Action::Health(arguments)) => health(arguments),
        Some(Action::Metrics(arguments)) => monitor::metrics(arguments)
            .map_err(|error| mount::report(&error))
            .and_then(|text| print(text.as_bytes())),
        Some(Action::Status) => {
            mount::status();
            Ok(())
        }
        None => run(&arguments),
    };
    result.err().unwrap_or(ExitCode::Success).into()
}

/// A fault of the program, in a form that a user can report. A statement that meets one fails, and nothing else.
fn report_panic(panic: &str) {
    // A writer that could not write is closed a second time while it is cleaned up; the first error is reported.
    if panic.contains("object_store") && panic.contains("Already shut down") {
        return;
    }
    let _ = writeln!(
        std::io::stderr(),
        "internal error, please report it: {panic}\n(with RUST_BACKTRACE=1, where it was)"
    );
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        let _ = writeln!(std::io::stderr(), "{}", std::backtrace::Backtrace::force_capture());
    }
}

fn print(text: &[u8]) -> Result<(), ExitCode> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text)
        .and_then(|()| stdout.flush())
        .map_err(|_| ExitCode::BrokenPipe)
}

/// Runs what the arguments ask for. Every error has been reported when this returns.
fn run(arguments: &Arguments) -> Result<(), ExitCode> {
    let _log = Log::start(arguments.log_format);
    // Every name on the command line is seen from where the program was started, so before the folder changes.
    let lake = arguments.lake();
    let files: Vec<PathBuf> = arguments.files.iter().map(|file| from_the_start(file)).collect();
    let rc: Option<Vec<PathBuf>> = arguments
        .rc
        .as_ref()
        .map(|files| files.iter().map(|file| from_the_start(file)).collect());

    let opened = enter_data_path(arguments).and_then(|()| open(arguments, &lake));
    let mut shell = opened.map_err(|(error, code)| {
        let style = arguments.color.style_for(&std::io::stderr());
        let _ = write!(std::io::stderr(), "{}", diagnostics::render(&error, None, style));
        code.unwrap_or_else(|| error.kind().into())
    })?;

    if let Some(address) = arguments.metrics_listen {
        let listening = shell.runtimes.workers.block_on(shell.session.serve_metrics(address));
        listening.map_err(|error| shell.report(&error, None))?;
    }
    let result = if !files.is_empty() || !arguments.commands.is_empty() {
        shell.exit_on_interrupt();
        run_given(&mut shell, &files, &arguments.commands)
    } else if std::io::stdin().is_terminal() {
        prompt::run(&mut shell, &lake, rc, arguments.color)
    } else {
        shell.exit_on_interrupt();
        let begun = rc.unwrap_or_default().iter().try_for_each(|file| shell.run_file(file));
        begun.and_then(|()| shell.run_script(&mut std::io::stdin().lock(), None))
    };
    if matches!(result, Err(ExitCode::Interrupted | ExitCode::BrokenPipe)) {
        // What was cancelled is not waited for.
        shell.runtimes.workers.shutdown_background();
    } else {
        // A checkpoint that is cut off by the end of its runtime panics, and would never be written by short runs.
        shell.runtimes.workers.block_on(shell.session.close());
    }
    result
}

/// Runs the files, then the commands.
fn run_given(shell: &mut Shell, files: &[PathBuf], commands: &[String]) -> Result<(), ExitCode> {
    for file in files {
        if file == Path::new("-") {
            shell.run_script(&mut std::io::stdin().lock(), None)?;
        } else {
            shell.run_file(file)?;
        }
    }
    for command in commands {
        match command.trim().strip_prefix('\\') {
            Some(backslash) => {
                if commands::run(shell, backslash)? == Next::Quit {
                    return Ok(());
                }
            }
            None => shell.run_text(&Source::of(command.as_str()))?,
        }
    }
    Ok(())
}

/// A file as seen from the folder in which the program was started.
fn from_the_start(file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return file.to_path_buf();
    }
    std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
}

/// An error with the code to exit with, where its kind does not give the right one.
type Refusal = (Error, Option<ExitCode>);

fn enter_data_path(arguments: &Arguments) -> Result<(), Refusal> {
    let Some(folder) = &arguments.data_path else {
        return Ok(());
    };
    std::env::set_current_dir(folder).map_err(|error| {
        let message = format!("--data-path {}: {error}", folder.display());
        (Error::invalid(message).with_source(error), Some(ExitCode::Usage))
    })
}

fn open(arguments: &Arguments, lake: &str) -> Result<Shell, Refusal> {
    let usage = Some(ExitCode::Usage);
    let options = arguments
        .store_options()
        .map_err(|message| (Error::invalid(message), usage))?;
    let runtimes =
        Runtimes::start().map_err(|error| (Error::internal(format!("cannot start threads: {error}")), None))?;
    let config = limits::config(arguments).map_err(|error| (error, usage))?;
    let builder = Session::builder()
        .lake(lake)
        .options(options)
        .config(config)
        .runtime(limits::runtime(arguments))
        .door(Door::Cli);
    let builder = arguments.login.apply(builder).map_err(|error| (error, None))?;
    let session = runtimes
        .workers
        .block_on(builder.build())
        .map_err(|error| (error, None))?;

    let settings = Settings {
        format: arguments.format,
        maxrows: arguments.maxrows,
        quiet: arguments.quiet,
    };
    let style = arguments.color.style_for(&std::io::stderr());
    Ok(Shell::new(session, runtimes, settings, style))
}

/// Looks at a lake, prints what was found, and fails where anything is wrong.
fn health(arguments: &HealthArguments) -> Result<(), ExitCode> {
    let options = arguments
        .options
        .iter()
        .map(|(key, value)| format!("--option={key}={value}"));
    let words = ["posixlake".to_string(), "--quiet".to_string()];
    let words = words
        .into_iter()
        .chain(options)
        .chain([format!("--lake={}", arguments.lake)]);
    let mut as_given = Arguments::parse_from(words);
    as_given.format = arguments.format;
    as_given.login = arguments.login.clone();
    let _log = Log::start(LogFormat::Text);
    let mut shell = open(&as_given, &as_given.lake()).map_err(|(error, code)| {
        let of_kind = mount::report(&error);
        code.unwrap_or(of_kind)
    })?;
    let checks = shell.runtimes.workers.block_on(shell.session.health());
    let failed = checks.iter().any(|check| check.status == Status::Failed);
    let rows = checks
        .into_iter()
        .map(|check| [check.check, check.status.name().to_string(), check.detail]);
    let rows = commands::string_table(["check", "status", "detail"], rows);
    shell.print_rows(&rows.map_err(|error| mount::report(&error))?)?;
    if failed { Err(ExitCode::Failed) } else { Ok(()) }
}
