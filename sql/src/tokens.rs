//! A script as pieces: the tokens of one statement each, between semicolons.

use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Tokenizer};

use crate::dialect::LakeDialect;
use crate::error::{Location, SyntaxError};

/// The tokens of one statement.
pub(crate) struct Piece {
    /// All tokens, white space and comments included.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Where the first token stands.
    pub(crate) start: Location,
    /// Where the last token ends.
    pub(crate) end: Location,
    /// Where the semicolon stands; absent where the script ends first.
    pub(crate) semicolon: Option<Location>,
}

impl Piece {
    fn new(tokens: Vec<TokenWithSpan>, semicolon: Option<Location>) -> Option<Self> {
        let mut significant = tokens.iter().filter(|token| !is_space(&token.token));
        let first = significant.next()?;
        let last = significant.next_back().unwrap_or(first);
        let (start, end) = (first.span.start.into(), last.span.end.into());
        Some(Self {
            tokens,
            start,
            end,
            semicolon,
        })
    }
}

/// White space or a comment.
pub(crate) fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// Splits a script into its statements, without the empty ones.
///
/// What the tokenizer cannot read ends the script; the pieces before it are given with the error, since an error in
/// one of them comes first.
pub(crate) fn split(sql: &str) -> (Vec<Piece>, Option<SyntaxError>) {
    let mut tokens = Vec::new();
    let outcome = Tokenizer::new(&LakeDialect, sql).tokenize_with_location_into_buf(&mut tokens);
    let mut pieces = Vec::new();
    let mut current = Vec::new();
    for token in tokens {
        if token.token == Token::SemiColon {
            let semicolon = Location::from(token.span.start);
            pieces.extend(Piece::new(std::mem::take(&mut current), Some(semicolon)));
        } else {
            current.push(token);
        }
    }
    match outcome {
        Ok(()) => {
            pieces.extend(Piece::new(current, None));
            (pieces, None)
        }
        Err(error) => (pieces, Some(unreadable(&error))),
    }
}

/// The tokenizer's errors: nearly all of them are something that is opened and never closed.
fn unreadable(error: &tokenizer::TokenizerError) -> SyntaxError {
    let incomplete = ["Unterminated", "Unexpected EOF", "before EOF"]
        .iter()
        .any(|mark| error.message.contains(mark));
    let message = match error.message.as_str() {
        "Unterminated string literal" => "a string is not closed".to_owned(),
        "Unexpected EOF while in a multi-line comment" => "a comment is not closed".to_owned(),
        message if message.starts_with("Expected close delimiter") => "a quoted name is not closed".to_owned(),
        message => message.trim_end_matches('.').to_owned(),
    };
    SyntaxError {
        incomplete,
        ..SyntaxError::new(message, error.location.into())
    }
}

/// Turns places into byte offsets, in one walk over the text.
pub(crate) struct Offsets<'a> {
    rest: std::str::CharIndices<'a>,
    length: usize,
    line: u64,
    column: u64,
    offset: usize,
}

impl<'a> Offsets<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text.char_indices(),
            length: text.len(),
            line: 1,
            column: 1,
            offset: 0,
        }
    }

    /// The offset of a place; places must be asked for in order.
    pub(crate) fn at(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column) {
            let Some((_, ch)) = self.rest.next() else { break };
            if ch == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
            self.offset = self.rest.offset();
        }
        self.offset.min(self.length)
    }
}
