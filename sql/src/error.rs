//! What is wrong with a text, where, and what was probably meant.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer;

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Location {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<tokenizer::Location> for Location {
    fn from(location: tokenizer::Location) -> Self {
        Self {
            line: location.line,
            column: location.column,
        }
    }
}

/// A text that is not a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SyntaxError {
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub location: Location,
    /// What was probably meant, such as `did you mean OPTIMIZE?`, or which spelling to use.
    pub hint: Option<String>,
    /// Whether the text is only unfinished: more input could make it right.
    pub incomplete: bool,
}

impl SyntaxError {
    /// An error without a hint.
    pub fn new(message: impl Into<String>, location: Location) -> Self {
        Self {
            message: message.into(),
            location,
            hint: None,
            incomplete: false,
        }
    }

    /// The same error with a hint; one that stands already is kept.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.message, self.location)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
