//! Where the records of a text begin and end.

use memchr::{memchr, memchr_iter, memchr2};

use super::pieces::Pieces;
use super::{DiffError, Result};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// How a text is cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180: a newline inside quotes belongs to the record, and only a quote at the start of a field opens.
    Csv,
    /// One JSON value a line.
    JsonLines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field: a quote here opens.
    FieldStart,
    /// In a field without quotes, or behind the closing quote of one with quotes.
    Plain,
    Quoted,
    /// Behind a quote inside quotes: it closes, unless another one follows.
    QuoteInQuotes,
}

/// Finds the ends of records in pieces of text of any size.
#[derive(Debug, Clone)]
pub struct Splitter {
    format: Format,
    state: State,
    /// Bytes of a byte order mark seen so far; 3 where there is none to expect (any more).
    bom: usize,
    /// Bytes of the current record in earlier pieces.
    earlier: u64,
    /// Newlines inside the quotes of the current record.
    inner_lines: u64,
    /// The last quote that opened: its distance from the record's start, in bytes and in lines.
    opened: (u64, u64),
}

impl Splitter {
    /// A splitter at the start of a record. With `bom`, a byte order mark may precede the first one.
    pub fn new(format: Format, bom: bool) -> Self {
        Self {
            format,
            state: State::FieldStart,
            bom: if bom { 0 } else { BOM.len() },
            earlier: 0,
            inner_lines: 0,
            opened: (0, 0),
        }
    }

    /// The first byte behind the current record, its newline included, where that is in `piece`; the next call gets what follows.
    /// `None`: the record goes on in the next piece.
    pub fn end(&mut self, piece: &[u8]) -> Option<usize> {
        let end = match self.format {
            Format::JsonLines => memchr(b'\n', piece).map(|at| at + 1),
            Format::Csv => self.csv_end(piece),
        };
        if end.is_none() {
            self.earlier += piece.len() as u64;
        }
        end
    }

    fn csv_end(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = self.skip_bom(piece);
        loop {
            let rest = piece.get(at..)?;
            match self.state {
                State::FieldStart | State::Plain => {
                    let Some(found) = memchr2(b'\n', b'"', rest) else {
                        if let Some(last) = rest.last() {
                            self.state = if *last == b',' { State::FieldStart } else { State::Plain };
                        }
                        return None;
                    };
                    at += found + 1;
                    if rest.get(found) == Some(&b'\n') {
                        return Some(at);
                    }
                    let opens = match found.checked_sub(1) {
                        Some(before) => rest.get(before) == Some(&b','),
                        None => self.state == State::FieldStart,
                    };
                    self.state = if opens { State::Quoted } else { State::Plain };
                    if opens {
                        self.opened = (self.earlier + at as u64 - 1, self.inner_lines);
                    }
                }
                State::Quoted => {
                    let found = memchr(b'"', rest);
                    let inside = rest.get(..found.unwrap_or(rest.len()))?;
                    self.inner_lines += memchr_iter(b'\n', inside).count() as u64;
                    at += found? + 1;
                    self.state = State::QuoteInQuotes;
                }
                State::QuoteInQuotes => match rest.first()? {
                    b'"' => {
                        at += 1;
                        self.state = State::Quoted;
                    }
                    _ => self.state = State::Plain,
                },
            }
        }
    }

    fn skip_bom(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while let (Some(expected), Some(byte)) = (BOM.get(self.bom), piece.get(at)) {
            if byte == expected {
                self.bom += 1;
                at += 1;
                continue;
            }
            if self.bom > 0 {
                self.state = State::Plain;
            }
            self.bom = BOM.len();
        }
        at
    }

    /// Starts the next record, behind the end that [`end`](Self::end) told.
    pub fn restart(&mut self) {
        self.state = State::FieldStart;
        self.bom = BOM.len();
        self.earlier = 0;
        self.inner_lines = 0;
    }

    /// Where text that ends here is inside quotes: how far the opening one is from the record's start, in bytes and in lines.
    pub fn unclosed(&self) -> Option<(u64, u64)> {
        (self.state == State::Quoted).then_some(self.opened)
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How many records are before it, from where the reading began.
    pub ordinal: u64,
    /// Its first byte in the text.
    pub offset: u64,
    /// Its bytes without the line end.
    pub len: u64,
    /// The physical line where it begins, from 1.
    pub line: u64,
}

/// Reads the records of a text, one after the other.
#[derive(Debug)]
pub struct Records<P> {
    pieces: P,
    splitter: Splitter,
    limit: usize,
    skip_blank: bool,
    /// Where in the current piece the next record begins.
    at: usize,
    /// The current record, where it began in an earlier piece.
    carried: Vec<u8>,
    /// The current record's text, in `carried` or in the piece.
    text: (bool, std::ops::Range<usize>),
    offset: u64,
    line: u64,
    ordinal: u64,
    ended: bool,
    done: bool,
    bom: bool,
}

impl<P: Pieces> Records<P> {
    /// Reads records from `pieces`, whose first byte is at `offset` of the text, on line `line`. At offset 0 a byte order mark is
    /// skipped. A record longer than `limit` is an error.
    pub fn new(pieces: P, format: Format, offset: u64, line: u64, limit: usize) -> Self {
        let bom = offset == 0;
        Self {
            pieces,
            splitter: Splitter::new(format, bom),
            limit,
            skip_blank: false,
            at: 0,
            carried: Vec::new(),
            text: (false, 0..0),
            offset,
            line,
            ordinal: 0,
            ended: true,
            done: false,
            bom,
        }
    }

    /// Passes over records without text (for JSON lines: without anything but white space) as if they were not there.
    #[must_use]
    pub fn skip_blank(mut self, skip: bool) -> Self {
        self.skip_blank = skip;
        self
    }

    /// Counts records from `ordinal` on.
    #[must_use]
    pub fn count_from(mut self, ordinal: u64) -> Self {
        self.ordinal = ordinal;
        self
    }

    /// Goes on to the next record and tells where it stands; [`text`](Self::text) is its text.
    ///
    /// # Errors
    /// Where the pieces fail, the text ends inside quotes, or a record is longer than the limit.
    pub fn advance(&mut self) -> Result<Option<Place>> {
        loop {
            let Some(place) = self.next_record()? else {
                return Ok(None);
            };
            let blank = self.skip_blank
                && match self.splitter.format {
                    Format::Csv => place.len == 0,
                    Format::JsonLines => self.text().trim_ascii().is_empty(),
                };
            if !blank {
                self.ordinal += 1;
                return Ok(Some(place));
            }
        }
    }

    #[inline]
    fn next_record(&mut self) -> Result<Option<Place>> {
        if self.done {
            return Ok(None);
        }
        self.carried.clear();
        loop {
            let piece = self.pieces.piece().get(self.at..).unwrap_or_default();
            if let Some(end) = self.splitter.end(piece) {
                let start = self.at;
                self.at += end;
                if self.carried.is_empty() {
                    return Ok(Some(self.place(false, start, self.at)));
                }
                self.carried.extend_from_slice(piece.get(..end).unwrap_or_default());
                return Ok(Some(self.place(true, 0, self.carried.len())));
            }
            self.carried.extend_from_slice(piece);
            self.at = 0;
            if self.carried.len() > self.limit {
                let quote_line = self.splitter.unclosed().map(|(_, lines)| self.line + lines);
                return Err(DiffError::RecordTooLong {
                    line: self.line,
                    limit: self.limit,
                    quote_line,
                });
            }
            if !self.pieces.advance()? {
                self.done = true;
                if let Some((bytes, lines)) = self.splitter.unclosed() {
                    return Err(DiffError::UnclosedQuote {
                        line: self.line + lines,
                        offset: self.offset + bytes,
                    });
                }
                if self.carried.is_empty() {
                    return Ok(None);
                }
                self.ended = false;
                return Ok(Some(self.place(true, 0, self.carried.len())));
            }
        }
    }

    /// Makes `start..end` of the piece or of what was carried, line end included, the current record.
    #[inline]
    fn place(&mut self, carried: bool, start: usize, end: usize) -> Place {
        let source = if carried { &self.carried } else { self.pieces.piece() };
        let whole = source.get(start..end).unwrap_or_default();
        let ended = whole.strip_suffix(b"\n");
        let content = ended.map_or(whole, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let marked = if std::mem::take(&mut self.bom) && content.starts_with(&BOM) {
            BOM.len()
        } else {
            0
        };
        self.text = (carried, start + marked..start + content.len());
        let place = Place {
            ordinal: self.ordinal,
            offset: self.offset + marked as u64,
            len: (content.len() - marked) as u64,
            line: self.line,
        };
        self.offset += whole.len() as u64;
        self.line += self.splitter.inner_lines + u64::from(ended.is_some());
        self.splitter.restart();
        place
    }

    /// The current record without its line end.
    #[inline]
    pub fn text(&self) -> &[u8] {
        let (carried, range) = &self.text;
        let source = if *carried { &self.carried } else { self.pieces.piece() };
        source.get(range.clone()).unwrap_or_default()
    }

    /// What is there of the text from the next record on.
    pub fn rest(&self) -> &[u8] {
        // A mark that may come is no part of the record.
        if self.bom {
            return &[];
        }
        self.pieces.piece().get(self.at..).unwrap_or_default()
    }

    /// The next record's bytes with its line end, and its lines, where it ends within so many bytes of the [`rest`](Self::rest), and is
    /// none that is passed over.
    pub fn within(&mut self, bytes: usize) -> Option<(usize, u64)> {
        let piece = self.pieces.piece().get(self.at..)?;
        let found = self.splitter.end(piece.get(..bytes)?);
        let lines = self.splitter.inner_lines + 1;
        self.splitter.restart();
        let length = found?;
        let blank = piece.get(..length)?.trim_ascii().is_empty();
        (!blank).then_some((length, lines))
    }

    /// Goes behind a record that [`within`](Self::within) told of, here or in another text that goes on alike.
    pub fn pass(&mut self, length: usize, lines: u64) {
        self.at += length;
        self.offset += length as u64;
        self.line += lines;
        self.ordinal += 1;
    }

    /// How many records are before the next.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Where the next record begins: its place in the text and its line.
    pub fn position(&self) -> (u64, u64) {
        (self.offset, self.line)
    }

    /// Whether the records read so far all ended with a newline.
    pub fn ended(&self) -> bool {
        self.ended
    }
}
