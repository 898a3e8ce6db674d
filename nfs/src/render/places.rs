//! Which places of a data file are live, chunk by chunk.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use posixlake_cache::Hash128;

use super::internal;
use super::key::ALL_ROWS;
use crate::lake::{DataFile, Result};

/// How many places of a data file are one chunk.
pub const CHUNK_ROWS: u64 = 32_768;

const WORDS: usize = (CHUNK_ROWS / 64) as usize;

/// How many chunks a data file has.
pub(super) fn chunks_of(rows: u64) -> usize {
    rows.div_ceil(CHUNK_ROWS) as usize
}

/// The places of a chunk in a file of so many rows.
pub(super) fn places_of(chunk: usize, rows: u64) -> Range<u64> {
    let start = chunk as u64 * CHUNK_ROWS;
    start..rows.min(start + CHUNK_ROWS)
}

/// The live places of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    bits: Box<[u64]>,
    live: u32,
}

impl Live {
    fn none() -> Self {
        Self {
            bits: vec![0; WORDS].into_boxed_slice(),
            live: 0,
        }
    }

    fn set(&mut self, place: u64) {
        if let Some(word) = self.bits.get_mut((place / 64) as usize) {
            *word |= 1 << (place % 64);
            self.live += 1;
        }
    }

    /// How many.
    pub(super) fn count(&self) -> u32 {
        self.live
    }

    /// The hash of the live ones among `places` places.
    pub(super) fn hash(&self, places: u64) -> Hash128 {
        if u64::from(self.live) == places {
            return ALL_ROWS;
        }
        let bytes: Vec<u8> = self.bits.iter().flat_map(|word| word.to_le_bytes()).collect();
        Hash128::of(&bytes)
    }

    /// The place of the n-th live one, from 0, within the chunk.
    pub(super) fn nth(&self, n: u64) -> Option<u64> {
        let mut left = n;
        for (at, word) in self.bits.iter().enumerate() {
            let ones = u64::from(word.count_ones());
            if left >= ones {
                left -= ones;
                continue;
            }
            let mut word = *word;
            for _ in 0..left {
                word &= word - 1;
            }
            return Some(at as u64 * 64 + u64::from(word.trailing_zeros()));
        }
        None
    }
}

/// Cuts the rows of a file, as they come, at the borders of chunks.
pub(super) struct Cutter {
    path: String,
    within: Range<u64>,
    chunk: usize,
    live: Live,
    /// No place below this one may come.
    next: u64,
}

/// Rows of a batch that belong to the chunk at hand, or the end of that chunk.
pub(super) enum Cut {
    Rows(Range<usize>),
    /// The chunk with this number is complete.
    End(usize, Live),
}

impl Cutter {
    /// For rows of `within`, which begins with a chunk.
    pub(super) fn new(file: &DataFile, within: Range<u64>) -> Self {
        Self {
            path: file.path.clone(),
            chunk: (within.start / CHUNK_ROWS) as usize,
            next: within.start,
            within,
            live: Live::none(),
        }
    }

    /// Takes the next batch.
    ///
    /// # Errors
    /// Places that are none, out of order or out of range; what `each` returns.
    pub(super) fn push(&mut self, batch: &RecordBatch, mut each: impl FnMut(Cut) -> Result<()>) -> Result<()> {
        let wrong = |path: &str, what: &str| internal(format!("{path}: the rows of the file {what}"));
        let places = batch
            .columns()
            .first()
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .filter(|places| places.null_count() == 0)
            .ok_or_else(|| wrong(&self.path, "came without their places"))?
            .values();
        let mut from = 0;
        for (row, place) in places.iter().enumerate() {
            let place = u64::try_from(*place)
                .ok()
                .filter(|place| *place >= self.next && *place < self.within.end)
                .ok_or_else(|| wrong(&self.path, "came out of order"))?;
            self.next = place + 1;
            while (place / CHUNK_ROWS) as usize > self.chunk {
                if row > from {
                    each(Cut::Rows(from..row))?;
                    from = row;
                }
                each(self.end())?;
            }
            self.live.set(place % CHUNK_ROWS);
        }
        if places.len() > from {
            each(Cut::Rows(from..places.len()))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Cut {
        let live = std::mem::replace(&mut self.live, Live::none());
        self.chunk += 1;
        Cut::End(self.chunk - 1, live)
    }

    /// After the last batch: ends the chunks that are left.
    ///
    /// # Errors
    /// What `each` returns.
    pub(super) fn finish(mut self, mut each: impl FnMut(Cut) -> Result<()>) -> Result<()> {
        while (self.chunk as u64) < self.within.end.div_ceil(CHUNK_ROWS) {
            each(self.end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nth() {
        let mut live = Live::none();
        let places: Vec<u64> = (0..CHUNK_ROWS)
            .filter(|place| place % 3 == 1 || place % 64 == 63)
            .collect();
        places.iter().for_each(|place| live.set(*place));
        assert_eq!(live.count() as usize, places.len());
        for (n, place) in places.iter().enumerate() {
            assert_eq!(live.nth(n as u64), Some(*place));
        }
        assert_eq!(live.nth(places.len() as u64), None);
        assert_ne!(live.hash(CHUNK_ROWS), ALL_ROWS);
    }

    #[test]
    fn cuts_files_into_chunks() {
        assert_eq!(chunks_of(0), 0);
        assert_eq!(chunks_of(CHUNK_ROWS), 1);
        assert_eq!(chunks_of(CHUNK_ROWS + 1), 2);
        assert_eq!(places_of(1, CHUNK_ROWS + 5), CHUNK_ROWS..CHUNK_ROWS + 5);
    }
}
