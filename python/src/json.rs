//! JSON texts as rows, and rows as JSON text.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::json::writer::JsonArray;
use arrow::json::{ReaderBuilder, WriterBuilder};
use posixlake::{Error, Result};

/// Rows that a batch holds.
const BATCH: usize = 8192;

const NO_ARRAY: &str = "JSON must be an array of objects";
const NO_JSON: &str = "not a JSON array of objects";

/// The rows of a JSON array of objects, and the keys that occur in it.
///
/// # Errors
/// Where the text is no such array, has a key that no column is called by, or a value that its column cannot hold.
pub(crate) fn decode(text: &str, schema: &Schema) -> Result<(Vec<RecordBatch>, BTreeSet<String>)> {
    let (objects, keys) = objects(text)?;
    if let Some(unknown) = keys.iter().find(|key| schema.column_with_name(key).is_none()) {
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::schema(format!(
            "the table has no column '{unknown}'; it has {}",
            columns.join(", ")
        )));
    }
    // What may be NULL is the table's affair, which says it better.
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    let mut decoder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_batch_size(BATCH)
        .build_decoder()?;
    let mut batches = Vec::new();
    let mut rest = objects.as_slice();
    loop {
        let taken = decoder.decode(rest)?;
        rest = rest.get(taken..).unwrap_or_default();
        match decoder.flush()? {
            Some(batch) => batches.push(batch),
            None if rest.is_empty() => return Ok((batches, keys)),
            None if taken == 0 => return Err(invalid("it ends in the middle of a value")),
            None => {}
        }
    }
}

/// What is wrong with a text that cannot be decoded: that it is no JSON, no array of objects, or has a value that does not fit.
pub(crate) fn kind_of(error: &Error) -> &'static str {
    match error.message() {
        message if message.starts_with(NO_ARRAY) => "Invalid",
        message if message.contains("whilst decoding field") => "Value",
        _ => "Json",
    }
}

fn invalid(reason: &str) -> Error {
    Error::invalid(format!("{NO_JSON}: {reason}"))
}

/// The objects of an array one behind another, without what is around and between them, and their keys.
fn objects(text: &str) -> Result<(Vec<u8>, BTreeSet<String>)> {
    let text = text.trim();
    if text.starts_with(['{', '"']) {
        return Err(Error::invalid(format!("{NO_ARRAY}: [{{…}}, …]")));
    }
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .ok_or_else(|| invalid("it does not begin with [ and end with ]"))?;
    let mut bytes = inner.as_bytes().to_vec();
    let mut keys = BTreeSet::new();
    let mut depth = 0_usize;
    let mut string: Option<usize> = None;
    let mut last: Option<(usize, usize)> = None;
    let mut escaped = false;
    // Between objects there is one comma, and nothing else.
    let mut expects_object = true;
    for at in 0..bytes.len() {
        let Some(byte) = bytes.get_mut(at) else { break };
        if let Some(start) = string {
            match *byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    string = None;
                    last = Some((start, at));
                }
                _ => {}
            }
            continue;
        }
        match *byte {
            b'"' if depth > 0 => string = Some(at),
            b'{' | b'[' => {
                if depth == 0 && (*byte == b'[' || !expects_object) {
                    return Err(invalid("there is something else between its objects"));
                }
                depth += 1;
            }
            b'}' | b']' if depth == 0 => return Err(invalid("it has a bracket too many")),
            b'}' | b']' => {
                depth -= 1;
                expects_object &= depth > 0;
            }
            b',' if depth == 0 => {
                if expects_object {
                    return Err(invalid("an object is missing before a comma"));
                }
                *byte = b'\n';
                expects_object = true;
            }
            b':' if depth == 1 => {
                if let Some((start, end)) = last.take()
                    && let Some(key) = inner.get(start..=end)
                {
                    keys.insert(unescaped(key));
                }
            }
            other if depth == 0 && !other.is_ascii_whitespace() => {
                return Err(invalid("it holds something that is no object"));
            }
            _ => {}
        }
    }
    if depth > 0 || string.is_some() {
        return Err(invalid("it ends in the middle of an object"));
    }
    if expects_object && inner.contains('{') {
        return Err(invalid("there is no object behind its last comma"));
    }
    Ok((bytes, keys))
}

/// A JSON string's text.
fn unescaped(quoted: &str) -> String {
    let plain = quoted.trim_matches('"');
    if !plain.contains('\\') {
        return plain.to_string();
    }
    let schema = Arc::new(Schema::new(vec![Field::new(
        "key",
        arrow::datatypes::DataType::Utf8,
        true,
    )]));
    let decoded = ReaderBuilder::new(schema).build_decoder().and_then(|mut decoder| {
        decoder.decode(format!("{{\"key\":{quoted}}}").as_bytes())?;
        decoder.flush()
    });
    let text = decoded.ok().flatten().and_then(|batch| {
        let column = batch.column(0).clone();
        arrow::util::display::array_value_to_string(&column, 0).ok()
    });
    text.unwrap_or_else(|| plain.to_string())
}

/// The rows as a JSON array, in the form that Python's `json.dumps` gives it: in the order of the columns, with NULLs.
///
/// # Errors
/// Where a type has no form in JSON.
pub(crate) fn encode(batches: &[RecordBatch], schema: &SchemaRef) -> Result<String> {
    let mut duplicate = BTreeSet::new();
    for field in schema.fields() {
        if !duplicate.insert(field.name()) {
            return Err(Error::invalid(format!(
                "two columns are called '{}', which one JSON object cannot hold: name them apart with AS",
                field.name()
            )));
        }
    }
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, JsonArray>(Vec::new());
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let compact = writer.into_inner();
    if compact.is_empty() {
        return Ok("[]".to_string());
    }
    let mut spaced = Vec::with_capacity(compact.len() + compact.len() / 8);
    let (mut quoted, mut escaped) = (false, false);
    for byte in compact {
        spaced.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b':' if !quoted => spaced.push(b' '),
            _ => {}
        }
    }
    String::from_utf8(spaced).map_err(|error| Error::internal(error.to_string()))
}
