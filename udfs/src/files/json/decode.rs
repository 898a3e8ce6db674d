//! A chunk of JSON objects into batches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_json::ReaderBuilder;

use super::super::chunk::Chunk;
use super::super::error::{FileError, Result};
use super::super::exec::Scan;
use super::super::request::FILENAME;
use super::super::values::{ValueRules, parse_column};
use super::JsonTable;
use super::explain::explain;

/// The batches of a chunk.
///
/// # Errors
/// The first value that is no JSON or does not fit its column: file, line, column, value, what to do.
pub(super) fn decode(table: &JsonTable, label: &str, scan: &Scan, chunk: &Chunk) -> Result<Vec<RecordBatch>> {
    try_decode(table, label, scan, chunk).map_err(|why| explain(table, label, scan, chunk, &why))
}

/// Whether all columns of the table are read: then a field that is none of them is an error.
pub(super) fn reads_all(table: &JsonTable, scan: &Scan) -> bool {
    table
        .columns
        .fields()
        .iter()
        .all(|field| scan.schema.column_with_name(field.name()).is_some())
}

fn try_decode(table: &JsonTable, label: &str, scan: &Scan, chunk: &Chunk) -> Result<Vec<RecordBatch>, String> {
    let columns: Vec<&Field> = table
        .columns
        .fields()
        .iter()
        .filter(|field| scan.schema.column_with_name(field.name()).is_some())
        .map(AsRef::as_ref)
        .collect();
    let raw: Vec<Field> = columns.iter().map(|field| raw_field(field)).collect();
    let mut decoder = ReaderBuilder::new(Arc::new(Schema::new(raw)))
        .with_coerce_primitive(true)
        .with_strict_mode(reads_all(table, scan))
        .with_batch_size(scan.batch_rows)
        .build_decoder()
        .map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    let mut rest: &[u8] = &chunk.bytes;
    loop {
        let consumed = decoder.decode(rest).map_err(|error| error.to_string())?;
        rest = rest.get(consumed..).unwrap_or_default();
        match decoder.flush().map_err(|error| error.to_string())? {
            Some(raw) => batches.push(finish(table, label, scan, &raw)?),
            None if rest.is_empty() || consumed == 0 => return Ok(batches),
            None => {}
        }
    }
}

/// The columns of the scan out of those decoded.
fn finish(table: &JsonTable, label: &str, scan: &Scan, raw: &RecordBatch) -> Result<RecordBatch, String> {
    let rows = raw.num_rows();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(scan.schema.fields().len());
    for field in scan.schema.fields() {
        arrays.push(match raw.column_by_name(field.name()) {
            Some(column) => typed(column, field.data_type(), &table.rules).ok_or("a value does not fit")?,
            None if field.name() == FILENAME => {
                let labels = std::iter::repeat_n(Some(label), rows);
                parse_column(labels, rows, field.data_type(), &table.rules, false).map_err(|_| "no file name")?
            }
            None => return Err(format!("column {} was not decoded", field.name())),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&scan.schema), arrays, &options).map_err(|error| error.to_string())
}

fn raw_field(field: &Field) -> Field {
    Field::new(field.name(), raw_type(field.data_type()), true)
}

/// The type as which values are decoded first. Arrow's JSON decoder cuts 1.5 down to 1 for an integer and takes any
/// number for a timestamp; as text, values keep their form until [`parse_column`] sees them.
fn raw_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Boolean | DataType::Float64 | DataType::Utf8View | DataType::LargeUtf8 => data_type.clone(),
        DataType::List(item) => DataType::List(Arc::new(raw_field(item))),
        DataType::Map(entries, _) => raw_map(entries),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| raw_field(field)).collect()),
        _ => DataType::Utf8,
    }
}

/// A map whose keys are text is an object, any other an array of objects with `key` and `value`.
fn raw_map(entries: &Field) -> DataType {
    let raw = raw_type(entries.data_type());
    match &raw {
        DataType::Struct(fields) if has_text_keys(entries) => {
            let entries = fields
                .iter()
                .enumerate()
                .map(|(place, field)| field.as_ref().clone().with_nullable(place > 0));
            DataType::Map(
                Arc::new(Field::new("entries", DataType::Struct(entries.collect()), false)),
                false,
            )
        }
        _ => DataType::List(Arc::new(Field::new("item", raw, true))),
    }
}

fn has_text_keys(entries: &Field) -> bool {
    match entries.data_type() {
        DataType::Struct(fields) => fields.first().is_some_and(|key| {
            matches!(
                key.data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        }),
        _ => false,
    }
}

/// JSON texts as a column.
///
/// # Errors
/// The number of the first text that is no JSON, or does not fit the type.
pub(crate) fn decode_values<'a>(
    values: impl Iterator<Item = Option<std::borrow::Cow<'a, str>>>,
    data_type: &DataType,
    rules: &ValueRules,
) -> Result<ArrayRef, usize> {
    let values: Vec<_> = values.collect();
    if let Some(column) = decode_all(&values, data_type, rules) {
        return Ok(column);
    }
    let alone = |value| decode_all(std::slice::from_ref(value), data_type, rules);
    Err(values
        .iter()
        .position(|value| alone(value).is_none())
        .unwrap_or_default())
}

fn decode_all(
    values: &[Option<std::borrow::Cow<'_, str>>],
    data_type: &DataType,
    rules: &ValueRules,
) -> Option<ArrayRef> {
    if values.is_empty() {
        return Some(arrow::array::new_empty_array(data_type));
    }
    let mut text = String::new();
    for value in values {
        text.push_str("{\"v\":");
        text.push_str(value.as_deref().unwrap_or("null"));
        text.push_str("}\n");
    }
    let raw = Field::new("v", raw_type(data_type), true);
    let decoder = ReaderBuilder::new(Arc::new(Schema::new(vec![raw])))
        .with_coerce_primitive(true)
        .with_strict_mode(true)
        .with_batch_size(values.len())
        .build_decoder();
    let mut decoder = decoder.ok()?;
    let consumed = decoder.decode(text.as_bytes()).ok()?;
    let batch = decoder.flush().ok()??;
    // A text that ends its object early would make more of them.
    (consumed == text.len() && batch.num_rows() == values.len()).then_some(())?;
    typed(batch.column_by_name("v")?, data_type, rules)
}

/// The column in its type; nothing where a value does not fit.
fn typed(column: &ArrayRef, data_type: &DataType, rules: &ValueRules) -> Option<ArrayRef> {
    match data_type {
        _ if column.data_type() == data_type => Some(Arc::clone(column)),
        DataType::List(item) => {
            let list = column.as_list_opt::<i32>()?;
            let values = typed(list.values(), item.data_type(), rules)?;
            let list = ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned());
            Some(Arc::new(list.ok()?))
        }
        DataType::Map(entries, sorted) => {
            let (offsets, raw, nulls) = match column.as_map_opt() {
                Some(map) => (map.offsets(), Arc::new(map.entries().clone()) as ArrayRef, map.nulls()),
                None => {
                    let list = column.as_list_opt::<i32>()?;
                    (list.offsets(), Arc::clone(list.values()), list.nulls())
                }
            };
            let pairs = typed(&raw, entries.data_type(), rules)?;
            let pairs = pairs.as_struct_opt()?.clone();
            let keys = pairs.columns().first()?;
            (pairs.null_count() == 0 && keys.null_count() == 0).then_some(())?;
            let map = MapArray::try_new(Arc::clone(entries), offsets.clone(), pairs, nulls.cloned(), *sorted);
            Some(Arc::new(map.ok()?))
        }
        DataType::Struct(fields) => {
            let object = column.as_struct_opt()?;
            let columns = object.columns().iter().zip(fields);
            let columns = columns
                .map(|(column, field)| typed(column, field.data_type(), rules))
                .collect::<Option<_>>()?;
            Some(Arc::new(
                StructArray::try_new(fields.clone(), columns, object.nulls().cloned()).ok()?,
            ))
        }
        leaf => {
            let text = column.as_string_opt::<i32>()?;
            parse_column(text.iter(), text.len(), leaf, rules, false).ok()
        }
    }
}

/// For explanations: a decoding that failed without a bad value to show.
pub(super) fn unexplained(label: &str, chunk: &Chunk, why: &str) -> FileError {
    FileError::data(format!("{label}, at line {} or below: {why}", chunk.first_line))
}
