//! The statements: one function for each leading word, and DataFusion's parser for the rest.

mod access;
mod alter;
mod backup;
mod call;
mod columns;
mod copy;
mod create;
mod describe;
mod explain;
mod insert;
mod maintenance;
mod merge;
mod native;
mod properties;
mod refusals;
mod secret;
mod types;
mod update;

use datafusion::sql::sqlparser::ast::Expr;

use crate::Parsed;
use crate::cursor::{Cursor, Parse};
use crate::error::{Location, SyntaxError};
use crate::stack::with_room;
use crate::statement::Statement;
use crate::tokens::{Offsets, Piece, split};
use crate::types::TypeName;

pub(crate) use merge::words as merge_kind;
pub(crate) use native::check_query;

pub(crate) fn script(sql: &str) -> Parse<Vec<Parsed>> {
    with_room(|| pieces(sql))
}

fn pieces(sql: &str) -> Parse<Vec<Parsed>> {
    let (pieces, unreadable) = split(sql);
    let mut offsets = Offsets::new(sql);
    let mut statements = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let from = offsets.at(piece.start);
        let to = piece.semicolon.map_or(sql.len(), |semicolon| offsets.at(semicolon));
        let text = sql.get(from..to).unwrap_or_default().trim().to_owned();
        let location = piece.start;
        statements.push(Parsed {
            statement: one(piece)?,
            text,
            location,
        });
    }
    match unreadable {
        Some(error) => Err(error),
        None => Ok(statements),
    }
}

fn one(piece: Piece) -> Parse<Statement> {
    let mut cursor = Cursor::new(piece)?;
    let words = [cursor.word(0), cursor.word(1)];
    let result = statement(&mut cursor, Nesting::default()).and_then(|statement| {
        cursor.finish()?;
        Ok(statement)
    });
    result.map_err(|error| refusals::suggest(error, &words))
}

/// What a statement stands inside of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Nesting {
    explain: bool,
    prepare: bool,
}

/// Reads one statement, up to what it does not understand.
fn statement(cursor: &mut Cursor, nesting: Nesting) -> Parse<Statement> {
    let Some(first) = cursor.word(0) else {
        return native::statement(cursor);
    };
    match first.as_str() {
        "EXPLAIN" => explain::explain(cursor, nesting),
        "PREPARE" => explain::prepare(cursor, nesting),
        "CREATE" if secret::creates(cursor) => secret::create(cursor, nesting),
        "CREATE" => create::create(cursor),
        "DROP" if cursor.is_word_at(1, "SECRET") => secret::drop(cursor),
        "CONVERT" => create::convert(cursor),
        "DROP" => create::drop(cursor),
        "ALTER" => alter::alter(cursor),
        "COMMENT" => alter::comment(cursor),
        "GRANT" | "REVOKE" => access::grant(cursor),
        "INSERT" => insert::insert(cursor),
        "UPDATE" => update::update(cursor),
        "DELETE" => update::delete(cursor),
        "TRUNCATE" => update::truncate(cursor),
        "MERGE" => merge::merge(cursor),
        "COPY" if cursor.is_word_at(1, "INTO") => copy::copy_into(cursor),
        "OPTIMIZE" => maintenance::optimize(cursor),
        "VACUUM" => maintenance::vacuum(cursor),
        "RESTORE" => backup::restore(cursor),
        "BACKUP" => backup::backup(cursor),
        "VERIFY" => backup::verify(cursor),
        "KILL" => maintenance::kill(cursor),
        "FSCK" => maintenance::fsck(cursor),
        "REORG" => maintenance::reorg(cursor),
        "CHECKPOINT" => maintenance::checkpoint(cursor),
        "GENERATE" => maintenance::generate(cursor),
        "ANALYZE" => maintenance::analyze(cursor),
        "CALL" => call::call(cursor),
        "DESCRIBE" | "DESC" => describe::describe(cursor),
        "SHOW" => describe::show(cursor),
        word => match refusals::refused(cursor, word) {
            Some(error) => Err(error),
            None => native::statement(cursor),
        },
    }
}

/// A cursor over a text that is one statement or a part of one.
fn whole(sql: &str) -> Parse<Cursor> {
    let (pieces, unreadable) = split(sql);
    if let Some(error) = unreadable {
        return Err(error);
    }
    let mut pieces = pieces.into_iter();
    let Some(piece) = pieces.next() else {
        let start = Location { line: 1, column: 1 };
        return Err(SyntaxError {
            incomplete: true,
            ..SyntaxError::new("the text is empty", start)
        });
    };
    match piece.semicolon.or(pieces.next().map(|next| next.start)) {
        Some(place) => Err(SyntaxError::new("a semicolon cannot stand here", place)),
        None => Cursor::new(piece),
    }
}

pub(crate) fn expression(sql: &str) -> Parse<Expr> {
    let mut cursor = whole(sql)?;
    let expression = with_room(|| cursor.expression())?;
    if !cursor.at_end() {
        return Err(cursor.expected("the end of the expression"));
    }
    Ok(expression)
}

pub(crate) fn data_type(sql: &str) -> Parse<TypeName> {
    let mut cursor = whole(sql)?;
    let data_type = with_room(|| types::data_type(&mut cursor))?;
    if !cursor.at_end() {
        return Err(cursor.expected("the end of the type"));
    }
    Ok(data_type)
}
