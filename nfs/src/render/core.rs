//! Makes what is missing of indexes and texts: each once, however many wait for it, and no more at a time than there are
//! cores.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use posixlake_cache::{Hash128, Lru};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use super::blocks::Blocks;
use super::chunks::{ChunkReader, ReadChunk, Source};
use super::flights::Flights;
use super::index::{Chunk, FileIndex, INLINE, IndexStore};
use super::internal;
use super::key::{ALL_ROWS, chunk_key, vector_key};
use super::places::{Live, chunks_of, places_of};
use super::renderer::Progress;
use super::statistics::Counters;
use super::text::Format;
use crate::lake::{Lake, LakeError, Result};

/// So many chunks are rendered by one reading of a file: larger ones are shared out among cores.
const UNIT: usize = 16;

/// Places of chunks that are read together although nobody asked for those between them.
const GAP: usize = 4;

/// What all renderings of a lake share.
pub(super) struct Core {
    pub(super) lake: Arc<dyn Lake>,
    pub(super) indexes: IndexStore,
    pub(super) blocks: Blocks,
    pub(super) counters: Counters,
    pub(super) parallel: usize,
    /// Texts that are made before anyone asks for them.
    pub(super) ahead: Arc<Semaphore>,
    files: Flights<(Hash128, Hash128), Arc<FileIndex>>,
    texts: Flights<(Hash128, Format), Bytes>,
    live: Mutex<Lru<Hash128, Arc<Live>>>,
    /// Measuring a table does not keep readers waiting, so each has its own permits.
    measuring: Semaphore,
    reading: Semaphore,
}

impl Core {
    pub(super) fn new(lake: Arc<dyn Lake>, indexes: IndexStore, blocks: Blocks, parallel: usize) -> Self {
        /// Chunks whose places are in memory, 4 KiB each.
        const LIVE: u64 = 2_048;
        Self {
            lake,
            indexes,
            blocks,
            counters: Counters::default(),
            parallel,
            ahead: Arc::new(Semaphore::new(parallel)),
            files: Flights::new(),
            texts: Flights::new(),
            live: Mutex::new(Lru::new(LIVE)),
            measuring: Semaphore::new(parallel),
            reading: Semaphore::new(parallel),
        }
    }

    /// The index of a file, made if it is not known.
    ///
    /// # Errors
    /// As the lake's.
    pub(super) async fn index(self: &Arc<Self>, source: Source, progress: &Arc<Progress>) -> Result<Arc<FileIndex>> {
        let vector = vector_key(&source.file);
        let (key, rows) = (source.key, source.file.rows);
        if let Some(index) = self.indexes.in_memory(key, vector) {
            progress.add_rows(rows);
            return Ok(index);
        }
        let mut ours = false;
        let flight = self.files.join((key, vector), || {
            ours = true;
            let (core, progress) = (Arc::clone(self), Arc::clone(progress));
            async move { core.measure(source, vector, &progress).await }
        });
        let index = flight.await?;
        if !ours {
            progress.add_rows(rows);
        }
        Ok(index)
    }

    /// Finds or makes the index of a file: chunks whose live places are those of an earlier index are taken from there.
    async fn measure(self: &Arc<Self>, source: Source, vector: Hash128, progress: &Progress) -> Result<Arc<FileIndex>> {
        let rows = source.file.rows;
        let history = self.indexes.history(source.key).await;
        if let Some(index) = history.iter().find(|index| index.vector == vector) {
            progress.add_rows(rows);
            return Ok(Arc::clone(index));
        }
        let count = chunks_of(rows);
        let wanted = match &source.file.vector {
            None => Some(vec![ALL_ROWS; count]),
            Some(_) if history.is_empty() => None,
            Some(_) => Some(self.live_hashes(&source).await?),
        };
        let known: HashMap<(usize, Hash128), &Chunk> = history
            .iter()
            .flat_map(|index| index.chunks().iter().enumerate())
            .map(|(number, chunk)| ((number, chunk.places), chunk))
            .collect();
        let mut chunks: Vec<Option<Chunk>> = (0..count)
            .map(|number| {
                let places = wanted.as_ref()?.get(number)?;
                known.get(&(number, *places)).map(|chunk| (*chunk).clone())
            })
            .collect();
        let missing: Vec<usize> = (0..count)
            .filter(|number| matches!(chunks.get(*number), Some(None)))
            .collect();
        let mut counted = 0;
        let mut units = JoinSet::new();
        for unit in runs(&missing, 1, UNIT) {
            let (core, source) = (Arc::clone(self), source.clone());
            units.spawn(async move { core.measure_unit(&source, unit).await });
        }
        while let Some(unit) = units.join_next().await {
            for (number, chunk) in unit.map_err(|error| internal(format!("rendering ended early: {error}")))?? {
                let expected = wanted.as_ref().and_then(|wanted| wanted.get(number));
                if expected.is_some_and(|expected| *expected != chunk.places) {
                    return Err(other_rows(&source, number));
                }
                let places = places_of(number, rows);
                counted += places.end - places.start;
                progress.add_rows(places.end - places.start);
                if let Some(slot) = chunks.get_mut(number) {
                    *slot = Some(chunk);
                }
            }
        }
        let chunks: Option<Vec<Chunk>> = chunks.into_iter().collect();
        let chunks = chunks.ok_or_else(|| internal(format!("{}: a chunk was not read", source.file.path)))?;
        let index = Arc::new(FileIndex::new(vector, chunks));
        self.indexes.add(source.key, Arc::clone(&index)).await;
        self.counters.indexes_built.add(1);
        progress.add_rows(rows - counted);
        Ok(index)
    }

    /// The hashes of the live places of all chunks of a file.
    async fn live_hashes(&self, source: &Source) -> Result<Vec<Hash128>> {
        let _permit = permit(&self.measuring).await?;
        let rows = source.file.rows;
        let mut hashes = Vec::with_capacity(chunks_of(rows));
        let mut reader = ChunkReader::open(self.lake.as_ref(), source, 0..chunks_of(rows), false).await?;
        while let Some(chunk) = reader.next().await? {
            hashes.push(hash_of(&chunk, rows));
        }
        Ok(hashes)
    }

    /// Renders chunks to measure them; their texts are kept while there is room.
    async fn measure_unit(&self, source: &Source, unit: Range<usize>) -> Result<Vec<(usize, Chunk)>> {
        let _permit = permit(&self.measuring).await?;
        let mut measured = Vec::with_capacity(unit.len());
        let mut reader = ChunkReader::open(self.lake.as_ref(), source, unit, true).await?;
        while let Some(read) = reader.next().await? {
            let number = read.number;
            let places = hash_of(&read, source.file.rows);
            let text = self.rendered(read.live.count(), read.text);
            let chunk = Chunk {
                rows: read.live.count(),
                bytes: text.len() as u64,
                places,
                text: (text.len() <= INLINE).then(|| Bytes::copy_from_slice(&text)),
            };
            if chunk.text.is_none() {
                let key = chunk_key(source.key, number, places);
                self.blocks.keep_if_room(key, text).await;
            }
            measured.push((number, chunk));
        }
        Ok(measured)
    }

    fn rendered(&self, rows: u32, text: Vec<u8>) -> Bytes {
        self.counters.rendered_chunks.add(1);
        self.counters.rendered_rows.add(u64::from(rows));
        self.counters.rendered_bytes.add(text.len() as u64);
        Bytes::from(text)
    }

    /// The text of a chunk. `source` is made only where something has to be read for it.
    ///
    /// # Errors
    /// As the lake's; a file whose rows are not those that were measured.
    pub(super) async fn text(
        self: &Arc<Self>,
        file: Hash128,
        number: usize,
        chunk: &Chunk,
        format: Format,
        source: impl FnOnce() -> Result<Source>,
    ) -> Result<Bytes> {
        let rows = chunk.rows as usize;
        if let Some(text) = &chunk.text {
            return Ok(format.of_stored(text, rows).map_or_else(|| text.clone(), Bytes::from));
        }
        let key = chunk_key(file, number, chunk.places);
        if let Some(text) = self.blocks.in_memory(key, format) {
            self.counters.memory_hits.add(1);
            return Ok(text);
        }
        let source = source()?;
        let core = Arc::clone(self);
        let chunk = chunk.clone();
        if format == format.stored() {
            return self.stored_text(key, number, chunk, source).await;
        }
        let made = self.texts.join((key, format), || async move {
            let stored = core.stored_text(key, number, chunk, source).await?;
            let text = format.of_stored(&stored, rows).map_or(stored, Bytes::from);
            core.blocks.remember(key, format, &text);
            Ok(text)
        });
        made.await
    }

    /// The text of a chunk in the stored format.
    async fn stored_text(self: &Arc<Self>, key: Hash128, number: usize, chunk: Chunk, source: Source) -> Result<Bytes> {
        let format = source.format.stored();
        let core = Arc::clone(self);
        let made = self.texts.join((key, format), || async move {
            // Another flight may have landed since the caller looked.
            if let Some(text) = core.blocks.in_memory(key, format) {
                core.counters.memory_hits.add(1);
                return Ok(text);
            }
            let text = match core.blocks.on_disk(key).await {
                Some(text) if text.len() as u64 == chunk.bytes => {
                    core.counters.disk_hits.add(1);
                    text
                }
                found => {
                    if found.is_some() {
                        core.blocks.forget(key).await;
                    }
                    core.counters.misses.add(1);
                    let text = core.render(number, &chunk, &source).await?;
                    core.blocks.keep(key, text.clone()).await;
                    text
                }
            };
            core.blocks.remember(key, format, &text);
            Ok(text)
        });
        made.await
    }

    /// Renders one chunk that has been measured.
    async fn render(&self, number: usize, chunk: &Chunk, source: &Source) -> Result<Bytes> {
        let _permit = permit(&self.reading).await?;
        let mut reader = ChunkReader::open(self.lake.as_ref(), source, number..number + 1, true).await?;
        let read = reader.next().await?.ok_or_else(|| other_rows(source, number))?;
        let places = hash_of(&read, source.file.rows);
        let text = self.rendered(read.live.count(), read.text);
        if places != chunk.places || text.len() as u64 != chunk.bytes {
            self.indexes.forget(source.key).await;
            return Err(other_rows(source, number));
        }
        Ok(text)
    }

    /// The live places of chunks of a file, each where `chunks` names it. Chunks without hidden rows need not be asked for.
    ///
    /// # Errors
    /// As the lake's; a file whose rows are not those that were measured.
    pub(super) async fn live(
        &self,
        source: &Source,
        index: &FileIndex,
        chunks: &[usize],
    ) -> Result<HashMap<usize, Arc<Live>>> {
        let rows = source.file.rows;
        let places = |number: usize| index.chunks().get(number).map(|chunk| chunk.places);
        let key = |number: usize| places(number).map(|places| chunk_key(source.key, number, places));
        let mut found = HashMap::with_capacity(chunks.len());
        let mut missing = Vec::new();
        {
            let mut live = self.live.lock();
            for number in chunks {
                match key(*number).and_then(|key| live.get(&key).cloned()) {
                    Some(known) => drop(found.insert(*number, known)),
                    None => missing.push(*number),
                }
            }
        }
        for run in runs(&missing, GAP, usize::MAX) {
            let _permit = permit(&self.reading).await?;
            let mut reader = ChunkReader::open(self.lake.as_ref(), source, run, false).await?;
            while let Some(read) = reader.next().await? {
                if places(read.number) != Some(hash_of(&read, rows)) {
                    self.indexes.forget(source.key).await;
                    return Err(other_rows(source, read.number));
                }
                if missing.binary_search(&read.number).is_ok() {
                    let live = Arc::new(read.live);
                    if let Some(key) = key(read.number) {
                        self.live.lock().insert(key, Arc::clone(&live), 1);
                    }
                    found.insert(read.number, live);
                }
            }
        }
        Ok(found)
    }
}

async fn permit(permits: &Semaphore) -> Result<SemaphorePermit<'_>> {
    permits.acquire().await.map_err(|_| internal("the renderer was closed"))
}

fn hash_of(chunk: &ReadChunk, rows: u64) -> Hash128 {
    let places = places_of(chunk.number, rows);
    chunk.live.hash(places.end - places.start)
}

fn other_rows(source: &Source, chunk: usize) -> LakeError {
    let places = places_of(chunk, source.file.rows);
    internal(format!(
        "{}: the rows {} to {} are not those that the log tells of, or that were read before",
        source.file.path, places.start, places.end
    ))
}

/// Sorted numbers as ranges of at most `most`, over gaps smaller than `gap`.
fn runs(numbers: &[usize], gap: usize, most: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if *number < run.end.saturating_add(gap) && number - run.start < most => run.end = number + 1,
            _ => runs.push(*number..number + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_runs() {
        assert_eq!(runs(&[], 1, 16), Vec::<Range<usize>>::new());
        assert_eq!(runs(&[0, 1, 2, 4], 1, 16), vec![0..3, 4..5]);
        assert_eq!(runs(&[0, 1, 2, 3, 4], 1, 2), vec![0..2, 2..4, 4..5]);
        assert_eq!(runs(&[0, 3, 9], 4, usize::MAX), vec![0..4, 9..10]);
    }
}
