//! `OPTIMIZE`, `VACUUM`, `RESTORE` and the other statements that care for a table.

use datafusion::sql::sqlparser::ast::{Expr, ObjectName};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Parse};
use crate::statement::{Fsck, Generate, Optimize, Reorg, Restore, Statement, Vacuum, VacuumMode};

pub(crate) fn optimize(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("OPTIMIZE")?;
    if cursor.is("FULL") && cursor.is_name_at(1) && !cursor.is_word_at(1, "WHERE") && !cursor.is_word_at(1, "ZORDER") {
        return Err(full(cursor));
    }
    if cursor.is("TABLE") && cursor.is_name_at(1) {
        cursor.skip();
    }
    let table = cursor.table()?;
    if cursor.is("FULL") {
        return Err(full(cursor));
    }
    let selection = selection(cursor)?;
    let mut zorder = Vec::new();
    if cursor.take("ZORDER") {
        cursor.expect("BY")?;
        zorder = if *cursor.peek(0) == Token::LParen {
            cursor.bracketed_names()?
        } else {
            cursor.list(|cursor| cursor.ident("a column name"))?
        };
    }
    Ok(Statement::Optimize(Optimize {
        table,
        selection,
        zorder,
    }))
}

fn full(cursor: &Cursor) -> crate::SyntaxError {
    cursor
        .refusal("OPTIMIZE has no FULL: it would cluster again what is clustered already")
        .with_hint("use OPTIMIZE t, or OPTIMIZE t ZORDER BY (c, …) to rewrite all files")
}

fn selection(cursor: &mut Cursor) -> Parse<Option<Expr>> {
    if cursor.take("WHERE") {
        cursor.expression().map(Some)
    } else {
        Ok(None)
    }
}

pub(crate) fn vacuum(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("VACUUM")?;
    let bare_mode = ["FULL", "LITE"].iter().any(|mode| cursor.is(mode));
    let modifier_follows = ["RETAIN", "DRY", "FULL", "LITE"]
        .iter()
        .any(|word| cursor.is_word_at(1, word));
    if bare_mode && cursor.is_name_at(1) && !modifier_follows {
        return Err(cursor
            .refusal("the table comes first")
            .with_hint("write VACUUM t FULL or VACUUM t LITE"));
    }
    let table = cursor.table()?;
    let mut mode = None;
    let mut retain_hours = None;
    let mut dry_run = false;
    while let Some(word) = cursor.word(0) {
        let twice = match word.as_str() {
            "LITE" | "FULL" => mode.is_some(),
            "RETAIN" => retain_hours.is_some(),
            "DRY" => dry_run,
            _ => return Err(cursor.expected("LITE, FULL, RETAIN n HOURS or DRY RUN")),
        };
        if twice {
            return Err(cursor.refusal(format!("{word} is given twice or contradicts what stands before")));
        }
        match word.as_str() {
            "LITE" => mode = Some(VacuumMode::Lite),
            "FULL" => mode = Some(VacuumMode::Full),
            "RETAIN" => {
                cursor.skip();
                retain_hours = Some(hours(cursor)?);
                continue;
            }
            _ => {
                cursor.skip();
                cursor.expect("RUN")?;
                dry_run = true;
                continue;
            }
        }
        cursor.skip();
    }
    Ok(Statement::Vacuum(Vacuum {
        table,
        mode: mode.unwrap_or(VacuumMode::Full),
        retain_hours,
        dry_run,
    }))
}

fn hours(cursor: &mut Cursor) -> Parse<f64> {
    let number = match cursor.peek(0) {
        Token::Number(digits, false) => digits.parse::<f64>().ok().filter(|hours| hours.is_finite()),
        _ => None,
    };
    let Some(number) = number else {
        return Err(cursor.expected("a number of hours"));
    };
    cursor.skip();
    if !cursor.take("HOURS") && !cursor.take("HOUR") {
        return Err(cursor.expected("HOURS").with_hint("a week is RETAIN 168 HOURS"));
    }
    Ok(number)
}

/// What follows the table of `RESTORE TABLE t`, where it goes back in its own history.
pub(crate) fn restore(cursor: &mut Cursor, table: ObjectName) -> Parse<Statement> {
    cursor.take("TO");
    match cursor.as_of()? {
        Some(as_of) => Ok(Statement::Restore(Restore { table, as_of })),
        None => Err(cursor
            .expected("TO VERSION AS OF n or TO TIMESTAMP AS OF e")
            .with_hint("FROM 'url' brings a table back from a backup")),
    }
}

pub(crate) fn kill(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("KILL QUERY")?;
    Ok(Statement::KillQuery(
        cursor.unsigned("the query's number, as in system.queries")?,
    ))
}

fn dry_run(cursor: &mut Cursor) -> Parse<bool> {
    let found = cursor.take("DRY");
    if found {
        cursor.expect("RUN")?;
    }
    Ok(found)
}

pub(crate) fn fsck(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("FSCK REPAIR TABLE")?;
    let table = cursor.table()?;
    let dry_run = dry_run(cursor)?;
    Ok(Statement::Fsck(Fsck { table, dry_run }))
}

pub(crate) fn reorg(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("REORG TABLE")?;
    let table = cursor.table()?;
    let selection = selection(cursor)?;
    cursor.expect("APPLY")?;
    cursor.expect_token(&Token::LParen)?;
    if !cursor.take("PURGE") {
        return Err(cursor
            .expected("PURGE")
            .with_hint("REORG does nothing but APPLY (PURGE)"));
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(Statement::Reorg(Reorg { table, selection }))
}

pub(crate) fn checkpoint(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("CHECKPOINT")?;
    Ok(Statement::Checkpoint(cursor.table()?))
}

pub(crate) fn generate(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("GENERATE")?;
    if !cursor.is("SYMLINK_FORMAT_MANIFEST") {
        return Err(cursor.expected("symlink_format_manifest"));
    }
    cursor.skip();
    cursor.expect("FOR TABLE")?;
    let table = cursor.table()?;
    Ok(Statement::Generate(Generate {
        mode: "symlink_format_manifest".to_owned(),
        table,
    }))
}

pub(crate) fn analyze(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("ANALYZE TABLE")?;
    let table = cursor.table()?;
    if cursor.is("PARTITION") {
        return Err(cursor.refusal("ANALYZE TABLE takes no PARTITION: statistics are those of the whole table"));
    }
    cursor.expect("COMPUTE")?;
    if cursor.is("DELTA") {
        return Err(cursor
            .expected("STATISTICS")
            .with_hint("write ANALYZE TABLE t COMPUTE STATISTICS"));
    }
    cursor.expect("STATISTICS")?;
    if cursor.is("FOR") || cursor.is("NOSCAN") {
        return Err(cursor
            .refusal("ANALYZE TABLE computes the statistics of all columns and takes no further clause")
            .with_hint("write ANALYZE TABLE t COMPUTE STATISTICS"));
    }
    Ok(Statement::Analyze(table))
}
