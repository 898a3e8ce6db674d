//! How an error looks on the terminal: what is wrong, the place in the text, and what to do.

use std::error::Error as _;
use std::fmt::Write as _;

use posixlake_sql::{Location, SyntaxError};

use super::style::Style;
use super::tokens::makes_secret;
use crate::error::Error;

/// How many characters of a long line are shown around the place of an error.
const EXCERPT: usize = 120;

/// Where a text of SQL came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// The file, where it is one.
    pub(crate) name: Option<String>,
    /// The text.
    pub(crate) text: String,
    /// How many lines of the file stand before the text.
    pub(crate) lines_before: u64,
}

impl Source {
    /// A text that stands in no file.
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// The error as lines for a reader, ending in a newline.
pub(crate) fn render(error: &Error, source: Option<&Source>, style: Style) -> String {
    let syntax = error.source().and_then(|below| below.downcast_ref::<SyntaxError>());
    let message = syntax.map_or_else(|| error.message(), |syntax| syntax.message.as_str());
    let mut report = format!("{} {}\n", style.error("error:"), message.trim_end());
    // The line may hold the secret itself.
    let source = source.filter(|source| !makes_secret(&source.text));
    if let (Some(location), Some(source)) = (error.location(), source) {
        report.push_str(&excerpt(source, location, style));
    }
    if let Some(hint) = syntax.and_then(|syntax| syntax.hint.as_deref()) {
        report.push_str(&format!("{} {hint}\n", style.hint("hint:")));
    }
    report
}

/// The line with a caret below the column; nothing where the text has no such line.
fn excerpt(source: &Source, location: Location, style: Style) -> String {
    let Some(index) = location
        .line
        .checked_sub(1)
        .and_then(|index| usize::try_from(index).ok())
    else {
        return String::new();
    };
    let text = posixlake_sql::mask_passwords(&source.text);
    let Some(line) = text.lines().nth(index) else {
        return String::new();
    };
    let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(0);
    let (shown, before) = window(line, column);

    let number = (location.line + source.lines_before).to_string();
    let margin = " ".repeat(number.len());
    let mut lines = String::new();
    if let Some(name) = &source.name {
        let _ = writeln!(
            lines,
            "{margin}{} {name}:{number}:{}",
            style.faint("-->"),
            location.column
        );
    }
    let bar = style.faint("|");
    let _ = writeln!(lines, "{margin} {bar}");
    let _ = writeln!(lines, "{} {bar} {shown}", style.faint(&number));
    let _ = writeln!(lines, "{margin} {bar} {before}{}", style.error("^"));
    lines
}

/// The part of the line around the column, and the blank that leads up to it.
fn window(line: &str, column: usize) -> (String, String) {
    let characters: Vec<char> = line.trim_end().chars().collect();
    let first = if characters.len() > EXCERPT {
        column.saturating_sub(EXCERPT / 2)
    } else {
        0
    };
    let cut_before = first > 0;
    let cut_after = characters.len() > first + EXCERPT;

    let mut shown: String = if cut_before { "… ".to_string() } else { String::new() };
    shown.extend(characters.iter().skip(first).take(EXCERPT));
    if cut_after {
        shown.push_str(" …");
    }
    let mut before: String = if cut_before { "  ".to_string() } else { String::new() };
    let blank = characters.iter().take(column).skip(first);
    before.extend(blank.map(|character| if *character == '\t' { '\t' } else { ' ' }));
    (shown, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: u64, column: u64, hint: Option<&str>) -> Error {
        let mut error = SyntaxError::new("expected a table", Location { line, column });
        error.hint = hint.map(str::to_string);
        error.into()
    }

    #[test]
    fn a_syntax_error_shows_its_line_with_a_caret_and_a_hint() {
        let source = Source {
            name: Some("load.sql".into()),
            text: "SELECT 1;\n\tVACCUM t".into(),
            lines_before: 9,
        };
        let report = render(
            &error(2, 2, Some("did you mean VACUUM?")),
            Some(&source),
            Style::plain(),
        );
        assert_eq!(
            report,
            "error: expected a table\n  --> load.sql:11:2\n   |\n11 | \tVACCUM t\n   | \t^\nhint: did you mean VACUUM?\n"
        );
    }

    #[test]
    fn a_place_outside_the_text_is_left_out() {
        let source = Source::of("SELECT 1");
        assert_eq!(
            render(&error(7, 1, None), Some(&source), Style::plain()),
            "error: expected a table\n"
        );
        assert_eq!(
            render(&error(0, 0, None), Some(&source), Style::plain()),
            "error: expected a table\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let source = Source::of(format!("{}X{}", "a".repeat(500), "b".repeat(500)));
        let report = render(&error(1, 501, None), Some(&source), Style::plain());
        let lines: Vec<&str> = report.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^');
        let place = lines[2].chars().position(|c| c == 'X');
        assert_eq!(caret, place);
        assert!(lines[2].chars().count() < 140, "{}", lines[2]);
    }
}
