//! The SQL of posixlake as syntax alone: text to [`Statement`] and back, without I/O and without knowledge of Delta.

mod access;
mod bind;
mod cursor;
mod depth;
mod dialect;
mod docs;
mod error;
mod keywords;
mod kinds;
mod names;
mod parser;
mod stack;
mod statement;
mod text;
mod tokens;
mod types;
mod unheeded;
mod versions;

use datafusion::sql::sqlparser::ast::Expr;

pub use access::{Access, MASK, Password, Privilege, Securable, mask_passwords};
pub use bind::bind;
pub use dialect::LakeDialect;
pub use docs::{Section, Spelling, StatementDoc, statements};
pub use error::{Location, SyntaxError};
pub use keywords::keywords;
pub use names::quote_identifier;
pub use statement::*;
pub use types::{StructField, TypeName};

/// A statement with the text that it was parsed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// Its text, trimmed, without the semicolon.
    pub text: String,
    /// Where it starts in the script.
    pub location: Location,
}

/// Parses a script of statements separated by semicolons; empty statements are skipped.
///
/// # Errors
/// The first thing that is not understood, with line and column in `sql` and a suggestion where one is near.
pub fn parse(sql: &str) -> Result<Vec<Parsed>, SyntaxError> {
    parser::script(sql)
}

/// Parses an expression; nothing may follow it.
///
/// # Errors
/// What is not understood, with line and column in `sql`.
pub fn parse_expression(sql: &str) -> Result<Expr, SyntaxError> {
    parser::expression(sql)
}

/// Parses a column type in any accepted spelling; nothing may follow it.
///
/// # Errors
/// What is not understood, and the nearest type where a Delta table cannot hold the one that is named.
pub fn parse_type(sql: &str) -> Result<TypeName, SyntaxError> {
    parser::data_type(sql)
}
