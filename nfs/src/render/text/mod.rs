//! Rows as text. What is written here can be told by its bytes alone: the same rows are the same text, always.
//!
//! | type | CSV | JSON |
//! |---|---|---|
//! | NULL | the empty field; in a table of one column, the empty line | `null` |
//! | text | as it is; in quotes, with quotes written twice, where it is empty, holds `,` `"` CR or LF, or begins with a byte order mark | a string |
//! | integers, booleans | digits; `true`, `false` | the same |
//! | floats | the shortest text that reads back as the same; `NaN`, `inf`, `-inf` | the same; the words are strings |
//! | decimals | all digits of the scale | the same |
//! | dates | `2026-11-22`; years beyond four digits with a sign | a string |
//! | timestamps | `2026-11-22T10:00:00.5`, no zeros at the end, `Z` after an instant | a string |
//! | binary | hexadecimal digits, lower case; the empty value as empty text | a string |
//! | lists, structs, maps | their JSON as text | arrays, objects; a map whose keys are no text: an array of `key` and `value` |

mod cells;
mod quote;
mod value;

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use cells::{Column, Object, Syntax, plain};

/// The number of the rules in this module: to be raised with every change of a byte that they write, since texts and
/// sizes in caches are taken for theirs.
pub const RENDERER: u32 = 1;

/// As what a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A header and one record a row; lines end with LF, quotes as in RFC 4180.
    Csv,
    /// One object a line, its members in the order of the columns.
    JsonLines,
    /// One array of the same objects: `[` on the first line, one object a line, `]` on the last.
    Json,
}

impl Format {
    /// The format whose texts are kept: those of [`Format::Json`] are the lines of [`Format::JsonLines`] with commas.
    pub(super) fn stored(self) -> Self {
        match self {
            Self::Csv => Self::Csv,
            Self::JsonLines | Self::Json => Self::JsonLines,
        }
    }

    /// What stands before the rows.
    pub(super) fn header(self, schema: &Schema) -> Vec<u8> {
        match self {
            Self::Csv => csv_header(schema),
            Self::JsonLines => Vec::new(),
            Self::Json => b"[\n".to_vec(),
        }
    }

    /// What stands behind the rows.
    pub(super) fn footer(self) -> &'static [u8] {
        match self {
            Self::Csv | Self::JsonLines => b"",
            Self::Json => b"]\n",
        }
    }

    /// The text of rows in this format, by their text in the stored one.
    pub(super) fn of_stored(self, text: &[u8], rows: usize) -> Option<Vec<u8>> {
        if self != Self::Json {
            return None;
        }
        let mut out = Vec::with_capacity(text.len() + rows);
        let mut rest = text;
        // A line feed inside a value is written as \n.
        while let Some((line, tail)) = memchr::memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
            out.extend_from_slice(line);
            out.extend_from_slice(b",\n");
            rest = tail.split_first().map_or(&[], |(_, tail)| tail);
        }
        Some(out)
    }
}

fn csv_header(schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let name = field.name();
        // Readers pass over blanks around names.
        if name.trim() != name {
            quote::csv_quoted(name.as_bytes(), &mut out);
        } else {
            quote::csv(name.as_bytes(), &mut out);
        }
    }
    out.push(b'\n');
    out
}

/// Writes rows of one table in one of the stored formats.
#[derive(Debug, Clone)]
pub(super) struct RowWriter {
    schema: SchemaRef,
    format: Format,
}

impl RowWriter {
    pub(super) fn new(schema: SchemaRef, format: Format) -> Self {
        Self {
            schema,
            format: format.stored(),
        }
    }

    /// Appends rows of a batch whose columns, but for the first `skipped`, are the table's.
    ///
    /// # Errors
    /// A type without a text, or other columns than the table's.
    pub(super) fn write(
        &self,
        batch: &RecordBatch,
        skipped: usize,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        let arrays: Vec<ArrayRef> = batch
            .columns()
            .iter()
            .skip(skipped)
            .map(plain)
            .collect::<Result<_, _>>()?;
        if arrays.len() != self.schema.fields().len() || rows.end > batch.num_rows() {
            return Err(ArrowError::SchemaError(format!(
                "{} columns where the table has {}",
                arrays.len(),
                self.schema.fields().len()
            )));
        }
        match self.format {
            Format::Csv => {
                let columns: Vec<Column<'_>> = arrays
                    .iter()
                    .map(|array| Column::new(array, Syntax::Csv))
                    .collect::<Result<_, _>>()?;
                for row in rows {
                    for column in &columns {
                        column.write(row, out);
                        out.push(b',');
                    }
                    if !columns.is_empty() {
                        out.pop();
                    }
                    out.push(b'\n');
                }
            }
            Format::JsonLines | Format::Json => {
                let object = Object::new(self.schema.fields().iter().map(AsRef::as_ref), &arrays)?;
                for row in rows {
                    object.write_row(row, out);
                    out.push(b'\n');
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
