//! Where an edit may end: each stable write, each COMMIT, each sign that a tool is done, and silence. What stands then is classified, and applied, kept or refused.
//!
//! NFSv3 has no close. A client's last write looks like any other, appends arrive as whole pages, and half a file is flushed when somebody else looks at it.
//! So nothing is taken for the end that could be the middle, unless taking it for the end loses nothing.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use uuid::Uuid;

use super::Mount;
use super::edit::{Applied, By, NewText, Part};
use super::ending::{Ending, ending};
use super::refusal::Refusal;
use super::session::{Session, disk};
use super::table::{Table, appends_to};
use crate::failpoint;
use crate::file_system::Status;
use crate::render::Format;

/// Why a boundary is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// A stable write, or a COMMIT: perhaps the end.
    Perhaps,
    /// The client did what tools do when they are done.
    Done,
    /// The client has been silent for long, or the server goes.
    Silence,
}

/// What became of a boundary.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The text says what the table says, or has become a statement.
    Settled,
    /// The text is kept, durably, and looked at again.
    Kept,
    Refused(Refusal),
}

impl Outcome {
    /// # Errors
    /// The refusal's status.
    pub(crate) fn accepted(self) -> Result<(), Status> {
        match self {
            Self::Settled | Self::Kept => Ok(()),
            Self::Refused(refusal) => Err(refusal.status),
        }
    }
}

/// Texts up to this size are compared with what the table shows after them.
const COMPARED: u64 = 16 << 20;
/// How often edits that wait are looked at.
const WATCH: Duration = Duration::from_millis(200);
/// How often scratch files that nobody uses are removed.
const SWEEP: Duration = Duration::from_secs(600);

/// Looks after edits that end in silence, until the mount is gone.
pub(crate) async fn watch(mount: Weak<Mount>) {
    let mut swept = Instant::now();
    loop {
        let asleep = Instant::now();
        tokio::time::sleep(WATCH).await;
        let Some(mount) = mount.upgrade() else { return };
        if *mount.ended.borrow() {
            return;
        }
        // A machine that is out of breath, or was suspended, hears nobody.
        let late = asleep.elapsed().saturating_sub(WATCH);
        mount.clone().look_at_silence(late).await;
        if swept.elapsed() >= SWEEP {
            swept = Instant::now();
            if let Err(status) = mount.scratch.expire().await {
                tracing::warn!("unused scratch files stay: {status}");
            }
        }
    }
}

type Shared = Arc<AsyncMutex<Session>>;
pub(crate) type Locked<'a> = MutexGuard<'a, Session>;

impl Mount {
    /// Looks at a session where it may end.
    pub(crate) async fn boundary(&self, table: &Table, shared: &Shared, moment: Moment) -> Outcome {
        let outcome = self.look(table, shared, moment).await;
        if let Err(refusal) = outcome {
            let mut session = shared.lock().await;
            if session.ended.is_none() {
                self.refuse(table, &mut session, &refusal).await;
            }
            return Outcome::Refused(refusal);
        }
        if let Ok(true) = outcome {
            return Outcome::Settled;
        }
        // Looking may take long, and the client waits for its answer meanwhile.
        shared.lock().await.hear();
        Outcome::Kept
    }

    /// Whether the edit is settled.
    async fn look(&self, table: &Table, shared: &Shared, moment: Moment) -> Result<bool, Refusal> {
        let session = shared.lock().await;
        if let Some(ended) = &session.ended {
            return ended.clone().map(|()| true);
        }
        if session.replaced {
            return self.look_at_rewrite(table, session, moment).await;
        }
        if session.is_idle() {
            self.end(table, session);
            return Ok(true);
        }
        if session.first_difference().await?.is_none() {
            return self.look_at_append(table, session, moment).await;
        }
        let (writes, silent) = (session.writes, session.silent_for());
        if moment == Moment::Perhaps && silent < self.options.settle {
            drop(session);
            tokio::time::sleep(self.options.settle).await;
            let session = shared.lock().await;
            if let Some(ended) = &session.ended {
                return ended.clone().map(|()| true);
            }
            if session.writes != writes {
                return keep(&session).await;
            }
            return self.look_at_change(table, session, moment).await;
        }
        self.look_at_change(table, session, moment).await
    }

    /// Text behind the end that the client knew: rows to add.
    async fn look_at_append(&self, table: &Table, mut session: Locked<'_>, moment: Moment) -> Result<bool, Refusal> {
        let start = session.told.max(session.applied);
        // Who writes further behind knew more of the file than it was told.
        let written = session
            .written
            .within(start..session.size)
            .next()
            .map_or(start, |range| range.start);
        let start = if written <= session.rendering.size() {
            written
        } else {
            start
        };
        if session.size <= start {
            self.end(table, session);
            return Ok(true);
        }
        if !session.is_whole_from(start) {
            return keep(&session).await;
        }
        let csv = session.text.format == Format::Csv;
        let file = self
            .options
            .edits()
            .join(format!("{}-append.{}", session.id, if csv { "csv" } else { "jsonl" }));
        session.copy(start, session.size, &file).await?;
        let path = file.clone();
        let found = super::session::blocking(move || ending(&path, csv))
            .await
            .map_err(disk)?;
        let whole = match found {
            Ending::Whole => session.size - start,
            // What has no line end may go on. In silence, it is taken for a line.
            Ending::Open { quoted: false, .. } if moment >= Moment::Done => session.size - start,
            Ending::Open { quoted: true, .. } if moment == Moment::Silence => {
                let _ = std::fs::remove_file(&file);
                return Err(Refusal::invalid(
                    "the last line begins a quoted field that does not end",
                ));
            }
            Ending::Open { complete, .. } => complete,
        };
        if whole == 0 {
            let _ = std::fs::remove_file(&file);
            return keep(&session).await;
        }
        if whole < session.size - start {
            let cut = std::fs::File::options()
                .write(true)
                .open(&file)
                .and_then(|file| file.set_len(whole));
            cut.map_err(disk)?;
        }
        let line = session.rendering.rows() + 2;
        let by = by(&session);
        session.statements += 1;
        let outcome = self.append(table, session.text.format, &file, line, &by).await;
        let _ = std::fs::remove_file(&file);
        let applied = outcome?;
        let end = start + whole;
        // What was committed is never reported as failed: a text that cannot be shown is another than was written.
        let canonical = end == session.size
            && appends_to(&session.base, &applied.version)
            && self.reads_alike(&session, &applied, start, end).await.unwrap_or(false);
        if canonical {
            table.state.lock().tell(&session.text, &session.client, end);
            self.end(table, session);
            return Ok(true);
        }
        // The client goes on with the bytes that it wrote; whoever opens the file sees how the table spells them.
        session.applied = end;
        table.state.lock().turn();
        if end < session.size {
            return keep(&session).await;
        }
        Ok(true)
    }

    /// Whether the table's text ends where the session's does, and says the same from `start` on.
    async fn reads_alike(&self, session: &Session, applied: &Applied, start: u64, end: u64) -> Result<bool, Refusal> {
        let version = applied.version.clone();
        let rendering = self.renderer.open(version, session.text.format).await?;
        if rendering.size() != end {
            return Ok(false);
        }
        if end - start > COMPARED {
            return Ok(true);
        }
        let length = usize::try_from(end - start).unwrap_or_default();
        Ok(session.read(start, length).await? == rendering.read(start, length).await?)
    }

    /// A client's handle goes on with the version that its text has become.
    async fn follow(&self, table: &Table, session: &Session, applied: &Applied) {
        let (text, client, end) = (&session.text, &session.client, session.size);
        let knows_end = self.reads_alike(session, applied, end, end).await.unwrap_or(false);
        let mut state = table.state.lock();
        state.follow(text, client, applied.version.number);
        // Its next write may be on its way, before it was told anything.
        if knows_end {
            state.tell(text, client, end);
        }
    }

    /// Bytes changed in place.
    async fn look_at_change(&self, table: &Table, session: Locked<'_>, moment: Moment) -> Result<bool, Refusal> {
        let file = self.options.edits().join(format!("{}-whole", session.id));
        let part = changed_part(&session).await?;
        let bytes = part.as_ref().map_or(0..session.size, |part| part.bytes.clone());
        session.copy(bytes.start, bytes.end, &file).await?;
        let csv = session.text.format == Format::Csv;
        let path = file.clone();
        let found = super::session::blocking(move || ending(&path, csv))
            .await
            .map_err(disk)?;
        if moment == Moment::Perhaps && !matches!(found, Ending::Whole) {
            let _ = std::fs::remove_file(&file);
            return keep(&session).await;
        }
        let text = NewText {
            path: file.clone(),
            part,
            ..new_text(&session)
        };
        let outcome = async {
            let prepared = self.compare(text).await?;
            self.apply(table, &prepared, &by(&session)).await
        }
        .await;
        let _ = std::fs::remove_file(&file);
        let applied = outcome?;
        self.follow(table, &session, &applied).await;
        self.end(table, session);
        Ok(true)
    }

    /// A file that was truncated, or made anew.
    async fn look_at_rewrite(&self, table: &Table, mut session: Locked<'_>, moment: Moment) -> Result<bool, Refusal> {
        if session.size == 0 {
            if moment == Moment::Perhaps || (moment == Moment::Done && session.silent_for() < self.options.silence) {
                return keep(&session).await;
            }
            self.guard(&session, session.rendering.rows())?;
            let applied = self.empty(table, &session.base, &by(&session)).await?;
            return self.replaced(table, session, &applied).await;
        }
        if !session.is_whole_from(0) {
            return keep(&session).await;
        }
        if moment == Moment::Perhaps && (session.ends_at_page() || !session.ends_line().await?) {
            return keep(&session).await;
        }
        let writes = session.writes;
        let prepared = match session.prepared.take().filter(|(then, _)| *then == writes) {
            Some((_, prepared)) => prepared,
            None => {
                if moment == Moment::Perhaps && !is_whole(&session).await? {
                    return keep(&session).await;
                }
                self.compare(new_text(&session)).await?
            }
        };
        if moment == Moment::Perhaps && prepared.lacks_rows() && !ends_alike(&session).await? {
            self.guard(&session, prepared.removed())?;
            self.try_rows(&prepared, &by(&session)).await?;
            session.sync().await.map_err(disk)?;
            session.accepted = true;
            session.prepared = Some((writes, prepared));
            drop(session);
            tokio::time::sleep(self.options.hold).await;
            return Ok(false);
        }
        self.guard(&session, prepared.removed())?;
        let applied = self.apply(table, &prepared, &by(&session)).await?;
        self.replaced(table, session, &applied).await
    }

    async fn replaced(&self, table: &Table, session: Locked<'_>, applied: &Applied) -> Result<bool, Refusal> {
        self.follow(table, &session, applied).await;
        {
            let mut state = table.state.lock();
            if state
                .detached
                .as_ref()
                .is_some_and(|detached| detached.format == session.text.format)
            {
                state.detached = None;
                state.turn();
            }
        }
        self.end(table, session);
        Ok(true)
    }

    /// Refuses to take most rows of a large table away by a truncated file: that is rather an accident than a wish.
    fn guard(&self, session: &Session, removed: u64) -> Result<(), Refusal> {
        let rows = session.rendering.rows();
        #[expect(clippy::cast_precision_loss, reason = "a part of the rows")]
        let part = removed as f64 / rows.max(1) as f64;
        if removed <= self.options.guard_rows || part <= self.options.guard_part {
            return Ok(());
        }
        Err(Refusal {
            status: Status::NFS3ERR_PERM,
            reason: format!(
                "the new text leaves out {removed} of {rows} rows: to delete them, write the text to another file and move it over this one, \
                 or remove this one with rm"
            ),
        })
    }

    /// Ends a session. Its lock is held from the look at its text until here, so that no write comes between.
    pub(crate) fn end(&self, table: &Table, mut session: Locked<'_>) {
        if session.ended.is_some() {
            return;
        }
        session.end(Ok(()));
        // What was committed is never reported as failed.
        let _ = failpoint::at("mount.edit.ended");
        forget(table, &session);
    }

    /// Keeps what was refused, says why, and gives the rows another handle, so that the client's memory of the failure goes.
    async fn refuse(&self, table: &Table, session: &mut Session, refusal: &Refusal) {
        let operation = if session.replaced { "rewrite" } else { "edit" };
        let path = self.rejected_path(table);
        let kept = async {
            let start = if session.replaced {
                0
            } else {
                session.told.min(session.size)
            };
            let changed_in_place = !session.replaced && session.first_difference().await?.is_some();
            let start = if changed_in_place { 0 } else { start };
            session.copy(start, session.size, &path).await
        }
        .await;
        if let Err(error) = kept {
            tracing::warn!(table = %table.name.table, "refused text is not kept: {error}");
        }
        tracing::warn!(table = %table.name.table, client = %session.author.client, "edit refused: {}", refusal.reason);
        {
            let mut state = table.state.lock();
            state.rejected = Some(path);
            state.refuse(&session.author, operation, session.base.number, &refusal.reason);
            state.detached = None;
            state.turn();
        }
        session.end(Err(refusal.clone()));
        forget(table, session);
    }

    async fn look_at_silence(self: Arc<Self>, late: Duration) {
        for table in self.all_tables() {
            let sessions: Vec<Shared> = table.state.lock().sessions.values().cloned().collect();
            for shared in sessions {
                let Ok(mut session) = shared.try_lock() else { continue };
                session.excuse(late);
                let appended = session.told <= session.size && session.written.within(0..session.told).next().is_none();
                let finished = session.applied > 0 && session.applied == session.size;
                let wait = if finished {
                    // All of it is in the table; it is kept while the client may still hold the file open.
                    Duration::from_secs(600)
                } else if session.is_cut_off().await {
                    self.options.patience
                } else if session.replaced {
                    self.options.silence
                } else if appended {
                    self.options.tail
                } else {
                    self.options.patience
                };
                if session.silent_for() < wait {
                    continue;
                }
                if finished {
                    self.end(&table, session);
                } else {
                    drop(session);
                    self.boundary(&table, &shared, Moment::Silence).await;
                }
            }
            self.look_at_detached(&table, false).await;
        }
        self.scratch.settle().await;
    }

    /// Applies what is whole, and keeps the rest on disk.
    pub(crate) async fn finish_edits(&self) {
        for table in self.all_tables() {
            let sessions: Vec<Shared> = table.state.lock().sessions.values().cloned().collect();
            for shared in sessions {
                let session = shared.lock().await;
                if session.ended.is_some() || !session.is_cut_off().await {
                    drop(session);
                    self.boundary(&table, &shared, Moment::Silence).await;
                } else if let Err(error) = session.sync().await {
                    tracing::warn!(table = %table.name.table, "an edit under way is not kept: {error}");
                }
            }
            self.look_at_detached(&table, true).await;
        }
        self.scratch.settle().await;
    }
}

fn forget(table: &Table, session: &Session) {
    let key = (session.text, session.client.clone());
    table.state.lock().sessions.remove(&key);
}

async fn keep(session: &Session) -> Result<bool, Refusal> {
    session.sync().await.map_err(disk)?;
    Ok(false)
}

fn new_text(session: &Session) -> NewText {
    NewText {
        path: session.path(),
        format: session.text.format,
        base: session.base.clone(),
        rendering: session.rendering.clone(),
        part: None,
    }
}

/// Whether all of the text is records with their line ends.
async fn is_whole(session: &Session) -> Result<bool, Refusal> {
    let (path, csv) = (session.path(), session.text.format == Format::Csv);
    let found = super::session::blocking(move || ending(&path, csv))
        .await
        .map_err(disk)?;
    Ok(matches!(found, Ending::Whole))
}

/// The rows that hold all that differs, where the text is as long as it was and its header the same.
async fn changed_part(session: &Session) -> Result<Option<Part>, Refusal> {
    let rendering = &session.rendering;
    if session.size != rendering.size() {
        return Ok(None);
    }
    let (Some(first), Some(last)) = (session.first_difference().await?, session.written.end().checked_sub(1)) else {
        return Ok(None);
    };
    let last = last.min(session.size - 1);
    let (Some(first), Some(last)) = (
        rendering.row_of_offset(first).await?,
        rendering.row_of_offset(last).await?,
    ) else {
        return Ok(None);
    };
    let start = rendering.bytes_of_row(first).await?.start;
    let end = rendering.bytes_of_row(last).await?.end;
    Ok(Some(Part {
        first,
        bytes: start..end,
    }))
}

/// Whether the text ends with the row that the base ends with: then rows that are not there are not to come.
async fn ends_alike(session: &Session) -> Result<bool, Refusal> {
    let rendering = &session.rendering;
    let Some(last) = rendering.rows().checked_sub(1) else {
        return Ok(true);
    };
    let bytes = rendering.bytes_of_row(last).await?;
    let length = bytes.end - bytes.start;
    // With the line end before it, so that it is a whole line.
    let Some(start) = session.size.checked_sub(length + 1) else {
        return Ok(false);
    };
    let size = usize::try_from(length).unwrap_or_default();
    let theirs = rendering.read(bytes.start, size).await?;
    let ours = session.read(start, size + 1).await?;
    Ok(ours.strip_prefix(b"\n").is_some_and(|line| line == theirs))
}

/// The transaction of a session's whole text. A text that is applied in parts counts them.
fn by(session: &Session) -> By {
    By {
        author: session.author.clone(),
        transaction: Some((session.id.to_string(), session.statements + 1)),
    }
}

/// A transaction for an edit without a session.
pub(crate) fn once(author: &crate::lake::Author) -> By {
    By {
        author: author.clone(),
        transaction: Some((Uuid::new_v4().to_string(), 1)),
    }
}
