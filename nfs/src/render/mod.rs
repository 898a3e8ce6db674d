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
mod folder;
mod index;
mod key;
mod locate;
mod lru;
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

use crate::lake::{Kind, LakeError};

/// An error that no caller can do anything about.
fn internal(message: impl Into<String>) -> LakeError {
    LakeError {
        kind: Kind::Internal,
        message: message.into(),
    }
}
