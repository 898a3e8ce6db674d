//! Which row of which data file a byte or a row of the text is.

use std::ops::Range;
use std::sync::Arc;

use super::internal;
use super::key::ALL_ROWS;
use super::places::CHUNK_ROWS;
use super::rendering::Rendering;
use super::text::Format;
use crate::lake::{Kind, LakeError, Result};

impl Rendering {
    /// The row that a byte of the text belongs to, its end of line included: its number from 0. Nothing for the header and
    /// the footer.
    ///
    /// # Errors
    /// As the lake's.
    pub async fn row_of_offset(&self, offset: u64) -> Result<Option<u64>> {
        let Some(span) = self.in_body(offset).and_then(|place| self.span_at(place)) else {
            return Ok(None);
        };
        let text = self.chunk_text(span.file, span.chunk).await?;
        let before = text.get(..span.within.start as usize).unwrap_or_default();
        let (part, _) = self.chunk(span.file, span.chunk)?;
        let (rows_before, _) = part.index.before(span.chunk);
        let file_start = self.starts.get(span.file).map_or(0, |(rows, _)| *rows);
        Ok(Some(file_start + rows_before + records(before, self.format)))
    }

    /// The file, by its number in the version, and the chunk of it that a byte of the text belongs to. Nothing for the
    /// header and the footer. Does not read.
    pub fn chunk_at(&self, offset: u64) -> Option<(usize, usize)> {
        let span = self.span_at(self.in_body(offset)?)?;
        Some((span.file, span.chunk))
    }

    /// The bytes of the text that are the row with this number.
    ///
    /// # Errors
    /// A row that is not there; as the lake's.
    pub async fn bytes_of_row(&self, row: u64) -> Result<Range<u64>> {
        let (file, chunk, n) = self.chunk_of_row(row).ok_or_else(|| self.no_row(row))?;
        let text = self.chunk_text(file, chunk).await?;
        let mut ends = record_ends(&text, self.format);
        let start = match n.checked_sub(1) {
            None => 0,
            Some(before) => ends.nth(before as usize).ok_or_else(|| self.no_row(row))?,
        };
        let end = ends.next().ok_or_else(|| self.no_row(row))?;
        let base = self.offset_of_chunk(file, chunk)?;
        // The last object of an array is a comma shorter than in its chunk.
        let end = (base + end as u64).min(self.size() - self.format.footer().len() as u64);
        Ok(base + start as u64..end)
    }

    /// The file, by its number in the version, and the place in it of the row with this number.
    ///
    /// # Errors
    /// As [`places`](Self::places).
    pub async fn place(&self, row: u64) -> Result<(usize, u64)> {
        let places = self.places(&[row]).await?;
        places.first().copied().ok_or_else(|| self.no_row(row))
    }

    /// The same for many rows, in the order of their numbers.
    ///
    /// # Errors
    /// Rows that are not there, or not in order; as the lake's.
    pub async fn places(&self, rows: &[u64]) -> Result<Vec<(usize, u64)>> {
        if !rows.is_sorted() {
            return Err(internal("rows to be located are not in order"));
        }
        let mut places = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let (file, ..) = self.chunk_of_row(*first).ok_or_else(|| self.no_row(*first))?;
            let end = self.starts.get(file + 1).map_or(self.rows(), |(rows, _)| *rows);
            let here = rest.partition_point(|row| *row < end);
            let (of_file, tail) = rest.split_at_checked(here.max(1)).unwrap_or((rest, &[]));
            rest = tail;
            self.places_in_file(file, of_file, &mut places).await?;
        }
        Ok(places)
    }

    async fn places_in_file(&self, file: usize, rows: &[u64], places: &mut Vec<(usize, u64)>) -> Result<()> {
        let mut found = Vec::with_capacity(rows.len());
        let mut hidden = Vec::new();
        for row in rows {
            let (_, chunk, n) = self.chunk_of_row(*row).ok_or_else(|| self.no_row(*row))?;
            found.push((*row, chunk, n));
            let (_, measured) = self.chunk(file, chunk)?;
            if measured.places != ALL_ROWS && hidden.last() != Some(&chunk) {
                hidden.push(chunk);
            }
        }
        let live = if hidden.is_empty() {
            Default::default()
        } else {
            let source = self.source(file)?;
            let index = self.parts.get(file).map(|part| Arc::clone(&part.index));
            let index = index.ok_or_else(|| internal("no such file in the version"))?;
            self.core.live(&source, &index, &hidden).await?
        };
        for (row, chunk, n) in found {
            let within = match live.get(&chunk) {
                Some(live) => live.nth(n).ok_or_else(|| self.no_row(row))?,
                None => n,
            };
            places.push((file, chunk as u64 * CHUNK_ROWS + within));
        }
        Ok(())
    }

    /// The file and chunk of a row, and its number among the live ones of that chunk.
    fn chunk_of_row(&self, row: u64) -> Option<(usize, usize, u64)> {
        if row >= self.rows() {
            return None;
        }
        let file = self.starts.partition_point(|(rows, _)| *rows <= row).checked_sub(1)?;
        let (start, _) = self.starts.get(file)?;
        let index = &self.parts.get(file)?.index;
        let chunk = index.chunk_of_row(row - start);
        let (before, _) = index.before(chunk);
        Some((file, chunk, row - start - before))
    }

    fn no_row(&self, row: u64) -> LakeError {
        LakeError {
            kind: Kind::Invalid,
            message: format!(
                "there is no row {row} in version {} of {}",
                self.version.number, self.version.name.table
            ),
        }
    }
}

/// How many records end in a text that begins with one.
fn records(text: &[u8], format: Format) -> u64 {
    record_ends(text, format).count() as u64
}

/// The offsets behind the line feeds that end records.
fn record_ends(text: &[u8], format: Format) -> impl Iterator<Item = usize> + '_ {
    // In CSV, line feeds in quotes belong to values. All quotes are around fields or written twice, so their number tells
    // what is inside. In JSON there are none in values.
    let quote = if format == Format::Csv { b'"' } else { b'\n' };
    let mut quoted = false;
    memchr::memchr2_iter(quote, b'\n', text).filter_map(move |at| {
        if text.get(at) == Some(&b'\n') {
            (!quoted).then_some(at + 1)
        } else {
            quoted = !quoted;
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_records() {
        let csv = b"1,\"a\nb\"\n2,\"\"\"\n\"\n\n3\n";
        assert_eq!(record_ends(csv, Format::Csv).collect::<Vec<_>>(), vec![8, 16, 17, 19]);
        assert_eq!(records(b"{\"a\":\"\\\"\"}\n{}\n", Format::JsonLines), 2);
    }
}
