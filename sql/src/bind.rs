//! Parameters become literals.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Location, SyntaxError};
use crate::statement::Statement;
use crate::tokens;

/// The statement with its parameters `$1 …` replaced by the values, in order.
///
/// # Errors
/// Where a parameter has no value, a value no parameter, or the statement makes no sense with them.
pub fn bind(statement: &Statement, values: &[Expr]) -> Result<Statement, SyntaxError> {
    let text = statement.to_string();
    let (pieces, error) = tokens::split(&text);
    if let Some(error) = error {
        return Err(error);
    }
    let mut used = vec![false; values.len()];
    let mut bound = String::new();
    for token in pieces.iter().flat_map(|piece| &piece.tokens) {
        match &token.token {
            Token::Placeholder(name) => {
                let index = name
                    .trim_start_matches('$')
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1));
                let value = index.and_then(|index| Some((used.get_mut(index)?, values.get(index)?)));
                let Some((used, value)) = value else {
                    let message = format!("parameter {name} has no value; {} were given", values.len());
                    return Err(SyntaxError::new(message, token.span.start.into()));
                };
                *used = true;
                bound.push_str(&format!("({value})"));
            }
            other => bound.push_str(&other.to_string()),
        }
    }
    if let Some(index) = used.iter().position(|used| !used) {
        let message = format!("the statement has no parameter ${}", index + 1);
        return Err(SyntaxError::new(message, Location { line: 1, column: 1 }));
    }
    let mut statements = crate::parse(&bound)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(parsed), true) => Ok(parsed.statement),
        _ => Err(SyntaxError::new(
            "a parameter's value is not an expression",
            Location { line: 1, column: 1 },
        )),
    }
}
