//! The line that says how far a long statement is, taken from the metrics of its running plan.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::monitor::{Done, Total};

/// A statement that is done before this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// Reading the metrics of a plan over very many files takes a while: it may take this share of the time at most.
const SHARE: u32 = 50;

/// The progress line of one statement.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    due: Instant,
    plan: Option<Arc<dyn ExecutionPlan>>,
    total: Arc<OnceLock<Total>>,
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
                tokio::task::spawn_blocking(move || total.set(Total::of(&plan)));
            }
        }
        let done = self.plan.as_ref().map(Done::of);
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
    if let Some(percent) = total.and_then(|total| done.percent(total)) {
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
}
