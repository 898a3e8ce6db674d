//! Versions of tables as text, any bytes of it at any time, and no more of a table in memory than a few chunks.
//!
//! A data file is cut into chunks of [`CHUNK_ROWS`] places. What a chunk's live rows are as text depends on the file and
//! on which of its places are live, and on nothing else: so what is known of chunks (how many rows and bytes, the text) is
//! kept under a hash of these, in memory and in a cache folder, for all versions and for the next process. Files of that
//! folder may be deleted at any time.
//!
//! - `text`: rows as text;
//! - `places`, `chunks`: the rows of a file, cut into chunks;
//! - `index`, `blocks`, `folder`: what is kept of chunks;
//! - `core`: makes what is missing, once;
//! - [`Renderer`], [`Rendering`]: for users.

mod blocks;
mod chunks;
mod core;
mod flights;
mod index;
mod key;
mod locate;
mod places;
mod renderer;
mod rendering;
mod statistics;
#[cfg(test)]
mod tests;
mod text;

pub use places::CHUNK_ROWS;
pub use renderer::{Options, Progress, Renderer};
pub use rendering::Rendering;
pub use statistics::Statistics;
pub use text::{Format, RENDERER};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::lake::{Kind, LakeError};

/// The first line of rows as CSV.
pub fn csv_header(schema: &Schema) -> Vec<u8> {
    Format::Csv.header(schema)
}

/// Rows as CSV, without a header.
///
/// # Errors
/// A type that has no text.
pub fn csv_rows(batch: &RecordBatch) -> Result<Vec<u8>, LakeError> {
    let mut text = Vec::new();
    let written = text::RowWriter::new(batch.schema(), Format::Csv).write(batch, 0, 0..batch.num_rows(), &mut text);
    written.map_err(|error| LakeError {
        kind: Kind::Unsupported,
        message: error.to_string(),
    })?;
    Ok(text)
}

/// An error that no caller can do anything about.
fn internal(message: impl Into<String>) -> LakeError {
    LakeError {
        kind: Kind::Internal,
        message: message.into(),
    }
}
