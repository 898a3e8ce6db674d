//! Rows as text.

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// One value: `NULL`, `(empty)` for the empty string, line breaks escaped.
pub(crate) fn cell(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let text = ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string();
    if text.is_empty() {
        "(empty)".to_string()
    } else {
        text.replace('\n', "\\n")
    }
}

/// Rows as one line each.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch.columns().iter().map(|column| cell(column, row)).collect();
            lines.push(cells.join(" "));
        }
    }
    lines
}
