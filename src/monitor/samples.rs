//! The counters as samples: for `system.metrics`, and in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::counters::{BOUNDS, Monitor};
use crate::catalog::Lake;
use crate::table::ScanTotals;

/// What a sample is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    kind: &'static str,
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

/// One number.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) family: Family,
    /// What stands behind the family's name, for parts of a histogram.
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

impl Sample {
    /// The name of the sample.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.family.name, self.suffix)
    }

    /// `{key="value",…}`; empty where there are none.
    pub(super) fn labels(&self) -> String {
        if self.labels.is_empty() {
            return String::new();
        }
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)));
        format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
    }
}

const fn family(name: &'static str, kind: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind, unit, help }
}

const STATEMENTS: Family = family(
    "posixlake_statements_total",
    "counter",
    "statements",
    "Statements that ended, by kind and outcome",
);
const RUNNING: Family = family(
    "posixlake_statements_running",
    "gauge",
    "statements",
    "Statements that run",
);
const SECONDS: Family = family(
    "posixlake_statement_duration_seconds",
    "histogram",
    "seconds",
    "How long statements took",
);
const ROWS: Family = family(
    "posixlake_rows_returned_total",
    "counter",
    "rows",
    "Rows that statements answered with",
);
const COMMITS: Family = family(
    "posixlake_commits_total",
    "counter",
    "commits",
    "Versions that this session committed",
);
const SCANS: Family = family(
    "posixlake_scans_total",
    "counter",
    "scans",
    "Scans of tables that ended",
);
const FILES: Family = family(
    "posixlake_scan_files_total",
    "counter",
    "files",
    "Data files of scanned versions: read, or skipped because no row of them could match",
);
const BYTES: Family = family(
    "posixlake_scan_bytes_total",
    "counter",
    "bytes",
    "Bytes of data files of scanned versions: fetched, in files that were skipped, and in all files",
);
const SCANNED: Family = family(
    "posixlake_scan_rows_total",
    "counter",
    "rows",
    "Rows that scans passed on",
);
const SKIPPED: Family = family(
    "posixlake_data_skipping_ratio",
    "gauge",
    "ratio",
    "Files that scans skipped, as a share of all files of the scanned versions",
);
const CACHED: Family = family(
    "posixlake_data_cache_read_bytes_total",
    "counter",
    "bytes",
    "Bytes of data files that scans of remote tables got: from the local disk (hit), or from the store (miss)",
);
const CACHE: Family = family(
    "posixlake_data_cache_bytes",
    "gauge",
    "bytes",
    "Disk that kept data files take",
);
const MEMORY: Family = family(
    "posixlake_memory_reserved_bytes",
    "gauge",
    "bytes",
    "Memory that sorts, joins and aggregates hold",
);
const UPTIME: Family = family(
    "posixlake_uptime_seconds",
    "gauge",
    "seconds",
    "Since the lake was opened",
);
const START: Family = family(
    "process_start_time_seconds",
    "gauge",
    "seconds",
    "When the lake was opened, since 1970",
);
const RESIDENT: Family = family(
    "process_resident_memory_bytes",
    "gauge",
    "bytes",
    "Resident memory of the process",
);

/// All samples, in the order of their families.
pub(super) fn samples(lake: &Lake) -> Vec<Sample> {
    let monitor = lake.monitor();
    let mut samples = Vec::new();
    let mut add = |family: Family, labels: &[(&'static str, &str)], value: f64| {
        samples.push(Sample {
            family,
            suffix: "",
            labels: labels.iter().map(|(key, value)| (*key, (*value).to_string())).collect(),
            value,
        });
    };
    for ((name, outcome), count) in monitor.ended() {
        add(
            STATEMENTS,
            &[("statement", name), ("outcome", outcome.name())],
            count as f64,
        );
    }
    add(RUNNING, &[], monitor.queries().len() as f64);
    add(ROWS, &[], monitor.rows.load(Ordering::Relaxed) as f64);
    add(COMMITS, &[], monitor.commits.load(Ordering::Relaxed) as f64);
    let scans: ScanTotals = lake.scans().totals();
    add(SCANS, &[], scans.scans as f64);
    add(FILES, &[("outcome", "read")], scans.files_read as f64);
    add(FILES, &[("outcome", "skipped")], scans.files_skipped as f64);
    add(BYTES, &[("outcome", "fetched")], scans.bytes_read as f64);
    add(BYTES, &[("outcome", "skipped")], scans.bytes_skipped as f64);
    add(BYTES, &[("outcome", "all")], scans.bytes_total as f64);
    add(SCANNED, &[], scans.rows as f64);
    if scans.files_total > 0 {
        add(SKIPPED, &[], scans.files_skipped as f64 / scans.files_total as f64);
    }
    if let Some(cache) = lake.stores().data_cache() {
        add(CACHED, &[("outcome", "hit")], cache.hits as f64);
        add(CACHED, &[("outcome", "miss")], cache.misses as f64);
        add(CACHE, &[], cache.kept as f64);
    }
    if let Ok(state) = lake.session_state() {
        add(MEMORY, &[], state.runtime_env().memory_pool.reserved() as f64);
    }
    add(UPTIME, &[], monitor.clock.elapsed().as_secs_f64());
    add(START, &[], monitor.started.timestamp_millis() as f64 / 1000.0);
    if let Some(bytes) = resident() {
        add(RESIDENT, &[], bytes as f64);
    }
    samples.extend(durations(monitor));
    samples
}

fn durations(monitor: &Monitor) -> Vec<Sample> {
    let mut samples = Vec::new();
    let sample = |suffix: &'static str, labels: Vec<(&'static str, String)>, value: f64| Sample {
        family: SECONDS,
        suffix,
        labels,
        value,
    };
    let mut sum = 0;
    let bounds = BOUNDS.map(|bound| (bound as f64 / 1000.0).to_string());
    let bounds = bounds.into_iter().chain(["+Inf".to_string()]);
    for (bound, count) in bounds.zip(&monitor.durations) {
        sum += count.load(Ordering::Relaxed);
        samples.push(sample("_bucket", vec![("le", bound)], sum as f64));
    }
    samples.push(sample(
        "_sum",
        Vec::new(),
        monitor.micros.load(Ordering::Relaxed) as f64 / 1e6,
    ));
    samples.push(sample("_count", Vec::new(), sum as f64));
    samples
}

/// The process's resident memory, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The samples in Prometheus's text format, version 0.0.4.
pub(super) fn prometheus(lake: &Lake) -> String {
    let mut text = String::new();
    let mut last = "";
    for sample in samples(lake) {
        let Family { name, kind, help, .. } = sample.family;
        // Writing to a text does not fail.
        if name != last {
            let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
            last = name;
        }
        let _ = writeln!(text, "{}{} {}", sample.name(), sample.labels(), sample.value);
    }
    text
}
