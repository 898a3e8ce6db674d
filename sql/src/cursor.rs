//! Where the parser of one statement stands, and the small steps that all statements are read with.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, DFParserBuilder};
use datafusion::sql::sqlparser::ast::{
    ColumnOption, Expr, Ident, ObjectName, ObjectNamePart, Query, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::depth;
use crate::dialect::LakeDialect;
use crate::error::{Location, SyntaxError};
use crate::names::normalised;
use crate::statement::AsOf;
use crate::tokens::Piece;
use crate::{unheeded, versions};

pub(crate) type Parse<T> = Result<T, SyntaxError>;

/// Nesting of expressions and queries; DataFusion's own limit.
const MAXIMUM_NESTING: usize = 50;

static DIALECT: LakeDialect = LakeDialect;

/// A reader of the tokens of one statement.
pub(crate) struct Cursor {
    pub(crate) inner: DFParser<'static>,
    /// Where the statement's last token ends.
    end: Location,
    /// Whether a semicolon says that nothing is to come.
    terminated: bool,
    /// Whether the trees must be looked through for versions and for queries that write.
    suspect: bool,
    /// Set where a `>>` closed one type and still has to close the one around it.
    pub(crate) half_shift: bool,
}

impl Cursor {
    pub(crate) fn new(piece: Piece) -> Parse<Self> {
        depth::check(&piece.tokens)?;
        let terminated = piece.semicolon.is_some();
        let rewritten = versions::rewrite(piece.tokens, piece.end).map_err(|error| SyntaxError {
            incomplete: error.incomplete && !terminated,
            ..error
        })?;
        let inner = DFParserBuilder::new(rewritten.tokens)
            .with_dialect(&DIALECT)
            .with_recursion_limit(MAXIMUM_NESTING)
            .build()
            .map_err(|error| SyntaxError::new(error.to_string(), piece.start))?;
        Ok(Self {
            inner,
            end: piece.end,
            terminated,
            suspect: rewritten.suspect,
            half_shift: false,
        })
    }

    // Looking.

    pub(crate) fn peek(&self, ahead: usize) -> &Token {
        &self.inner.parser.peek_nth_token_ref(ahead).token
    }

    /// The unquoted word that stands `ahead`, in upper case.
    pub(crate) fn word(&self, ahead: usize) -> Option<String> {
        match self.peek(ahead) {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        }
    }

    pub(crate) fn is_word_at(&self, ahead: usize, expected: &str) -> bool {
        matches!(self.peek(ahead), Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    }

    /// Whether these words, separated by single spaces in `expected`, come next.
    pub(crate) fn is(&self, expected: &str) -> bool {
        expected
            .split(' ')
            .enumerate()
            .all(|(ahead, word)| self.is_word_at(ahead, word))
    }

    pub(crate) fn is_name_at(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead), Token::Word(_))
    }

    pub(crate) fn at_end(&self) -> bool {
        matches!(self.peek(0), Token::EOF)
    }

    pub(crate) fn location(&self) -> Location {
        self.location_at(0)
    }

    pub(crate) fn location_at(&self, ahead: usize) -> Location {
        let token = self.inner.parser.peek_nth_token_ref(ahead);
        if token.token == Token::EOF {
            self.end
        } else {
            token.span.start.into()
        }
    }

    // Taking.

    pub(crate) fn skip(&mut self) {
        if !self.at_end() {
            self.inner.parser.advance_token();
        }
    }

    /// Takes these words where they come next.
    pub(crate) fn take(&mut self, expected: &str) -> bool {
        let found = self.is(expected);
        if found {
            expected.split(' ').for_each(|_| self.skip());
        }
        found
    }

    pub(crate) fn expect(&mut self, expected: &str) -> Parse<()> {
        for word in expected.split(' ') {
            if !self.take(word) {
                return Err(self.expected(word));
            }
        }
        Ok(())
    }

    pub(crate) fn take_token(&mut self, token: &Token) -> bool {
        self.inner.parser.consume_token(token)
    }

    pub(crate) fn expect_token(&mut self, token: &Token) -> Parse<()> {
        if self.take_token(token) {
            Ok(())
        } else {
            Err(self.expected(&token.to_string()))
        }
    }

    /// Nothing may follow.
    pub(crate) fn finish(&self) -> Parse<()> {
        if self.at_end() {
            Ok(())
        } else {
            let error = self.expected("the end of the statement");
            let parser = &self.inner.parser;
            let mut before = (0..parser.index()).rev().map(|index| &parser.token_at(index).token);
            let mut word = || {
                before
                    .find(|token| !matches!(token, Token::Whitespace(_)))
                    .map(ToString::to_string)
            };
            if matches!((word(), word()), (Some(of), Some(as_)) if of.eq_ignore_ascii_case("of") && as_.eq_ignore_ascii_case("as"))
            {
                return Err(error.with_hint(versions::HINT));
            }
            Err(error)
        }
    }

    // Parts.

    /// A name in its one form.
    pub(crate) fn ident(&mut self, what: &str) -> Parse<Ident> {
        match self.peek(0) {
            Token::Word(_) => self
                .inner
                .parser
                .parse_identifier()
                .map(normalised)
                .map_err(|error| self.convert(error)),
            Token::SingleQuotedString(_) => Err(self
                .expected(what)
                .with_hint("a name with special characters stands in backticks or double quotes")),
            _ => Err(self.expected(what)),
        }
    }

    /// A table's name: one to three parts.
    pub(crate) fn table(&mut self) -> Parse<ObjectName> {
        let place = self.location();
        if matches!(self.peek(0), Token::SingleQuotedString(_)) {
            return Err(self
                .expected("a table name")
                .with_hint("a table is named by location as delta.`URL`"));
        }
        let parts = self.path("a table name")?;
        if parts.len() > 3 {
            return Err(SyntaxError::new("a table's name has at most three parts", place)
                .with_hint("write table, schema.table or lake.schema.table"));
        }
        Ok(ObjectName(parts.into_iter().map(ObjectNamePart::Identifier).collect()))
    }

    /// Names separated by dots.
    pub(crate) fn path(&mut self, what: &str) -> Parse<Vec<Ident>> {
        let mut parts = vec![self.ident(what)?];
        while self.take_token(&Token::Period) {
            parts.push(self.ident("a name after the dot")?);
        }
        Ok(parts)
    }

    /// A string in single quotes.
    pub(crate) fn string(&mut self, what: &str) -> Parse<String> {
        let text = match self.peek(0) {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => {
                text.clone()
            }
            Token::DollarQuotedString(text) => text.value.clone(),
            Token::Word(word) if word.quote_style == Some('"') => {
                return Err(self.expected(what).with_hint("strings stand in single quotes"));
            }
            _ => return Err(self.expected(what)),
        };
        self.skip();
        Ok(text)
    }

    /// A whole number from 0.
    pub(crate) fn unsigned(&mut self, what: &str) -> Parse<u64> {
        let number = match self.peek(0) {
            Token::Number(digits, false) => digits.parse::<u64>().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected(what))?;
        self.skip();
        Ok(number)
    }

    /// An expression.
    pub(crate) fn expression(&mut self) -> Parse<Expr> {
        let result = self.inner.parser.parse_expr();
        let mut expression = result.map_err(|error| self.convert(error))?;
        self.normalise(&mut expression)?;
        Ok(expression)
    }

    /// `DEFAULT e` of a column, where a `NOT NULL` behind the expression is the column's and not a part of it.
    pub(crate) fn column_default(&mut self) -> Parse<Expr> {
        let result = self.inner.parser.parse_optional_column_option();
        match result.map_err(|error| self.convert(error))? {
            Some(ColumnOption::Default(mut expression)) => {
                self.normalise(&mut expression)?;
                Ok(expression)
            }
            _ => Err(self.expected("DEFAULT")),
        }
    }

    /// An expression in brackets, without them.
    pub(crate) fn bracketed_expression(&mut self) -> Parse<Expr> {
        self.expect_token(&Token::LParen)?;
        let expression = self.expression()?;
        self.expect_token(&Token::RParen)?;
        Ok(expression)
    }

    /// A query.
    pub(crate) fn query(&mut self) -> Parse<Box<Query>> {
        let place = self.location();
        let result = self.inner.parser.parse_query();
        let mut query = result.map_err(|error| self.convert(error))?;
        self.normalise(&mut query)?;
        crate::parser::check_query(&query, place)?;
        Ok(query)
    }

    /// A table, a subquery or a function in `FROM`, with its alias.
    pub(crate) fn relation(&mut self) -> Parse<TableFactor> {
        let result = self.inner.parser.parse_table_factor();
        let mut relation = result.map_err(|error| self.convert(error))?;
        self.normalise(&mut relation)?;
        Ok(relation)
    }

    /// Relations with their joins, separated by commas.
    pub(crate) fn relations(&mut self) -> Parse<Vec<TableWithJoins>> {
        let result = self.inner.parser.parse_comma_separated(Parser::parse_table_and_joins);
        let mut relations = result.map_err(|error| self.convert(error))?;
        self.normalise(&mut relations)?;
        Ok(relations)
    }

    /// Items separated by commas.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Items in brackets, separated by commas; at least one.
    pub(crate) fn bracketed_list<T>(&mut self, item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        if !self.take_token(&Token::RParen) {
            return Err(self.expected("',' or ')'"));
        }
        Ok(items)
    }

    /// Column names in brackets.
    pub(crate) fn bracketed_names(&mut self) -> Parse<Vec<Ident>> {
        self.bracketed_list(|cursor| cursor.ident("a column name"))
    }

    /// `VERSION AS OF n` or `TIMESTAMP AS OF e`, where it comes next.
    pub(crate) fn as_of(&mut self) -> Parse<Option<AsOf>> {
        if self.take("VERSION AS OF") {
            return Ok(Some(AsOf::Version(self.unsigned("a version number")?)));
        }
        if self.take("TIMESTAMP AS OF") {
            return Ok(Some(AsOf::Timestamp(versions::bare(self.expression()?))));
        }
        Ok(None)
    }

    pub(crate) fn normalise<T>(&self, node: &mut T) -> Parse<()>
    where
        T: datafusion::sql::sqlparser::ast::VisitMut,
    {
        if self.suspect {
            versions::normalise(node)?;
        }
        match unheeded::find(node) {
            Some(found) => Err(SyntaxError::new(
                format!("{} is not available", found.clause),
                self.place_of(found.word),
            )
            .with_hint(found.hint)),
            None => Ok(()),
        }
    }

    /// Where an unquoted word stands first, or where the statement begins.
    fn place_of(&self, word: &str) -> Location {
        let parser = &self.inner.parser;
        let tokens = || {
            let all = (0..=parser.index()).map(|index| parser.token_at(index));
            all.filter(|token| !matches!(token.token, Token::Whitespace(_)))
        };
        let is_it = |token: &Token| matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
        let found = tokens().find(|token| is_it(&token.token)).or_else(|| tokens().next());
        found.map_or(self.end, |token| token.span.start.into())
    }

    // Errors.

    /// An error at the next token.
    pub(crate) fn error(&self, message: impl Into<String>) -> SyntaxError {
        let incomplete = self.at_end() && !self.terminated;
        SyntaxError {
            incomplete,
            ..SyntaxError::new(message, self.location())
        }
    }

    /// A refusal: an error at the next token that more input does not cure.
    pub(crate) fn refusal(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(message, self.location())
    }

    /// `expected …, found …` at the next token.
    pub(crate) fn expected(&self, what: &str) -> SyntaxError {
        if self.at_end() {
            self.error(format!("expected {what}, found the end of the statement"))
        } else {
            self.error(format!("expected {what}, found {}", self.peek(0)))
        }
    }

    pub(crate) fn convert_datafusion(&self, error: DataFusionError) -> SyntaxError {
        match error {
            DataFusionError::SQL(error, _) => self.convert(*error),
            DataFusionError::Diagnostic(_, error) | DataFusionError::Context(_, error) => {
                self.convert_datafusion(*error)
            }
            DataFusionError::Plan(message)
            | DataFusionError::NotImplemented(message)
            | DataFusionError::Configuration(message) => self.error(message),
            error => self.error(error.strip_backtrace()),
        }
    }

    pub(crate) fn convert(&self, error: ParserError) -> SyntaxError {
        let message = match error {
            ParserError::RecursionLimitExceeded => {
                return self
                    .refusal(format!(
                        "expressions or queries are nested more than {MAXIMUM_NESTING} deep"
                    ))
                    .with_hint("use WITH to name the inner queries");
            }
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        };
        let (message, place) = split_place(&message);
        let (text, at_end) = reworded(message);
        match place {
            Some(place) => SyntaxError::new(text, place),
            None if at_end => SyntaxError {
                incomplete: !self.terminated,
                ..SyntaxError::new(text, self.end)
            },
            None => self.error(text),
        }
    }
}

/// Takes ` at Line: 1, Column: 2` off the end of a parser's message.
fn split_place(message: &str) -> (&str, Option<Location>) {
    const MARK: &str = " at Line: ";
    let place = |text: &str| {
        let (line, column) = text.split_once(", Column: ")?;
        Some(Location {
            line: line.parse().ok()?,
            column: column.parse().ok()?,
        })
    };
    match message.rsplit_once(MARK) {
        Some((text, tail)) => match place(tail.trim()) {
            Some(found) => (text, Some(found)),
            None => (message, None),
        },
        None => (message, None),
    }
}

/// A parser's message in the words of ours, and whether it met the end of the text.
fn reworded(message: &str) -> (String, bool) {
    let Some(rest) = message.strip_prefix("Expected: ") else {
        return (message.to_owned(), false);
    };
    match rest.rsplit_once(", found: ") {
        Some((wanted, "EOF")) => (format!("expected {wanted}, found the end of the statement"), true),
        Some((wanted, found)) => (format!("expected {wanted}, found {found}"), false),
        None => (format!("expected {rest}"), false),
    }
}
