//! Cutting a stream of blocks into chunks of whole records, each with the number of its first line.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use memchr::memchr_iter;

use super::error::{FileError, Result};
use super::source::Blocks;

/// A run of whole records.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The line of its first byte, from 1.
    pub(crate) first_line: u64,
}

impl Chunk {
    /// The line of the byte at `offset`.
    pub(crate) fn line_of(&self, offset: usize) -> u64 {
        let before = self.bytes.get(..offset).unwrap_or(&self.bytes);
        self.first_line + lines_in(before)
    }

    /// The rest of the chunk from `offset`.
    pub(crate) fn from(&self, offset: usize) -> Self {
        Self {
            first_line: self.line_of(offset),
            bytes: self.bytes.slice(offset.min(self.bytes.len())..),
        }
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// How much of a record is waited for: an unclosed quote must not take in the whole file.
const LONGEST_RECORD: usize = 64 << 20;

/// Knows where records end. `advance` is called with all bytes since the last cut, and sees every byte once.
pub(crate) trait Boundaries: Send {
    /// Where the last whole record in `bytes` ends; 0 for none. `seen` bytes were there at the last call already.
    ///
    /// # Errors
    /// Bytes that cannot begin or end a record, as text at their offset in `bytes`.
    fn advance(&mut self, bytes: &mut [u8], seen: usize) -> Result<usize, (usize, String)>;

    /// That `count` bytes were cut off the front.
    fn cut(&mut self, count: usize);

    /// Whether the rest may stand as the last record; else the offset and what is not closed.
    fn finish(&self) -> Result<(), (usize, String)>;
}

/// Cuts blocks into chunks.
pub(crate) struct Splitter<B> {
    boundaries: B,
    label: Arc<str>,
    rest: BytesMut,
    seen: usize,
    line: u64,
    skip_lines: usize,
    at_start: bool,
}

impl<B: Boundaries> Splitter<B> {
    /// A splitter for the file `label` that passes over its first `skip_lines` lines.
    pub(crate) fn new(boundaries: B, label: Arc<str>, skip_lines: usize) -> Self {
        Self {
            boundaries,
            label,
            rest: BytesMut::new(),
            seen: 0,
            line: 1,
            skip_lines,
            at_start: true,
        }
    }

    /// The whole records up to the end of `block`, if any end in it.
    ///
    /// # Errors
    /// Text in another encoding, a record that does not end.
    pub(crate) fn push(&mut self, block: Bytes) -> Result<Option<Chunk>> {
        if self.rest.is_empty() {
            self.rest = block
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        } else {
            self.rest.extend_from_slice(&block);
        }
        if self.at_start {
            if self.rest.len() < 3 {
                return Ok(None);
            }
            self.start()?;
        }
        if !self.skip() {
            return Ok(None);
        }
        let end = self
            .boundaries
            .advance(&mut self.rest, self.seen)
            .map_err(|error| self.at_line(error))?;
        self.seen = self.rest.len();
        if end == 0 {
            return if self.rest.len() > LONGEST_RECORD {
                Err(self.too_long())
            } else {
                Ok(None)
            };
        }
        self.boundaries.cut(end);
        self.seen -= end;
        Ok(Some(self.take(end)))
    }

    /// What is left at the end of the file.
    ///
    /// # Errors
    /// A record that is not closed.
    pub(crate) fn finish(&mut self) -> Result<Option<Chunk>> {
        if self.at_start {
            self.start()?;
        }
        if !self.skip() {
            // Fewer lines than were to be passed over; the last may have no line end.
            return Ok(None);
        }
        let unseen = self.seen < self.rest.len();
        if unseen {
            self.boundaries
                .advance(&mut self.rest, self.seen)
                .map_err(|error| self.at_line(error))?;
            self.seen = self.rest.len();
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.boundaries.finish().map_err(|error| self.at_line(error))?;
        Ok(Some(self.take(self.rest.len())))
    }

    fn take(&mut self, end: usize) -> Chunk {
        let bytes = self.rest.split_to(end).freeze();
        let first_line = self.line;
        self.line += lines_in(&bytes);
        Chunk { bytes, first_line }
    }

    fn start(&mut self) -> Result<()> {
        self.at_start = false;
        if self.rest.starts_with(b"\xEF\xBB\xBF") {
            let _ = self.rest.split_to(3);
        }
        if self.rest.starts_with(b"\xFF\xFE") || self.rest.starts_with(b"\xFE\xFF") {
            return Err(FileError::data(format!(
                "{}: the text is UTF-16; only UTF-8 is read: iconv -f UTF-16 -t UTF-8 …",
                self.label
            )));
        }
        Ok(())
    }

    /// Passes over lines that are to be skipped; false where more must be read for that.
    fn skip(&mut self) -> bool {
        while self.skip_lines > 0 {
            let Some(end) = memchr::memchr(b'\n', &self.rest) else {
                self.rest.clear();
                return false;
            };
            let _ = self.rest.split_to(end + 1);
            self.line += 1;
            self.skip_lines -= 1;
        }
        true
    }

    fn at_line(&self, (offset, what): (usize, String)) -> FileError {
        let before = self.rest.get(..offset).unwrap_or(&self.rest);
        FileError::data(format!("{}, line {}: {what}", self.label, self.line + lines_in(before)))
    }

    fn too_long(&self) -> FileError {
        let why = self
            .boundaries
            .finish()
            .err()
            .map(|(_, what)| format!(": {what}"))
            .unwrap_or_default();
        FileError::data(format!(
            "{}, line {}: a record of more than {} MiB{why}",
            self.label,
            self.line,
            LONGEST_RECORD >> 20
        ))
    }
}

/// The chunks of a file.
pub(crate) struct Chunks<B> {
    blocks: Blocks,
    splitter: Splitter<B>,
    returned: Option<Chunk>,
    done: bool,
}

impl<B: Boundaries> Chunks<B> {
    pub(crate) fn new(blocks: Blocks, splitter: Splitter<B>) -> Self {
        Self {
            blocks,
            splitter,
            returned: None,
            done: false,
        }
    }

    /// The next chunk; nothing at the end of the file.
    ///
    /// # Errors
    /// As reading, unpacking and cutting have.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>> {
        if let Some(chunk) = self.returned.take() {
            return Ok(Some(chunk));
        }
        while !self.done {
            let chunk = match self.blocks.try_next().await? {
                Some(block) => self.splitter.push(block)?,
                None => {
                    self.done = true;
                    self.splitter.finish()?
                }
            };
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
        Ok(None)
    }

    /// Makes `chunk` the next one, if anything is in it.
    pub(crate) fn put_back(&mut self, chunk: Chunk) {
        self.returned = Some(chunk).filter(|chunk| !chunk.bytes.is_empty());
    }
}

/// Records that end at the last line end outside quotes, whatever the quotes hold.
#[derive(Debug)]
pub(crate) struct QuotedLines {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
    /// The scan stands before this byte.
    position: usize,
    /// Where the quoted field that the scan is in was opened.
    opened: Option<usize>,
    /// From here to `position`, nothing is quoted.
    outside: usize,
    /// The end of the last whole record.
    end: usize,
    /// The scan stands before a byte that only the next one gives a meaning.
    pending: bool,
}

impl QuotedLines {
    pub(crate) fn new(delimiter: u8, quote: Option<u8>, escape: Option<u8>, comment: Option<u8>) -> Self {
        Self {
            delimiter,
            quote,
            escape,
            comment,
            position: 0,
            opened: None,
            outside: 0,
            end: 0,
            pending: false,
        }
    }

    /// Notes the last line end between the last quoted field and `until`.
    fn note_line_end(&mut self, bytes: &[u8], until: usize) {
        if let Some(region) = bytes.get(self.outside..until)
            && let Some(at) = memchr::memrchr(b'\n', region)
        {
            self.end = self.outside + at + 1;
        }
    }

    /// Whether a quote at `at`, outside quotes, opens a field: it does at the field's start only. In a comment line it
    /// does nothing; the end of that line is returned.
    fn opens(&self, bytes: &[u8], at: usize) -> Result<bool, usize> {
        if let Some(comment) = self.comment {
            let line = bytes
                .get(self.outside..at)
                .and_then(|region| memchr::memrchr(b'\n', region));
            let start = match line {
                Some(found) => Some(self.outside + found + 1),
                None if self.outside == 0 => Some(0),
                None => None,
            };
            if start.and_then(|start| bytes.get(start)) == Some(&comment) {
                let end = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest));
                return Err(end.map_or(bytes.len(), |end| at + end + 1));
            }
        }
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        Ok(before.is_none_or(|before| *before == self.delimiter || *before == b'\n' || *before == b'\r'))
    }
}

impl Boundaries for QuotedLines {
    fn advance(&mut self, bytes: &mut [u8], _seen: usize) -> Result<usize, (usize, String)> {
        let Some(quote) = self.quote else {
            self.note_line_end(bytes, bytes.len());
            self.outside = bytes.len();
            return Ok(self.end);
        };
        self.pending = false;
        while let Some(rest) = bytes.get(self.position..).filter(|rest| !rest.is_empty()) {
            if self.opened.is_none() {
                let Some(found) = memchr::memchr(quote, rest) else {
                    self.position = bytes.len();
                    break;
                };
                let at = self.position + found;
                match self.opens(bytes, at) {
                    Ok(true) => {
                        self.note_line_end(bytes, at);
                        self.opened = Some(at);
                        self.position = at + 1;
                    }
                    Ok(false) => self.position = at + 1,
                    // A comment that goes on in the next block is looked at again with its end.
                    Err(end) if end >= bytes.len() && bytes.last() != Some(&b'\n') => break,
                    Err(end) => self.position = end,
                }
                continue;
            }
            let found = match self.escape {
                Some(escape) => memchr::memchr2(quote, escape, rest),
                None => memchr::memchr(quote, rest),
            };
            let Some(found) = found else {
                self.position = bytes.len();
                break;
            };
            let at = self.position + found;
            let escaping = bytes.get(at) != Some(&quote);
            match bytes.get(at + 1) {
                None => {
                    self.position = at;
                    self.pending = true;
                    break;
                }
                Some(_) if escaping => self.position = at + 2,
                Some(next) if *next == quote => self.position = at + 2,
                Some(_) => {
                    self.opened = None;
                    self.position = at + 1;
                    self.outside = at + 1;
                }
            }
        }
        if self.opened.is_none() {
            self.note_line_end(bytes, bytes.len());
        }
        Ok(self.end)
    }

    fn cut(&mut self, count: usize) {
        self.position = self.position.saturating_sub(count);
        self.outside = self.outside.saturating_sub(count);
        self.opened = self.opened.map(|at| at.saturating_sub(count));
        self.end = 0;
    }

    fn finish(&self) -> Result<(), (usize, String)> {
        // A quote that is the last byte of the file closes its field; the tokenizer has the last word on the record.
        match self.opened {
            Some(at) if !self.pending => Err((at, UNCLOSED.into())),
            _ => Ok(()),
        }
    }
}

/// What is wrong with a quoted field that does not end.
pub(crate) const UNCLOSED: &str = "a quote is opened here and never closed; write a quote inside a quoted field twice, or \
                                   set quote => 'none' if quotes mean nothing";
