//! A chunk of records into batches, only the columns asked for.

use std::sync::Arc;

use arrow::array::builder::StringViewBuilder;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};

use super::super::chunk::Chunk;
use super::super::error::{FileError, Result, clip};
use super::super::exec::Scan;
use super::super::json::decode_values;
use super::super::request::FILENAME;
use super::super::types::{a_type, spell_name};
use super::super::values::parse_column;
use super::tokenize::{Field, Tokenizer};
use super::{Column, CsvTable, broken_error, utf8};

/// Where a column of the scan comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// This field of those that are kept of a record.
    Field(usize),
    /// The file does not have it.
    Missing,
    /// The name of the file.
    File,
}

/// Where the columns of one scan are in one file.
#[derive(Debug)]
pub(crate) struct Layout {
    label: Arc<str>,
    /// The file's columns, in its order.
    names: Vec<String>,
    /// Which of them are wanted.
    keep: Vec<bool>,
    kept: usize,
    /// For each column of the scan.
    origins: Vec<Origin>,
}

impl Layout {
    pub(super) fn new(label: Arc<str>, names: Vec<String>, table: &SchemaRef, scan: &Scan) -> Self {
        let mut keep = vec![false; names.len()];
        let positions: Vec<Option<usize>> = scan
            .schema
            .fields()
            .iter()
            .map(|field| names.iter().position(|name| name == field.name()))
            .collect();
        for position in positions.iter().flatten() {
            if let Some(keep) = keep.get_mut(*position) {
                *keep = true;
            }
        }
        let origins = scan
            .schema
            .fields()
            .iter()
            .zip(&positions)
            .map(|(field, position)| match position {
                Some(position) => Origin::Field(keep.iter().take(*position).filter(|keep| **keep).count()),
                None if field.name() == FILENAME && table.fields().last() == Some(field) => Origin::File,
                None => Origin::Missing,
            })
            .collect();
        let kept = keep.iter().filter(|keep| **keep).count();
        Self {
            label,
            names,
            keep,
            kept,
            origins,
        }
    }
}

/// The batches of a chunk.
///
/// # Errors
/// The first record that is broken, or value that does not fit its column: file, line, column, value, what to do.
pub(super) fn decode(table: &CsvTable, layout: &Layout, scan: &Scan, chunk: &Chunk) -> Result<Vec<RecordBatch>> {
    let text = utf8(chunk, &layout.label, &table.dialect, &layout.names)?;
    let columns = layout.names.len();
    let mut tokens = Tokenizer::new(text.as_bytes(), table.dialect, columns == 1);
    let mut fields = Vec::with_capacity(scan.batch_rows.saturating_mul(layout.kept).min(text.len()));
    let mut batches = Vec::new();
    loop {
        fields.clear();
        let rows = tokens
            .rows(scan.batch_rows, columns, &layout.keep, &mut fields)
            .map_err(|broken| broken_error(&layout.label, chunk, broken, &layout.names))?;
        if rows == 0 {
            return Ok(batches);
        }
        let records = Records {
            text,
            fields: &fields,
            kept: layout.kept,
            rows,
        };
        batches.push(batch(table, layout, scan, chunk, &records)?);
    }
}

/// The kept fields of some records, record by record.
struct Records<'a> {
    text: &'a str,
    fields: &'a [Field],
    kept: usize,
    rows: usize,
}

impl Records<'_> {
    fn column(&self, at: usize) -> impl Iterator<Item = Field> {
        self.fields.iter().skip(at).step_by(self.kept.max(1)).copied()
    }
}

fn batch(table: &CsvTable, layout: &Layout, scan: &Scan, chunk: &Chunk, records: &Records<'_>) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(layout.origins.len());
    for (field, origin) in scan.schema.fields().iter().zip(&layout.origins) {
        arrays.push(match origin {
            Origin::Missing => new_null_array(field.data_type(), records.rows),
            Origin::File => file_column(&layout.label, records.rows, field.data_type(), table)?,
            Origin::Field(at) => {
                let column = table.columns.iter().find(|column| column.name == *field.name());
                let inferred = column.is_some_and(|column| column.inferred);
                column_array(table, records, *at, field.data_type(), inferred).map_err(|row| {
                    let value = records.column(*at).nth(row);
                    bad_value(
                        table,
                        layout,
                        chunk,
                        column,
                        field.data_type(),
                        value.map(|v| (v.start(), v.raw(records.text))),
                    )
                })?
            }
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(records.rows));
    RecordBatch::try_new_with_options(Arc::clone(&scan.schema), arrays, &options)
        .map_err(|error| FileError::data(format!("{}: {error}", layout.label)))
}

fn file_column(label: &str, rows: usize, data_type: &DataType, table: &CsvTable) -> Result<ArrayRef> {
    parse_column(
        std::iter::repeat_n(Some(label), rows),
        rows,
        data_type,
        &table.rules,
        false,
    )
    .map_err(|_| FileError::data(format!("{label}: the name is not text")))
}

fn column_array(
    table: &CsvTable,
    records: &Records<'_>,
    at: usize,
    data_type: &DataType,
    inferred: bool,
) -> Result<ArrayRef, usize> {
    let text = records.text;
    let null_values = &table.null_values;
    let is_null = |value: &str| value.is_empty() || null_values.iter().any(|null| null == value);
    if matches!(data_type, DataType::List(_) | DataType::Struct(_) | DataType::Map(..)) {
        let values = records.column(at).map(|field| {
            let raw = field.raw(text);
            let value = if field.is_escaped() {
                table.dialect.unescape(raw).into()
            } else {
                std::borrow::Cow::from(raw)
            };
            Some(value).filter(|value| !is_null(value))
        });
        return decode_values(values, data_type, &table.rules);
    }
    let keeps_empty = matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary
    );
    if !keeps_empty {
        let values = records
            .column(at)
            .map(|field| Some(field.raw(text)).filter(|value| !is_null(value)));
        return parse_column(values, records.rows, data_type, &table.rules, inferred);
    }
    let unquoted = |field: Field, raw: &str| !field.is_quoted() && is_null(raw);
    if records.column(at).any(Field::is_escaped) {
        let values: Vec<Option<std::borrow::Cow<'_, str>>> = records
            .column(at)
            .map(|field| {
                let raw = field.raw(text);
                if field.is_escaped() {
                    Some(table.dialect.unescape(raw).into())
                } else {
                    Some(raw.into()).filter(|_| !unquoted(field, raw))
                }
            })
            .collect();
        return parse_column(
            values.iter().map(Option::as_deref),
            records.rows,
            data_type,
            &table.rules,
            false,
        );
    }
    let values = records
        .column(at)
        .map(|field| Some(field.raw(text)).filter(|raw| !unquoted(field, raw)));
    if matches!(data_type, DataType::Utf8View) {
        let mut builder = StringViewBuilder::with_capacity(records.rows);
        values.for_each(|value| builder.append_option(value));
        return Ok(Arc::new(builder.finish()));
    }
    parse_column(values, records.rows, data_type, &table.rules, false)
}

fn bad_value(
    table: &CsvTable,
    layout: &Layout,
    chunk: &Chunk,
    column: Option<&Column>,
    data_type: &DataType,
    value: Option<(usize, &str)>,
) -> FileError {
    let (offset, value) = value.unwrap_or_default();
    let name = column.map_or("", |column| column.name.as_str());
    let inferred = column.is_some_and(|column| column.inferred);
    let mut ways = Vec::with_capacity(3);
    if value.len() <= 20 && !value.contains(['\'', '|', '\n']) {
        ways.push(format!("null_value => '{value}' if it stands for NULL"));
    }
    ways.push(format!("types => '{} STRING' to keep it", spell_name(name)));
    if inferred && !table.sampled_all {
        ways.push("sample_rows => 'all' to find the type in all rows".into());
    }
    FileError::data(format!(
        "{}, line {}, column {name}: {} is not {}; set {}",
        layout.label,
        chunk.line_of(offset),
        clip(value),
        a_type(data_type),
        ways.join(", or "),
    ))
}
