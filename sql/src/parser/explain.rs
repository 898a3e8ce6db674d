//! `EXPLAIN` and `PREPARE`, which hold any statement.

use std::str::FromStr;

use datafusion::common::format::{ExplainFormat, ExplainStatementOptions};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Nesting, statement};
use crate::cursor::{Cursor, Parse};
use crate::statement::{Explain, Prepare, Statement};

pub(crate) fn explain(cursor: &mut Cursor, nesting: Nesting) -> Parse<Statement> {
    if nesting.explain {
        return Err(cursor.refusal("EXPLAIN cannot explain itself"));
    }
    cursor.expect("EXPLAIN")?;
    let mut explain = if options_follow(cursor) {
        bracketed_options(cursor)?
    } else {
        options(cursor)?
    };
    explain.statement = Box::new(statement(
        cursor,
        Nesting {
            explain: true,
            ..nesting
        },
    )?);
    Ok(Statement::Explain(explain))
}

/// Whether `(ANALYZE, …)` comes next, and not a query in brackets.
fn options_follow(cursor: &Cursor) -> bool {
    const QUERIES: &[&str] = &[
        "SELECT", "WITH", "VALUES", "TABLE", "FROM", "INSERT", "UPDATE", "DELETE", "MERGE",
    ];
    *cursor.peek(0) == Token::LParen && cursor.word(1).is_some_and(|word| !QUERIES.contains(&word.as_str()))
}

/// EXPLAIN without options, of a statement that is yet to be read.
fn plain() -> Explain {
    Explain {
        analyze: false,
        verbose: false,
        format: None,
        level: None,
        categories: None,
        costs: None,
        statement: Box::new(Statement::ShowProcedures),
    }
}

fn bracketed_options(cursor: &mut Cursor) -> Parse<Explain> {
    let place = cursor.error("");
    let result = cursor.inner.parser.parse_utility_options();
    let given = result.map_err(|error| cursor.convert(error))?;
    let options = ExplainStatementOptions::from_utility_options(&given).map_err(|error| {
        let mut refusal = cursor.convert_datafusion(error);
        refusal.location = place.location;
        refusal.incomplete = false;
        refusal
    })?;
    Ok(Explain {
        analyze: options.analyze,
        verbose: options.verbose,
        format: options.format.map(|format| format.to_string()),
        level: options.analyze_level,
        categories: options.analyze_categories,
        costs: options.show_statistics,
        ..plain()
    })
}

fn options(cursor: &mut Cursor) -> Parse<Explain> {
    // `ANALYZE TABLE t …` is a statement of its own, that EXPLAIN explains.
    let analyze = !cursor.is("ANALYZE TABLE") && cursor.take("ANALYZE");
    let verbose = cursor.take("VERBOSE");
    let format = if cursor.take("FORMAT") {
        Some(format(cursor)?)
    } else {
        None
    };
    Ok(Explain {
        analyze,
        verbose,
        format,
        ..plain()
    })
}

fn format(cursor: &mut Cursor) -> Parse<String> {
    let name = match cursor.peek(0) {
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return Err(cursor.expected("a format such as TREE")),
    };
    match ExplainFormat::from_str(&name) {
        Ok(format) => {
            cursor.skip();
            Ok(format.to_string())
        }
        Err(_) => Err(cursor
            .refusal(format!("{name} is not a format of EXPLAIN"))
            .with_hint("use INDENT, TREE, PGJSON or GRAPHVIZ")),
    }
}

pub(crate) fn prepare(cursor: &mut Cursor, nesting: Nesting) -> Parse<Statement> {
    if nesting.prepare {
        return Err(cursor.refusal("PREPARE cannot prepare itself"));
    }
    cursor.expect("PREPARE")?;
    let name = cursor.ident("a name for the statement")?;
    let mut parameter_types = Vec::new();
    if cursor.take_token(&Token::LParen) {
        let result = cursor.inner.parser.parse_comma_separated(Parser::parse_data_type);
        parameter_types = result.map_err(|error| cursor.convert(error))?;
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect("AS")?;
    let statement = Box::new(statement(
        cursor,
        Nesting {
            prepare: true,
            ..nesting
        },
    )?);
    Ok(Statement::Prepare(Prepare {
        name,
        parameter_types,
        statement,
    }))
}
