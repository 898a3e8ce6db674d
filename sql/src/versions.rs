//! Time travel behind a table name: the accepted spellings as tokens, and the two forms that the tree holds.
//!
//! The expression parser reads `VERSION AS OF 3` and `TIMESTAMP AS OF e` behind a table name and nowhere else. The other
//! spellings are turned into these two before parsing; whatever else the parser lets through is refused after it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Select, Spanned, TableFactor, TableVersion, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{Location, SyntaxError};
use crate::tokens::is_space;

pub(crate) const HINT: &str = "write t VERSION AS OF 3 or t TIMESTAMP AS OF '2026-11-22 10:00:00'";

/// Words after which a name begins, so that what follows them is never a clause of the table before.
const PREFIXES: &[&str] = &[
    "ALL",
    "AND",
    "ANTI",
    "APPLY",
    "AS",
    "BETWEEN",
    "BY",
    "CALL",
    "CASE",
    "CROSS",
    "DEFAULT",
    "DISTINCT",
    "ELSE",
    "ESCAPE",
    "EXCEPT",
    "FROM",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "OUTER",
    "OVERWRITE",
    "PRIOR",
    "QUALIFY",
    "RECURSIVE",
    "RETURN",
    "RETURNING",
    "SELECT",
    "SEMI",
    "SET",
    "TABLE",
    "THEN",
    "UNION",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "XOR",
];

/// The tokens of a statement after the pass, and whether the trees made of them must be looked through.
pub(crate) struct Rewritten {
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) suspect: bool,
}

/// Turns every accepted spelling of time travel into the two that the parser reads.
///
/// # Errors
/// A version that is not a whole number, and clauses of other dialects that mean something else.
pub(crate) fn rewrite(tokens: Vec<TokenWithSpan>, end: Location) -> Result<Rewritten, SyntaxError> {
    let significant = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !is_space(&token.token))
        .map(|(index, _)| index)
        .collect();
    let mut pass = Pass {
        tokens,
        significant,
        end,
        suspect: false,
    };
    for position in 0..pass.significant.len() {
        pass.visit(position)?;
    }
    Ok(Rewritten {
        tokens: pass.tokens,
        suspect: pass.suspect,
    })
}

struct Pass {
    tokens: Vec<TokenWithSpan>,
    /// Where the tokens that are not white space stand in `tokens`.
    significant: Vec<usize>,
    end: Location,
    /// Whether a version, or an INTO inside a query, may stand here.
    suspect: bool,
}

impl Pass {
    fn visit(&mut self, position: usize) -> Result<(), SyntaxError> {
        if self.is_word(position, "FOR") && self.as_of(position + 1) {
            self.replace(position, Token::Whitespace(Whitespace::Space));
            return self.clause(position + 1);
        }
        if self.as_of(position) {
            // The parser may still find a version here, behind a table that is called like a keyword.
            self.suspect = true;
            if self.follows_name(position) {
                return self.clause(position);
            }
        }
        if self.is_word(position, "AT") {
            return self.at(position);
        }
        if self.is_word(position, "INTO") && !self.is_into_of_statement(position) {
            self.suspect = true;
        }
        if self.is_word(position, "BEFORE") || self.is_word(position, "CHANGES") {
            return self.foreign(position);
        }
        Ok(())
    }

    /// Whether `VERSION AS OF` or one of its siblings starts here.
    fn as_of(&self, position: usize) -> bool {
        let kind = ["VERSION", "SYSTEM_VERSION", "TIMESTAMP", "SYSTEM_TIME"];
        self.is_word(position + 1, "AS")
            && self.is_word(position + 2, "OF")
            && kind.iter().any(|kind| self.is_word(position, kind))
    }

    /// Whether an INTO is that of INSERT, MERGE or COPY.
    fn is_into_of_statement(&self, position: usize) -> bool {
        let before = |word| position.checked_sub(1).is_some_and(|before| self.is_word(before, word));
        ["INSERT", "OVERWRITE", "EVOLUTION", "MERGE", "COPY"]
            .into_iter()
            .any(before)
    }

    fn clause(&mut self, position: usize) -> Result<(), SyntaxError> {
        self.suspect = true;
        if self.is_word(position, "TIMESTAMP") || self.is_word(position, "SYSTEM_TIME") {
            self.replace(position, Token::make_keyword("TIMESTAMP"));
            return Ok(());
        }
        self.replace(position, Token::make_keyword("VERSION"));
        self.version_number(position + 3)
    }

    fn version_number(&mut self, position: usize) -> Result<(), SyntaxError> {
        let number = match self.token(position) {
            Some(Token::Number(digits, false) | Token::SingleQuotedString(digits)) => version(digits),
            _ => None,
        };
        match number {
            Some(number) => {
                self.replace(position, Token::Number(number.to_string(), false));
                Ok(())
            }
            None => Err(self.not_a_version(position)),
        }
    }

    fn not_a_version(&self, position: usize) -> SyntaxError {
        let message = "a version is a whole number from 0";
        match self.span(position) {
            Some(place) => SyntaxError::new(message, place).with_hint(HINT),
            None => SyntaxError {
                incomplete: true,
                ..SyntaxError::new(message, self.end).with_hint(HINT)
            },
        }
    }

    /// `AT (VERSION => 3)`, `AT (TIMESTAMP => e)`, `AT TIME ZONE`, or a name.
    fn at(&mut self, position: usize) -> Result<(), SyntaxError> {
        if self.is_word(position + 1, "TIME") {
            return Ok(());
        }
        if !self.named_argument(position) || !self.follows_name(position) {
            self.make_name(position);
            return Ok(());
        }
        self.suspect = true;
        if self.is_word(position + 2, "TIMESTAMP") {
            self.replace(position, Token::make_keyword("TIMESTAMP"));
            self.replace(position + 1, Token::make_keyword("AS"));
            self.replace(position + 2, Token::make_keyword("OF"));
            self.replace(position + 3, Token::LParen);
            return Ok(());
        }
        if !self.is_word(position + 2, "VERSION") {
            return Err(self.refusal(position + 2, "AT takes VERSION => n or TIMESTAMP => e"));
        }
        self.version_number(position + 4)?;
        match self.token(position + 5) {
            Some(Token::RParen) => self.replace(position + 5, Token::Whitespace(Whitespace::Space)),
            _ => return Err(self.not_a_version(position + 5)),
        }
        self.replace(position, Token::make_keyword("VERSION"));
        self.replace(position + 1, Token::make_keyword("AS"));
        self.replace(position + 2, Token::make_keyword("OF"));
        self.replace(position + 3, Token::Whitespace(Whitespace::Space));
        Ok(())
    }

    /// `BEFORE` and `CHANGES`, which other dialects have behind a table name, or names.
    fn foreign(&mut self, position: usize) -> Result<(), SyntaxError> {
        if self.named_argument(position) && self.follows_name(position) {
            let hint = "for the change data feed use table_changes('t', 0)";
            return Err(if self.is_word(position, "CHANGES") {
                self.refusal(position, "CHANGES is not a clause here").with_hint(hint)
            } else {
                self.refusal(position, "BEFORE is not a clause here")
            });
        }
        let keeps_keyword = self.is_word(0, "ALTER") || (0..5).any(|word| self.is_word(word, "TRIGGER"));
        if !keeps_keyword {
            self.make_name(position);
        }
        Ok(())
    }

    fn refusal(&self, position: usize, message: &str) -> SyntaxError {
        let error = SyntaxError::new(message, self.span(position).unwrap_or(self.end));
        if message.starts_with("CHANGES") {
            error
        } else {
            error.with_hint(HINT)
        }
    }

    /// Whether `(name =>` follows.
    fn named_argument(&self, position: usize) -> bool {
        matches!(self.token(position + 1), Some(Token::LParen))
            && matches!(self.token(position + 2), Some(Token::Word(_)))
            && matches!(self.token(position + 3), Some(Token::RArrow))
    }

    /// Whether the token before can end the name of a table.
    fn follows_name(&self, position: usize) -> bool {
        let Some(before) = position.checked_sub(1) else {
            return false;
        };
        match self.token(before) {
            Some(Token::Word(word)) => {
                word.quote_style.is_some() || !PREFIXES.iter().any(|prefix| word.value.eq_ignore_ascii_case(prefix))
            }
            Some(Token::SingleQuotedString(_)) => true,
            _ => false,
        }
    }

    /// Takes the keyword off a word, so that it is read as a name.
    fn make_name(&mut self, position: usize) {
        let index = self.significant.get(position).copied();
        if let Some(TokenWithSpan {
            token: Token::Word(word),
            ..
        }) = index.and_then(|index| self.tokens.get_mut(index))
        {
            word.keyword = Keyword::NoKeyword;
        }
    }

    fn token(&self, position: usize) -> Option<&Token> {
        self.significant
            .get(position)
            .and_then(|index| self.tokens.get(*index))
            .map(|token| &token.token)
    }

    fn span(&self, position: usize) -> Option<Location> {
        let index = self.significant.get(position)?;
        self.tokens.get(*index).map(|token| token.span.start.into())
    }

    fn is_word(&self, position: usize, expected: &str) -> bool {
        matches!(self.token(position), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    }

    fn replace(&mut self, position: usize, token: Token) {
        let index = self.significant.get(position).copied();
        if let Some(place) = index.and_then(|index| self.tokens.get_mut(index)) {
            place.token = token;
        }
    }
}

/// A version number, which the log holds as a signed 64-bit integer.
pub(crate) fn version(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse::<u64>().ok()).flatten()?;
    i64::try_from(number).is_ok().then_some(number)
}

/// Takes the brackets off a time, so that `(e)` and `e` are one statement.
pub(crate) fn bare(mut expression: Expr) -> Expr {
    while let Expr::Nested(inner) = expression {
        expression = *inner;
    }
    expression
}

/// Holds every table's version to the two forms, and queries to reading.
///
/// # Errors
/// A version in any other form, and a query that would write, with their places.
pub(crate) fn normalise<T: VisitMut>(node: &mut T) -> Result<(), SyntaxError> {
    match node.visit(&mut Versions) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Versions;

impl VisitorMut for Versions {
    type Break = Box<SyntaxError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let Some(into) = &select.into else {
            return ControlFlow::Continue(());
        };
        let error = SyntaxError::new("SELECT has no INTO", into.name.span().start.into());
        ControlFlow::Break(Box::new(
            error.with_hint("write CREATE TABLE t AS SELECT … or INSERT INTO t SELECT …"),
        ))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        let TableFactor::Table {
            name,
            version: Some(version),
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        match normal_version(version, name) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn normal_version(table_version: &mut TableVersion, name: &ObjectName) -> Result<(), SyntaxError> {
    let place = Location::from(name.span().start);
    match table_version {
        TableVersion::ForSystemTimeAsOf(expression) | TableVersion::TimestampAsOf(expression) => {
            let placeholder = Expr::Value(Value::Null.with_empty_span());
            let expression = bare(std::mem::replace(expression, placeholder));
            if matches!(expression, Expr::Tuple(_)) {
                return Err(SyntaxError::new("TIMESTAMP AS OF takes one expression", place).with_hint(HINT));
            }
            *table_version = TableVersion::TimestampAsOf(expression);
            Ok(())
        }
        TableVersion::VersionAsOf(Expr::Value(value)) if matches!(&value.value, Value::Number(digits, false) if version(digits).is_some()) => {
            Ok(())
        }
        TableVersion::VersionAsOf(_) => {
            Err(SyntaxError::new("a version is a whole number from 0", place).with_hint(HINT))
        }
        TableVersion::Function(_) | TableVersion::Changes { .. } => {
            Err(SyntaxError::new("this form of table version is not understood", place).with_hint(HINT))
        }
    }
}
