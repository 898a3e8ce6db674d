//! The command line's arguments.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use datafusion_cli::pool_type::PoolType;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;

use super::exit::ExitCode;
use super::login::{LoginArguments, PASSWORD_VARIABLE, USER_VARIABLE};
use super::monitor::{HealthArguments, MetricsArguments};
use super::mount::MountArguments;
use super::server::ServeAction;
use super::style::ColorChoice;

/// The variable that names the lake where the command line does not.
pub(crate) const LAKE_VARIABLE: &str = "POSIXLAKE_LAKE";

/// The variables that change what the command line does, with their meanings.
pub(crate) const ENVIRONMENT: [(&str, &str); 11] = [
    (LAKE_VARIABLE, "the lake, where none is named"),
    (USER_VARIABLE, "who opens the lake, where --user says nothing"),
    (PASSWORD_VARIABLE, "the password, where there is no --password-file"),
    (
        "POSIXLAKE_LOG",
        "what to log to stderr, such as info or posixlake=debug",
    ),
    (
        "POSIXLAKE_DATA_CACHE",
        "how much disk data files of remote tables may take, such as 20g (default off); POSIXLAKE_DATA_CACHE_FOLDER says where",
    ),
    ("POSIXLAKE_METRICS", "off: statements are not counted or listed"),
    ("NO_COLOR", "no colour, where set and not empty"),
    (
        "XDG_STATE_HOME",
        "where posixlake/history and the state of mounts are kept (default ~/.local/state)",
    ),
    (
        "XDG_CACHE_HOME",
        "where rows as text for mounts and remote data files are kept (default ~/.cache)",
    ),
    (
        "XDG_CONFIG_HOME",
        "where posixlake/rc is looked for (default ~/.config)",
    ),
    (
        "DATAFUSION_*",
        "DataFusion's settings, such as DATAFUSION_EXECUTION_TIME_ZONE",
    ),
];

/// SQL on a lake of Delta tables.
///
/// Without -c and -f, statements are read from standard input: with a prompt where it is a terminal, else as a script.
#[derive(Debug, Parser)]
#[command(name = "posixlake", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// The lake: a folder, or a URL such as s3://bucket/prefix [default: $POSIXLAKE_LAKE, else --data-path, else .]
    #[arg(value_name = "LAKE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) location: Option<String>,

    /// The lake, for one that is named like a subcommand
    #[arg(
        long = "lake",
        value_name = "LAKE",
        conflicts_with = "location",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) lake: Option<String>,

    /// A setting of the store, such as aws_region=eu-central-1; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = parse_option)]
    pub(crate) options: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) login: LoginArguments,

    /// Run these statements, then exit; may be repeated
    #[arg(short = 'c', long = "command", value_name = "SQL", value_parser = parse_command, allow_hyphen_values = true)]
    pub(crate) commands: Vec<String>,

    /// Run the statements of this file, then exit; `-` is standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Run this file before the first prompt instead of the rc file; may be repeated
    #[arg(short = 'r', long = "rc", value_name = "FILE", conflicts_with_all = ["commands", "files"])]
    pub(crate) rc: Option<Vec<PathBuf>>,

    /// The folder from which relative file names in statements start [default: the current folder]
    #[arg(short = 'p', long = "data-path", value_name = "FOLDER")]
    pub(crate) data_path: Option<PathBuf>,

    /// How rows are printed
    #[arg(long, value_enum, ignore_case = true, default_value_t = PrintFormat::Automatic)]
    pub(crate) format: PrintFormat,

    /// Print nothing but rows and errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// How many rows the table format shows: a number, or inf
    #[arg(long, value_name = "ROWS", default_value = "40")]
    pub(crate) maxrows: MaxRows,

    /// When to use colour; alone it means always
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        default_value_t = ColorChoice::Auto,
        default_missing_value = "always"
    )]
    pub(crate) color: ColorChoice,

    /// How many rows are processed at a time
    #[arg(short = 'b', long = "batch-size", value_name = "ROWS", value_parser = parse_batch_size)]
    pub(crate) batch_size: Option<usize>,

    /// The memory that statements may hold before they spill to disk, such as 512m or 10g
    #[arg(short = 'm', long = "memory-limit", value_name = "BYTES", value_parser = crate::system::parse_size)]
    pub(crate) memory_limit: Option<usize>,

    /// How memory is shared: greedy (first come, first served) or fair (equal parts); without it, a part is kept for what
    /// cannot spill
    #[arg(long = "mem-pool-type", value_name = "TYPE", requires = "memory_limit")]
    pub(crate) memory_pool: Option<PoolType>,

    /// How many of the largest memory consumers an out-of-memory error names
    #[arg(
        long = "top-memory-consumers",
        value_name = "COUNT",
        default_value = "3",
        requires = "memory_limit"
    )]
    pub(crate) top_memory_consumers: usize,

    /// The disk space that statements may spill to, such as 10g
    #[arg(short = 'd', long = "disk-limit", value_name = "BYTES", value_parser = crate::system::parse_size)]
    pub(crate) disk_limit: Option<usize>,

    /// Answer monitoring systems here while the program runs: /metrics, /healthz and /readyz
    #[arg(long = "metrics-listen", value_name = "ADDRESS:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// How POSIXLAKE_LOG's lines look
    #[arg(long = "log-format", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object of JSON a line
    Json,
}

/// What the program does apart from running SQL.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Action {
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print the reference of the SQL as Markdown
    SqlReference,
    /// Mount a lake: its tables are files, and edits of files are transactions
    Mount(MountArguments),
    /// Unmount a lake, when all edits are applied
    Unmount {
        /// The folder that it is mounted on
        mountpoint: PathBuf,
    },
    /// Serve a lake to other programs
    #[command(subcommand)]
    Serve(ServeAction),
    /// Look at a lake's store and at every table; the exit code says whether anything failed
    Health(HealthArguments),
    /// Print the metrics of mounts and servers that run, in the text format of Prometheus
    Metrics(MetricsArguments),
    /// List the lakes that are mounted or served, with edits that are not applied yet
    Status,
}

impl Arguments {
    /// Reads the process's arguments.
    ///
    /// # Errors
    /// clap's own, which also carry `--help` and `--version`.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::full_command().try_get_matches()?;
        Self::from_arg_matches(&matches)
    }

    /// The command with the parts of its help that are not arguments.
    pub(crate) fn full_command() -> clap::Command {
        let environment = ENVIRONMENT
            .map(|(name, meaning)| format!("  {name:<18}  {meaning}"))
            .join("\n");
        let codes = ExitCode::list();
        Self::command().after_long_help(format!("Environment:\n{environment}\n\nExit codes:\n{codes}"))
    }

    /// The lake that was asked for; a folder as an absolute path.
    pub(crate) fn lake(&self) -> String {
        let variable = || std::env::var(LAKE_VARIABLE).ok().filter(|value| !value.is_empty());
        let folder = || {
            self.data_path
                .as_ref()
                .and_then(|path| path.to_str())
                .map(str::to_string)
        };
        let location = self
            .location
            .clone()
            .or_else(|| self.lake.clone())
            .or_else(variable)
            .or_else(folder);
        let location = location.unwrap_or_else(|| ".".to_string());
        if location.contains("://") {
            return location;
        }
        let absolute = std::path::absolute(&location).ok();
        absolute
            .and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or(location)
    }

    /// The settings of stores.
    ///
    /// # Errors
    /// A key that was given twice.
    pub(crate) fn store_options(&self) -> Result<HashMap<String, String>, String> {
        let mut options = HashMap::new();
        for (key, value) in &self.options {
            if options.insert(key.clone(), value.clone()).is_some() {
                return Err(format!("--option {key} is given twice"));
            }
        }
        Ok(options)
    }
}

fn parse_command(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("there is no statement in it".to_string())
    } else {
        Ok(text.to_string())
    }
}

pub(crate) fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_string(), value.to_string())),
        _ => Err("a setting is written KEY=VALUE".to_string()),
    }
}

fn parse_batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows) if rows > 0 => Ok(rows),
        _ => Err("a number of rows above 0 is needed".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::full_command().debug_assert();
    }

    #[test]
    fn flags_of_datafusion_cli_keep_their_names() {
        let parse = |text: &str| Arguments::try_parse_from(text.split(' '));
        let line = "posixlake -c a -c b -f x -b 10 -m 1g -d 2g -q -p / --format ND-JSON --maxrows inf lake --color";
        let arguments = parse(line).unwrap();
        assert_eq!(arguments.commands, ["a", "b"]);
        assert_eq!(arguments.location.as_deref(), Some("lake"));
        assert_eq!(arguments.color, ColorChoice::Always);
        assert_eq!(arguments.format, PrintFormat::NdJson);
        for refused in [
            "posixlake a --lake b",
            "posixlake -r x -c y",
            "posixlake --mem-pool-type fair",
            "posixlake -b 0",
            "posixlake --option x",
            "posixlake --unknown",
            "posixlake a b",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
