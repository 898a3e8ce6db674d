//! The names of the mount's folders: which are the lake's, and which are anybody's.

use crate::lake::{At, TableName};
use crate::render::Format;

/// The file of a table's rows, in each format.
pub(crate) const TEXTS: [(&str, Format); 3] = [
    ("data.csv", Format::Csv),
    ("data.jsonl", Format::JsonLines),
    ("data.json", Format::Json),
];
/// The definition of a table, or of all tables.
pub(crate) const DEFINITION: &str = "schema.sql";
/// Why edits were refused.
pub(crate) const ERRORS: &str = "data.csv.errors";
/// What the last refused edit wrote.
pub(crate) const REJECTED: &str = "data.csv.rej";
/// Write a statement, read its rows.
pub(crate) const QUERY: &str = ".query";
/// The statements that edits became.
pub(crate) const STATEMENTS: &str = ".sql";
/// The server's state.
pub(crate) const STATUS: &str = ".status";

/// A name at the root, or in a schema's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Top {
    Table(TableName),
    Schema(String),
    Pinned(TableName, At),
    Definition,
    Query,
    Statements,
    Status,
    Other,
}

/// A name in a table's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    Text(Format),
    Definition,
    Parquet(String),
    Errors,
    Rejected,
    Other,
}

/// What a name at the root (`schema` is none) or in a schema's folder stands for.
pub(crate) fn top(tables: &[TableName], schema: Option<&str>, name: &[u8]) -> Top {
    let Ok(name) = std::str::from_utf8(name) else {
        return Top::Other;
    };
    let table = |table: &str| TableName {
        schema: schema.map(str::to_string),
        table: table.to_string(),
    };
    let is = |wanted: &TableName| tables.contains(wanted);
    if is(&table(name)) {
        return Top::Table(table(name));
    }
    if schema.is_none() {
        match name {
            DEFINITION => return Top::Definition,
            QUERY => return Top::Query,
            STATEMENTS => return Top::Statements,
            STATUS => return Top::Status,
            _ if tables.iter().any(|table| table.schema.as_deref() == Some(name)) => {
                return Top::Schema(name.to_string());
            }
            _ => {}
        }
    }
    if let Some((before, at)) = name.rsplit_once('@')
        && is(&table(before))
        && let Some(at) = pinned(at)
    {
        return Top::Pinned(table(before), at);
    }
    Top::Other
}

fn pinned(text: &str) -> Option<At> {
    if let Some(number) = text.strip_prefix('v') {
        return number.parse().ok().map(At::Version);
    }
    let digits = text.len() >= 8 && text.bytes().all(|sign| sign.is_ascii_digit());
    digits.then(|| At::Time(text.to_string()))
}

/// What a name in a table's folder stands for.
pub(crate) fn own(name: &[u8]) -> Own {
    let Ok(name) = std::str::from_utf8(name) else {
        return Own::Other;
    };
    if let Some(&(_, format)) = TEXTS.iter().find(|(text, _)| *text == name) {
        return Own::Text(format);
    }
    match name {
        DEFINITION => Own::Definition,
        ERRORS => Own::Errors,
        REJECTED => Own::Rejected,
        _ if name.ends_with(".parquet") => Own::Parquet(name.to_string()),
        _ => Own::Other,
    }
}

/// The file of rows that a name in a folder for a new table stands for.
pub(crate) fn writable_text(name: &[u8]) -> Option<Format> {
    match own(name) {
        Own::Text(format @ (Format::Csv | Format::JsonLines)) => Some(format),
        _ => None,
    }
}

/// A data file's name in its table's folder: the last part of its path.
pub(crate) fn data_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_lake_are_told_from_others() {
        let name = |schema: Option<&str>, table: &str| TableName {
            schema: schema.map(str::to_string),
            table: table.to_string(),
        };
        let tables = [name(None, "orders"), name(None, "a@v1"), name(Some("sales"), "t")];
        assert_eq!(top(&tables, None, b"orders"), Top::Table(name(None, "orders")));
        assert_eq!(
            top(&tables, None, b"orders@v3"),
            Top::Pinned(name(None, "orders"), At::Version(3))
        );
        assert_eq!(
            top(&tables, None, b"orders@20261122"),
            Top::Pinned(name(None, "orders"), At::Time("20261122".into()))
        );
        assert_eq!(top(&tables, None, b"a@v1"), Top::Table(name(None, "a@v1")));
        assert_eq!(top(&tables, None, b"orders@x"), Top::Other);
        assert_eq!(top(&tables, None, b"sales"), Top::Schema("sales".into()));
        assert_eq!(top(&tables, Some("sales"), b"t"), Top::Table(name(Some("sales"), "t")));
        assert_eq!(top(&tables, Some("sales"), b".query"), Top::Other);
        assert_eq!(own(b"data.csv~"), Own::Other);
        assert_eq!(writable_text(b"data.json"), None);
    }
}
