//! Counts for a view of metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a renderer has done and holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Data files whose chunks were measured.
    pub indexes_built: u64,
    /// Data files whose measures are in memory.
    pub indexes_in_memory: u64,
    /// Data files whose measures are on disk.
    pub indexes_on_disk: u64,
    /// Texts of chunks in memory.
    pub blocks_in_memory: u64,
    /// Their bytes.
    pub bytes_in_memory: u64,
    /// Texts of chunks on disk.
    pub blocks_on_disk: u64,
    /// Their bytes.
    pub bytes_on_disk: u64,
    /// Texts that were found in memory.
    pub memory_hits: u64,
    /// Texts that were found on disk.
    pub disk_hits: u64,
    /// Texts that were found nowhere, and rendered for a reader.
    pub misses: u64,
    /// Chunks that were rendered, for readers and for measures.
    pub rendered_chunks: u64,
    /// Their rows.
    pub rendered_rows: u64,
    /// Their bytes.
    pub rendered_bytes: u64,
}

/// The counts that grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) indexes_built: Counter,
    pub(super) memory_hits: Counter,
    pub(super) disk_hits: Counter,
    pub(super) misses: Counter,
    pub(super) rendered_chunks: Counter,
    pub(super) rendered_rows: Counter,
    pub(super) rendered_bytes: Counter,
}

/// A count that several threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
