//! `MERGE`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::insert::{refuse_returning, refuse_version, schema_evolution};
use super::update::{alias, assignments};
use crate::cursor::{Cursor, Parse};
use crate::error::{Location, SyntaxError};
use crate::statement::{Merge, MergeAction, MergeClause, MergeKind, Statement};

pub(crate) fn merge(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("MERGE")?;
    let schema_evolution = schema_evolution(cursor)?;
    cursor.expect("INTO")?;
    let table = cursor.table()?;
    refuse_version(cursor)?;
    let alias = alias(cursor, &["USING"])?;
    cursor.expect("USING")?;
    let source = cursor.relation()?;
    if cursor.is("MATCHED") || cursor.is("NOT MATCHED") {
        // Without ON the first WHEN was taken for the source's alias.
        let place = cursor.inner.parser.get_current_token().span.start;
        return Err(SyntaxError::new("expected ON, found WHEN", place.into())
            .with_hint("write MERGE INTO t USING s ON condition WHEN …"));
    }
    cursor.expect("ON")?;
    let on = cursor.expression()?;
    let clauses = clauses(cursor)?;
    refuse_returning(cursor)?;
    Ok(Statement::Merge(Merge {
        schema_evolution,
        table,
        alias,
        source,
        on,
        clauses,
    }))
}

fn clauses(cursor: &mut Cursor) -> Parse<Vec<MergeClause>> {
    let mut clauses: Vec<MergeClause> = Vec::new();
    while cursor.is("WHEN") {
        let place = cursor.location();
        let clause = clause(cursor)?;
        check_order(cursor, &clauses, &clause, place)?;
        clauses.push(clause);
    }
    if clauses.is_empty() {
        return Err(cursor.expected("WHEN [NOT] MATCHED"));
    }
    Ok(clauses)
}

fn clause(cursor: &mut Cursor) -> Parse<MergeClause> {
    cursor.expect("WHEN")?;
    let kind = kind(cursor)?;
    let predicate = if cursor.take("AND") {
        Some(cursor.expression()?)
    } else {
        None
    };
    cursor.expect("THEN")?;
    let action = action(cursor, kind)?;
    Ok(MergeClause {
        kind,
        predicate,
        action,
    })
}

fn kind(cursor: &mut Cursor) -> Parse<MergeKind> {
    if cursor.take("MATCHED") {
        return Ok(MergeKind::Matched);
    }
    cursor.expect("NOT MATCHED")?;
    if !cursor.take("BY") || cursor.take("TARGET") {
        return Ok(MergeKind::NotMatched);
    }
    if cursor.take("SOURCE") {
        return Ok(MergeKind::NotMatchedBySource);
    }
    Err(cursor.expected("TARGET or SOURCE"))
}

/// The first clause that applies wins, so none can stand behind one that always applies.
fn check_order(cursor: &Cursor, before: &[MergeClause], clause: &MergeClause, place: Location) -> Parse<()> {
    if before
        .iter()
        .any(|other| other.kind == clause.kind && other.predicate.is_none())
    {
        let mut error = cursor
            .refusal(format!(
                "this clause can never apply: a WHEN {} clause without AND stands before it",
                words(clause.kind)
            ))
            .with_hint("put the clause without AND last");
        error.location = place;
        return Err(error);
    }
    Ok(())
}

/// How a kind is spelled.
pub(crate) fn words(kind: MergeKind) -> &'static str {
    match kind {
        MergeKind::Matched => "MATCHED",
        MergeKind::NotMatched => "NOT MATCHED",
        MergeKind::NotMatchedBySource => "NOT MATCHED BY SOURCE",
    }
}

fn action(cursor: &mut Cursor, kind: MergeKind) -> Parse<MergeAction> {
    let Some(word) = cursor.word(0) else {
        return Err(cursor.expected("UPDATE, DELETE or INSERT"));
    };
    let inserts = kind == MergeKind::NotMatched;
    match word.as_str() {
        "INSERT" if inserts => insert(cursor),
        "UPDATE" if !inserts => update(cursor, kind),
        "DELETE" if !inserts => {
            cursor.skip();
            Ok(MergeAction::Delete)
        }
        "INSERT" | "UPDATE" | "DELETE" => {
            let allowed = if inserts { "INSERT" } else { "UPDATE SET or DELETE" };
            Err(cursor
                .refusal(format!("WHEN {} cannot {word}", words(kind)))
                .with_hint(format!("WHEN {} takes {allowed}", words(kind))))
        }
        "DO" => Err(cursor
            .refusal("MERGE has no DO NOTHING")
            .with_hint("leave the clause out, or put the condition into the other clauses")),
        _ => Err(cursor.expected("UPDATE, DELETE or INSERT")),
    }
}

fn update(cursor: &mut Cursor, kind: MergeKind) -> Parse<MergeAction> {
    cursor.expect("UPDATE SET")?;
    if *cursor.peek(0) != Token::Mul {
        return Ok(MergeAction::Update(assignments(cursor)?));
    }
    if kind == MergeKind::NotMatchedBySource {
        return Err(cursor
            .refusal("UPDATE SET * needs a source row, and WHEN NOT MATCHED BY SOURCE has none")
            .with_hint("write UPDATE SET c = e, …"));
    }
    cursor.skip();
    Ok(MergeAction::UpdateAll)
}

fn insert(cursor: &mut Cursor) -> Parse<MergeAction> {
    cursor.expect("INSERT")?;
    if cursor.take_token(&Token::Mul) {
        return Ok(MergeAction::InsertAll);
    }
    if cursor.is("ROW") {
        return Err(cursor.refusal("MERGE has no INSERT ROW").with_hint("write INSERT *"));
    }
    let columns = if *cursor.peek(0) == Token::LParen {
        cursor.bracketed_names()?
    } else {
        Vec::new()
    };
    if !cursor.take("VALUES") {
        return Err(cursor
            .expected("VALUES")
            .with_hint("write INSERT * or INSERT (c, …) VALUES (e, …)"));
    }
    let place = cursor.location();
    let values = cursor.bracketed_list(Cursor::expression)?;
    if *cursor.peek(0) == Token::Comma {
        return Err(cursor.refusal("a clause inserts one row for each source row"));
    }
    if !columns.is_empty() && columns.len() != values.len() {
        let mut error = cursor.refusal(format!("{} columns but {} values", columns.len(), values.len()));
        error.location = place;
        return Err(error);
    }
    Ok(MergeAction::Insert { columns, values })
}
