//! The comparison as a whole.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::Stream;

use super::align::{Ahead, align};
use super::changes::Changes;
use super::header::{HeaderError, Order, check_header};
use super::leftovers::{Leftovers, Side, Unmatched};
use super::pieces::{Cancel, FilePieces, Pieces, with_stream};
use super::records::{Format, Records};
use super::{DiffError, Result};
use crate::lake;

/// What somebody wrote: the records in a part of a file. The part must not change while it is compared and its changes are read.
#[derive(Debug, Clone)]
pub struct NewText {
    /// The file.
    pub file: Arc<File>,
    /// How records are cut.
    pub format: Format,
    /// Where the first record begins, behind the header.
    pub start: u64,
    /// Where the text ends.
    pub end: u64,
    /// The line of the first record, from 1.
    pub line: u64,
    /// How its fields stand to the columns of the base.
    pub order: Order,
    /// Pass over blank lines. In CSV with a single column a blank line is a row whose value is NULL; everywhere else it is none.
    pub skip_blank: bool,
}

impl NewText {
    /// JSON lines: all of a file.
    ///
    /// # Errors
    /// Where the file's size cannot be told.
    pub fn json_lines(file: Arc<File>) -> Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self {
            file,
            format: Format::JsonLines,
            start: 0,
            end,
            line: 1,
            order: Order::Same,
            skip_blank: true,
        })
    }

    /// CSV: all of a file, whose first record must name the table's columns.
    ///
    /// # Errors
    /// Where the file cannot be read, or its header is not that of the columns.
    pub fn csv<S: AsRef<str>>(file: Arc<File>, columns: &[S]) -> Result<Self> {
        let end = file.metadata()?.len();
        let pieces = FilePieces::new(Arc::clone(&file), 0, end);
        let mut records = Records::new(pieces, Format::Csv, 0, 1, HEADER_LIMIT);
        let order = match records.advance() {
            Ok(Some(_)) => check_header(columns, records.text())?,
            Ok(None) => check_header(columns, b"")?,
            // A first line that is no header can be anything, a single endless one too.
            Err(DiffError::RecordTooLong { .. }) => match check_header(columns, b"") {
                Err(HeaderError::NoHeader { expected }) => return Err(HeaderError::NoHeader { expected }.into()),
                _ => {
                    return Err(DiffError::RecordTooLong {
                        line: 1,
                        limit: HEADER_LIMIT,
                        quote_line: None,
                    });
                }
            },
            Err(error) => return Err(error),
        };
        let (start, line) = records.position();
        Ok(Self {
            file,
            format: Format::Csv,
            start,
            end,
            line,
            order,
            skip_blank: columns.len() > 1,
        })
    }

    /// The records from one that begins at `offset` on `line`.
    pub(super) fn records_from(&self, offset: u64, line: u64, limit: usize) -> Records<FilePieces> {
        let pieces = FilePieces::new(Arc::clone(&self.file), offset, self.end);
        Records::new(pieces, self.format, offset, line, limit).skip_blank(self.skip_blank)
    }
}

/// The most bytes that a header may have.
const HEADER_LIMIT: usize = 16 << 20;

/// What a comparison may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of the base, where they are known. It only saves time, where a large part of a text went or came.
    pub base_size: Option<u64>,
    /// Bytes of memory for what is looked for; beyond, temporary files.
    pub memory: usize,
    /// The most bytes that a record may have: one of either side is in memory at a time.
    pub record_limit: usize,
    /// Where temporary files go. They have no name and vanish with the comparison.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_size: None,
            memory: 64 << 20,
            record_limit: 64 << 20,
            folder: std::env::temp_dir(),
        }
    }
}

/// Compares the base, whose records `base` streams (without a header), with a new text. An unfinished last record counts as a record:
/// see [`Changes::ends_with_newline`].
///
/// A record's text is what is compared, without its line end (`\n` or `\r\n`): a base in which an unquoted field at the end of a record
/// ends with `\r` would read as one without.
///
/// Dropping the future ends the work.
///
/// # Errors
/// Where either text cannot be read, ends inside quotes or has a record beyond the limit, or a temporary file cannot be written.
pub async fn diff<S>(base: S, new: NewText, options: Options) -> Result<Changes>
where
    S: Stream<Item = lake::Result<Bytes>> + Send,
{
    with_stream(base, move |pieces, cancel| compare(pieces, new, &options, &cancel)).await
}

fn compare<P: Pieces>(base: P, new: NewText, options: &Options, cancel: &Cancel) -> Result<Changes> {
    let seed = seed();
    // The base has no byte order mark, and its lines are not told to anybody.
    let base = Records::new(base, new.format, BASE_OFFSET, 1, options.record_limit);
    let base = Ahead::new(base, options.base_size, Side::Base, Order::Same, seed);
    let records = new.records_from(new.start, new.line, options.record_limit);
    let ahead = Ahead::new(records, Some(new.end), Side::New, new.order.clone(), seed);
    let mut leftovers = Leftovers::new(options.memory, &options.folder);
    let (base, read) = align(base, ahead, options.memory / 4, &mut leftovers, cancel)?;
    let mut unmatched = Unmatched::default();
    leftovers.cancel(cancel, &mut unmatched)?;
    Ok(Changes::new(new, unmatched, base.records, read, options.record_limit))
}

/// Anything but the start of a text, where a byte order mark would be passed over.
pub(super) const BASE_OFFSET: u64 = 1;

/// The same in one process, another in the next: nobody can write records that are taken for others.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(0))
}
