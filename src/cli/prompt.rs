//! The prompt: lines become statements, statements run, and whatever fails, the prompt comes back.

use std::io::IsTerminal;
use std::path::PathBuf;

use rustyline::config::{Behavior, Config};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{ColorMode, CompletionType, Editor};

use super::catalog::Catalog;
use super::commands::{self, Next};
use super::diagnostics::Source;
use super::editor::SqlHelper;
use super::exit::ExitCode;
use super::history;
use super::shell::Shell;
use super::style::ColorChoice;
use super::tokens;
use crate::error::Error;

const PROMPT: &str = "lake> ";
/// As wide as the prompt, so that a statement's lines are aligned.
const CONTINUATION: &str = "   -> ";

type LineEditor = Editor<SqlHelper<Catalog>, FileHistory>;

/// Reads statements from the terminal until the user leaves.
///
/// # Errors
/// Only where the terminal itself, or its reader, fails: a statement that fails does not end the prompt.
pub(crate) fn run(shell: &mut Shell, lake: &str, rc: Option<Vec<PathBuf>>, color: ColorChoice) -> Result<(), ExitCode> {
    let rc = rc.unwrap_or_else(|| default_rc().into_iter().collect());
    for file in rc {
        // What the rest of the file would have set is missed, but a prompt is of more use than none.
        let _ = shell.run_file(&file);
    }
    shell.say(&format!(
        "posixlake {} on {lake}\n\\? lists commands, \\q quits",
        env!("CARGO_PKG_VERSION")
    ));

    let mut editor = editor(shell, color).map_err(|error| terminal_failed(shell, &error))?;
    let history = open_history(shell, &mut editor);
    let mut pending = String::new();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.pending.clone_from(&pending);
        }
        match editor.readline(if pending.is_empty() { PROMPT } else { CONTINUATION }) {
            Ok(line) => {
                shell.forget_interrupts();
                let entry = take_line(&mut pending, &line);
                let Some(entry) = entry else { continue };
                keep(&mut editor, history.as_ref(), &entry);
                match run_entry(shell, &entry) {
                    Ok(Next::Go) => {}
                    Ok(Next::Quit) => return Ok(()),
                    // The reader of the rows is gone for good: `posixlake | head`.
                    Err(ExitCode::BrokenPipe) => return Err(ExitCode::BrokenPipe),
                    Err(_) => {}
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal_failed(shell, &error)),
        }
    }
}

/// Adds a line to what is pending. Returns what can be run: a command, or text that ends with a statement.
fn take_line(pending: &mut String, line: &str) -> Option<String> {
    if tokens::is_blank(pending) {
        let word = line.trim().trim_end_matches(';');
        let is_word = ["quit", "exit", "help"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        if is_word || word.starts_with('\\') {
            pending.clear();
            return Some(line.trim().to_string());
        }
        if tokens::is_blank(line) {
            pending.clear();
            return None;
        }
    }
    pending.push_str(line);
    if tokens::ends_statement(pending) {
        return Some(std::mem::take(pending));
    }
    pending.push('\n');
    None
}

fn run_entry(shell: &mut Shell, entry: &str) -> Result<Next, ExitCode> {
    if let Some(command) = entry.strip_prefix('\\') {
        return commands::run(shell, command);
    }
    match entry.trim_end_matches(';').to_ascii_lowercase().as_str() {
        "quit" | "exit" => Ok(Next::Quit),
        "help" => commands::run(shell, "?"),
        _ => shell.run_text(&Source::of(entry)).map(|()| Next::Go),
    }
}

fn editor(shell: &Shell, color: ColorChoice) -> rustyline::Result<LineEditor> {
    let style = color.style_for(&std::io::stdout());
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .history_ignore_space(true)
        .max_history_size(10_000)?
        .color_mode(if style.is_colored() {
            ColorMode::Forced
        } else {
            ColorMode::Disabled
        })
        // Where rows go to a file, the prompt still belongs on the terminal.
        .behavior(if std::io::stdout().is_terminal() {
            Behavior::Stdio
        } else {
            Behavior::PreferTerm
        })
        .build();
    let mut editor = Editor::with_config(config)?;
    let catalog = Catalog::new(shell.session.clone(), shell.runtimes.workers.handle().clone());
    editor.set_helper(Some(SqlHelper::new(catalog, style)));
    Ok(editor)
}

/// Reads the history. Without one, the prompt works all the same.
fn open_history(shell: &Shell, editor: &mut LineEditor) -> Option<PathBuf> {
    match history::file() {
        Ok(path) => {
            if path.exists()
                && let Err(error) = editor.load_history(&path)
            {
                shell.say(&format!("the history {} cannot be read: {error}", path.display()));
                return None;
            }
            Some(path)
        }
        Err(error) => {
            shell.say(&format!("there will be no history: {error}"));
            None
        }
    }
}

/// Keeps what was typed, at once: a prompt that is killed has lost nothing.
fn keep(editor: &mut LineEditor, history: Option<&PathBuf>, entry: &str) {
    if !history::may_keep(entry) {
        return;
    }
    let _ = editor.add_history_entry(entry.trim_end());
    if let Some(path) = history {
        let _ = editor.append_history(path);
    }
}

/// The file that is run before the first prompt.
fn default_rc() -> Option<PathBuf> {
    let file = crate::system::folder("XDG_CONFIG_HOME", ".config")?.join("rc");
    file.is_file().then_some(file)
}

fn terminal_failed(shell: &Shell, error: &ReadlineError) -> ExitCode {
    shell.report(&Error::storage(format!("the terminal cannot be read: {error}")), None)
}
