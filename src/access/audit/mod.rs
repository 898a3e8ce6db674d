//! The audit trail: one row a statement, a denial and a refused password, in a Delta table below `_posixlake/audit`.
//!
//! Rows are gathered and written behind the statements; those of what was refused are on disk before the answer.

mod compact;
mod exec;
mod ticket;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use parking_lot::Mutex;

use super::Touch;
use super::login::Door;
use super::place::Home;
use crate::catalog::{Lake, SnapshotCache};
use crate::error::Result;
use crate::log::Background;
use crate::table::{Rows, RowsTable};
pub(crate) use exec::AuditPlanner;
pub(crate) use ticket::Ticket;

/// How long rows are gathered before they are written.
const GATHER: Duration = Duration::from_secs(2);
/// How many rows are written at once at the latest.
const MOST: usize = 4096;
/// How many rows are kept while they cannot be written.
const LIMIT: usize = 100_000;

/// A row of the trail.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Microseconds since 1970.
    time: i64,
    user: Option<String>,
    client: String,
    statement: Option<String>,
    kind: &'static str,
    tables: Option<String>,
    rows: Option<i64>,
    version: Option<i64>,
    outcome: Outcome,
    message: Option<String>,
    milliseconds: f64,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Denied,
    Failed,
    /// Its rows were not read to the end.
    Stopped,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Denied => "denied",
            Self::Failed => "error",
            Self::Stopped => "stopped",
        }
    }
}

/// Writes the trail of one session. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Arc<Trail>);

#[derive(Debug)]
struct Trail {
    home: Option<Home>,
    tables: Option<SnapshotCache>,
    door: Door,
    client: String,
    gathered: Mutex<Vec<Entry>>,
    writing: tokio::sync::Mutex<()>,
    compacting: tokio::sync::Mutex<()>,
    timed: AtomicBool,
    /// Days that rows are kept; 0 for ever.
    keep: AtomicI64,
    background: Background,
}

impl Audit {
    pub(super) fn new(home: Option<&Home>, door: Door) -> Self {
        Self(Arc::new(Trail {
            home: home.cloned(),
            tables: home.map(|home| SnapshotCache::new(home.stores.clone())),
            door,
            client: client(),
            gathered: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            timed: AtomicBool::new(false),
            keep: AtomicI64::new(0),
            background: Background::default(),
        }))
    }

    /// Whether there is a lake to write into.
    pub(crate) fn has_home(&self) -> bool {
        self.0.home.is_some()
    }

    /// How many days rows are kept; 0 for ever.
    pub(crate) fn keep(&self, days: i64) {
        self.0.keep.store(days, Ordering::Relaxed);
    }

    fn push(&self, entry: Entry) {
        let gathered = {
            let mut gathered = self.0.gathered.lock();
            gathered.push(entry);
            gathered.len()
        };
        let first = !self.0.timed.swap(true, Ordering::SeqCst);
        if !first && gathered != MOST {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.0.timed.store(false, Ordering::SeqCst);
            return;
        };
        let trail = self.clone();
        runtime.spawn(async move {
            if first {
                tokio::time::sleep(GATHER).await;
                trail.0.timed.store(false, Ordering::SeqCst);
            }
            trail.flush().await;
            trail.0.compact().await;
        });
    }

    /// Writes what was gathered, and says whether there was anything. Whatever fails is kept for the next time, and said in
    /// the log.
    pub(crate) async fn flush(&self) -> bool {
        let _writing = self.0.writing.lock().await;
        let entries = std::mem::take(&mut *self.0.gathered.lock());
        if entries.is_empty() {
            return false;
        }
        if let Err(error) = self.0.write(&entries).await {
            tracing::error!(%error, rows = entries.len(), "the audit trail could not be written");
            let mut gathered = self.0.gathered.lock();
            let newer = std::mem::replace(&mut *gathered, entries);
            gathered.extend(newer);
            let surplus = gathered.len().saturating_sub(LIMIT);
            gathered.drain(..surplus);
        }
        true
    }

    /// Writes what was gathered, and waits for the work behind it.
    pub(crate) async fn close(&self) {
        if self.flush().await {
            self.0.compact().await;
        }
        self.0.background.finish().await;
    }

    /// Writes down that somebody was not let in.
    pub(super) async fn refused_login(&self, user: &str) {
        self.push(Entry {
            time: Utc::now().timestamp_micros(),
            user: Some(user.to_string()),
            client: self.0.client.clone(),
            statement: None,
            kind: "LOGIN",
            tables: None,
            rows: None,
            version: None,
            outcome: Outcome::Denied,
            message: Some("wrong user or password".to_string()),
            milliseconds: 0.0,
        });
        self.flush().await;
    }
}

/// The table `system.audit`, up to this moment as far as this session's own statements go.
///
/// # Errors
/// Where the session's user is no admin; as the store's.
pub(crate) async fn audit_table(lake: &Lake) -> Result<Arc<dyn TableProvider>> {
    let access = lake.access();
    access.check(&[Touch::Users])?;
    let audit = access.audit();
    audit.flush().await;
    if let (Some(home), Some(tables)) = (&audit.0.home, &audit.0.tables)
        && let Some(snapshot) = tables.latest(&home.audit).await?
    {
        let rows = Rows::new(lake.stores().clone(), snapshot, "system.audit", false)?;
        return Ok(Arc::new(RowsTable(rows)));
    }
    Ok(Arc::new(MemTable::try_new(write::schema(), vec![Vec::new()])?))
}

/// The account and machine of this process.
fn client() -> String {
    let uid = nix::unistd::geteuid();
    let account = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let account = account.unwrap_or_else(|| uid.to_string());
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok());
    match host {
        Some(host) => format!("{account}@{}", host.trim()),
        None => account,
    }
}
