//! Column definitions and table constraints of `CREATE TABLE`.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::alter::refuse_other_constraints;
use super::types::data_type;
use crate::cursor::{Cursor, Parse};
use crate::error::SyntaxError;
use crate::names::key;
use crate::statement::{Check, Column, Identity};

/// What stands in the brackets of `CREATE TABLE t (…)`.
#[derive(Default)]
pub(crate) struct Definitions {
    pub(crate) columns: Vec<Column>,
    pub(crate) primary_key: Vec<Ident>,
    pub(crate) checks: Vec<Check>,
}

pub(crate) fn definitions(cursor: &mut Cursor) -> Parse<Definitions> {
    let mut definitions = Definitions::default();
    cursor.bracketed_list(|cursor| item(cursor, &mut definitions))?;
    for name in &definitions.primary_key {
        if !definitions.columns.is_empty() && !definitions.columns.iter().any(|column| key(&column.name) == key(name)) {
            return Err(SyntaxError::new(
                format!("the primary key names {}, which is not a column", name.value),
                name.span.start.into(),
            ));
        }
    }
    Ok(definitions)
}

fn item(cursor: &mut Cursor, definitions: &mut Definitions) -> Parse<()> {
    if cursor.is("PRIMARY KEY") {
        let place = cursor.location();
        cursor.take("PRIMARY KEY");
        if !definitions.primary_key.is_empty() {
            return Err(SyntaxError::new("PRIMARY KEY is given twice", place));
        }
        definitions.primary_key = cursor.bracketed_names()?;
        return Ok(());
    }
    if cursor.is("CONSTRAINT") && cursor.is_name_at(1) && cursor.is_name_at(2) {
        definitions.checks.push(named_check(cursor)?);
        return Ok(());
    }
    if cursor.is("CHECK") && *cursor.peek(1) == Token::LParen {
        cursor.skip();
        definitions.checks.push(Check {
            name: None,
            expression: cursor.bracketed_expression()?,
        });
        return Ok(());
    }
    refuse_other_constraints(cursor)?;
    let place = cursor.location();
    let name = cursor.ident("a column name")?;
    if definitions.columns.iter().any(|column| key(&column.name) == key(&name)) {
        return Err(SyntaxError::new(
            format!("the column {} stands twice", name.value),
            place,
        ));
    }
    let column = column(cursor, name, definitions)?;
    definitions.columns.push(column);
    Ok(())
}

fn named_check(cursor: &mut Cursor) -> Parse<Check> {
    cursor.expect("CONSTRAINT")?;
    let name = cursor.ident("a constraint name")?;
    if cursor.is("PRIMARY KEY") {
        return Err(cursor
            .refusal("a primary key has no constraint name here")
            .with_hint("write PRIMARY KEY (c, …)"));
    }
    refuse_other_constraints(cursor)?;
    cursor.expect("CHECK")?;
    Ok(Check {
        name: Some(name),
        expression: cursor.bracketed_expression()?,
    })
}

/// A column's type and options; its keys and checks go into `definitions`.
pub(crate) fn column(cursor: &mut Cursor, name: Ident, definitions: &mut Definitions) -> Parse<Column> {
    let mut column = Column {
        name,
        data_type: data_type(cursor)?,
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        comment: None,
    };
    let mut seen: Vec<&str> = Vec::new();
    while let Some(option) = option(cursor) {
        if option != "CHECK" && seen.contains(&option) {
            return Err(cursor.refusal(format!("{option} is given twice")));
        }
        seen.push(option);
        match option {
            "NOT NULL" => {
                cursor.take("NOT NULL");
                column.nullable = false;
            }
            "NULL" => cursor.skip(),
            "DEFAULT" => {
                column.default = Some(cursor.column_default()?);
            }
            "GENERATED" => generated(cursor, &mut column)?,
            "COMMENT" => {
                cursor.skip();
                column.comment = Some(cursor.string("a comment")?);
            }
            "PRIMARY KEY" => {
                if !definitions.primary_key.is_empty() {
                    return Err(cursor
                        .refusal("PRIMARY KEY is given twice")
                        .with_hint("write PRIMARY KEY (a, b) once"));
                }
                cursor.take("PRIMARY KEY");
                definitions.primary_key.push(column.name.clone());
            }
            "CONSTRAINT" => definitions.checks.push(named_check(cursor)?),
            _ => {
                cursor.skip();
                definitions.checks.push(Check {
                    name: None,
                    expression: cursor.bracketed_expression()?,
                });
            }
        }
    }
    if seen.contains(&"NULL") && (seen.contains(&"NOT NULL") || seen.contains(&"PRIMARY KEY")) {
        return Err(cursor.refusal(format!(
            "the column {} is said to be NULL and NOT NULL",
            column.name.value
        )));
    }
    if column.generated.is_some() && column.default.is_some() {
        return Err(cursor.refusal(format!(
            "the column {} is generated and has a default",
            column.name.value
        )));
    }
    refuse_options(cursor)?;
    Ok(column)
}

/// The option that comes next.
fn option(cursor: &Cursor) -> Option<&'static str> {
    const OPTIONS: &[&str] = &[
        "NOT NULL",
        "NULL",
        "DEFAULT",
        "GENERATED",
        "COMMENT",
        "PRIMARY KEY",
        "CONSTRAINT",
        "CHECK",
    ];
    OPTIONS.iter().copied().find(|option| cursor.is(option))
}

fn refuse_options(cursor: &Cursor) -> Parse<()> {
    let refusal = match cursor.word(0).as_deref() {
        Some("UNIQUE" | "REFERENCES") => cursor
            .refusal("Delta tables have no UNIQUE and no FOREIGN KEY constraints")
            .with_hint("use PRIMARY KEY (c, …) or CHECK (e)"),
        Some("COLLATE") => cursor.refusal("columns have no collation: strings compare by their bytes"),
        Some("AUTO_INCREMENT" | "AUTOINCREMENT" | "IDENTITY") => cursor
            .expected("',' or ')'")
            .with_hint("write BIGINT GENERATED ALWAYS AS IDENTITY"),
        Some("AS") if *cursor.peek(1) == Token::LParen => {
            cursor.expected("',' or ')'").with_hint("write GENERATED ALWAYS AS (e)")
        }
        _ => return Ok(()),
    };
    Err(refusal)
}

fn generated(cursor: &mut Cursor, column: &mut Column) -> Parse<()> {
    cursor.expect("GENERATED")?;
    let always = cursor.take("ALWAYS");
    if !always && !cursor.take("BY DEFAULT") {
        return Err(cursor.expected("ALWAYS or BY DEFAULT"));
    }
    cursor.expect("AS")?;
    if cursor.take("IDENTITY") {
        column.identity = Some(identity(cursor, always)?);
        return Ok(());
    }
    if !always {
        return Err(cursor
            .expected("IDENTITY")
            .with_hint("write GENERATED ALWAYS AS (e), or DEFAULT e"));
    }
    column.generated = Some(cursor.bracketed_expression()?);
    Ok(())
}

/// `[(START WITH n INCREMENT BY m)]`, in any order.
fn identity(cursor: &mut Cursor, always: bool) -> Parse<Identity> {
    let (mut start, mut increment) = (None, None);
    if cursor.take_token(&Token::LParen) {
        while !cursor.take_token(&Token::RParen) {
            if cursor.is("START") && start.is_none() {
                cursor.expect("START WITH")?;
                start = Some(signed(cursor)?);
            } else if cursor.is("INCREMENT") && increment.is_none() {
                cursor.expect("INCREMENT BY")?;
                increment = Some(signed(cursor)?);
            } else {
                return Err(cursor.expected("START WITH n, INCREMENT BY n or ')'"));
            }
            cursor.take_token(&Token::Comma);
        }
    }
    if increment == Some(0) {
        return Err(cursor.refusal("an identity column cannot be incremented by 0"));
    }
    Ok(Identity {
        always,
        start: start.unwrap_or(1),
        increment: increment.unwrap_or(1),
    })
}

fn signed(cursor: &mut Cursor) -> Parse<i64> {
    let negative = matches!(cursor.peek(0), Token::Minus);
    let number = match cursor.peek(usize::from(negative)) {
        Token::Number(digits, false) if negative => format!("-{digits}").parse::<i64>().ok(),
        Token::Number(digits, false) => digits.parse::<i64>().ok(),
        _ => None,
    };
    let Some(number) = number else {
        return Err(cursor.expected("a whole number of 64 bits"));
    };
    if negative {
        cursor.skip();
    }
    cursor.skip();
    Ok(number)
}
