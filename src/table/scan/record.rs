//! What the scans of a session did, so that they can be looked at afterwards.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

/// How many scans are remembered.
const REMEMBERED: usize = 256;

/// The last scans of a session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ScanLog(Mutex<Scans>);

#[derive(Debug, Default)]
struct Scans {
    last: VecDeque<Scanned>,
    totals: ScanTotals,
}

/// What all scans of a session amount to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ScanTotals {
    pub(crate) scans: u64,
    pub(crate) files_total: u64,
    pub(crate) files_skipped: u64,
    pub(crate) files_read: u64,
    pub(crate) bytes_total: u64,
    pub(crate) bytes_skipped: u64,
    pub(crate) bytes_read: u64,
    pub(crate) rows: u64,
}

/// Files and bytes that a scan was about, and what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) files_total: u64,
    pub(super) files_skipped: u64,
    pub(super) files_read: u64,
    pub(super) bytes_total: u64,
    pub(super) bytes_skipped: u64,
    pub(super) bytes_read: u64,
    /// The rows of the files that were read which deletion vectors hide.
    pub(super) rows_deleted: u64,
    /// Other rows of these files that conditions on their places leave out, unread.
    pub(super) rows_skipped: u64,
}

impl Counts {
    /// The counts by name.
    pub(super) fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("files_total", self.files_total),
            ("files_skipped", self.files_skipped),
            ("files_read", self.files_read),
            ("bytes_total", self.bytes_total),
            ("bytes_skipped", self.bytes_skipped),
            ("bytes_read", self.bytes_read),
            ("rows_deleted", self.rows_deleted),
            ("rows_skipped", self.rows_skipped),
        ]
    }
}

/// A scan that is over.
#[derive(Debug, Clone)]
struct Scanned {
    started: DateTime<Utc>,
    table: String,
    version: u64,
    counts: Counts,
    rows: u64,
    took: Duration,
}

impl ScanLog {
    fn note(&self, scan: Scanned) {
        let counts = scan.counts;
        tracing::info!(
            table = scan.table,
            version = scan.version,
            rows = scan.rows,
            files_read = counts.files_read,
            files_skipped = counts.files_skipped,
            bytes_read = counts.bytes_read,
            "table scanned"
        );
        let mut scans = self.0.lock();
        let totals = &mut scans.totals;
        totals.scans += 1;
        totals.files_total += counts.files_total;
        totals.files_skipped += counts.files_skipped;
        totals.files_read += counts.files_read;
        totals.bytes_total += counts.bytes_total;
        totals.bytes_skipped += counts.bytes_skipped;
        totals.bytes_read += counts.bytes_read;
        totals.rows += scan.rows;
        if scans.last.len() >= REMEMBERED {
            scans.last.pop_front();
        }
        scans.last.push_back(scan);
    }

    /// What all scans amount to, those included that are not remembered one by one.
    pub(crate) fn totals(&self) -> ScanTotals {
        self.0.lock().totals
    }

    /// The columns of [`ScanLog::rows`].
    pub(crate) fn schema() -> SchemaRef {
        let mut fields = vec![
            Field::new(
                "started_at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                false,
            ),
            Field::new("table_location", DataType::Utf8, false),
        ];
        let counts = [
            "version",
            "files_total",
            "files_skipped",
            "files_read",
            "bytes_total",
            "bytes_skipped",
            "bytes_read",
            "rows_returned",
            "rows_deleted",
            "rows_skipped",
            "duration_us",
        ];
        fields.extend(counts.map(|name| Field::new(name, DataType::UInt64, false)));
        Arc::new(Schema::new(fields))
    }

    /// A row a scan, oldest first.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(crate) fn rows(&self) -> Result<RecordBatch> {
        let scans: Vec<Scanned> = self.0.lock().last.iter().cloned().collect();
        let started = scans.iter().map(|scan| scan.started.timestamp_micros());
        let started = TimestampMicrosecondArray::from_iter_values(started).with_timezone("UTC");
        let tables = StringArray::from_iter_values(scans.iter().map(|scan| &scan.table));
        let number =
            |of: fn(&Scanned) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(scans.iter().map(of))) };
        Ok(RecordBatch::try_new(
            Self::schema(),
            vec![
                Arc::new(started),
                Arc::new(tables),
                number(|scan| scan.version),
                number(|scan| scan.counts.files_total),
                number(|scan| scan.counts.files_skipped),
                number(|scan| scan.counts.files_read),
                number(|scan| scan.counts.bytes_total),
                number(|scan| scan.counts.bytes_skipped),
                number(|scan| scan.counts.bytes_read),
                number(|scan| scan.rows),
                number(|scan| scan.counts.rows_deleted),
                number(|scan| scan.counts.rows_skipped),
                number(|scan| u64::try_from(scan.took.as_micros()).unwrap_or(u64::MAX)),
            ],
        )?)
    }
}

/// A scan that runs: noted once all its partitions are over, or nobody asks for more of them.
pub(super) struct Run {
    log: Arc<ScanLog>,
    table: String,
    version: u64,
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
    partitions: usize,
    over: AtomicUsize,
    rows: AtomicU64,
    noted: AtomicBool,
    started: DateTime<Utc>,
    clock: Instant,
    /// The scan, for traces.
    span: tracing::Span,
}

impl Run {
    pub(super) fn new(
        log: Arc<ScanLog>,
        table: String,
        version: u64,
        partitions: usize,
        counts: impl Fn() -> Counts + Send + Sync + 'static,
    ) -> Self {
        let span = tracing::info_span!(
            "scan",
            table,
            // Collectors know no unsigned numbers.
            version = version.cast_signed(),
            rows = tracing::field::Empty,
            files_read = tracing::field::Empty,
            files_skipped = tracing::field::Empty,
            bytes_read = tracing::field::Empty
        );
        Self {
            span,
            log,
            table,
            version,
            counts: Box::new(counts),
            partitions,
            over: AtomicUsize::new(0),
            rows: AtomicU64::new(0),
            noted: AtomicBool::new(false),
            started: Utc::now(),
            clock: Instant::now(),
        }
    }

    /// The rows of a partition, counted.
    pub(super) fn counted(self: Arc<Self>, inner: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Counted { inner, run: self })
    }

    /// Whether it was noted.
    pub(super) fn is_over(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    fn note(&self) {
        if !self.noted.swap(true, Ordering::Relaxed) {
            let counts = (self.counts)();
            let rows = self.rows.load(Ordering::Relaxed);
            self.span
                .record("rows", rows.cast_signed())
                .record("files_read", counts.files_read.cast_signed())
                .record("files_skipped", counts.files_skipped.cast_signed())
                .record("bytes_read", counts.bytes_read.cast_signed());
            self.log.note(Scanned {
                started: self.started,
                table: self.table.clone(),
                version: self.version,
                counts,
                rows,
                took: self.clock.elapsed(),
            });
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run of {}", self.table)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.note();
    }
}

struct Counted {
    inner: SendableRecordBatchStream,
    run: Arc<Run>,
}

impl Stream for Counted {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            self.run.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl RecordBatchStream for Counted {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.run.over.fetch_add(1, Ordering::Relaxed) + 1 == self.run.partitions {
            self.run.note();
        }
    }
}
