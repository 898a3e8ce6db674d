//! How deep a statement may be, told by its tokens before any parser could run out of stack or of time.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error::SyntaxError;
use crate::tokens::is_space;

/// Brackets inside brackets.
const MAXIMUM_BRACKETS: usize = 200;

/// Operators in a row: each one is a level of the expression's tree.
const MAXIMUM_OPERATORS: usize = 2_000;

/// Openings inside one another that the expression parser reads twice where they turn out wrong.
const MAXIMUM_RETRIES: usize = 14;

/// Refuses what would make a tree too deep for the parsers and for those who walk the tree after them.
pub(crate) fn check(tokens: &[TokenWithSpan]) -> Result<(), SyntaxError> {
    let mut levels = Levels::default();
    let mut previous = &Token::EOF;
    for TokenWithSpan { token, span } in tokens.iter().filter(|token| !is_space(&token.token)) {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.open(Bracket::Plain, retries(previous)),
            Token::Lt if opens_type(previous) => levels.open(Bracket::Angle, 0),
            Token::RParen | Token::RBracket | Token::RBrace => levels.close(),
            Token::Gt if levels.inside_type() => levels.close_type(),
            Token::ShiftRight if levels.inside_type() => {
                levels.close_type();
                levels.close_type();
            }
            Token::Comma => levels.next_item(),
            token => levels.pass(token),
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

/// What stands between a bracket that is open and here.
struct Level {
    bracket: Bracket,
    /// Operators since the last comma.
    operators: usize,
    /// How many times over the inside of the bracket may be read.
    retries: usize,
    /// `INTERVAL` before its value has come.
    intervals: usize,
}

impl Level {
    fn new(bracket: Bracket, retries: usize) -> Self {
        Self {
            bracket,
            operators: 0,
            retries,
            intervals: 0,
        }
    }
}

/// The brackets that are open, the statement itself first.
struct Levels {
    outermost: Level,
    open: Vec<Level>,
    /// The sum over all levels.
    retries: usize,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            outermost: Level::new(Bracket::Plain, 0),
            open: Vec::new(),
            retries: 0,
        }
    }
}

impl Levels {
    fn top(&mut self) -> &mut Level {
        self.open.last_mut().unwrap_or(&mut self.outermost)
    }

    fn open(&mut self, bracket: Bracket, retries: usize) {
        let retries = retries + self.top().intervals;
        self.retries += retries;
        self.open.push(Level::new(bracket, retries));
    }

    fn pop(&mut self) -> Option<Bracket> {
        let level = self.open.pop()?;
        self.retries = self.retries.saturating_sub(level.retries);
        Some(level.bracket)
    }

    fn close(&mut self) {
        while self.pop() == Some(Bracket::Angle) {}
        self.top().intervals = 0;
    }

    fn inside_type(&self) -> bool {
        self.open.last().is_some_and(|level| level.bracket == Bracket::Angle)
    }

    fn close_type(&mut self) {
        if self.inside_type() {
            self.pop();
        }
    }

    fn next_item(&mut self) {
        let top = self.top();
        top.operators = 0;
        top.intervals = 0;
    }

    fn pass(&mut self, token: &Token) {
        let top = self.top();
        match token {
            Token::Word(word) if is_word(word, &["INTERVAL"]) => top.intervals += 1,
            Token::Word(word) => top.operators += weight(word),
            Token::Number(..) | Token::Period | Token::Placeholder(_) | Token::Colon | Token::Char(_) => {
                top.intervals = 0;
            }
            token => {
                top.operators += usize::from(!is_literal(token)) * if *token == Token::DoubleColon { 2 } else { 1 };
                top.intervals = 0;
            }
        }
    }

    fn too_deep(&mut self) -> Option<String> {
        if self.open.len() > MAXIMUM_BRACKETS {
            Some(format!("brackets are nested more than {MAXIMUM_BRACKETS} deep"))
        } else if self.top().operators > MAXIMUM_OPERATORS {
            Some(format!("more than {MAXIMUM_OPERATORS} operators follow one another"))
        } else if self.retries + self.top().intervals > MAXIMUM_RETRIES {
            Some(format!(
                "more than {MAXIMUM_RETRIES} conversions or intervals stand inside one another"
            ))
        } else {
            None
        }
    }
}

/// Whether an unquoted word is one of these.
fn is_word(word: &Word, words: &[&str]) -> bool {
    word.quote_style.is_none() && words.iter().any(|name| word.value.eq_ignore_ascii_case(name))
}

fn opens_type(previous: &Token) -> bool {
    matches!(previous, Token::Word(word) if is_word(word, &["ARRAY", "MAP", "STRUCT"]))
}

/// How many times more the inside of a bracket behind this token is read where it turns out wrong: these words have a
/// syntax of their own, and are read as functions when that fails.
fn retries(previous: &Token) -> usize {
    const TWICE: &[&str] = &[
        "CAST",
        "TRY_CAST",
        "SAFE_CAST",
        "CONVERT",
        "TRY_CONVERT",
        "SUBSTRING",
        "SUBSTR",
        "CEIL",
        "FLOOR",
        "OVERLAY",
        "TRIM",
        "EXTRACT",
        "NOT",
    ];
    match previous {
        Token::Word(word) if is_word(word, TWICE) => 1,
        Token::Word(word) if is_word(word, &["POSITION"]) => 2,
        _ => 0,
    }
}

/// How much a word deepens the tree: a query more than a comparison, since its nodes are larger.
fn weight(word: &Word) -> usize {
    const OPERATORS: &[&str] = &[
        "AND", "OR", "XOR", "NOT", "IN", "LIKE", "ILIKE", "BETWEEN", "DIV", "MOD", "SIMILAR", "RLIKE", "REGEXP", "JOIN",
    ];
    const SUFFIXES: &[&str] = &["IS", "COLLATE", "AT"];
    const SETS: &[&str] = &["UNION", "EXCEPT", "INTERSECT", "MINUS"];
    if is_word(word, OPERATORS) {
        1
    } else if is_word(word, SUFFIXES) {
        2
    } else if is_word(word, SETS) {
        8
    } else {
        0
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
