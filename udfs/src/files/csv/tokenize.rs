//! Records into fields: where each begins and ends, without copying or decoding anything.

use super::super::chunk::UNCLOSED;

/// The characters that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
}

/// A flag in the top bit of an offset; chunks are far below 2 GiB.
const FLAG: u32 = 1 << 31;

/// A field's place in its chunk, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The first byte, and whether the field was quoted.
    start: u32,
    /// The byte after the last, and whether escapes are to be taken out.
    end: u32,
}

impl Field {
    fn new(start: usize, end: usize, quoted: bool, escaped: bool) -> Self {
        let flag = |set: bool| if set { FLAG } else { 0 };
        Self {
            start: start as u32 | flag(quoted),
            end: end as u32 | flag(escaped),
        }
    }

    pub(crate) fn start(self) -> usize {
        (self.start & !FLAG) as usize
    }

    /// The field's text as it stands in the chunk.
    pub(crate) fn raw(self, text: &str) -> &str {
        text.get(self.start()..(self.end & !FLAG) as usize).unwrap_or_default()
    }

    pub(crate) fn is_quoted(self) -> bool {
        self.start & FLAG != 0
    }

    pub(crate) fn is_escaped(self) -> bool {
        self.end & FLAG != 0
    }
}

impl Dialect {
    /// The text of a field with its escapes taken out.
    pub(crate) fn unescape(&self, raw: &str) -> String {
        let mut text = String::with_capacity(raw.len());
        let mut characters = raw.chars();
        let is = |byte: Option<u8>, character: char| byte.is_some_and(|byte| char::from(byte) == character);
        while let Some(character) = characters.next() {
            if is(self.quote, character) || is(self.escape, character) {
                text.extend(characters.next());
            } else {
                text.push(character);
            }
        }
        text
    }
}

/// A record that is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Where, in the chunk.
    pub(crate) offset: usize,
    /// In which field, from 0; nothing where the record as a whole is.
    pub(crate) field: Option<usize>,
    pub(crate) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Fields(usize),
    TextAfterQuote,
    BareReturn,
    Unclosed,
}

impl Why {
    /// The reason in words, for a table of `columns` columns.
    pub(crate) fn explain(self, columns: usize) -> String {
        let fields = |count: usize| {
            if count == 1 {
                "1 field".to_string()
            } else {
                format!("{count} fields")
            }
        };
        match self {
            Self::Fields(got) => format!(
                "{} where {columns} are expected; set delimiter => '…' if another character separates them, or quote \
                 fields that hold it",
                fields(got)
            ),
            Self::TextAfterQuote => {
                "text after the closing quote; write a quote inside a quoted field twice, or set quote => 'none' if \
                 quotes mean nothing"
                    .into()
            }
            Self::BareReturn => {
                "a carriage return that ends no line; quote the field, and end lines by LF or CR LF".into()
            }
            Self::Unclosed => UNCLOSED.into(),
        }
    }
}

/// Walks over the records of a chunk.
#[derive(Debug)]
pub(crate) struct Tokenizer<'a> {
    bytes: &'a [u8],
    position: usize,
    dialect: Dialect,
    /// In a table of one column, an empty line is a row whose value is empty.
    empty_line_is_row: bool,
}

impl<'a> Tokenizer<'a> {
    pub(crate) fn new(bytes: &'a [u8], dialect: Dialect, empty_line_is_row: bool) -> Self {
        Self {
            bytes,
            position: 0,
            dialect,
            empty_line_is_row,
        }
    }

    /// The offset of the next record.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Appends the fields of up to `rows` records of `columns` fields each to `fields`, those of columns that `keep`
    /// tells to; the number of records.
    ///
    /// # Errors
    /// The first record that is broken.
    pub(crate) fn rows(
        &mut self,
        rows: usize,
        columns: usize,
        keep: &[bool],
        fields: &mut Vec<Field>,
    ) -> Result<usize, Broken> {
        let keep = |column: usize| keep.get(column).copied().unwrap_or(false);
        for row in 0..rows {
            let Some((start, count)) = self.record(keep, fields)? else {
                return Ok(row);
            };
            if count != columns {
                return Err(Broken {
                    offset: start,
                    field: None,
                    why: Why::Fields(count),
                });
            }
        }
        Ok(rows)
    }

    /// The next record: appends its fields that `keep` tells to; where it starts and how many fields it has.
    ///
    /// # Errors
    /// A record that is broken.
    #[inline]
    pub(crate) fn record(
        &mut self,
        keep: impl Fn(usize) -> bool,
        fields: &mut Vec<Field>,
    ) -> Result<Option<(usize, usize)>, Broken> {
        loop {
            match self.bytes.get(self.position) {
                None => return Ok(None),
                Some(byte) if Some(*byte) == self.dialect.comment => self.position = self.line_end(),
                Some(b'\n') if !self.empty_line_is_row => self.position += 1,
                Some(b'\r') if !self.empty_line_is_row && self.byte(self.position + 1) == Some(b'\n') => {
                    self.position += 2;
                }
                Some(_) => break,
            }
        }
        let start = self.position;
        let mut column = 0;
        loop {
            let (field, after) = self.field(column)?;
            if keep(column) {
                fields.push(field);
            }
            column += 1;
            self.position = after + 1;
            let broken = |why| Broken {
                offset: after,
                field: Some(column - 1),
                why,
            };
            match self.byte(after) {
                Some(byte) if byte == self.dialect.delimiter => {}
                Some(b'\n') => return Ok(Some((start, column))),
                Some(b'\r') => match self.byte(after + 1) {
                    Some(b'\n') => {
                        self.position = after + 2;
                        return Ok(Some((start, column)));
                    }
                    None => return Ok(Some((start, column))),
                    Some(_) => return Err(broken(Why::BareReturn)),
                },
                None => {
                    self.position = after;
                    return Ok(Some((start, column)));
                }
                Some(_) => return Err(broken(Why::TextAfterQuote)),
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn line_end(&self) -> usize {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |end| self.position + end + 1)
    }

    /// The field at the position, and the offset of the byte that ends it.
    #[inline]
    fn field(&self, column: usize) -> Result<(Field, usize), Broken> {
        /// Fields are short: a call of a vectorised search costs more than looking at this many bytes.
        const SHORT: usize = 16;

        let start = self.position;
        let rest = self.bytes.get(start..).unwrap_or_default();
        if self.dialect.quote.is_some() && rest.first().copied() == self.dialect.quote {
            return self.quoted(start, column);
        }
        let delimiter = self.dialect.delimiter;
        let ends = |byte: &u8| *byte == delimiter || *byte == b'\n' || *byte == b'\r';
        let length = match rest.iter().take(SHORT).position(ends) {
            Some(length) => length,
            None => {
                let long = rest.get(SHORT..).unwrap_or_default();
                memchr::memchr3(delimiter, b'\n', b'\r', long).map_or(rest.len(), |length| SHORT + length)
            }
        };
        Ok((Field::new(start, start + length, false, false), start + length))
    }

    fn quoted(&self, start: usize, column: usize) -> Result<(Field, usize), Broken> {
        let unclosed = Broken {
            offset: start,
            field: Some(column),
            why: Why::Unclosed,
        };
        let quote = self.dialect.quote.ok_or(unclosed)?;
        let mut position = start + 1;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(position..).ok_or(unclosed)?;
            let found = match self.dialect.escape {
                Some(escape) => memchr::memchr2(quote, escape, rest),
                None => memchr::memchr(quote, rest),
            };
            let at = position + found.ok_or(unclosed)?;
            let next = self.byte(at + 1);
            if self.byte(at) == Some(quote) && next != Some(quote) {
                return Ok((Field::new(start + 1, at, true, escaped), at + 1));
            }
            escaped = true;
            position = at + 2;
        }
    }
}
