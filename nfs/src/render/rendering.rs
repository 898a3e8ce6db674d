//! A version of a table as text.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use posixlake_cache::Hash128;

use super::chunks::Source;
use super::core::Core;
use super::index::{Chunk, FileIndex};
use super::internal;
use super::text::Format;
use crate::lake::{Result, Version};

/// The index of a file of the version, and the key of its texts.
pub(super) struct Part {
    pub(super) key: Hash128,
    pub(super) index: Arc<FileIndex>,
}

/// The text of a version: a header, a line or record for each live row in the order of the version's files, a footer.
pub struct Rendering {
    pub(super) core: Arc<Core>,
    pub(super) version: Arc<Version>,
    pub(super) format: Format,
    pub(super) parts: Vec<Part>,
    /// Rows and bytes of text before each part.
    pub(super) starts: Vec<(u64, u64)>,
    header: Bytes,
    rows: u64,
    /// Bytes of all rows.
    body: u64,
    /// The last byte of the body that was read last; at first, one that is near no other.
    last: AtomicU64,
}

/// Bytes of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) file: usize,
    pub(super) chunk: usize,
    pub(super) within: Range<u64>,
    /// The first byte of the chunk within the body.
    start: u64,
}

impl Rendering {
    pub(super) fn new(core: Arc<Core>, version: Arc<Version>, format: Format, parts: Vec<Part>) -> Self {
        let mut starts = Vec::with_capacity(parts.len());
        let (mut rows, mut bytes) = (0u64, 0u64);
        for part in &parts {
            starts.push((rows, bytes));
            let total = part.index.total();
            rows = rows.saturating_add(total.0);
            bytes = bytes.saturating_add(bytes_in(format, total.0, total.1));
        }
        Self {
            header: Bytes::from(format.header(&version.schema)),
            core,
            version,
            format,
            parts,
            starts,
            rows,
            // The last object of an array has no comma after it.
            body: bytes.saturating_sub(u64::from(format == Format::Json && rows > 0)),
            last: AtomicU64::new(u64::MAX),
        }
    }

    /// The version.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// All bytes.
    pub fn size(&self) -> u64 {
        self.body_end() + self.format.footer().len() as u64
    }

    /// What stands before the first row.
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn body_end(&self) -> u64 {
        self.header.len() as u64 + self.body
    }

    /// Up to `length` bytes from `offset` on, in pieces; fewer only at the end.
    ///
    /// # Errors
    /// As the lake's.
    pub async fn read_pieces(self: &Arc<Self>, offset: u64, length: usize) -> Result<Vec<Bytes>> {
        let end = offset.saturating_add(length as u64).min(self.size());
        if offset >= end {
            return Ok(Vec::new());
        }
        let pieces = self.text(offset..end).try_collect().await?;
        self.read_ahead(offset, end);
        Ok(pieces)
    }

    /// As [`Rendering::read_pieces`], in one piece.
    ///
    /// # Errors
    /// As the lake's.
    pub async fn read(self: &Arc<Self>, offset: u64, length: usize) -> Result<Bytes> {
        let mut pieces = self.read_pieces(offset, length).await?;
        match pieces.len() {
            0 | 1 => Ok(pieces.pop().unwrap_or_default()),
            _ => Ok(pieces.concat().into()),
        }
    }

    /// The bytes of a range, in order, in pieces of at most a chunk. A few chunks are made ahead of the one that is read.
    pub fn text(self: &Arc<Self>, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let header = self.header.len() as u64;
        let body_end = self.body_end();
        let clip = |start: u64, end: u64| range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
        let slice =
            |bytes: &Bytes, range: Range<u64>| bytes.slice(range.start as usize..range.end.max(range.start) as usize);
        let before = slice(&self.header, clip(0, header));
        let after = slice(&Bytes::from_static(self.format.footer()), clip(body_end, self.size()));
        let rows = clip(header, body_end);
        let body = Spans {
            rendering: Arc::clone(self),
            next: rows.start,
            end: rows.end,
        };
        let rendering = Arc::clone(self);
        let parallel = self.core.parallel;
        let body = futures::stream::iter(body)
            .map(move |span| {
                let rendering = Arc::clone(&rendering);
                async move { rendering.span_text(span).await }
            })
            .buffered(parallel);
        let piece = |bytes: Bytes| futures::stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
        piece(before).chain(body).chain(piece(after)).boxed()
    }

    async fn span_text(&self, span: Span) -> Result<Bytes> {
        let text = self.chunk_text(span.file, span.chunk).await?;
        if (text.len() as u64) < span.within.end {
            return Err(internal("a chunk of a rendering is shorter than measured"));
        }
        let piece = text.slice(span.within.start as usize..span.within.end as usize);
        let at_end = self.format == Format::Json && span.start + span.within.end == self.body;
        let Some((_, kept)) = piece.split_last().filter(|_| at_end) else {
            return Ok(piece);
        };
        // The comma after the last object gives way to the end of the line.
        let mut last = BytesMut::with_capacity(piece.len());
        last.extend_from_slice(kept);
        last.extend_from_slice(b"\n");
        Ok(last.freeze())
    }

    /// The text of a chunk in this format.
    pub(super) async fn chunk_text(&self, file: usize, chunk: usize) -> Result<Bytes> {
        let (part, measured) = self.chunk(file, chunk)?;
        let source = || self.source(file);
        self.core.text(part.key, chunk, measured, self.format, source).await
    }

    pub(super) fn chunk(&self, file: usize, chunk: usize) -> Result<(&Part, &Chunk)> {
        self.parts
            .get(file)
            .and_then(|part| Some((part, part.index.chunks().get(chunk)?)))
            .ok_or_else(|| internal("no such chunk in the rendering"))
    }

    pub(super) fn source(&self, file: usize) -> Result<Source> {
        let found = self.version.files.get(file).zip(self.parts.get(file));
        let (file, part) = found.ok_or_else(|| internal("no such file in the version"))?;
        Ok(Source {
            version: Arc::clone(&self.version),
            file: file.clone(),
            key: part.key,
            format: self.format,
        })
    }

    /// The chunk with a byte of the body.
    pub(super) fn span_at(&self, place: u64) -> Option<Span> {
        let file = self
            .starts
            .partition_point(|(_, bytes)| *bytes <= place)
            .checked_sub(1)?;
        let index = &self.parts.get(file)?.index;
        let (_, file_start) = self.starts.get(file)?;
        let end_of = |rows, bytes| bytes_in(self.format, rows, bytes);
        let chunk = index.chunk_beyond(place - file_start, end_of);
        let measured = index.chunks().get(chunk)?;
        let (rows, bytes) = index.before(chunk);
        let start = file_start + end_of(rows, bytes);
        let length = end_of(u64::from(measured.rows), measured.bytes);
        Some(Span {
            file,
            chunk,
            within: place - start..length,
            start,
        })
    }

    /// The first byte of a chunk in the text.
    pub(super) fn offset_of_chunk(&self, file: usize, chunk: usize) -> Result<u64> {
        let (part, _) = self.chunk(file, chunk)?;
        let (rows, bytes) = part.index.before(chunk);
        let (_, file_start) = self.starts.get(file).copied().unwrap_or_default();
        Ok(self.header.len() as u64 + file_start + bytes_in(self.format, rows, bytes))
    }

    /// The place in the body of a byte of the text, if that belongs to a row.
    pub(super) fn in_body(&self, offset: u64) -> Option<u64> {
        let place = offset.checked_sub(self.header.len() as u64)?;
        (place < self.body).then_some(place)
    }

    /// Where reads go on from where the last one ended, makes the next chunks in the background.
    fn read_ahead(self: &Arc<Self>, offset: u64, end: u64) {
        const CHUNKS: usize = 2;
        let header = self.header.len() as u64;
        let last_byte = end.saturating_sub(header).min(self.body).saturating_sub(1);
        let Some(span) = self.span_at(last_byte) else {
            return;
        };
        let length = span.within.end;
        let before = self.last.swap(last_byte, Ordering::Relaxed);
        // Clients send several reads at a time, which arrive in any order.
        let near = before.abs_diff(offset.saturating_sub(header)) <= length;
        let goes_on = near && span.within.start > length / 2;
        if !goes_on {
            return;
        }
        let ahead = Spans {
            rendering: Arc::clone(self),
            next: span.start + length,
            end: self.body,
        };
        for next in ahead.take(CHUNKS) {
            // Never more than a few at a time; a reader that is faster makes them itself.
            let Ok(permit) = Arc::clone(&self.core.ahead).try_acquire_owned() else {
                return;
            };
            let rendering = Arc::clone(self);
            tokio::spawn(async move {
                // The reader that comes to this chunk meets the error itself.
                let _ = rendering.chunk_text(next.file, next.chunk).await;
                drop(permit);
            });
        }
    }
}

/// Bytes of rows in a format, by their bytes in the stored one.
fn bytes_in(format: Format, rows: u64, bytes: u64) -> u64 {
    match format {
        Format::Csv | Format::JsonLines => bytes,
        // A comma a row.
        Format::Json => bytes.saturating_add(rows),
    }
}

/// The chunks with the bytes of a range of the body.
struct Spans {
    rendering: Arc<Rendering>,
    next: u64,
    end: u64,
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.next >= self.end {
            return None;
        }
        let mut span = self.rendering.span_at(self.next)?;
        span.within.end = span.within.end.min(self.end - span.start);
        self.next = span.start + span.within.end;
        Some(span)
    }
}
