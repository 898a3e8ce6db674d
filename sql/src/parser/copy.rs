//! `COPY INTO`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::properties::pairs;
use super::refusals::nearest;
use crate::cursor::{Cursor, Parse};
use crate::statement::{CopyInto, FileFormat, Statement};

/// The clauses behind the location; each may stand once, in any order.
#[derive(Default)]
struct Clauses {
    format: Option<FileFormat>,
    files: Option<Vec<String>>,
    pattern: Option<String>,
    format_options: Option<Vec<(String, String)>>,
    copy_options: Option<Vec<(String, String)>>,
}

const WORDS: &[&str] = &["FILEFORMAT", "FILES", "PATTERN", "FORMAT_OPTIONS", "COPY_OPTIONS"];

pub(crate) fn copy_into(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("COPY INTO")?;
    let table = cursor.table()?;
    if *cursor.peek(0) == Token::LParen {
        return Err(cursor
            .refusal("COPY INTO takes no column list")
            .with_hint("use INSERT INTO t (c, …) SELECT … FROM 'file'"));
    }
    cursor.expect("FROM")?;
    if *cursor.peek(0) == Token::LParen {
        return Err(cursor
            .refusal("COPY INTO reads files, not queries")
            .with_hint("use INSERT INTO t SELECT … FROM 'file'"));
    }
    let location = cursor.string("a file, a folder or a glob in quotes")?;
    let mut clauses = Clauses::default();
    while let Some(word) = cursor.word(0) {
        if !clause(cursor, &word, &mut clauses)? {
            let error = cursor.expected("a clause of COPY INTO");
            let hint = match (word.as_str(), nearest(&word, WORDS)) {
                ("FILE_FORMAT" | "FORMAT", _) => "write FILEFORMAT = CSV, JSON or PARQUET".to_owned(),
                (_, Some(near)) => format!("did you mean {near}?"),
                _ => format!("the clauses are {}", WORDS.join(", ")),
            };
            return Err(error.with_hint(hint));
        }
    }
    let Some(format) = clauses.format else {
        return Err(cursor.expected("FILEFORMAT = CSV, JSON or PARQUET"));
    };
    Ok(Statement::CopyInto(CopyInto {
        table,
        location,
        format,
        files: clauses.files.unwrap_or_default(),
        pattern: clauses.pattern,
        format_options: clauses.format_options.unwrap_or_default(),
        copy_options: clauses.copy_options.unwrap_or_default(),
    }))
}

fn clause(cursor: &mut Cursor, word: &str, clauses: &mut Clauses) -> Parse<bool> {
    if !WORDS.contains(&word) {
        return Ok(false);
    }
    let twice = match word {
        "FILEFORMAT" => clauses.format.is_some(),
        "FILES" => clauses.files.is_some(),
        "PATTERN" => clauses.pattern.is_some(),
        "FORMAT_OPTIONS" => clauses.format_options.is_some(),
        _ => clauses.copy_options.is_some(),
    };
    if twice {
        return Err(cursor.refusal(format!("{word} is given twice")));
    }
    cursor.skip();
    if !word.ends_with("_OPTIONS") {
        cursor.expect_token(&Token::Eq)?;
    }
    match word {
        "FILEFORMAT" => clauses.format = Some(file_format(cursor)?),
        "FILES" => clauses.files = Some(cursor.bracketed_list(|cursor| cursor.string("a file name"))?),
        "PATTERN" => clauses.pattern = Some(cursor.string("a glob")?),
        "FORMAT_OPTIONS" => clauses.format_options = Some(pairs(cursor)?),
        _ => clauses.copy_options = Some(pairs(cursor)?),
    }
    Ok(true)
}

fn file_format(cursor: &mut Cursor) -> Parse<FileFormat> {
    let name = match cursor.peek(0) {
        Token::SingleQuotedString(text) => text.to_ascii_uppercase(),
        _ => cursor.word(0).unwrap_or_default(),
    };
    let format = match name.as_str() {
        "CSV" => FileFormat::Csv,
        "JSON" | "NDJSON" => FileFormat::Json,
        "PARQUET" => FileFormat::Parquet,
        _ => return Err(cursor.expected("CSV, JSON or PARQUET")),
    };
    cursor.skip();
    Ok(format)
}
