//! The lake as files: names, handles, staged edits, and the statements that edits become.

mod attributes;
mod boundary;
mod content;
mod detach;
mod edit;
mod ending;
mod entries;
mod folders;
mod handle;
mod keys;
mod names;
mod query;
mod recover;
mod refusal;
mod serve;
mod session;
mod state;
mod statement;
mod table;
mod whole;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

pub use attributes::FSID;
pub use refusal::Refusal;
pub use state::{PendingEdit, State};

use crate::lake::{self, Lake, TableName};
use crate::render::{Format, Renderer};
use crate::scratch::{Id, Scratch};
use handle::{Handles, table_id};
use query::Query;
use table::{Client, Table};

/// How the mount behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where staged edits, scratch files and the handles' key are kept. It must outlive restarts, and be on a local disk.
    pub state: PathBuf,
    /// Owner that files show.
    pub uid: u32,
    /// Group that files show.
    pub gid: u32,
    /// Permission bits that files do not have.
    pub umask: u32,
    /// How long a write that changes rows in place waits for another that belongs to it.
    pub settle: Duration,
    /// How long the answer to a write that takes rows away is held back, for a sign that more is to come.
    pub hold: Duration,
    /// How long a client must be silent before rows that are missing in a rewritten file are deleted, if nothing else says that it is done.
    pub silence: Duration,
    /// How long a last line without a line end waits for its end.
    pub tail: Duration,
    /// How long a removed file may be made again before the table is emptied.
    pub grace: Duration,
    /// How long a change in place that is not whole is waited for.
    pub patience: Duration,
    /// A file that is truncated and rewritten may take away at most this many rows…
    pub guard_rows: u64,
    /// …unless they are less than this part of all.
    pub guard_part: f64,
    /// A table that can only be read.
    pub read_only: bool,
}

impl Options {
    /// The folder of edits: statements read their rows from files in it.
    #[must_use]
    pub fn edits(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// The defaults, with state in `state`.
    pub fn new(state: PathBuf) -> Self {
        Self {
            state,
            uid: 0,
            gid: 0,
            umask: 0o022,
            settle: Duration::from_millis(50),
            hold: Duration::from_millis(300),
            silence: Duration::from_secs(6),
            tail: Duration::from_secs(2),
            grace: Duration::from_secs(3),
            patience: Duration::from_secs(60),
            guard_rows: 100_000,
            guard_part: 0.5,
            read_only: false,
        }
    }
}

/// The lake as a file system.
pub struct Mount {
    lake: Arc<dyn Lake>,
    renderer: Arc<Renderer>,
    scratch: Scratch,
    options: Options,
    handles: Handles,
    tables: Mutex<HashMap<u64, Arc<Table>>>,
    queries: Mutex<HashMap<Client, Arc<tokio::sync::Mutex<Query>>>>,
    /// Scratch files that were renamed onto a table's rows: who still holds their handle sees the rows.
    became: Mutex<HashMap<Id, Became>>,
    verifier: [u8; 8],
    started: SystemTime,
    ended: tokio::sync::watch::Sender<bool>,
}

/// What a scratch file, or a folder of such, became.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Became {
    /// The rows of a table.
    Rows { table: u64, format: Format },
    /// The folder of a table.
    Folder(u64),
}

impl Mount {
    /// Opens the mount's state, replays edits that a crash interrupted, and starts to watch for edits that end in silence.
    ///
    /// # Errors
    /// Where the state folder cannot be used, or belongs to another running server.
    pub async fn open(
        lake: Arc<dyn Lake>,
        renderer: Arc<Renderer>,
        scratch: Scratch,
        options: Options,
    ) -> std::io::Result<Arc<Self>> {
        let (key, verifier) = recover::keys(&options.state)?;
        let mount = Arc::new(Self {
            lake,
            renderer,
            scratch,
            options,
            handles: Handles::new(key),
            tables: Mutex::default(),
            queries: Mutex::default(),
            became: Mutex::default(),
            verifier,
            started: SystemTime::now(),
            ended: tokio::sync::watch::Sender::new(false),
        });
        mount.recover().await;
        let watched = Arc::downgrade(&mount);
        tokio::spawn(boundary::watch(watched));
        Ok(mount)
    }

    /// Applies what clients are done with and keeps the rest for the next start.
    pub async fn close(&self) {
        self.ended.send_replace(true);
        self.finish_edits().await;
    }

    fn table(&self, id: u64) -> Option<Arc<Table>> {
        self.tables.lock().get(&id).cloned()
    }

    /// The table of a name, which need not be there.
    fn table_of(&self, name: &TableName) -> Arc<Table> {
        let id = table_id(name);
        let mut tables = self.tables.lock();
        tables
            .entry(id)
            .or_insert_with(|| Arc::new(Table::new(id, name.clone())))
            .clone()
    }

    /// The table of a handle.
    ///
    /// # Errors
    /// As the lake's; [`lake::Kind::NotFound`] where no table has the id.
    async fn table_by_id(&self, id: u64) -> lake::Result<Arc<Table>> {
        if let Some(table) = self.table(id) {
            return Ok(table);
        }
        for name in self.lake.tables().await? {
            self.table_of(&name);
        }
        self.table(id).ok_or_else(|| lake::LakeError {
            kind: lake::Kind::NotFound,
            message: "the table is gone".to_string(),
        })
    }

    fn all_tables(&self) -> Vec<Arc<Table>> {
        self.tables.lock().values().cloned().collect()
    }

    /// Where the text of a table's last refused edit is kept.
    fn rejected_path(&self, table: &Table) -> PathBuf {
        self.options.state.join("rejected").join(format!("{:016x}", table.id))
    }
}
