//! `UPDATE`, `DELETE` and `TRUNCATE`.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::insert::{refuse_returning, refuse_version};
use crate::cursor::{Cursor, Parse};
use crate::statement::{Assignment, Delete, Statement, Update};

pub(crate) fn update(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("UPDATE")?;
    let table = cursor.table()?;
    refuse_version(cursor)?;
    let alias = alias(cursor, &["SET"])?;
    cursor.expect("SET")?;
    let assignments = assignments(cursor)?;
    let from = if cursor.take("FROM") {
        cursor.relations()?
    } else {
        Vec::new()
    };
    let selection = selection(cursor)?;
    refuse_tail(cursor, "UPDATE")?;
    Ok(Statement::Update(Update {
        table,
        alias,
        assignments,
        from,
        selection,
    }))
}

pub(crate) fn delete(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("DELETE")?;
    cursor.take("FROM");
    let table = cursor.table()?;
    refuse_version(cursor)?;
    let alias = alias(cursor, &["USING", "WHERE", "LIMIT", "ORDER", "RETURNING", "OUTPUT"])?;
    let using = if cursor.take("USING") {
        cursor.relations()?
    } else {
        Vec::new()
    };
    let selection = selection(cursor)?;
    refuse_tail(cursor, "DELETE")?;
    Ok(Statement::Delete(Delete {
        table,
        alias,
        using,
        selection,
    }))
}

pub(crate) fn truncate(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("TRUNCATE")?;
    if cursor.is("TABLE") && cursor.is_name_at(1) {
        cursor.skip();
    }
    let table = cursor.table()?;
    refuse_version(cursor)?;
    if cursor.is("PARTITION") {
        return Err(cursor
            .refusal("TRUNCATE TABLE takes no PARTITION")
            .with_hint("use DELETE FROM t WHERE …"));
    }
    if *cursor.peek(0) == Token::Comma {
        return Err(cursor.refusal("TRUNCATE TABLE takes one table"));
    }
    Ok(Statement::Truncate(table))
}

/// `[AS] x`; `next` are the words that can follow the table without an alias.
pub(crate) fn alias(cursor: &mut Cursor, next: &[&str]) -> Parse<Option<Ident>> {
    let explicit = cursor.take("AS");
    let found = explicit || (cursor.is_name_at(0) && !next.iter().any(|word| cursor.is(word)));
    if found {
        cursor.ident("an alias").map(Some)
    } else {
        Ok(None)
    }
}

/// `c = e, …`.
pub(crate) fn assignments(cursor: &mut Cursor) -> Parse<Vec<Assignment>> {
    cursor.list(|cursor| {
        if *cursor.peek(0) == Token::LParen {
            return Err(cursor
                .refusal("columns are set one by one")
                .with_hint("write SET a = e, b = f"));
        }
        let target = cursor.path("a column name")?;
        cursor.expect_token(&Token::Eq)?;
        Ok(Assignment {
            target,
            value: cursor.expression()?,
        })
    })
}

fn selection(cursor: &mut Cursor) -> Parse<Option<Expr>> {
    if cursor.take("WHERE") {
        cursor.expression().map(Some)
    } else {
        Ok(None)
    }
}

fn refuse_tail(cursor: &Cursor, name: &str) -> Parse<()> {
    if cursor.is("LIMIT") || cursor.is("ORDER BY") {
        return Err(cursor
            .refusal(format!("{name} takes no LIMIT and no ORDER BY"))
            .with_hint("choose the rows in WHERE, by _file and _row of t$rows where nothing else tells them apart"));
    }
    refuse_returning(cursor)
}
