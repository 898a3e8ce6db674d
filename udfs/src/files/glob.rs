//! Path patterns: `*`, `?`, `**`, `[a-z]`, `[!a]`, `{csv,tsv}`.

use regex::Regex;

use super::error::{FileError, Result};

/// Whether `text` has a character that patterns give a meaning.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// A compiled pattern over whole paths with `/` between their parts.
#[derive(Debug)]
pub(crate) struct Glob(Regex);

impl Glob {
    /// Compiles `pattern`, which errors call `written`.
    ///
    /// # Errors
    /// An open bracket or brace without its end.
    pub(crate) fn new(pattern: &str, written: &str) -> Result<Self> {
        let wrong = |why: &str| FileError::invalid(format!("pattern '{written}': {why}"));
        let mut expression = String::from("(?s)^");
        let mut characters = pattern.chars().peekable();
        let mut braces = 0usize;
        while let Some(character) = characters.next() {
            match character {
                '*' if characters.peek() == Some(&'*') => {
                    characters.next();
                    // `**/` also stands for no folder at all.
                    if characters.peek() == Some(&'/') {
                        characters.next();
                        expression.push_str("(?:.*/)?");
                    } else {
                        expression.push_str(".*");
                    }
                }
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                '[' => push_class(&mut expression, &mut characters).ok_or_else(|| wrong("'[' has no ']'"))?,
                '{' => {
                    braces += 1;
                    expression.push_str("(?:");
                }
                '}' if braces > 0 => {
                    braces -= 1;
                    expression.push(')');
                }
                ',' if braces > 0 => expression.push('|'),
                '\\' => push_literal(&mut expression, characters.next().unwrap_or('\\')),
                other => push_literal(&mut expression, other),
            }
        }
        if braces > 0 {
            return Err(wrong("'{' has no '}'"));
        }
        expression.push('$');
        Regex::new(&expression)
            .map(Self)
            .map_err(|error| wrong(&error.to_string()))
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

fn push_literal(expression: &mut String, character: char) {
    let mut buffer = [0; 4];
    expression.push_str(&regex::escape(character.encode_utf8(&mut buffer)));
}

/// The class after `[`, up to its `]`; nothing where that is missing.
fn push_class(expression: &mut String, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<()> {
    expression.push('[');
    if matches!(characters.peek(), Some('!' | '^')) {
        characters.next();
        expression.push('^');
    }
    let mut first = true;
    loop {
        match characters.next()? {
            ']' if !first => break,
            '-' => expression.push('-'),
            other => {
                if other.is_ascii_punctuation() {
                    expression.push('\\');
                }
                expression.push(other);
            }
        }
        first = false;
    }
    expression.push(']');
    Some(())
}
