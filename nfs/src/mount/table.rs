//! What the mount knows of one table: its latest version, the lines of versions that handles stand for, and the edits under way.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nfs3_types::nfs3::nfstime3;
use parking_lot::Mutex;

use super::attributes::later;
use super::handle::{TextId, text_id};
use super::session::Session;
use crate::call;
use crate::file_system::{Caller, Handle};
use crate::lake::{self, At, Lake, TableName, Version};
use crate::render::Format;

/// A client: its address and the name it gives itself. Connections do not matter: one client has several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Client(pub(crate) String);

impl Client {
    pub(crate) fn of(caller: &Caller) -> Self {
        Self(format!("{} {}", caller.address.ip(), caller.machine))
    }
}

/// An edit that was refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) time: SystemTime,
    pub(crate) client: String,
    pub(crate) operation: &'static str,
    pub(crate) version: u64,
    pub(crate) reason: String,
}

/// How the file of a table's rows lost its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// `rm`: when nothing takes the name, the table is emptied.
    Removed,
    /// `mv` to another name: when nothing takes the name, it comes back.
    Renamed,
}

/// The name is free, the table untouched yet.
#[derive(Debug, Clone)]
pub(crate) struct Detached {
    pub(crate) format: Format,
    pub(crate) base: Arc<Version>,
    pub(crate) loss: Loss,
    pub(crate) since: Instant,
    pub(crate) client: Client,
    pub(crate) author: lake::Author,
}

/// A line of versions: the version that it begins with, and how often its handle changed since.
pub(crate) type Line = (u64, u32);

/// How many refusals `data.csv.errors` shows.
const REFUSALS: usize = 100;
/// How long the bytes of a file are read without asking for the latest version again: a client asks for attributes when it opens a file, and whenever it wants
/// to know of changes.
const RECENT: Duration = Duration::from_secs(1);
/// How many clients' last sizes are remembered.
const TOLD: usize = 65_536;

/// A table of the mount.
pub(crate) struct Table {
    pub(crate) id: u64,
    pub(crate) name: TableName,
    pub(crate) state: Mutex<State>,
    /// One edit of a table at a time is turned into a statement.
    pub(crate) editing: tokio::sync::Mutex<()>,
}

/// What changes of a table.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) current: Option<Arc<Version>>,
    /// When the lake was last asked for it.
    asked: Option<Instant>,
    line: Line,
    /// The version that a line ended with.
    ended: HashMap<Line, u64>,
    /// Where a client's own edit took a line: it goes on under the handle that it has.
    followed: HashMap<(Line, Client), u64>,
    /// The ends of the file that clients were told.
    told: HashMap<(TextId, Client), u64>,
    pub(crate) sessions: HashMap<(TextId, Client), Arc<tokio::sync::Mutex<Session>>>,
    pub(crate) detached: Option<Detached>,
    /// Other names that the file of rows was given, by which it is still read: `data.csv~`, `.nfs…`.
    pub(crate) aliases: HashMap<Vec<u8>, Handle>,
    pub(crate) refusals: VecDeque<Refused>,
    pub(crate) rejected: Option<PathBuf>,
    /// When a name of the folder last came or went.
    touched: Option<SystemTime>,
}

/// Whether `later` shows all that `earlier` shows, in the same place, and maybe more behind it.
pub(crate) fn appends_to(earlier: &Version, later: &Version) -> bool {
    earlier.id == later.id && earlier.schema == later.schema && later.files.starts_with(&earlier.files)
}

impl Table {
    pub(crate) fn new(id: u64, name: TableName) -> Self {
        Self {
            id,
            name,
            state: Mutex::default(),
            editing: tokio::sync::Mutex::default(),
        }
    }

    /// The latest version, asked for once in a client's call.
    ///
    /// # Errors
    /// As the lake's.
    pub(crate) async fn latest(&self, lake: &dyn Lake) -> lake::Result<Arc<Version>> {
        if let Some(version) = self.known() {
            return Ok(version);
        }
        let version = self.newest(lake).await?;
        call::learned(self.id);
        Ok(version)
    }

    /// The latest version as far as it need not be asked for in the call at hand.
    pub(crate) fn known(&self) -> Option<Arc<Version>> {
        let state = self.state.lock();
        let recent = || state.asked.is_some_and(|asked| asked.elapsed() < RECENT);
        if call::knows(self.id) || (call::is_content_with_recent() && recent()) {
            return state.current.clone();
        }
        None
    }

    /// The latest version, asked for in any case.
    ///
    /// # Errors
    /// As the lake's.
    pub(crate) async fn newest(&self, lake: &dyn Lake) -> lake::Result<Arc<Version>> {
        let asked = Instant::now();
        let version = lake.version(&self.name, &At::Latest).await?;
        let mut state = self.state.lock();
        state.advance(&version);
        state.asked = Some(asked);
        Ok(version)
    }

    /// The handle that the table's rows have for whoever looks them up by name.
    pub(crate) fn text(&self, version: &Version, format: Format) -> TextId {
        let (start, turn) = self.state.lock().line;
        TextId {
            table: self.id,
            incarnation: text_id(&version.id),
            format,
            version: start,
            turn,
        }
    }

    /// The number of the version that a handle shows to a client; `None`: the latest.
    pub(crate) async fn shown(&self, lake: &dyn Lake, id: &TextId, client: &Client) -> lake::Result<Arc<Version>> {
        let latest = self.latest(lake).await?;
        let line = (id.version, id.turn);
        let number = {
            let state = self.state.lock();
            if line == state.line {
                return Ok(latest);
            }
            state
                .followed
                .get(&(line, client.clone()))
                .or_else(|| state.ended.get(&line))
                .copied()
        };
        let number = number.unwrap_or(id.version);
        if number == latest.number {
            return Ok(latest);
        }
        let version = lake.version(&self.name, &At::Version(number)).await?;
        // A line that this process has not seen begin, and that has not ended.
        if number == id.version
            && id.turn == 0
            && appends_to(&version, &latest)
            && !self.state.lock().ended.contains_key(&line)
        {
            return Ok(latest);
        }
        Ok(version)
    }
}

impl State {
    /// Takes a version as the latest.
    pub(crate) fn advance(&mut self, version: &Arc<Version>) {
        let Some(current) = self.current.replace(version.clone()) else {
            self.line = (version.number, 0);
            return;
        };
        if Arc::ptr_eq(&current, version) || (current.id == version.id && current.number == version.number) {
            return;
        }
        if current.id == version.id && current.number > version.number {
            // Somebody else read a later one in the meantime.
            self.current = Some(current);
            return;
        }
        if !appends_to(&current, version) {
            self.ended.insert(self.line, current.number);
            self.line = (version.number, 0);
        }
    }

    /// Gives the rows another handle, the present one showing the present version from then on.
    pub(crate) fn turn(&mut self) {
        let number = self.current.as_ref().map_or(self.line.0, |version| version.number);
        self.ended.insert(self.line, number);
        self.line.1 += 1;
        self.touch();
    }

    /// A client's handle follows where its own edit went.
    pub(crate) fn follow(&mut self, id: &TextId, client: &Client, version: u64) {
        let line = (id.version, id.turn);
        if line != self.line {
            self.followed.insert((line, client.clone()), version);
        }
    }

    /// The end of the file that a client knows.
    pub(crate) fn told(&self, id: &TextId, client: &Client) -> Option<u64> {
        self.told.get(&(*id, client.clone())).copied()
    }

    pub(crate) fn tell(&mut self, id: &TextId, client: &Client, size: u64) {
        if self.told.len() >= TOLD {
            self.told.clear();
        }
        self.told.insert((*id, client.clone()), size);
    }

    /// Notes an edit that was refused, for `data.csv.errors`.
    pub(crate) fn refuse(&mut self, author: &lake::Author, operation: &'static str, version: u64, reason: &str) {
        while self.refusals.len() >= REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(Refused {
            time: SystemTime::now(),
            client: author.client.clone(),
            operation,
            version,
            reason: reason.to_string(),
        });
        self.touch();
    }

    /// Whether a text is being made in the place of one that lost its name.
    pub(crate) fn is_made_anew(&self, format: Format) -> bool {
        let current = |id: &TextId| (id.version, id.turn) == self.line && id.format == format;
        self.sessions.keys().any(|(id, _)| current(id))
    }

    /// A name of the folder came or went.
    pub(crate) fn touch(&mut self) {
        let now = SystemTime::now();
        let after = self
            .touched
            .map_or(now, |last| now.max(last + std::time::Duration::from_nanos(1)));
        self.touched = Some(after);
    }

    /// The folder's time of change.
    pub(crate) fn folder_time(&self) -> nfstime3 {
        let version = self.current.as_ref().map(|version| version_time(version));
        let touched = self.touched.and_then(|time| nfstime3::try_from(time).ok());
        match (version, touched) {
            (Some(version), Some(touched)) => later(version, touched),
            (Some(time), None) | (None, Some(time)) => time,
            (None, None) => nfstime3::default(),
        }
    }
}

/// A version's time for `stat`: the commit's, with the version's number below the millisecond, so that two versions never have the same.
pub(crate) fn version_time(version: &Version) -> nfstime3 {
    let millis = u64::try_from(version.time).unwrap_or_default();
    nfstime3 {
        seconds: u32::try_from(millis / 1000).unwrap_or(u32::MAX),
        nseconds: u32::try_from((millis % 1000) * 1_000_000 + version.number % 1_000_000).unwrap_or_default(),
    }
}
