//! `INSERT`.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Parse};
use crate::statement::{Insert, InsertMode, Statement};
use crate::versions::bare;

/// What may stand between the table and the rows, each once, in any order.
#[derive(Default)]
struct Clauses {
    columns: Option<Vec<Ident>>,
    partition: Option<Vec<(Ident, Option<Expr>)>>,
    by_name: bool,
    replace_where: Option<Expr>,
}

pub(crate) fn insert(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("INSERT")?;
    if cursor.is("OR") || cursor.is("IGNORE") {
        return Err(cursor
            .refusal("INSERT OR … is not a statement here")
            .with_hint("use MERGE INTO to insert or update by key"));
    }
    let schema_evolution = schema_evolution(cursor)?;
    let overwrite = cursor.take("OVERWRITE");
    cursor.take("INTO");
    if cursor.is("TABLE") && cursor.is_name_at(1) {
        cursor.skip();
    }
    let table = cursor.table()?;
    refuse_version(cursor)?;
    let clauses = clauses(cursor)?;
    refuse_other_rows(cursor)?;
    if overwrite && clauses.replace_where.is_some() {
        return Err(cursor
            .refusal("REPLACE WHERE and OVERWRITE contradict each other")
            .with_hint("write INSERT INTO t REPLACE WHERE p …"));
    }
    let source = cursor.query()?;
    refuse_tail(cursor)?;
    let mode = match (overwrite, clauses.replace_where) {
        (_, Some(predicate)) => InsertMode::ReplaceWhere(predicate),
        (true, None) => InsertMode::Overwrite,
        (false, None) => InsertMode::Append,
    };
    Ok(Statement::Insert(Insert {
        table,
        columns: clauses.columns.unwrap_or_default(),
        mode,
        partition: clauses.partition.unwrap_or_default(),
        by_name: clauses.by_name,
        schema_evolution,
        source,
    }))
}

/// `WITH SCHEMA EVOLUTION`, where it comes next.
pub(crate) fn schema_evolution(cursor: &mut Cursor) -> Parse<bool> {
    let found = cursor.take("WITH");
    if found {
        cursor.expect("SCHEMA EVOLUTION")?;
    }
    Ok(found)
}

/// Nothing of the past can be changed.
pub(crate) fn refuse_version(cursor: &Cursor) -> Parse<()> {
    if cursor.is("VERSION AS OF") || cursor.is("TIMESTAMP AS OF") {
        return Err(cursor
            .refusal("only the newest version of a table can be changed")
            .with_hint("RESTORE TABLE goes back to an older one"));
    }
    Ok(())
}

fn clauses(cursor: &mut Cursor) -> Parse<Clauses> {
    let mut clauses = Clauses::default();
    loop {
        if columns_follow(cursor) {
            if clauses.columns.is_some() {
                return Err(cursor.refusal("the columns are given twice"));
            }
            clauses.columns = Some(cursor.bracketed_names()?);
        } else if cursor.is("PARTITION") {
            if clauses.partition.is_some() {
                return Err(cursor.refusal("PARTITION is given twice"));
            }
            cursor.skip();
            clauses.partition = Some(cursor.bracketed_list(partition)?);
        } else if cursor.is("BY NAME") {
            if clauses.by_name {
                return Err(cursor.refusal("BY NAME is given twice"));
            }
            cursor.take("BY NAME");
            clauses.by_name = true;
        } else if cursor.is("REPLACE") {
            if clauses.replace_where.is_some() {
                return Err(cursor.refusal("REPLACE WHERE is given twice"));
            }
            cursor.expect("REPLACE WHERE")?;
            clauses.replace_where = Some(bare(cursor.expression()?));
        } else {
            break;
        }
    }
    if clauses.by_name && clauses.columns.is_some() {
        return Err(cursor.refusal("BY NAME and a column list contradict each other"));
    }
    if clauses.replace_where.is_some() && clauses.partition.is_some() {
        return Err(cursor.refusal("REPLACE WHERE and PARTITION contradict each other"));
    }
    Ok(clauses)
}

/// Whether `(a, …)` comes next, and not a query in brackets.
fn columns_follow(cursor: &Cursor) -> bool {
    *cursor.peek(0) == Token::LParen
        && cursor.is_name_at(1)
        && matches!(cursor.peek(2), Token::Comma | Token::RParen | Token::Period)
}

fn partition(cursor: &mut Cursor) -> Parse<(Ident, Option<Expr>)> {
    let column = cursor.ident("a partition column")?;
    let value = if cursor.take_token(&Token::Eq) {
        Some(cursor.expression()?)
    } else {
        None
    };
    Ok((column, value))
}

fn refuse_other_rows(cursor: &Cursor) -> Parse<()> {
    if cursor.is("DEFAULT VALUES") {
        return Err(cursor
            .refusal("DEFAULT VALUES is not available")
            .with_hint("write INSERT INTO t (c) VALUES (DEFAULT)"));
    }
    if cursor.is("SET") {
        return Err(cursor
            .expected("a query or VALUES")
            .with_hint("write INSERT INTO t (c, …) VALUES (e, …)"));
    }
    if cursor.is("AS") {
        return Err(cursor.refusal("the table of INSERT takes no alias"));
    }
    Ok(())
}

fn refuse_tail(cursor: &Cursor) -> Parse<()> {
    if cursor.is("ON CONFLICT") || cursor.is("ON DUPLICATE") {
        return Err(cursor
            .refusal("INSERT has no ON CONFLICT")
            .with_hint("use MERGE INTO to insert or update by key"));
    }
    refuse_returning(cursor)
}

pub(crate) fn refuse_returning(cursor: &Cursor) -> Parse<()> {
    if cursor.is("RETURNING") || cursor.is("OUTPUT") {
        return Err(cursor
            .refusal("changed rows are not returned")
            .with_hint("read them from table_changes('t', version) where the change data feed is on"));
    }
    Ok(())
}
