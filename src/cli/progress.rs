//! The line that says how far a long statement is, taken from the metrics of its running plan.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A statement that is done before this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// Reading the metrics of a plan over very many files takes a while: it may take this share of the time at most.
const SHARE: u32 = 50;

/// Counters of files that were read or written, best first: one plan node has several that overlap.
const FILE_COUNTERS: [&str; 5] = [
    "files_read",
    "files_processed",
    "files_rewritten",
    "files_written",
    "files",
];
/// Counters of bytes that were read or written.
const BYTE_COUNTERS: [&str; 3] = ["bytes_scanned", "bytes_read", "bytes_written"];

/// The progress line of one statement.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    due: Instant,
    plan: Option<Arc<dyn ExecutionPlan>>,
    total: Arc<OnceLock<Total>>,
}

/// What the leaves of a plan say that they will read.
#[derive(Debug, Default, Clone, Copy)]
struct Total {
    rows: Option<usize>,
    bytes: Option<usize>,
}

/// What the nodes of a plan have done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Done {
    rows: usize,
    bytes: usize,
    files: usize,
}

impl Progress {
    /// A line on standard error, or none where that is no terminal or nobody wants one.
    pub(crate) fn new(wanted: bool) -> Self {
        let started = Instant::now();
        let bar = (wanted && std::io::stderr().is_terminal()).then(ProgressBar::hidden);
        Self {
            bar,
            started,
            due: started + PATIENCE,
            plan: None,
            total: Arc::default(),
        }
    }

    /// The plan runs from now on.
    pub(crate) fn follow(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if self.bar.is_some() {
            self.plan = Some(Arc::clone(plan));
        }
    }

    /// When [`Progress::draw`] wants to be called next; never where there is no line.
    pub(crate) async fn due(&self) {
        match self.bar {
            Some(_) => tokio::time::sleep_until(self.due.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Draws the line anew.
    pub(crate) fn draw(&mut self) {
        let Some(bar) = &self.bar else { return };
        let before = Instant::now();
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            if let Some(plan) = self.plan.clone() {
                let total = Arc::clone(&self.total);
                tokio::task::spawn_blocking(move || total.set(total_of(&plan)));
            }
        }
        let done = self.plan.as_ref().map(done_of);
        bar.set_message(message(done, self.total.get().copied(), self.started.elapsed()));
        self.due = Instant::now() + INTERVAL.max(before.elapsed() * SHARE);
    }

    /// Takes the line away, for good.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn message(done: Option<Done>, total: Option<Total>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let Some(done) = done else {
        return format!("planning, {seconds:.1} s");
    };
    let mut parts = Vec::new();
    if let Some(percent) = total.and_then(|total| percent(done, total)) {
        parts.push(format!("{percent}%"));
    }
    if done.rows > 0 {
        parts.push(format!("{} rows", HumanCount(done.rows as u64)));
    }
    if done.bytes > 0 {
        let rate = done.bytes as f64 / seconds.max(0.001);
        parts.push(format!(
            "{} ({}/s)",
            HumanBytes(done.bytes as u64),
            HumanBytes(rate as u64)
        ));
    }
    if done.files > 0 {
        parts.push(format!(
            "{} {}",
            HumanCount(done.files as u64),
            if done.files == 1 { "file" } else { "files" }
        ));
    }
    parts.push(format!("{seconds:.1} s"));
    parts.join(", ")
}

/// How much of the input was read. Rows are right where nothing is filtered while reading, bytes where whole files are
/// read, and both are too low elsewhere: so the larger one counts, and it never says that all is done.
fn percent(done: Done, total: Total) -> Option<usize> {
    let part = |done: usize, total: Option<usize>| {
        let total = total.filter(|total| *total > 0)?;
        usize::try_from(done as u128 * 100 / total as u128).ok()
    };
    part(done.rows, total.rows)
        .max(part(done.bytes, total.bytes))
        .map(|percent| percent.min(99))
}

/// What all leaves will read; unknown where one of them does not know.
fn total_of(plan: &Arc<dyn ExecutionPlan>) -> Total {
    let mut total = Total {
        rows: Some(0),
        bytes: Some(0),
    };
    for leaf in nodes(plan).filter(|node| node.children().is_empty()) {
        let statistics = StatisticsContext::new()
            .compute(leaf.as_ref(), &StatisticsArgs::new())
            .ok();
        let rows = statistics.as_ref().and_then(|statistics| known(&statistics.num_rows));
        let bytes = statistics
            .as_ref()
            .and_then(|statistics| known(&statistics.total_byte_size));
        total.rows = total.rows.zip(rows).map(|(a, b)| a.saturating_add(b));
        total.bytes = total.bytes.zip(bytes).map(|(a, b)| a.saturating_add(b));
    }
    total
}

fn known(value: &Precision<usize>) -> Option<usize> {
    value.get_value().copied()
}

fn done_of(plan: &Arc<dyn ExecutionPlan>) -> Done {
    let mut done = Done::default();
    for node in nodes(plan) {
        let Some(metrics) = node.metrics() else { continue };
        let counts = Counts::of(&metrics);
        if node.children().is_empty() {
            done.rows = done.rows.saturating_add(counts.rows);
        }
        done.bytes = done.bytes.saturating_add(counts.bytes);
        done.files = done.files.saturating_add(counts.files());
    }
    done
}

/// All nodes of a plan, without recursion: plans can be deep.
fn nodes(plan: &Arc<dyn ExecutionPlan>) -> impl Iterator<Item = Arc<dyn ExecutionPlan>> {
    let mut stack = vec![Arc::clone(plan)];
    std::iter::from_fn(move || {
        let node = stack.pop()?;
        stack.extend(node.children().into_iter().map(Arc::clone));
        Some(node)
    })
}

/// One node's counters.
#[derive(Default)]
struct Counts {
    rows: usize,
    bytes: usize,
    files: [usize; FILE_COUNTERS.len()],
}

impl Counts {
    fn of(metrics: &MetricsSet) -> Self {
        let mut counts = Self::default();
        for metric in metrics.iter() {
            match metric.value() {
                MetricValue::OutputRows(rows) => counts.rows += rows.value(),
                MetricValue::Count { name, count } => counts.add(name, count.value()),
                _ => {}
            }
        }
        counts
    }

    fn add(&mut self, name: &str, value: usize) {
        if BYTE_COUNTERS.contains(&name) {
            self.bytes += value;
        }
        for (counter, files) in FILE_COUNTERS.iter().zip(&mut self.files) {
            if *counter == name {
                *files += value;
            }
        }
    }

    fn files(&self) -> usize {
        self.files.iter().copied().find(|files| *files > 0).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known() {
        let second = Duration::from_secs(1);
        assert_eq!(message(None, None, second), "planning, 1.0 s");
        assert_eq!(message(Some(Done::default()), None, second), "1.0 s");
        let done = Done {
            rows: 1500,
            bytes: 2048,
            files: 1,
        };
        let total = Total {
            rows: Some(3000),
            bytes: Some(1 << 20),
        };
        assert_eq!(
            message(Some(done), Some(total), second),
            "50%, 1,500 rows, 2.00 KiB (2.00 KiB/s), 1 file, 1.0 s"
        );
    }

    #[test]
    fn a_running_statement_is_never_said_to_be_done() {
        let done = Done {
            rows: 10,
            bytes: 10,
            files: 0,
        };
        assert_eq!(
            percent(
                done,
                Total {
                    rows: Some(10),
                    bytes: None
                }
            ),
            Some(99)
        );
        assert_eq!(
            percent(
                done,
                Total {
                    rows: None,
                    bytes: Some(100)
                }
            ),
            Some(10)
        );
        assert_eq!(
            percent(
                done,
                Total {
                    rows: Some(0),
                    bytes: None
                }
            ),
            None
        );
    }
}
