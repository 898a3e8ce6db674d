//! Identifiers: when they need quotes, and the one form in which statements hold them.

use std::fmt;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

/// Words that would be read as syntax in some place where a name can stand, or that other engines reserve.
/// Sorted, in lower case.
const RESERVED: &[&str] = &[
    "all",
    "alter",
    "and",
    "any",
    "apply",
    "array",
    "as",
    "asc",
    "at",
    "between",
    "both",
    "by",
    "call",
    "case",
    "cast",
    "check",
    "clone",
    "cluster",
    "column",
    "columns",
    "constraint",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "delete",
    "desc",
    "describe",
    "distinct",
    "drop",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "external",
    "false",
    "feature",
    "fetch",
    "filter",
    "for",
    "foreign",
    "from",
    "full",
    "group",
    "having",
    "if",
    "in",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "map",
    "merge",
    "minus",
    "natural",
    "not",
    "null",
    "of",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "overwrite",
    "partition",
    "partitioned",
    "primary",
    "qualify",
    "references",
    "replace",
    "returning",
    "right",
    "select",
    "semi",
    "set",
    "some",
    "struct",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "trim",
    "true",
    "union",
    "unique",
    "unpivot",
    "update",
    "using",
    "values",
    "view",
    "when",
    "where",
    "window",
    "with",
    "zorder",
];

fn starts_word(first: char) -> bool {
    first.is_alphabetic() || first == '_'
}

fn continues_word(ch: char) -> bool {
    ch.is_alphabetic() || ch.is_ascii_digit() || matches!(ch, '_' | '@' | '$' | '#')
}

/// Whether the tokenizer reads `name` as one unquoted word.
fn is_word(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| starts_word(first) || matches!(first, '@' | '#'))
        && chars.all(continues_word)
}

/// Whether `name` means the same with and without quotes: a lower-case word that nothing reserves.
fn is_plain(name: &str) -> bool {
    name.chars().next().is_some_and(starts_word)
        && is_word(name)
        && name.to_lowercase() == name
        && RESERVED.binary_search(&name).is_err()
}

/// The one form of an identifier: unquoted where quotes change nothing, else in backticks.
///
/// An identifier that was written without quotes stays as it was written, case included.
pub(crate) fn normalised(ident: Ident) -> Ident {
    let quote_style = match ident.quote_style {
        None => None,
        Some(_) if is_plain(&ident.value) => None,
        Some(_) => Some('`'),
    };
    Ident { quote_style, ..ident }
}

/// A qualified name in its one form.
pub(crate) fn normalised_name(name: ObjectName) -> ObjectName {
    let part = |part| match part {
        ObjectNamePart::Identifier(ident) => ObjectNamePart::Identifier(normalised(ident)),
        function @ ObjectNamePart::Function(_) => function,
    };
    ObjectName(name.0.into_iter().map(part).collect())
}

/// A name as SQL that reads back as exactly this name: as it is where it is a lower-case word, else in backticks.
pub fn quote_identifier(name: &str) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        quoted(name, '`')
    }
}

/// The name in quotes, with the quotes inside it doubled.
pub(crate) fn quoted(name: &str, quote: char) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push(quote);
    for ch in name.chars() {
        if ch == quote {
            text.push(quote);
        }
        text.push(ch);
    }
    text.push(quote);
    text
}

/// An identifier as canonical SQL.
pub(crate) struct Name<'a>(pub(crate) &'a Ident);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ident) = self;
        match ident.quote_style {
            None if is_word(&ident.value) => f.write_str(&ident.value),
            None => f.write_str(&quoted(&ident.value, '`')),
            Some(_) => f.write_str(&quote_identifier(&ident.value)),
        }
    }
}

/// A qualified name as canonical SQL.
pub(crate) struct Qualified<'a>(pub(crate) &'a ObjectName);

impl fmt::Display for Qualified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.0.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            match part {
                ObjectNamePart::Identifier(ident) => write!(f, "{}", Name(ident))?,
                ObjectNamePart::Function(function) => write!(f, "{function}")?,
            }
        }
        Ok(())
    }
}

/// A nested column's path as canonical SQL.
pub(crate) struct Path<'a>(pub(crate) &'a [Ident]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, ident) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            write!(f, "{}", Name(ident))?;
        }
        Ok(())
    }
}

/// What two names are compared by: unquoted names ignore case.
pub(crate) fn key(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}
