//! A statement on its way into the trail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use chrono::Utc;
use posixlake_sql::{Statement, mask_passwords};

use super::{Audit, Entry, Outcome};
use crate::access::Touch;
use crate::access::place::Place;
use crate::catalog::Lake;
use crate::error::{Error, ErrorKind};

/// How much of a statement's text is kept.
const LONGEST: usize = 16_384;

/// What is known of a statement before it runs.
#[derive(Debug)]
pub(crate) struct Ticket {
    audit: Audit,
    time: i64,
    started: Instant,
    user: Option<String>,
    client: String,
    statement: String,
    kind: &'static str,
    pub(super) modifies: bool,
    tables: Option<String>,
    told: AtomicBool,
}

impl Ticket {
    /// The ticket of a statement that begins at this moment, of a user and, where it is not this process, a client.
    pub(crate) fn new(audit: &Audit, who: (Option<String>, Option<&str>), statement: &Statement, text: &str) -> Self {
        let (user, client) = who;
        let mut text = mask_passwords(text);
        if text.len() > LONGEST {
            let end = (0..=LONGEST)
                .rev()
                .find(|end| text.is_char_boundary(*end))
                .unwrap_or_default();
            text.truncate(end);
            text.push('…');
        }
        Self {
            audit: audit.clone(),
            time: Utc::now().timestamp_micros(),
            started: Instant::now(),
            user,
            client: client.unwrap_or(&audit.0.client).to_string(),
            statement: text,
            kind: statement.name(),
            modifies: statement.modifies(),
            tables: None,
            told: AtomicBool::new(false),
        }
    }

    /// Notes what the statement's plan touches.
    pub(crate) fn touching(&mut self, lake: &Lake, touches: &[Touch]) {
        let mut names: Vec<String> = Vec::new();
        for touch in touches {
            let name = match touch {
                Touch::Table(url, _) => match lake.access().home().map(|home| home.place(url)) {
                    Some(Place::Table { schema, table }) => crate::access::shown(&schema, &table),
                    _ => url.to_string(),
                },
                Touch::Schema(schema, _) => schema.clone(),
                Touch::Files(path) => path.clone(),
                Touch::Users => continue,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.tables = (!names.is_empty()).then(|| names.join(", "));
    }

    /// Writes down that the statement was not run. What was denied is on disk when this returns.
    pub(crate) async fn refused(&self, error: &Error) {
        self.finish(failure(error), None, None, Some(error.message()));
        if error.kind() == ErrorKind::Permission {
            self.audit.flush().await;
        }
    }

    /// Writes down that the statement is done.
    pub(crate) fn done(&self) {
        self.finish(Outcome::Done, None, None, None);
    }

    /// A statement whose rows are asked for more than once has a row for each.
    fn finish(&self, outcome: Outcome, rows: Option<i64>, version: Option<i64>, message: Option<&str>) {
        self.told.store(true, Ordering::Relaxed);
        self.audit.push(Entry {
            time: self.time,
            user: self.user.clone(),
            client: self.client.clone(),
            statement: Some(self.statement.clone()),
            kind: self.kind,
            tables: self.tables.clone(),
            rows,
            version,
            outcome,
            message: message.map(mask_passwords),
            milliseconds: self.started.elapsed().as_secs_f64() * 1000.0,
        });
    }
}

/// A statement that was never run, or not even planned to its end.
impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.told.load(Ordering::Relaxed) {
            self.finish(Outcome::Stopped, None, None, None);
        }
    }
}

fn failure(error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::Permission => Outcome::Denied,
        _ => Outcome::Failed,
    }
}

/// One run of a statement's plan: ends when the last of its partitions does.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ticket: Arc<Ticket>,
    rows: AtomicI64,
    /// The last version that it committed; -1 for none.
    pub(super) version: Arc<AtomicI64>,
    ended: AtomicBool,
    begun: AtomicBool,
}

impl Run {
    pub(super) fn new(ticket: Arc<Ticket>) -> Self {
        Self {
            ticket,
            rows: AtomicI64::new(0),
            version: Arc::new(AtomicI64::new(-1)),
            ended: AtomicBool::new(false),
            begun: AtomicBool::new(false),
        }
    }

    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(super) fn count(&self, rows: i64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn end(&self, outcome: Outcome, message: Option<&str>) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let version = Some(self.version.load(Ordering::Relaxed)).filter(|version| *version >= 0);
        let rows = Some(self.rows.load(Ordering::Relaxed)).filter(|_| outcome != Outcome::Failed);
        self.ticket.finish(outcome, rows, version, message);
    }

    pub(super) fn fail(&self, error: &Error) {
        self.end(failure(error), Some(error.message()));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.begun.load(Ordering::Relaxed) {
            self.end(Outcome::Stopped, None);
        }
    }
}
