//! `CREATE TABLE` in its forms, `CONVERT` and `DROP TABLE`.

use datafusion::sql::parser::{CreateExternalTable, Statement as NativeStatement};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::access;
use super::columns::{self, Definitions};
use super::native;
use super::properties::pairs;
use crate::cursor::{Cursor, Parse};
use crate::error::{Location, SyntaxError};
use crate::names::{key, normalised_name};
use crate::statement::{CloneTable, Column, Convert, CreateTable, CreateTableLike, DropTable, Statement};

pub(crate) fn create(cursor: &mut Cursor) -> Parse<Statement> {
    let or_replace = cursor.is("CREATE OR REPLACE");
    let kind = if or_replace { 3 } else { 1 };
    let Some(word) = cursor.word(kind) else {
        return native::statement(cursor);
    };
    match word.as_str() {
        "TABLE" => {
            cursor.take("CREATE");
            cursor.take("OR REPLACE");
            cursor.take("TABLE");
            table(cursor, or_replace)
        }
        "TEMP" | "TEMPORARY" if cursor.is_word_at(kind + 1, "TABLE") => Err(cursor
            .refusal("there are no temporary tables")
            .with_hint("use CREATE VIEW, or WITH in the query")),
        "USER" | "ROLE" => match access::principal(cursor)? {
            Some(statement) => Ok(statement),
            None => Err(cursor
                .refusal(format!("CREATE OR REPLACE {word} is not available"))
                .with_hint("use ALTER USER u PASSWORD 's', GRANT and REVOKE")),
        },
        "EXTERNAL" | "UNBOUNDED" => external(cursor),
        _ => native::statement(cursor),
    }
}

/// `CREATE EXTERNAL TABLE`, which is ours where the format is Delta.
fn external(cursor: &mut Cursor) -> Parse<Statement> {
    let place = cursor.location();
    let statement = native::statement(cursor)?;
    match statement {
        Statement::Native(native) => match *native {
            NativeStatement::CreateExternalTable(table)
                if matches!(table.file_type.as_str(), "DELTA" | "DELTATABLE") =>
            {
                external_delta(table, place)
            }
            native => Ok(Statement::Native(Box::new(native))),
        },
        other => Ok(other),
    }
}

fn external_delta(table: CreateExternalTable, place: Location) -> Parse<Statement> {
    let refusal = |message: &str| SyntaxError::new(message, place);
    let bare = table.columns.is_empty()
        && table.table_partition_cols.is_empty()
        && table.order_exprs.is_empty()
        && table.options.is_empty()
        && table.constraints.is_empty();
    if !bare {
        return Err(
            refusal("a Delta table brings its own columns, partitions and properties")
                .with_hint("write CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION 'url'"),
        );
    }
    if table.temporary || table.unbounded || table.or_replace {
        return Err(
            refusal("an external Delta table is neither TEMPORARY nor UNBOUNDED nor replaced")
                .with_hint("write CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION 'url'"),
        );
    }
    let mut locations = table.locations.into_iter();
    let (Some(location), None) = (locations.next(), locations.next()) else {
        return Err(refusal("a Delta table has one location"));
    };
    Ok(Statement::CreateTable(CreateTable {
        if_not_exists: table.if_not_exists,
        location: Some(location),
        ..CreateTable::named(normalised_name(table.name))
    }))
}

fn table(cursor: &mut Cursor, or_replace: bool) -> Parse<Statement> {
    let place = cursor.location();
    let if_not_exists = cursor.take("IF NOT EXISTS");
    if if_not_exists && or_replace {
        return Err(SyntaxError::new(
            "OR REPLACE and IF NOT EXISTS contradict each other",
            place,
        ));
    }
    let name = cursor.table()?;
    if cursor.is("LIKE") {
        if or_replace {
            return Err(cursor
                .refusal("CREATE OR REPLACE TABLE has no LIKE")
                .with_hint("use CREATE TABLE t LIKE s"));
        }
        return like(cursor, name, if_not_exists);
    }
    let explicit = cursor.is("SHALLOW") || cursor.is("DEEP");
    if cursor.is("CLONE") || (explicit && cursor.is_word_at(1, "CLONE")) {
        return clone(
            cursor,
            CloneHead {
                name,
                or_replace,
                if_not_exists,
            },
        );
    }
    let mut definitions = Definitions::default();
    if *cursor.peek(0) == Token::LParen {
        definitions = columns::definitions(cursor)?;
    }
    let mut table = CreateTable {
        or_replace,
        if_not_exists,
        columns: definitions.columns,
        primary_key: definitions.primary_key,
        checks: definitions.checks,
        ..CreateTable::named(name)
    };
    clauses(cursor, &mut table)?;
    complete(cursor, table)
}

/// The clauses behind the columns, each once, in any order, and the query at the end.
fn clauses(cursor: &mut Cursor, table: &mut CreateTable) -> Parse<()> {
    let mut seen: Vec<String> = Vec::new();
    while let Some(word) = cursor.word(0) {
        if word == "AS" {
            cursor.skip();
            table.query = Some(cursor.query()?);
            return Ok(());
        }
        if seen.contains(&word) {
            return Err(cursor.refusal(format!("{word} is given twice")));
        }
        match word.as_str() {
            "USING" => using(cursor)?,
            "PARTITIONED" => partitioned_by(cursor, table)?,
            "CLUSTER" => {
                cursor.expect("CLUSTER BY")?;
                table.cluster_by = cluster_columns(cursor)?;
            }
            "LOCATION" => {
                cursor.skip();
                table.location = Some(cursor.string("a location in quotes")?);
            }
            "COMMENT" => {
                cursor.skip();
                cursor.take_token(&Token::Eq);
                table.comment = Some(cursor.string("a comment")?);
            }
            "TBLPROPERTIES" => {
                cursor.skip();
                table.properties = pairs(cursor)?;
            }
            _ => return Err(unknown_clause(cursor, &word)),
        }
        seen.push(word);
    }
    Ok(())
}

fn unknown_clause(cursor: &Cursor, word: &str) -> SyntaxError {
    const CLAUSES: &[&str] = &[
        "USING",
        "PARTITIONED",
        "CLUSTER",
        "LOCATION",
        "COMMENT",
        "TBLPROPERTIES",
        "AS",
    ];
    let error = cursor.expected("a clause of CREATE TABLE");
    match word {
        "OPTIONS" | "WITH" => error.with_hint("write TBLPROPERTIES ('key' = 'value')"),
        "STORED" => error.with_hint("write USING DELTA, or CREATE EXTERNAL TABLE … STORED AS … for plain files"),
        "PARTITION" => error.with_hint("write PARTITIONED BY (c, …)"),
        "CLUSTERED" => error.with_hint("there are no buckets; write CLUSTER BY (c, …)"),
        "SELECT" | "VALUES" => error.with_hint("write AS before the query"),
        word => match super::refusals::nearest(word, CLAUSES) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error,
        },
    }
}

fn using(cursor: &mut Cursor) -> Parse<()> {
    cursor.expect("USING")?;
    if cursor.is("DELTA") {
        cursor.skip();
        return Ok(());
    }
    let hint = "only Delta tables are created; CREATE EXTERNAL TABLE … STORED AS … names plain files";
    match cursor.word(0) {
        Some(format) => Err(cursor
            .refusal(format!("USING {format} is not available"))
            .with_hint(hint)),
        None => Err(cursor.expected("DELTA")),
    }
}

/// `PARTITIONED BY (c, …)`; a column with a type is a column of the table too.
fn partitioned_by(cursor: &mut Cursor, table: &mut CreateTable) -> Parse<()> {
    cursor.expect("PARTITIONED BY")?;
    let given = cursor.bracketed_list(|cursor| {
        let name = cursor.ident("a column name")?;
        if *cursor.peek(0) == Token::LParen {
            return Err(cursor
                .refusal("a table is partitioned by columns, not by expressions")
                .with_hint("add a column GENERATED ALWAYS AS (e) and partition by it"));
        }
        if matches!(cursor.peek(0), Token::Comma | Token::RParen) {
            return Ok((name, None));
        }
        let place = cursor.location();
        let column = columns::column(cursor, name.clone(), &mut Definitions::default())?;
        Ok((name, Some((column, place))))
    })?;
    for (name, column) in given {
        if let Some((column, place)) = column {
            if table.columns.iter().any(|other| key(&other.name) == key(&column.name)) {
                return Err(
                    SyntaxError::new(format!("the column {} stands twice", name.value), place)
                        .with_hint("name it in PARTITIONED BY without a type"),
                );
            }
            table.columns.push(column);
        }
        table.partitioned_by.push(name);
    }
    Ok(())
}

/// `(c, …)`.
pub(crate) fn cluster_columns(cursor: &mut Cursor) -> Parse<Vec<Ident>> {
    if cursor.is("AUTO") || cursor.is("NONE") {
        return Err(cursor.expected("'('").with_hint("write CLUSTER BY (c, …)"));
    }
    cursor.bracketed_names()
}

fn complete(cursor: &Cursor, mut table: CreateTable) -> Parse<Statement> {
    if table.columns.is_empty() && table.query.is_none() && table.location.is_none() {
        return Err(cursor.expected("columns, AS query, LIKE, CLONE or LOCATION"));
    }
    let primary: Vec<String> = table.primary_key.iter().map(key).collect();
    for column in &mut table.columns {
        if primary.contains(&key(&column.name)) {
            column.nullable = false;
        }
    }
    Ok(Statement::CreateTable(table))
}

/// A column of `ALTER TABLE … ADD COLUMN`: no constraints beside `NOT NULL`.
pub(crate) fn column_in_table(cursor: &mut Cursor, name: Ident) -> Parse<Column> {
    let place = cursor.location();
    let mut definitions = Definitions::default();
    let column = columns::column(cursor, name, &mut definitions)?;
    if !definitions.primary_key.is_empty() || !definitions.checks.is_empty() {
        return Err(SyntaxError::new("a new column takes no key and no check", place)
            .with_hint("use ALTER TABLE t ADD PRIMARY KEY (…) or ADD CONSTRAINT n CHECK (e) afterwards"));
    }
    Ok(column)
}

fn like(cursor: &mut Cursor, name: ObjectName, if_not_exists: bool) -> Parse<Statement> {
    cursor.expect("LIKE")?;
    let source = cursor.table()?;
    let mut location = None;
    let mut using_seen = false;
    loop {
        if cursor.is("LOCATION") && location.is_none() {
            cursor.skip();
            location = Some(cursor.string("a location in quotes")?);
        } else if cursor.is("USING") && !using_seen {
            using(cursor)?;
            using_seen = true;
        } else {
            break;
        }
    }
    Ok(Statement::CreateTableLike(CreateTableLike {
        name,
        if_not_exists,
        source,
        location,
    }))
}

struct CloneHead {
    name: ObjectName,
    or_replace: bool,
    if_not_exists: bool,
}

fn clone(cursor: &mut Cursor, head: CloneHead) -> Parse<Statement> {
    let shallow = cursor.take("SHALLOW");
    if !shallow {
        cursor.take("DEEP");
    }
    cursor.expect("CLONE")?;
    let source = cursor.table()?;
    let as_of = cursor.as_of()?;
    let mut location = None;
    let mut properties = None;
    loop {
        if cursor.is("LOCATION") && location.is_none() {
            cursor.skip();
            location = Some(cursor.string("a location in quotes")?);
        } else if cursor.is("TBLPROPERTIES") && properties.is_none() {
            cursor.skip();
            properties = Some(pairs(cursor)?);
        } else {
            break;
        }
    }
    let CloneHead {
        name,
        or_replace,
        if_not_exists,
    } = head;
    let properties = properties.unwrap_or_default();
    Ok(Statement::CloneTable(CloneTable {
        name,
        or_replace,
        if_not_exists,
        shallow,
        source,
        as_of,
        location,
        properties,
    }))
}

pub(crate) fn convert(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("CONVERT TO DELTA")?;
    let location = convert_source(cursor)?;
    let statistics = !cursor.take("NO STATISTICS");
    let mut partitioned_by = Vec::new();
    if cursor.take("PARTITIONED") {
        cursor.expect("BY")?;
        partitioned_by = cursor.bracketed_list(|cursor| {
            let name = cursor.ident("a column name")?;
            column_in_table(cursor, name)
        })?;
    }
    Ok(Statement::Convert(Convert {
        location,
        statistics,
        partitioned_by,
    }))
}

fn convert_source(cursor: &mut Cursor) -> Parse<String> {
    if matches!(cursor.peek(0), Token::SingleQuotedString(_)) {
        return cursor.string("a folder of Parquet files");
    }
    let hint = "write CONVERT TO DELTA parquet.`path`";
    let place = cursor.location();
    let path = cursor
        .path("a folder of Parquet files")
        .map_err(|error| error.with_hint(hint))?;
    match path.as_slice() {
        [format, location] if key(format) == "parquet" => Ok(location.value.clone()),
        _ => Err(SyntaxError::new("only folders of Parquet files are converted", place).with_hint(hint)),
    }
}

pub(crate) fn drop(cursor: &mut Cursor) -> Parse<Statement> {
    if let Some(statement) = access::principal(cursor)? {
        return Ok(statement);
    }
    if !cursor.is("DROP TABLE") {
        return native::statement(cursor);
    }
    cursor.take("DROP TABLE");
    let if_exists = cursor.take("IF EXISTS");
    let name = cursor.table()?;
    if *cursor.peek(0) == Token::Comma {
        return Err(cursor
            .refusal("DROP TABLE takes one table")
            .with_hint("write one DROP TABLE for each table"));
    }
    if ["CASCADE", "RESTRICT", "PURGE"].iter().any(|word| cursor.is(word)) {
        return Err(cursor
            .expected("the end of the statement")
            .with_hint("write DROP TABLE [IF EXISTS] t"));
    }
    Ok(Statement::DropTable(DropTable { name, if_exists }))
}
