//! What is printed for other programs: completions and the manual page.

use std::io;

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::arguments::{Arguments, ENVIRONMENT};
use super::commands::COMMANDS;
use super::exit::ExitCode;

/// The completions of a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::full_command(), "posixlake", &mut text);
    text
}

/// The manual page.
///
/// # Errors
/// None in practice: it is written to memory.
pub(crate) fn manual() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let manual = Man::new(Arguments::full_command()).manual("posixlake");
    manual.render_title(&mut text)?;
    manual.render_name_section(&mut text)?;
    manual.render_synopsis_section(&mut text)?;
    manual.render_description_section(&mut text)?;
    manual.render_options_section(&mut text)?;

    let mut sections = Roff::new();
    let command = Arguments::full_command();
    let subcommands = command.get_subcommands().map(|subcommand| {
        let meaning = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        (format!("posixlake {}", subcommand.get_name()), meaning)
    });
    section(&mut sections, "SUBCOMMANDS", subcommands);
    section(&mut sections, "COMMANDS AT THE PROMPT", COMMANDS);
    section(&mut sections, "ENVIRONMENT", ENVIRONMENT);
    let codes = ExitCode::ALL.map(|code| (code.number().to_string(), code.meaning()));
    section(&mut sections, "EXIT STATUS", codes);
    sections.to_writer(&mut text)?;
    manual.render_version_section(&mut text)?;
    Ok(text)
}

fn section<T: Into<String>, M: Into<String>>(roff: &mut Roff, title: &str, entries: impl IntoIterator<Item = (T, M)>) {
    roff.control("SH", [title]);
    for (term, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(term)]);
        roff.text([roman(meaning)]);
    }
}
