//! A script as pieces: the tokens of one statement each, between semicolons.

use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Tokenizer};

use crate::dialect::LakeDialect;
use crate::error::{Location, SyntaxError};

/// Brackets inside brackets beyond this many are refused, before any parser could run out of stack.
const MAXIMUM_BRACKETS: usize = 200;

/// Operators in a row beyond this many are refused: each one is a level of the expression's tree.
const MAXIMUM_OPERATORS: usize = 2_000;

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

/// Refuses what would make a tree too deep for the parsers and for those who walk the tree after them.
pub(crate) fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), SyntaxError> {
    let mut levels = Levels::default();
    let mut previous = &Token::EOF;
    for TokenWithSpan { token, span } in tokens.iter().filter(|token| !is_space(&token.token)) {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.open(Bracket::Plain),
            Token::Lt if opens_type(previous) => levels.open(Bracket::Angle),
            Token::RParen | Token::RBracket | Token::RBrace => levels.close(),
            Token::Gt if levels.inside_type() => levels.close_type(),
            Token::ShiftRight if levels.inside_type() => {
                levels.close_type();
                levels.close_type();
            }
            Token::Comma => levels.next_item(),
            token if deepens(token) => levels.count(),
            _ => {}
        }
        if let Some(message) = levels.too_deep() {
            return Err(SyntaxError::new(message, span.start.into())
                .with_hint("split the statement, or use IN (…) or a join instead of many comparisons"));
        }
        previous = token;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Plain,
    Angle,
}

/// The brackets that are open, each with the operators seen since the last comma inside it.
#[derive(Default)]
struct Levels {
    open: Vec<(Bracket, usize)>,
    outermost: usize,
}

impl Levels {
    fn open(&mut self, bracket: Bracket) {
        self.open.push((bracket, 0));
    }

    fn close(&mut self) {
        while let Some((bracket, _)) = self.open.pop() {
            if bracket == Bracket::Plain {
                break;
            }
        }
    }

    fn inside_type(&self) -> bool {
        self.open.last().is_some_and(|(bracket, _)| *bracket == Bracket::Angle)
    }

    fn close_type(&mut self) {
        if self.inside_type() {
            self.open.pop();
        }
    }

    fn operators(&mut self) -> &mut usize {
        self.open
            .last_mut()
            .map_or(&mut self.outermost, |(_, operators)| operators)
    }

    fn next_item(&mut self) {
        *self.operators() = 0;
    }

    fn count(&mut self) {
        *self.operators() += 1;
    }

    fn too_deep(&mut self) -> Option<String> {
        if self.open.len() > MAXIMUM_BRACKETS {
            Some(format!("brackets are nested more than {MAXIMUM_BRACKETS} deep"))
        } else if *self.operators() > MAXIMUM_OPERATORS {
            Some(format!("more than {MAXIMUM_OPERATORS} operators follow one another"))
        } else {
            None
        }
    }
}

fn opens_type(previous: &Token) -> bool {
    matches!(previous, Token::Word(word) if ["ARRAY", "MAP", "STRUCT"]
        .iter().any(|name| word.value.eq_ignore_ascii_case(name)))
}

/// Whether a token can put one more level on an expression's or a query's tree.
fn deepens(token: &Token) -> bool {
    const WORDS: &[&str] = &[
        "AND",
        "OR",
        "XOR",
        "NOT",
        "IS",
        "IN",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "COLLATE",
        "AT",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "MINUS",
        "JOIN",
        "DIV",
        "MOD",
        "SIMILAR",
        "RLIKE",
        "REGEXP",
    ];
    match token {
        Token::Word(word) => {
            word.quote_style.is_none() && WORDS.iter().any(|name| word.value.eq_ignore_ascii_case(name))
        }
        Token::Number(..) | Token::Period | Token::Placeholder(_) | Token::Colon | Token::Char(_) => false,
        token => !is_literal(token),
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
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
