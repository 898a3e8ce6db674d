//! `BACKUP`, `VERIFY BACKUP` and `RESTORE`, from a backup or in a table's own history.

use super::maintenance;
use crate::cursor::{Cursor, Parse};
use crate::statement::{Backup, RestoreBackup, Statement, VerifyBackup};

pub(crate) fn backup(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("BACKUP")?;
    let table = if cursor.is("LAKE") && cursor.is_word_at(1, "TO") {
        cursor.skip();
        None
    } else if cursor.take("TABLE") {
        Some(cursor.table()?)
    } else {
        return Err(cursor
            .expected("TABLE or LAKE")
            .with_hint("write BACKUP TABLE t TO 'url' or BACKUP LAKE TO 'url'"));
    };
    cursor.expect("TO")?;
    Ok(Statement::Backup(Backup {
        table,
        location: cursor.string("the backup's location in single quotes")?,
        incremental: cursor.take("INCREMENTAL"),
    }))
}

pub(crate) fn verify(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("VERIFY BACKUP")?;
    let location = cursor.string("the backup's location in single quotes")?;
    Ok(Statement::VerifyBackup(VerifyBackup { location }))
}

pub(crate) fn restore(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("RESTORE")?;
    let (table, target) = if cursor.is("LAKE") && cursor.is_word_at(1, "FROM") {
        cursor.skip();
        (None, None)
    } else {
        if cursor.is("TABLE") && cursor.is_name_at(1) && !cursor.is_word_at(1, "TO") {
            cursor.skip();
        }
        let table = cursor.table()?;
        let target = if cursor.take("AS") { Some(cursor.table()?) } else { None };
        if target.is_none() && !cursor.is("FROM") {
            return maintenance::restore(cursor, table);
        }
        (Some(table), target)
    };
    cursor.expect("FROM")?;
    let location = cursor.string("the backup's location in single quotes")?;
    let said = cursor.take("TO");
    if table.is_none() && cursor.is("VERSION") {
        return Err(cursor
            .refusal("the tables of a lake have versions of their own, so RESTORE LAKE takes a time")
            .with_hint("write TO TIMESTAMP AS OF '2026-11-22 10:00:00'"));
    }
    let as_of = cursor.as_of()?;
    if said && as_of.is_none() {
        return Err(cursor.expected("VERSION AS OF n or TIMESTAMP AS OF e"));
    }
    Ok(Statement::RestoreBackup(RestoreBackup {
        table,
        target,
        location,
        as_of,
        overwrite: cursor.take("OVERWRITE"),
    }))
}
