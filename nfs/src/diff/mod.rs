//! What a writer did to the text of a table: which of its records went, which came and which changed.
//!
//! The *base* is the text as it stands, the *new text* is what somebody wrote in its place. [`diff`] reads each of them once, cancels
//! equal records whatever their order, and tells the rest as [`Changes`]. A record is compared as bytes and never parsed, so a value
//! that nobody touched cannot drift. Memory is bounded: what does not fit goes to a temporary file.
//!
//! Two passes find the differences. The first walks both texts side by side and cancels what stands in the same order, runs of the same
//! bytes at once; it keeps a window of digests only, and is all that most edits need. The second takes the leftovers as a multiset, so
//! that a record which moved cancels too, and one of three equal records can go. A difference then is an ordinal in a bitmap; the added
//! records' places are found in the file again when they are [walked](Walk) through.

mod align;
mod changes;
mod compare;
mod fields;
mod header;
mod keys;
mod leftovers;
mod pieces;
mod ranges;
mod records;
#[cfg(test)]
mod tests;

pub use changes::{Change, Changes, Counts, Walk};
pub use compare::{NewText, Options, diff};
pub use fields::{Field, Fields, fields};
pub use header::{HeaderError, Order, check_header};
pub use keys::{csv_key, pair_by_key, visit_removed};
pub use pieces::{FilePieces, Pieces};
pub use ranges::{Ranges, differing};
pub use records::{Format, Place, Records, Splitter};

use crate::lake::LakeError;

/// Why two texts were not compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The base could not be read.
    #[error(transparent)]
    Base(#[from] LakeError),
    /// The new text could not be read, or a temporary file not written.
    #[error("comparing the text: {0}")]
    Io(#[from] std::io::Error),
    /// The first line of the new text is not the table's.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The text ends inside quotes.
    #[error("line {line}: a quote opens here (byte {offset}) and is never closed")]
    UnclosedQuote {
        /// The line of the opening quote, from 1.
        line: u64,
        /// Its place in the text.
        offset: u64,
    },
    /// A record is longer than the limit.
    #[error("line {line}: the record that begins here is longer than {limit} bytes{}", quote_note(*.quote_line))]
    RecordTooLong {
        /// The line where the record begins.
        line: u64,
        /// The limit.
        limit: usize,
        /// The line of the quote that was open at the limit, the likely cause.
        quote_line: Option<u64>,
    },
    /// Two added records have the same key.
    #[error("lines {first} and {second} have the same key ({key})")]
    DuplicateKey {
        /// The line of the one.
        first: u64,
        /// The line of the other.
        second: u64,
        /// The key, for people.
        key: String,
    },
    /// A record has no key that can be told.
    #[error("line {line}: {message}")]
    NoKey {
        /// Where the record begins; in the base the number of the record, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// More changes than can be paired by key in the memory allowed.
    #[error("{changes} changed rows are too many to be told apart by key (the limit is {limit})")]
    TooManyChanges {
        /// Records that went or came.
        changes: u64,
        /// The most there may be.
        limit: u64,
    },
    /// The comparison was given up by its caller.
    #[error("the comparison was given up")]
    Cancelled,
}

fn quote_note(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| {
        format!(" (the quote that opens at line {line} is not closed)")
    })
}

/// What the functions of this module answer.
pub type Result<T, E = DiffError> = std::result::Result<T, E>;
