//! Keys with values in brackets: table properties and options.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Parse};

/// `('k' = 'v', a.b = 1, …)`, in the order given; no key twice.
pub(crate) fn pairs(cursor: &mut Cursor) -> Parse<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    loop {
        let place = cursor.location();
        let key = key(cursor)?;
        if pairs.iter().any(|(given, _)| *given == key) {
            let mut error = cursor.refusal(format!("'{key}' is given twice"));
            error.location = place;
            return Err(error);
        }
        cursor.take_token(&Token::Eq);
        let value = value(cursor)?;
        pairs.push((key, value));
        if !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    if !cursor.take_token(&Token::RParen) {
        return Err(cursor.expected("',' or ')'"));
    }
    Ok(pairs)
}

/// `('k', a.b, …)`.
pub(crate) fn keys(cursor: &mut Cursor) -> Parse<Vec<String>> {
    cursor.bracketed_list(key)
}

/// A string, or words separated by dots.
pub(crate) fn key(cursor: &mut Cursor) -> Parse<String> {
    if !cursor.is_name_at(0) {
        return cursor
            .string("a key")
            .map_err(|error| error.with_hint("write ('key' = 'value')"));
    }
    let mut key = String::new();
    loop {
        let Token::Word(word) = cursor.peek(0) else {
            return Err(cursor
                .expected("a word after the dot")
                .with_hint("write ('key' = 'value')"));
        };
        key.push_str(&word.value);
        cursor.skip();
        if !cursor.take_token(&Token::Period) {
            return Ok(key);
        }
        key.push('.');
    }
}

/// A string, a number or a truth value, as text.
fn value(cursor: &mut Cursor) -> Parse<String> {
    if cursor.take("TRUE") {
        return Ok("true".to_owned());
    }
    if cursor.take("FALSE") {
        return Ok("false".to_owned());
    }
    let negative = matches!(cursor.peek(0), Token::Minus);
    let number = match cursor.peek(usize::from(negative)) {
        Token::Number(digits, false) => Some(digits.clone()),
        _ => None,
    };
    let Some(number) = number else {
        return cursor
            .string("a value")
            .map_err(|error| error.with_hint("write ('key' = 'value')"));
    };
    if negative {
        cursor.skip();
    }
    cursor.skip();
    Ok(if negative { format!("-{number}") } else { number })
}
