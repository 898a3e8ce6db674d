//! The commands that start with a backslash.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;

use super::exit::ExitCode;
use super::functions;
use super::settings::{Settings, format_names};
use super::shell::Shell;
use crate::error::{Error, ErrorKind};

/// The commands with what they do, as `\?` and the manual show them.
pub(crate) const COMMANDS: [(&str, &str); 9] = [
    ("\\d", "list the tables (also \\dt)"),
    ("\\d TABLE", "list the columns of a table"),
    ("\\h", "list the functions"),
    ("\\h FUNCTION", "describe a function"),
    ("\\i FILE", "run the statements of a file"),
    (
        "\\pset [format NAME | maxrows ROWS]",
        "show or set how rows are printed",
    ),
    (
        "\\quiet [on | off]",
        "show or set whether only rows and errors are printed",
    ),
    ("\\?", "list these commands"),
    ("\\q", "quit (also quit, exit, Ctrl-D)"),
];

/// What comes after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    Quit,
}

/// A command.
#[derive(Debug, Clone, PartialEq)]
enum Command {
    Quit,
    Help,
    ListTables,
    DescribeTable(String),
    ListFunctions,
    DescribeFunction(String),
    Include(PathBuf),
    Quiet(Option<bool>),
    ShowOptions,
    SetFormat(PrintFormat),
    SetMaxRows(MaxRows),
}

/// Runs the command that stands behind a backslash.
///
/// # Errors
/// The code of a failure that has been reported.
pub(crate) fn run(shell: &mut Shell, text: &str) -> Result<Next, ExitCode> {
    let command = match parse(text) {
        Ok(command) => command,
        Err(message) => return Err(shell.report(&Error::new(ErrorKind::Syntax, message), None)),
    };
    match command {
        Command::Quit => return Ok(Next::Quit),
        Command::Help => help(shell)?,
        Command::ListTables => shell.run_single("SHOW TABLES".to_string())?,
        Command::DescribeTable(name) => shell.run_single(format!("SHOW COLUMNS FROM {name}"))?,
        Command::ListFunctions => functions::list(shell)?,
        Command::DescribeFunction(name) => functions::describe(shell, &name)?,
        Command::Include(path) => shell.run_file(&path)?,
        Command::Quiet(quiet) => {
            shell.settings.quiet = quiet.unwrap_or(shell.settings.quiet);
            let state = if shell.settings.quiet { "on" } else { "off" };
            answer(shell, &format!("quiet is {state}"))?;
        }
        Command::ShowOptions => {
            let settings = shell.settings;
            answer(shell, &options(&settings))?;
        }
        Command::SetFormat(format) => {
            shell.settings.format = format;
            answer(shell, &format!("format is {}", shell.settings.format_name()))?;
        }
        Command::SetMaxRows(maxrows) => {
            shell.settings.maxrows = maxrows;
            answer(shell, &format!("maxrows is {}", shell.settings.maxrows_name()))?;
        }
    }
    Ok(Next::Go)
}

fn answer(shell: &mut Shell, text: &str) -> Result<(), ExitCode> {
    shell.say(text);
    Ok(())
}

fn options(settings: &Settings) -> String {
    format!(
        "format is {}\nmaxrows is {}",
        settings.format_name(),
        settings.maxrows_name()
    )
}

fn help(shell: &mut Shell) -> Result<(), ExitCode> {
    let columns = ["command", "what it does"];
    match string_table(
        columns,
        COMMANDS
            .iter()
            .map(|(name, meaning)| [name.to_string(), meaning.to_string()]),
    ) {
        Ok(batch) => shell.print_rows(&batch),
        Err(error) => Err(shell.report(&error, None)),
    }
}

/// Rows of text.
///
/// # Errors
/// Arrow's, where the rows do not fit the columns.
pub(crate) fn string_table<const N: usize>(
    names: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<RecordBatch, Error> {
    let mut columns: [Vec<String>; N] = std::array::from_fn(|_| Vec::new());
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let fields: Vec<Field> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, false))
        .collect();
    let arrays = columns
        .into_iter()
        .map(|column| Arc::new(StringArray::from(column)) as ArrayRef)
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn parse(text: &str) -> Result<Command, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    match (name, argument) {
        ("q", "") => Ok(Command::Quit),
        ("?", "") => Ok(Command::Help),
        ("d" | "dt", "") => Ok(Command::ListTables),
        ("d", table) => Ok(Command::DescribeTable(table.to_string())),
        ("h", "") => Ok(Command::ListFunctions),
        ("h", function) => Ok(Command::DescribeFunction(function.to_string())),
        ("i", "") => Err("\\i needs a file: \\i FILE".to_string()),
        ("i", file) => Ok(Command::Include(PathBuf::from(unquoted(file)))),
        ("quiet", "") => Ok(Command::Quiet(None)),
        ("quiet", "on" | "true" | "t" | "yes" | "y") => Ok(Command::Quiet(Some(true))),
        ("quiet", "off" | "false" | "f" | "no" | "n") => Ok(Command::Quiet(Some(false))),
        ("quiet", other) => Err(format!("\\quiet takes on or off, not {other}")),
        ("pset", argument) => parse_option(argument),
        ("q" | "?" | "dt", _) => Err(format!("\\{name} takes nothing behind it")),
        _ => Err(format!("there is no command \\{name}; \\? lists them")),
    }
}

fn parse_option(argument: &str) -> Result<Command, String> {
    let (option, value) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
    match (option, value.trim()) {
        ("", _) => Ok(Command::ShowOptions),
        ("format", value) => match value.parse() {
            Ok(format) => Ok(Command::SetFormat(format)),
            Err(_) => Err(format!("\\pset format takes one of {}", format_names().join(", "))),
        },
        ("maxrows", value) => match value.parse() {
            Ok(rows) => Ok(Command::SetMaxRows(rows)),
            Err(_) => Err("\\pset maxrows takes a number of rows, or inf".to_string()),
        },
        (other, _) => Err(format!("\\pset has no option {other}; it has format and maxrows")),
    }
}

/// A file name may stand in quotes.
fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    within('\'').or_else(|| within('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_datafusion_cli_are_understood() {
        for (text, command) in [
            ("q", Command::Quit),
            ("?", Command::Help),
            ("d", Command::ListTables),
            ("d orders", Command::DescribeTable("orders".into())),
            ("h", Command::ListFunctions),
            ("h  abs ", Command::DescribeFunction("abs".into())),
            ("i 'a b.sql'", Command::Include("a b.sql".into())),
            ("quiet", Command::Quiet(None)),
            ("quiet true", Command::Quiet(Some(true))),
            ("quiet off", Command::Quiet(Some(false))),
            ("pset", Command::ShowOptions),
            ("pset format nd-json", Command::SetFormat(PrintFormat::NdJson)),
            ("pset maxrows inf", Command::SetMaxRows(MaxRows::Unlimited)),
        ] {
            assert_eq!(parse(text), Ok(command), "{text}");
        }
        for refused in [
            "",
            "x",
            "i",
            "quiet perhaps",
            "pset width 3",
            "pset format xml",
            "pset maxrows -1",
            "q now",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
