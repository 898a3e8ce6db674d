//! The line editor's view of SQL: completion and colour.

use std::borrow::Cow;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::completion::{Completion, Names, complete};
use super::settings::format_names;
use super::style::Style;
use super::tokens::{TokenKind, tokenize};

/// Helps while a line is typed.
pub(crate) struct SqlHelper<N> {
    /// The lines of the statement before the one that is typed.
    pub(crate) pending: String,
    names: N,
    /// In upper case and in order.
    keywords: Vec<&'static str>,
    files: FilenameCompleter,
    style: Style,
}

impl<N: Names> SqlHelper<N> {
    pub(crate) fn new(names: N, style: Style) -> Self {
        let keywords = posixlake_sql::keywords().collect();
        Self {
            pending: String::new(),
            names,
            keywords,
            files: FilenameCompleter::new(),
            style,
        }
    }

    fn is_keyword(&self, word: &str) -> bool {
        self.keywords.binary_search(&word.to_uppercase().as_str()).is_ok()
    }

    /// What fits in a line that starts with a backslash.
    fn complete_command(&self, line: &str, position: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (typed, _) = line.split_at_checked(position).unwrap_or((line, ""));
        let (start, word) = match typed.rsplit_once(char::is_whitespace) {
            Some((before, word)) => (before.len() + 1, word),
            None => (0, typed),
        };
        let candidates = match typed.split_whitespace().next() {
            Some("\\i") if start > 0 => return self.files.complete_path(line, position),
            Some("\\d") if start > 0 => self.names.tables(None),
            Some("\\h") if start > 0 => self.names.functions(),
            Some("\\pset") if typed.contains("format") => format_names(),
            Some("\\pset") if start > 0 => vec!["format".to_string(), "maxrows".to_string()],
            Some("\\quiet") if start > 0 => vec!["on".to_string(), "off".to_string()],
            _ => ["\\d", "\\dt", "\\h", "\\i", "\\pset", "\\quiet", "\\?", "\\q"]
                .map(str::to_string)
                .to_vec(),
        };
        let fitting = candidates.into_iter().filter(|candidate| candidate.starts_with(word));
        Ok((start, fitting.map(pair).collect()))
    }
}

fn pair(text: String) -> Pair {
    Pair {
        display: text.clone(),
        replacement: text,
    }
}

impl<N: Names> Completer for SqlHelper<N> {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if self.pending.is_empty() && line.starts_with('\\') {
            return self.complete_command(line, position);
        }
        let text = format!("{}{line}", self.pending);
        match complete(&text, self.pending.len() + position, &self.names, &self.keywords) {
            Completion::File => self.files.complete_path(line, position),
            Completion::Words(start, words) => match start.checked_sub(self.pending.len()) {
                Some(start) => Ok((start, words.into_iter().map(pair).collect())),
                // The word was begun on a line that can no longer be changed.
                None => Ok((position, Vec::new())),
            },
        }
    }
}

impl<N: Names> Highlighter for SqlHelper<N> {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.style.is_colored() || (self.pending.is_empty() && line.starts_with('\\')) {
            return Cow::Borrowed(line);
        }
        let text = format!("{}{line}", self.pending);
        let mut colored = String::with_capacity(line.len() * 2);
        for token in tokenize(&text) {
            // The part of the token on this line: a string may have been begun on one before.
            let before = self.pending.len().saturating_sub(token.start);
            let Some(shown) = token.text.get(before..).filter(|shown| !shown.is_empty()) else {
                continue;
            };
            match token.kind {
                TokenKind::Word if self.is_keyword(token.text) => colored.push_str(&self.style.keyword(shown)),
                TokenKind::Text => colored.push_str(&self.style.string(shown)),
                TokenKind::Number => colored.push_str(&self.style.number(shown)),
                TokenKind::Comment => colored.push_str(&self.style.faint(shown)),
                _ => colored.push_str(shown),
            }
        }
        Cow::Owned(colored)
    }

    fn highlight_char(&self, line: &str, _: usize, kind: CmdKind) -> bool {
        self.style.is_colored() && !line.is_empty() && kind != CmdKind::MoveCursor
    }
}

impl<N: Names> Hinter for SqlHelper<N> {
    type Hint = String;
}

impl<N: Names> Validator for SqlHelper<N> {}

impl<N: Names> Helper for SqlHelper<N> {}
