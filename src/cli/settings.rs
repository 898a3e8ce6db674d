//! What a user can change while the program runs.

use clap::ValueEnum as _;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) format: PrintFormat,
    pub(crate) maxrows: MaxRows,
    /// Nothing but rows and errors.
    pub(crate) quiet: bool,
}

impl Settings {
    /// The format as `\pset` and `--format` spell it.
    pub(crate) fn format_name(&self) -> String {
        let value = self.format.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// The number of rows as `\pset` and `--maxrows` spell it.
    pub(crate) fn maxrows_name(&self) -> String {
        match self.maxrows {
            MaxRows::Unlimited => "inf".to_string(),
            MaxRows::Limited(rows) => rows.to_string(),
        }
    }
}

/// The names of the formats.
pub(crate) fn format_names() -> Vec<String> {
    let values = PrintFormat::value_variants()
        .iter()
        .filter_map(|format| format.to_possible_value());
    values.map(|value| value.get_name().to_string()).collect()
}
