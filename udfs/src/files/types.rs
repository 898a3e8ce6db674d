//! Column types as text: `'id BIGINT, born DATE'`, and back for errors.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::error::{FileError, Result, did_you_mean};

/// The zone of the type `TIMESTAMP`, an instant.
pub(crate) const UTC: &str = "UTC";

/// The names that [`parse_type`] knows, for errors.
const NAMES: [&str; 18] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "BINARY",
    "MAP",
    "STRING",
    "VARCHAR",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TIMESTAMP_NS",
    "ARRAY",
    "STRUCT",
];

/// A column name with the type that goes with it, where one was given.
pub(crate) type NamedType = (String, Option<DataType>);

/// Reads a list such as `id BIGINT, "full name" STRING, note`.
///
/// # Errors
/// A name twice, an empty item, an unknown type.
pub(crate) fn parse_columns(text: &str) -> Result<Vec<NamedType>> {
    let mut columns: Vec<NamedType> = Vec::new();
    for item in split_top(text) {
        let (name, rest) = split_name(item).ok_or_else(|| FileError::invalid(format!("no column name in '{item}'")))?;
        let data_type = match rest.trim() {
            "" => None,
            rest => Some(parse_type(rest)?),
        };
        if columns.iter().any(|(known, _)| *known == name) {
            return Err(FileError::invalid(format!("column {name} is named twice")));
        }
        columns.push((name, data_type));
    }
    Ok(columns)
}

/// Reads one type in Spark's spelling, nested ones included. Strings are `Utf8View`; see [`with_strings`].
///
/// # Errors
/// An unknown or incomplete type.
pub(crate) fn parse_type(text: &str) -> Result<DataType> {
    let text = text.trim();
    let upper = text.to_uppercase();
    let (head, parameters) = match upper.find(['(', '<']) {
        Some(at) => {
            let (head, _) = upper.split_at(at);
            let (_, inner) = text.split_at(at);
            let inner = inner
                .strip_prefix('(')
                .and_then(|inner| inner.strip_suffix(')'))
                .or_else(|| inner.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')))
                .ok_or_else(|| FileError::invalid(format!("type {text} is not closed")))?;
            (head.trim().to_string(), Some(inner))
        }
        None => (upper.split_whitespace().collect::<Vec<_>>().join(" "), None),
    };
    let simple = match head.as_str() {
        "BOOLEAN" | "BOOL" => DataType::Boolean,
        "TINYINT" | "BYTE" => DataType::Int8,
        "SMALLINT" | "SHORT" => DataType::Int16,
        "INT" | "INTEGER" => DataType::Int32,
        "BIGINT" | "LONG" => DataType::Int64,
        "FLOAT" | "REAL" => DataType::Float32,
        "DOUBLE" | "DOUBLE PRECISION" => DataType::Float64,
        "STRING" | "VARCHAR" | "TEXT" | "CHAR" => return Ok(DataType::Utf8View),
        "BINARY" | "VARBINARY" => DataType::Binary,
        "DATE" => DataType::Date32,
        "TIMESTAMP" | "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
        }
        "TIMESTAMP_NTZ" | "DATETIME" | "TIMESTAMP WITHOUT TIME ZONE" => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        "TIMESTAMP_NS" => DataType::Timestamp(TimeUnit::Nanosecond, None),
        "DECIMAL" | "NUMERIC" => return parse_decimal(text, parameters),
        "ARRAY" => {
            let inner = parameters.ok_or_else(|| FileError::invalid("ARRAY wants its type: ARRAY<BIGINT>"))?;
            return Ok(DataType::List(Arc::new(Field::new("item", parse_type(inner)?, true))));
        }
        "STRUCT" => return parse_struct(parameters.unwrap_or_default()),
        "MAP" => return parse_map(parameters.unwrap_or_default()),
        other => {
            let hint = did_you_mean(other, NAMES);
            return Err(FileError::invalid(format!(
                "{text} is not a column type{hint}; the types are {}",
                NAMES.join(", ")
            )));
        }
    };
    match parameters {
        None => Ok(simple),
        Some(_) => Err(FileError::invalid(format!("type {head} takes no parameters"))),
    }
}

fn parse_decimal(text: &str, parameters: Option<&str>) -> Result<DataType> {
    let Some(parameters) = parameters else {
        return Ok(DataType::Decimal128(10, 0));
    };
    let wrong = || {
        FileError::invalid(format!(
            "{text} is not a type: DECIMAL(precision, scale), 1 to 38 digits"
        ))
    };
    let (precision, scale) = parameters.split_once(',').unwrap_or((parameters, "0"));
    let precision: u8 = precision.trim().parse().map_err(|_| wrong())?;
    let scale: i8 = scale.trim().parse().map_err(|_| wrong())?;
    let in_range = (1..=38).contains(&precision) && scale >= 0 && i16::from(scale) <= i16::from(precision);
    if in_range {
        Ok(DataType::Decimal128(precision, scale))
    } else {
        Err(wrong())
    }
}

fn parse_map(parameters: &str) -> Result<DataType> {
    let [key, value] = split_top(parameters)[..] else {
        return Err(FileError::invalid(
            "MAP wants the types of its keys and values: MAP<STRING, BIGINT>",
        ));
    };
    let entries = Fields::from(vec![
        Field::new("key", parse_type(key)?, false),
        Field::new("value", parse_type(value)?, true),
    ]);
    Ok(DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(entries), false)),
        false,
    ))
}

fn parse_struct(parameters: &str) -> Result<DataType> {
    let mut fields = Vec::new();
    for item in split_top(parameters) {
        let (name, rest) =
            split_name(item).ok_or_else(|| FileError::invalid(format!("no field name in '{item}' of STRUCT")))?;
        let rest = rest.trim_start();
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        if rest.trim().is_empty() {
            return Err(FileError::invalid(format!(
                "field {name} of STRUCT has no type: STRUCT<{name}: STRING>"
            )));
        }
        fields.push(Field::new(name, parse_type(rest)?, true));
    }
    if fields.is_empty() {
        return Err(FileError::invalid(
            "STRUCT wants its fields: STRUCT<a: BIGINT, b: STRING>",
        ));
    }
    Ok(DataType::Struct(Fields::from(fields)))
}

/// Items between commas that are in no bracket and in no quotes.
fn split_top(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut depth, mut quoted, mut start) = (0usize, false, 0usize);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '(' | '<' if !quoted => depth += 1,
            ')' | '>' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                items.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(start..).unwrap_or_default();
    if !(items.is_empty() && last.trim().is_empty()) {
        items.push(last);
    }
    items
}

/// The name at the start of `item`, bare or in double quotes, and what follows it.
fn split_name(item: &str) -> Option<(String, &str)> {
    let item = item.trim();
    if let Some(rest) = item.strip_prefix('"') {
        let (name, rest) = rest.split_once('"')?;
        return (!name.is_empty()).then(|| (name.to_string(), rest));
    }
    let end = item.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(item.len());
    let (name, rest) = item.split_at(end);
    (!name.is_empty()).then(|| (name.to_string(), rest))
}

/// The type as SQL spells it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TIMESTAMP_NS".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".into(),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types: Vec<String> = fields.iter().map(|field| type_name(field.data_type())).collect();
                format!("MAP<{}>", types.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// The type with its article: `a BIGINT`, `an INT`.
pub(crate) fn a_type(data_type: &DataType) -> String {
    let name = type_name(data_type);
    let article = if name.starts_with(['A', 'I']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A name as a column list spells it: in double quotes where it is not one word.
pub(crate) fn spell_name(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_string() } else { format!("\"{name}\"") }
}

/// The same type with every string of the Arrow type that the session works with.
pub(crate) fn with_strings(data_type: &DataType, strings: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => strings.clone(),
        DataType::List(item) => {
            let item = item
                .as_ref()
                .clone()
                .with_data_type(with_strings(item.data_type(), strings));
            DataType::List(Arc::new(item))
        }
        DataType::Map(entries, sorted) => {
            let of_strings = with_strings(entries.data_type(), strings);
            DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(of_strings)), *sorted)
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| {
                    field
                        .as_ref()
                        .clone()
                        .with_data_type(with_strings(field.data_type(), strings))
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
