//! Which value of a chunk could not be read, and why. Only run once decoding has failed.

use arrow::datatypes::{DataType, Fields};
use serde_json::Value;

use super::super::chunk::Chunk;
use super::super::error::{FileError, clip};
use super::super::exec::Scan;
use super::super::types::{a_type, spell_name};
use super::super::values::{ValueRules, parse_column};
use super::JsonTable;
use super::decode::{reads_all, unexplained};

/// A value that is not what its column says.
enum Misfit {
    Value {
        path: String,
        value: String,
        data_type: DataType,
    },
    Unknown {
        path: String,
        nested: bool,
        suggestion: String,
    },
}

/// The error that tells the first misfit of the chunk, looked for object by object, field by field; or `why`.
pub(super) fn explain(table: &JsonTable, label: &str, scan: &Scan, chunk: &Chunk, why: &str) -> FileError {
    let mut values = serde_json::Deserializer::from_slice(&chunk.bytes).into_iter::<Value>();
    let strict = reads_all(table, scan);
    loop {
        let before = values.byte_offset();
        let object = match values.next() {
            None => return unexplained(label, chunk, why),
            Some(Err(error)) => return syntax(label, chunk, &error),
            Some(Ok(Value::Object(object))) => object,
            Some(Ok(_)) => return not_an_object(label, chunk, before),
        };
        let fields = if strict {
            table.columns.fields()
        } else {
            scan.schema.fields()
        };
        if let Some(misfit) = misfit_of_object(&object, fields, "", strict, &table.rules) {
            let line = chunk.line_of(start(chunk, before));
            return tell(table, label, line, misfit);
        }
    }
}

fn tell(table: &JsonTable, label: &str, line: u64, misfit: Misfit) -> FileError {
    let sample = if table.sampled_all {
        ""
    } else {
        ", or sample_rows => 'all' to find columns and types in all rows"
    };
    FileError::data(match misfit {
        Misfit::Value { path, value, data_type } => {
            let column = path.split(['.', '[']).next().unwrap_or(&path);
            let fitting = if path == column { "STRING" } else { "…" };
            format!(
                "{label}, line {line}, column {path}: {} is not {}; set types => '{} {fitting}'{sample}",
                clip(&value),
                a_type(&data_type),
                spell_name(column)
            )
        }
        Misfit::Unknown {
            path,
            nested: false,
            suggestion,
        } => format!(
            "{label}, line {line}: the field {path} was not in the rows that the columns were found in; set types => '{} \
             {suggestion}'{sample}",
            spell_name(&path)
        ),
        Misfit::Unknown { path, .. } => format!(
            "{label}, line {line}: the field {path} was not in the rows that the columns were found in; give the type of \
             its column by types => '…'{sample}"
        ),
    })
}

fn misfit_of_object(
    object: &serde_json::Map<String, Value>,
    fields: &Fields,
    path: &str,
    strict: bool,
    rules: &ValueRules,
) -> Option<Misfit> {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_string()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, value) in object {
        match fields.iter().find(|field| field.name() == name) {
            Some(field) => {
                if let Some(misfit) = misfit_of_value(value, field.data_type(), &below(name), strict, rules) {
                    return Some(misfit);
                }
            }
            None if strict => {
                let suggestion = match value {
                    Value::Bool(_) => "BOOLEAN",
                    Value::Number(number) if number.is_i64() => "BIGINT",
                    Value::Number(_) => "DOUBLE",
                    Value::Array(_) => "ARRAY<…>",
                    Value::Object(_) => "STRUCT<…>",
                    Value::Null | Value::String(_) => "STRING",
                };
                return Some(Misfit::Unknown {
                    path: below(name),
                    nested: !path.is_empty(),
                    suggestion: suggestion.into(),
                });
            }
            None => {}
        }
    }
    None
}

fn misfit_of_value(
    value: &Value,
    data_type: &DataType,
    path: &str,
    strict: bool,
    rules: &ValueRules,
) -> Option<Misfit> {
    let misfit = |value: String| {
        Some(Misfit::Value {
            path: path.into(),
            value,
            data_type: data_type.clone(),
        })
    };
    match (value, data_type) {
        (Value::Null, _) => None,
        (Value::Object(object), DataType::Struct(fields)) => misfit_of_object(object, fields, path, strict, rules),
        (Value::Array(items), DataType::List(item)) => items
            .iter()
            .find_map(|value| misfit_of_value(value, item.data_type(), &format!("{path}[]"), strict, rules)),
        (Value::Bool(_), DataType::Boolean) => None,
        (Value::Object(_) | Value::Array(_), _) | (_, DataType::Struct(_) | DataType::List(_) | DataType::Boolean) => {
            misfit(value.to_string())
        }
        (value, leaf) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            let fits = parse_column(std::iter::once(Some(text.as_str())), 1, leaf, rules, false).is_ok();
            if fits { None } else { misfit(text) }
        }
    }
}

/// The first byte of the value that follows `before`.
fn start(chunk: &Chunk, before: usize) -> usize {
    let rest = chunk.bytes.get(before..).unwrap_or_default();
    before + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0)
}

/// The error for a value that is no object.
pub(super) fn not_an_object(label: &str, chunk: &Chunk, before: usize) -> FileError {
    let start = start(chunk, before);
    let rest = chunk.bytes.get(start..).unwrap_or_default();
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    FileError::data(format!(
        "{label}, line {}: {} is not a JSON object",
        chunk.line_of(start),
        clip(String::from_utf8_lossy(line).trim_end())
    ))
}

/// The error for bytes that are no JSON.
pub(super) fn syntax(label: &str, chunk: &Chunk, error: &serde_json::Error) -> FileError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let line = chunk.first_line + (error.line() as u64).saturating_sub(1);
    FileError::data(format!(
        "{label}, line {line}, character {}: not JSON: {what}",
        error.column()
    ))
}
