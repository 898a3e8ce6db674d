//! A rough look at SQL that may be half typed: enough to know where a statement ends, what to colour and what to complete.
//!
//! It never fails. What a statement means is the parser's business alone.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a plain name.
    Word,
    /// A name in double quotes or backticks.
    QuotedName,
    /// A string.
    Text,
    Number,
    Comment,
    Space,
    /// Any other single character.
    Symbol,
}

/// A piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    /// The byte at which it starts.
    pub(crate) start: usize,
    /// False where the text ends before the closing quote or the end of the comment.
    pub(crate) closed: bool,
}

impl<'a> Token<'a> {
    /// Whether it says anything.
    pub(crate) fn is_significant(&self) -> bool {
        !matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }

    /// Whether it is this keyword, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this symbol.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// The name that it stands for: quotes taken away, or folded to lower case as SQL does.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.to_lowercase()),
            TokenKind::QuotedName => {
                let quote = self.text.chars().next()?;
                let inner = self.text.strip_prefix(quote)?;
                let inner = if self.closed { inner.strip_suffix(quote)? } else { inner };
                Some(inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
            }
            _ => None,
        }
    }
}

/// Whether a text holds a statement that gives credentials away.
pub(crate) fn makes_secret(text: &str) -> bool {
    let tokens = tokenize(text);
    let words: Vec<&Token<'_>> = tokens.iter().filter(|token| token.is_significant()).collect();
    let begins = |token: &Token<'_>| token.is_word("create");
    // CREATE [OR REPLACE] [TEMPORARY] SECRET
    words
        .iter()
        .enumerate()
        .any(|(at, word)| begins(word) && words.iter().skip(at + 1).take(4).any(|word| word.is_word("secret")))
}

/// Cuts a text into tokens that together are the text.
pub(crate) fn tokenize(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let after_e = tokens.last().is_some_and(|last| last.is_word("e"));
        let (kind, length, closed) = next(rest, after_e);
        let (token, _) = rest.split_at_checked(length).unwrap_or((rest, ""));
        tokens.push(Token {
            kind,
            text: token,
            start,
            closed,
        });
        start += token.len();
    }
    tokens
}

/// Whether the text ends with a semicolon that ends a statement.
pub(crate) fn ends_statement(text: &str) -> bool {
    let tokens = tokenize(text);
    tokens.iter().all(|token| token.closed)
        && tokens
            .iter()
            .rev()
            .find(|token| token.is_significant())
            .is_some_and(|token| token.is_symbol(";"))
}

/// Whether the text holds nothing but spaces and comments.
pub(crate) fn is_blank(text: &str) -> bool {
    tokenize(text)
        .iter()
        .all(|token| token.closed && !token.is_significant())
}

/// The first token's kind, its length in bytes, and whether it is closed.
fn next(rest: &str, after_e: bool) -> (TokenKind, usize, bool) {
    let Some(first) = rest.chars().next() else {
        return (TokenKind::Space, 0, true);
    };
    if first.is_whitespace() {
        return (TokenKind::Space, length_while(rest, char::is_whitespace), true);
    }
    if rest.starts_with("--") {
        return (TokenKind::Comment, length_while(rest, |c| c != '\n'), true);
    }
    if rest.starts_with("/*") {
        let (length, closed) = block_comment(rest);
        return (TokenKind::Comment, length, closed);
    }
    match first {
        '\'' => {
            let (length, closed) = quoted(rest, '\'', after_e);
            (TokenKind::Text, length, closed)
        }
        '"' | '`' => {
            let (length, closed) = quoted(rest, first, false);
            (TokenKind::QuotedName, length, closed)
        }
        '$' => match dollar_quoted(rest) {
            Some((length, closed)) => (TokenKind::Text, length, closed),
            None => (TokenKind::Symbol, 1, true),
        },
        _ if first.is_ascii_digit() => (
            TokenKind::Number,
            length_while(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_'),
            true,
        ),
        _ if is_word_start(first) => (TokenKind::Word, length_while(rest, is_word_part), true),
        _ => (TokenKind::Symbol, first.len_utf8(), true),
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// `$` and `@` are part of names such as `t$history` and `t@v3`.
fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@')
}

fn length_while(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|c| !keep(c)).unwrap_or(text.len())
}

/// The length of a quoted text; a doubled quote stands for one, and so does an escaped one where backslashes escape.
fn quoted(text: &str, quote: char, backslash: bool) -> (usize, bool) {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if backslash && c == '\\' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, following)| *following == quote).is_none() {
            return (at + c.len_utf8(), true);
        }
    }
    (text.len(), false)
}

/// The length of `$tag$ … $tag$`, where the text starts so.
fn dollar_quoted(text: &str) -> Option<(usize, bool)> {
    let (_, rest) = text.split_at_checked(1)?;
    let (tag, body) = rest.split_once('$')?;
    if !tag.chars().all(|c| c.is_alphanumeric() || c == '_') || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let delimiter = format!("${tag}$");
    Some(match body.find(&delimiter) {
        Some(at) => (delimiter.len() + at + delimiter.len(), true),
        None => (text.len(), false),
    })
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> (usize, bool) {
    let mut depth = 0_usize;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let following = characters.peek().map(|(_, following)| *following);
        match (c, following) {
            ('/', Some('*')) => {
                depth += 1;
                characters.next();
            }
            ('*', Some('/')) => {
                depth = depth.saturating_sub(1);
                characters.next();
                if depth == 0 {
                    return (at + 2, true);
                }
            }
            _ => {}
        }
    }
    (text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_semicolon_ends_a_statement_only_outside_quotes_and_comments() {
        for complete in [
            "SELECT 1;",
            "SELECT 1; -- done",
            "SELECT 1; /* done */ ",
            "SELECT ';';",
            "SELECT 'it''s';",
            "SELECT \"a;\" FROM `b;`;",
            "SELECT e'\\';' ;",
            "SELECT $$;$$;",
            "SELECT $tag$ $$ ; $tag$;",
            "/* /* nested */ ; */ SELECT 1;",
            ";",
        ] {
            assert!(ends_statement(complete), "{complete}");
        }
        for open in [
            "",
            "SELECT 1",
            "SELECT 1; SELECT",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT 1 /* ;",
            "/* /* nested */ ;",
            "SELECT `a;",
            "SELECT \"a;",
            "SELECT $$;",
            "SELECT e'\\';",
        ] {
            assert!(!ends_statement(open), "{open}");
        }
    }

    #[test]
    fn names_lose_their_quotes_and_plain_names_their_case() {
        let names: Vec<_> = tokenize("Orders `My \"Table\"` \"a\"\"b\" t$history")
            .iter()
            .filter_map(Token::name)
            .collect();
        assert_eq!(names, ["orders", "My \"Table\"", "a\"b", "t$history"]);
    }

    proptest! {
        #[test]
        fn the_tokens_are_the_text(text in "[ -~\\n\\u{e4}\\u{4e2d}]{0,60}") {
            let tokens = tokenize(&text);
            let joined: String = tokens.iter().map(|token| token.text).collect();
            prop_assert_eq!(&joined, &text);
            prop_assert!(tokens.iter().all(|token| !token.text.is_empty()));
        }
    }
}
