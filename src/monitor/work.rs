//! How far a running plan is, by its metrics.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

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

/// What the leaves of a plan say that they will read.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Total {
    pub(crate) rows: Option<usize>,
    pub(crate) bytes: Option<usize>,
}

/// What the nodes of a plan have done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) files: usize,
}

impl Total {
    /// What all leaves will read; unknown where one of them does not know.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut total = Self {
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
}

fn known(value: &Precision<usize>) -> Option<usize> {
    value.get_value().copied()
}

impl Done {
    /// What the nodes of a plan have done so far.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut done = Self::default();
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

    /// How much of the input was read. Rows are right where nothing is filtered while reading, bytes where whole files are
    /// read, and both are too low elsewhere: so the larger one counts, and it never says that all is done.
    pub(crate) fn percent(self, total: Total) -> Option<usize> {
        let part = |done: usize, total: Option<usize>| {
            let total = total.filter(|total| *total > 0)?;
            usize::try_from(done as u128 * 100 / total as u128).ok()
        };
        part(self.rows, total.rows)
            .max(part(self.bytes, total.bytes))
            .map(|percent| percent.min(99))
    }
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
    fn a_running_statement_is_never_said_to_be_done() {
        let done = Done {
            rows: 10,
            bytes: 10,
            files: 0,
        };
        assert_eq!(
            done.percent(Total {
                rows: Some(10),
                bytes: None
            }),
            Some(99)
        );
        assert_eq!(
            done.percent(Total {
                rows: None,
                bytes: Some(100)
            }),
            Some(10)
        );
        assert_eq!(
            done.percent(Total {
                rows: Some(0),
                bytes: None
            }),
            None
        );
    }
}
