//! What happened so far, in numbers that only grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::queries::{Outcome, Query};

/// The upper bounds of the histogram of durations, in milliseconds.
pub(super) const BOUNDS: [u64; 12] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 10_000, 60_000];

/// What a session's statements do and have done. Sessions that share a lake share it.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(super) started: DateTime<Utc>,
    pub(super) clock: Instant,
    /// How statements come in.
    door: OnceLock<&'static str>,
    /// Whether statements are watched: POSIXLAKE_METRICS=off turns it off.
    on: bool,
    numbers: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Query>>>,
    ended: Mutex<BTreeMap<(&'static str, Outcome), u64>>,
    /// How many statements took no longer than each bound, and longer than the one before; the last is for all others.
    pub(super) durations: [AtomicU64; BOUNDS.len() + 1],
    pub(super) micros: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) commits: AtomicU64,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            started: Utc::now(),
            clock: Instant::now(),
            door: OnceLock::new(),
            on: std::env::var("POSIXLAKE_METRICS").as_deref() != Ok("off"),
            numbers: AtomicU64::new(0),
            running: Mutex::default(),
            ended: Mutex::default(),
            durations: std::array::from_fn(|_| AtomicU64::new(0)),
            micros: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        }
    }
}

impl Monitor {
    /// Says how statements come in; the first word stands.
    pub(crate) fn set_door(&self, door: &'static str) {
        let _ = self.door.set(door);
    }

    pub(super) fn door(&self) -> &'static str {
        self.door.get().copied().unwrap_or("library")
    }

    /// Whether statements are watched.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Takes note of a commit of this session.
    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the next statement.
    pub(super) fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn begin(&self, query: Arc<Query>) {
        self.running.lock().insert(query.number, query);
    }

    pub(super) fn end(&self, query: &Query, outcome: Outcome, took: Duration, rows: u64) {
        self.running.lock().remove(&query.number);
        *self.ended.lock().entry((query.name, outcome)).or_default() += 1;
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // A duration between two milliseconds is longer than the lower one.
        let place = BOUNDS.partition_point(|bound| *bound <= millis);
        if let Some(count) = self.durations.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// The statements that run, oldest first.
    pub(super) fn queries(&self) -> Vec<Arc<Query>> {
        self.running.lock().values().cloned().collect()
    }

    /// How many statements ended, by what they were and how.
    pub(super) fn ended(&self) -> Vec<((&'static str, Outcome), u64)> {
        self.ended.lock().iter().map(|(key, count)| (*key, *count)).collect()
    }

    /// Cancels a statement; false where none of this number runs.
    pub(crate) fn kill(&self, number: u64) -> bool {
        let query = self.running.lock().get(&number).cloned();
        query.is_some_and(|query| {
            query.kill();
            true
        })
    }
}
