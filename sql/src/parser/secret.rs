//! `CREATE SECRET` and `DROP SECRET`. No error here quotes a token: it may be a part of a secret.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Nesting;
use crate::cursor::{Cursor, Parse};
use crate::error::SyntaxError;
use crate::statement::{CreateSecret, DropSecret, Statement};

const SYNTAX: &str = "write CREATE SECRET name (TYPE s3, SCOPE 's3://bucket/', KEY_ID '…', SECRET '…')";

/// Whether `CREATE [OR REPLACE] [PERSISTENT | TEMPORARY] SECRET` comes next.
pub(super) fn creates(cursor: &Cursor) -> bool {
    let kind = if cursor.is("CREATE OR REPLACE") { 3 } else { 1 };
    let lasting = |word: &&str| cursor.is_word_at(kind, word) && cursor.is_word_at(kind + 1, "SECRET");
    cursor.is_word_at(kind, "SECRET") || ["PERSISTENT", "TEMPORARY", "TEMP"].iter().any(lasting)
}

pub(super) fn create(cursor: &mut Cursor, nesting: Nesting) -> Parse<Statement> {
    if nesting.prepare {
        return Err(cursor.refusal("CREATE SECRET cannot be prepared"));
    }
    cursor.take("CREATE");
    let or_replace = cursor.take("OR REPLACE");
    if cursor.is("PERSISTENT") {
        return Err(cursor
            .refusal("a secret lasts as long as its session; there is no PERSISTENT")
            .with_hint("put CREATE SECRET into a file of your own that --rc names, or use the environment"));
    }
    let _ = cursor.take("TEMPORARY") || cursor.take("TEMP");
    cursor.take("SECRET");
    let place = cursor.location();
    let if_not_exists = cursor.take("IF NOT EXISTS");
    if if_not_exists && or_replace {
        return Err(SyntaxError::new(
            "OR REPLACE and IF NOT EXISTS contradict each other",
            place,
        ));
    }
    let name = if matches!(cursor.peek(0), Token::Word(_)) {
        Some(cursor.ident("a name")?)
    } else {
        None
    };
    if !cursor.take_token(&Token::LParen) {
        return Err(missing(cursor, "a name and '('"));
    }
    let mut options: Vec<(String, String)> = Vec::new();
    loop {
        let Some(option) = cursor.word(0).map(|word| word.to_lowercase()) else {
            return Err(missing(cursor, "the name of an option"));
        };
        if options.iter().any(|(before, _)| *before == option) {
            return Err(cursor.refusal(format!("{} is given twice", option.to_uppercase())));
        }
        cursor.skip();
        options.push((option, value(cursor)?));
        if cursor.take_token(&Token::RParen) {
            break;
        }
        if !cursor.take_token(&Token::Comma) {
            return Err(missing(cursor, "',' or ')'"));
        }
    }
    if !cursor.at_end() {
        return Err(missing(cursor, "the end of the statement"));
    }
    Ok(Statement::CreateSecret(CreateSecret {
        or_replace,
        if_not_exists,
        name,
        options,
    }))
}

/// A string, a bare word or a number.
fn value(cursor: &mut Cursor) -> Parse<String> {
    let text = match cursor.peek(0) {
        Token::Word(word) if word.quote_style.is_none() => word.value.clone(),
        Token::Number(digits, false) => digits.clone(),
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
        Token::DollarQuotedString(text) => text.value.clone(),
        _ => return Err(missing(cursor, "a value in single quotes")),
    };
    cursor.skip();
    Ok(text)
}

fn missing(cursor: &Cursor, what: &str) -> SyntaxError {
    let error = if cursor.at_end() {
        cursor.error(format!("expected {what}, found the end of the statement"))
    } else {
        cursor.refusal(format!("expected {what} here"))
    };
    error.with_hint(SYNTAX)
}

pub(super) fn drop(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("DROP SECRET")?;
    let if_exists = cursor.take("IF EXISTS");
    let name = cursor.ident("the name of a secret")?;
    Ok(Statement::DropSecret(DropSecret { name, if_exists }))
}
