//! Rows as text, batch by batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::json::{ArrayWriter, LineDelimitedWriter};
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::config::FormatOptions;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;

use crate::error::Result;

/// Turns the batches of one statement into text.
pub(crate) struct RowWriter {
    schema: SchemaRef,
    form: Form,
}

enum Form {
    /// Printed at the end, since the widths depend on every row.
    Table(Box<Table>),
    Delimited {
        delimiter: u8,
        started: bool,
    },
    JsonArray(ArrayWriter<Vec<u8>>),
    JsonLines(LineDelimitedWriter<Vec<u8>>),
}

struct Table {
    options: FormatOptions,
    /// How many more rows are shown; none where there is no limit.
    left: Option<usize>,
    shown: Vec<RecordBatch>,
    cut: bool,
}

impl RowWriter {
    /// A writer of rows of this schema. `Automatic` means a table, or CSV where rows never end.
    pub(crate) fn new(
        format: PrintFormat,
        maxrows: MaxRows,
        schema: SchemaRef,
        options: &FormatOptions,
        endless: bool,
    ) -> Self {
        let form = match format {
            PrintFormat::Automatic if endless => Form::Delimited {
                delimiter: b',',
                started: false,
            },
            PrintFormat::Automatic | PrintFormat::Table => {
                let left = match maxrows {
                    MaxRows::Unlimited => None,
                    MaxRows::Limited(rows) => Some(rows),
                };
                Form::Table(Box::new(Table {
                    options: options.clone(),
                    left,
                    shown: Vec::new(),
                    cut: false,
                }))
            }
            PrintFormat::Csv => Form::Delimited {
                delimiter: b',',
                started: false,
            },
            PrintFormat::Tsv => Form::Delimited {
                delimiter: b'\t',
                started: false,
            },
            PrintFormat::Json => Form::JsonArray(ArrayWriter::new(Vec::new())),
            PrintFormat::NdJson => Form::JsonLines(LineDelimitedWriter::new(Vec::new())),
        };
        Self { schema, form }
    }

    /// Whether all rows are wanted before any is printed.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.form, Form::Table(_))
    }

    /// Takes a batch and returns the text that can be printed now.
    ///
    /// # Errors
    /// A type that the format cannot show.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        if self.schema.fields().is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.form {
            Form::Table(table) => {
                table.push(batch);
                Ok(Vec::new())
            }
            Form::Delimited { delimiter, started } => {
                let header = !std::mem::replace(started, true);
                delimited(batch, *delimiter, header)
            }
            Form::JsonArray(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Form::JsonLines(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }

    /// The text that is left. A statement without columns, such as `SET`, has none.
    ///
    /// # Errors
    /// As [`RowWriter::push`].
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        if self.schema.fields().is_empty() {
            return Ok(Vec::new());
        }
        match self.form {
            Form::Table(table) => table.finish(self.schema),
            Form::Delimited {
                delimiter,
                started: false,
            } => delimited(&RecordBatch::new_empty(self.schema), delimiter, true),
            Form::Delimited { .. } => Ok(Vec::new()),
            Form::JsonArray(mut writer) => {
                writer.finish()?;
                let mut text = writer.into_inner();
                text.push(b'\n');
                Ok(text)
            }
            Form::JsonLines(mut writer) => {
                writer.finish()?;
                Ok(writer.into_inner())
            }
        }
    }
}

impl Table {
    fn push(&mut self, batch: &RecordBatch) {
        let rows = batch.num_rows();
        let taken = self.left.map_or(rows, |left| left.min(rows));
        self.cut |= taken < rows;
        if let Some(left) = &mut self.left {
            *left -= taken;
        }
        if taken > 0 {
            self.shown.push(batch.slice(0, taken));
        }
    }

    fn finish(self, schema: SchemaRef) -> Result<Vec<u8>> {
        if self.cut && self.shown.is_empty() {
            return Ok(Vec::new());
        }
        let options = arrow::util::display::FormatOptions::try_from(&self.options)?;
        let batches = if self.shown.is_empty() {
            vec![RecordBatch::new_empty(schema)]
        } else {
            self.shown
        };
        let mut text = pretty_format_batches_with_options(&batches, &options)?.to_string();
        if self.cut {
            text = with_dots(&text);
        }
        text.push('\n');
        Ok(text.into_bytes())
    }
}

/// The table with three lines before its lower border that say that rows were left out.
fn with_dots(table: &str) -> String {
    let Some((rows, border)) = table.rsplit_once('\n') else {
        return table.to_string();
    };
    let dots = format!("| .{}|", " ".repeat(border.len().saturating_sub(4)));
    format!("{rows}\n{dots}\n{dots}\n{dots}\n{border}")
}

fn delimited(batch: &RecordBatch, delimiter: u8, header: bool) -> Result<Vec<u8>> {
    let batch = flattened(batch)?;
    let mut text = Vec::new();
    WriterBuilder::new()
        .with_header(header)
        .with_delimiter(delimiter)
        .build(&mut text)
        .write(&batch)?;
    Ok(text)
}

/// The batch with lists, maps and structs as JSON, for formats that have none.
fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch
        .schema_ref()
        .fields()
        .iter()
        .any(|field| field.data_type().is_nested())
    {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(as_json(field, column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn as_json(field: &Arc<Field>, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut values = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            values.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        values.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(values.finish()))
}
