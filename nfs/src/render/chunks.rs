//! The rows of a data file, chunk by chunk, as text or as places alone.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use posixlake_cache::Hash128;

use super::internal;
use super::places::{CHUNK_ROWS, Cut, Cutter, Live};
use super::text::{Format, RowWriter};
use crate::lake::{DataFile, Lake, Result, Version};

/// A data file of a version, to be rendered.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) version: Arc<Version>,
    pub(super) file: DataFile,
    /// The key of its texts, by [`file_key`](super::key::file_key).
    pub(super) key: Hash128,
    pub(super) format: Format,
}

/// A chunk as it was read.
pub(super) struct ReadChunk {
    pub(super) number: usize,
    pub(super) live: Live,
    /// The text of its live rows in the stored format; empty where only places were asked for.
    pub(super) text: Vec<u8>,
}

/// Reads chunks of a file one after another.
pub(super) struct ChunkReader {
    path: String,
    batches: BoxStream<'static, Result<RecordBatch>>,
    /// Until the last batch.
    cutter: Option<Cutter>,
    /// For text.
    writer: Option<RowWriter>,
    text: Vec<u8>,
    ready: VecDeque<ReadChunk>,
}

impl ChunkReader {
    /// Begins to read `chunks`, as text or only their places.
    ///
    /// # Errors
    /// As [`Lake::rows`].
    pub(super) async fn open(lake: &dyn Lake, source: &Source, chunks: Range<usize>, text: bool) -> Result<Self> {
        let end = (chunks.end as u64).saturating_mul(CHUNK_ROWS).min(source.file.rows);
        let places = chunks.start as u64 * CHUNK_ROWS..end;
        Ok(Self {
            path: source.file.path.clone(),
            batches: lake.rows(&source.version, &source.file, places.clone(), text).await?,
            cutter: Some(Cutter::new(&source.file, places)),
            writer: text.then(|| RowWriter::new(Arc::clone(&source.version.schema), source.format)),
            text: Vec::new(),
            ready: VecDeque::new(),
        })
    }

    /// The next chunk, also one without live rows.
    ///
    /// # Errors
    /// As the lake's; rows that are out of order or of other columns than the table's.
    pub(super) async fn next(&mut self) -> Result<Option<ReadChunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.cutter.is_none() {
                return Ok(None);
            }
            match self.batches.next().await {
                Some(batch) => self.take(&batch?)?,
                None => {
                    let Some(cutter) = self.cutter.take() else {
                        return Ok(None);
                    };
                    cutter.finish(|cut| self.cut(cut, None))?;
                }
            }
        }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(mut cutter) = self.cutter.take() else {
            return Ok(());
        };
        let taken = cutter.push(batch, |cut| self.cut(cut, Some(batch)));
        self.cutter = Some(cutter);
        taken
    }

    fn cut(&mut self, cut: Cut, batch: Option<&RecordBatch>) -> Result<()> {
        match cut {
            Cut::Rows(rows) => {
                if let (Some(writer), Some(batch)) = (&self.writer, batch) {
                    writer
                        .write(batch, 1, rows, &mut self.text)
                        .map_err(|error| internal(format!("{}: rows cannot be written as text: {error}", self.path)))?;
                }
            }
            Cut::End(number, live) => {
                // The next chunk is about as long as this one.
                let room = self.text.len() + self.text.len() / 16;
                let text = mem::replace(&mut self.text, Vec::with_capacity(room));
                self.ready.push_back(ReadChunk { number, live, text });
            }
        }
        Ok(())
    }
}
