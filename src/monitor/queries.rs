//! A statement that runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, Utc};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::AbortHandle;
use parking_lot::Mutex;

use super::counters::Monitor;
use super::work::{Done, Total};

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Finished,
    Failed,
    /// Whoever asked for the rows asked for no more.
    Cancelled,
    Killed,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Killed => "killed",
        }
    }
}

/// A statement that runs.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) number: u64,
    /// Its leading words.
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) started: DateTime<Utc>,
    pub(super) clock: Instant,
    plan: Arc<dyn ExecutionPlan>,
    total: OnceLock<Total>,
    pub(super) rows: AtomicU64,
    killed: AtomicBool,
    /// One for each partition that runs.
    aborts: Mutex<Vec<AbortHandle>>,
}

impl Query {
    pub(super) fn new(number: u64, name: &'static str, text: String, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            number,
            name,
            text,
            started: Utc::now(),
            clock: Instant::now(),
            plan,
            total: OnceLock::new(),
            rows: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            aborts: Mutex::default(),
        }
    }

    pub(super) fn done(&self) -> Done {
        Done::of(&self.plan)
    }

    /// How much of its input was read, from 0 to 1, where that is known.
    pub(super) fn progress(&self, done: Done) -> Option<f64> {
        let total = self.total.get_or_init(|| Total::of(&self.plan));
        done.percent(*total).map(|percent| percent as f64 / 100.0)
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.aborts.lock().iter().for_each(AbortHandle::abort);
    }

    /// Lets a partition be cancelled with the statement.
    pub(super) fn add(&self, abort: AbortHandle) {
        if self.is_killed() {
            abort.abort();
        }
        self.aborts.lock().push(abort);
    }
}

/// A statement that runs, until nobody holds this any more.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) query: Arc<Query>,
    monitor: Arc<Monitor>,
    failed: AtomicBool,
    /// Partitions that have not told all their rows yet.
    left: AtomicU64,
    /// The statement, for logs and traces.
    pub(super) span: tracing::Span,
}

impl Run {
    pub(super) fn begin(monitor: Arc<Monitor>, query: Query, partitions: usize) -> Self {
        let query = Arc::new(query);
        monitor.begin(query.clone());
        let span = tracing::info_span!(
            "statement",
            // Collectors know no unsigned numbers.
            query = query.number.cast_signed(),
            statement = query.name,
            rows = tracing::field::Empty,
            outcome = tracing::field::Empty
        );
        Self {
            span,
            query,
            monitor,
            failed: AtomicBool::new(false),
            left: AtomicU64::new(partitions as u64),
        }
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn partition_ended(&self) {
        self.left.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let outcome = if self.query.is_killed() {
            Outcome::Killed
        } else if self.failed.load(Ordering::Relaxed) {
            Outcome::Failed
        } else if self.left.load(Ordering::Relaxed) == 0 {
            Outcome::Finished
        } else {
            Outcome::Cancelled
        };
        let (took, rows) = (self.query.clock.elapsed(), self.query.rows.load(Ordering::Relaxed));
        self.span
            .record("rows", rows.cast_signed())
            .record("outcome", outcome.name());
        tracing::info!(
            query = self.query.number,
            statement = self.query.name,
            rows,
            elapsed_ms = took.as_secs_f64() * 1000.0,
            outcome = outcome.name(),
            "statement ended"
        );
        self.monitor.end(&self.query, outcome, took, rows);
    }
}
