//! `CALL`.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Parse};
use crate::names::{key, normalised};
use crate::statement::{Argument, Call, Statement};

pub(crate) fn call(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("CALL")?;
    let place = cursor.location();
    let mut path = cursor.path("a procedure name")?;
    let name = path.pop();
    let prefix_is_known = match path.as_slice() {
        [] => true,
        [schema] => key(schema) == "system",
        _ => false,
    };
    let (Some(name), true) = (name, prefix_is_known) else {
        let mut error = cursor.refusal("procedures stand in no schema but system");
        error.location = place;
        return Err(error.with_hint("SHOW PROCEDURES lists them"));
    };
    let procedure = lower_case(name);
    if !cursor.take_token(&Token::LParen) {
        return Err(cursor
            .expected("'('")
            .with_hint("write CALL procedure('t', name => value)"));
    }
    let mut arguments: Vec<Argument> = Vec::new();
    if !cursor.take_token(&Token::RParen) {
        loop {
            let argument = argument(cursor, &arguments)?;
            arguments.push(argument);
            if !cursor.take_token(&Token::Comma) {
                break;
            }
        }
        if !cursor.take_token(&Token::RParen) {
            return Err(cursor.expected("',' or ')'"));
        }
    }
    Ok(Statement::Call(Call { procedure, arguments }))
}

fn argument(cursor: &mut Cursor, before: &[Argument]) -> Parse<Argument> {
    let named = cursor.is_name_at(0) && matches!(cursor.peek(1), Token::RArrow | Token::Assignment);
    if !named {
        if before.iter().any(|argument| argument.name.is_some()) {
            return Err(cursor.refusal("an argument without a name cannot follow one with a name"));
        }
        return Ok(Argument {
            name: None,
            value: cursor.expression()?,
        });
    }
    let place = cursor.location();
    let name = lower_case(cursor.ident("an argument name")?);
    if before.iter().any(|argument| argument.name.as_ref() == Some(&name)) {
        let mut error = cursor.refusal(format!("the argument {} is given twice", name.value));
        error.location = place;
        return Err(error);
    }
    cursor.skip();
    Ok(Argument {
        name: Some(name),
        value: cursor.expression()?,
    })
}

/// Names of procedures and of their parameters ignore case.
fn lower_case(ident: Ident) -> Ident {
    let value = if ident.quote_style.is_none() {
        ident.value.to_lowercase()
    } else {
        ident.value
    };
    normalised(Ident { value, ..ident })
}
