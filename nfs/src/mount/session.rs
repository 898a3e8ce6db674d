//! A staged edit: what one client wrote to one file since its last boundary, on disk, over the text that it saw.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::edit::Prepared;
use super::handle::TextId;
use super::refusal::Refusal;
use super::table::{Client, Line};
use crate::diff::Ranges;
use crate::failpoint;
use crate::lake::{self, Author, TableName, Version};
use crate::render::{Format, Rendering};

/// How many bytes are compared or copied at once.
const PIECE: u64 = 1 << 20;
/// Pages of clients' memory: a flush from the middle of a file ends at one.
const PAGE: u64 = 4096;

/// A staged edit.
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) text: TextId,
    pub(crate) client: Client,
    pub(crate) author: Author,
    /// What the client saw.
    pub(crate) base: Arc<Version>,
    pub(crate) rendering: Arc<Rendering>,
    /// Nothing of the base is part of the text: it was truncated, or made anew.
    pub(crate) replaced: bool,
    /// The end of the file that the client knew: what stands behind it is new.
    pub(crate) told: u64,
    pub(crate) size: u64,
    pub(crate) written: Ranges,
    /// What stands before this offset is in the table already.
    pub(crate) applied: u64,
    /// Grows with each write.
    pub(crate) writes: u64,
    /// When the client was last answered about it.
    heard: Instant,
    pub(crate) time: SystemTime,
    /// Answered with success, and applied when the client has been silent for a while.
    pub(crate) accepted: bool,
    /// How many statements it has become.
    pub(crate) statements: i64,
    /// The verifier of an exclusive creation.
    pub(crate) verifier: Option<[u8; 8]>,
    /// What its text changes, as of a number of writes.
    pub(crate) prepared: Option<(u64, Prepared)>,
    /// What became of it. Whoever waited for it meanwhile begins anew.
    pub(crate) ended: Option<Result<(), Refusal>>,
    spool: Arc<File>,
    folder: PathBuf,
    /// What is on disk of it.
    noted: Arc<Mutex<Option<Journal>>>,
}

/// What is kept of a session to go on after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) id: Uuid,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) table_id: String,
    pub(crate) json: bool,
    pub(crate) version: u64,
    /// The file's handle, which the client goes on with.
    pub(crate) line: Line,
    pub(crate) client: String,
    pub(crate) user: Option<String>,
    pub(crate) author: String,
    pub(crate) replaced: bool,
    pub(crate) told: u64,
    /// All of the spool was written, and nothing else is text: `size` and `written` are the spool's.
    #[serde(default)]
    pub(crate) spooled: bool,
    pub(crate) size: u64,
    pub(crate) written: Ranges,
    pub(crate) applied: u64,
    pub(crate) statements: i64,
}

impl Session {
    /// A session without a write yet.
    ///
    /// # Errors
    /// Where the spool cannot be made.
    pub(crate) fn new(
        folder: &Path,
        text: TextId,
        client: Client,
        author: Author,
        base: Arc<Version>,
        rendering: Arc<Rendering>,
    ) -> io::Result<Self> {
        let id = Uuid::new_v4();
        let size = rendering.size();
        let spool = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(data_path(folder, id))?;
        Ok(Self {
            id,
            text,
            client,
            author,
            base,
            rendering,
            replaced: false,
            told: size,
            size,
            written: Ranges::default(),
            applied: 0,
            writes: 0,
            heard: Instant::now(),
            time: SystemTime::now(),
            accepted: false,
            statements: 0,
            verifier: None,
            prepared: None,
            ended: None,
            spool: Arc::new(spool),
            folder: folder.to_path_buf(),
            noted: Arc::default(),
        })
    }

    /// A session as its journal says.
    ///
    /// # Errors
    /// Where the spool is not there.
    pub(crate) fn reopen(
        folder: &Path,
        journal: Journal,
        text: TextId,
        base: Arc<Version>,
        rendering: Arc<Rendering>,
    ) -> io::Result<Self> {
        let spool = File::options()
            .read(true)
            .write(true)
            .open(data_path(folder, journal.id))?;
        let noted = Arc::new(Mutex::new(Some(journal.clone())));
        let (size, written) = if journal.spooled {
            let size = spool.metadata()?.len();
            (size, Ranges::from(vec![(0, size)]))
        } else {
            (journal.size, journal.written)
        };
        Ok(Self {
            id: journal.id,
            text,
            client: Client(journal.client),
            author: Author {
                user: journal.user,
                client: journal.author,
            },
            base,
            rendering,
            replaced: journal.replaced,
            told: journal.told,
            size,
            written,
            applied: journal.applied,
            writes: 1,
            heard: Instant::now(),
            time: SystemTime::now(),
            accepted: true,
            statements: journal.statements,
            verifier: None,
            prepared: None,
            ended: None,
            spool: Arc::new(spool),
            folder: folder.to_path_buf(),
            noted,
        })
    }

    /// What says of it all that a crash must not take. A text that comes in one piece has the same from its first bytes to its last.
    fn journal(&self, spooled: bool) -> Journal {
        Journal {
            id: self.id,
            schema: self.base.name.schema.clone(),
            table: self.base.name.table.clone(),
            table_id: self.base.id.clone(),
            json: self.text.format == Format::JsonLines,
            version: self.base.number,
            line: (self.text.version, self.text.turn),
            client: self.client.0.clone(),
            user: self.author.user.clone(),
            author: self.author.client.clone(),
            replaced: self.replaced,
            told: self.told,
            spooled,
            size: if spooled { 0 } else { self.size },
            written: if spooled {
                Ranges::default()
            } else {
                self.written.clone()
            },
            applied: self.applied,
            statements: self.statements,
        }
    }

    /// Whether it holds nothing that the table does not have.
    pub(crate) fn is_idle(&self) -> bool {
        !self.replaced && self.written.is_empty() && self.size == self.rendering.size()
    }

    /// How long the client has been silent.
    pub(crate) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// The client was answered: until then it could not say more.
    pub(crate) fn hear(&mut self) {
        self.heard = Instant::now();
    }

    /// Leaves time out of the client's silence in which nobody could be heard.
    pub(crate) fn excuse(&mut self, time: Duration) {
        self.heard = Instant::now().min(self.heard + time);
    }

    pub(crate) fn path(&self) -> PathBuf {
        data_path(&self.folder, self.id)
    }

    /// Takes a write. It is on disk when [`Session::sync`] has been called.
    ///
    /// # Errors
    /// As the spool's: no space, above all.
    pub(crate) async fn write(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        let length = data.len() as u64;
        let end = offset.checked_add(length).ok_or(io::ErrorKind::FileTooLarge)?;
        if offset > self.size {
            self.note_gaps()?;
        }
        let spool = self.spool.clone();
        blocking(move || {
            failpoint::at("mount.write.taken")?;
            spool.write_all_at(&data, offset)?;
            failpoint::at("mount.write.spooled")
        })
        .await?;
        self.written.insert(offset..end);
        self.size = self.size.max(end);
        self.touch();
        Ok(())
    }

    fn touch(&mut self) {
        self.writes += 1;
        self.accepted = false;
        self.hear();
        self.time = SystemTime::now().max(self.time + Duration::from_nanos(1));
    }

    /// Cuts the text, or extends it by zeros.
    ///
    /// # Errors
    /// As the spool's.
    pub(crate) fn resize(&mut self, size: u64) -> io::Result<()> {
        if size == 0 {
            self.replaced = true;
            self.applied = 0;
        }
        if size > self.size {
            self.note_gaps()?;
        }
        self.written.truncate(size);
        if self.replaced {
            self.spool.set_len(size)?;
        }
        self.size = size;
        self.touch();
        Ok(())
    }

    /// Puts the text and the record of it on disk: after this, a crash loses nothing.
    ///
    /// # Errors
    /// As the disk's.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let journal = self.journal(self.replaced && self.is_whole_from(0));
        let (spool, folder, noted) = (self.spool.clone(), self.folder.clone(), self.noted.clone());
        blocking(move || {
            spool.sync_data()?;
            failpoint::at("mount.edit.synced")?;
            note(&folder, &noted, journal)?;
            failpoint::at("mount.edit.noted")
        })
        .await
    }

    /// Before the spool gets bytes that nobody wrote: from there on, what was written is told by the journal.
    fn note_gaps(&self) -> io::Result<()> {
        if self.noted.lock().as_ref().is_some_and(|noted| noted.spooled) {
            note(&self.folder, &self.noted, self.journal(false))?;
        }
        Ok(())
    }

    /// Ends the session; its files go.
    pub(crate) fn end(&mut self, ended: Result<(), Refusal>) {
        self.ended = Some(ended);
        // A file that cannot be removed is an orphan that the next start removes.
        let _ = std::fs::remove_file(self.folder.join(format!("{}.json", self.id)));
        let _ = std::fs::remove_file(self.path());
    }

    /// The text as the client sees it.
    ///
    /// # Errors
    /// As the rendering's and the spool's.
    pub(crate) async fn read(&self, offset: u64, length: usize) -> lake::Result<Bytes> {
        let end = self.size.min(offset.saturating_add(length as u64));
        if offset >= end {
            return Ok(Bytes::new());
        }
        let length = usize::try_from(end - offset).unwrap_or_default();
        let base = if self.replaced || offset >= self.rendering.size() {
            Bytes::new()
        } else {
            self.rendering.read(offset, length).await?
        };
        if self.written.within(offset..end).next().is_none() && base.len() == length {
            return Ok(base);
        }
        let mut text = vec![0; length];
        if let Some(start) = text.get_mut(..base.len()) {
            start.copy_from_slice(&base);
        }
        let ranges: Vec<_> = self.written.within(offset..end).collect();
        let spool = self.spool.clone();
        blocking(move || {
            for range in ranges {
                let at = |position: u64| usize::try_from(position - offset).unwrap_or(usize::MAX);
                if let Some(part) = text.get_mut(at(range.start)..at(range.end)) {
                    spool.read_exact_at(part, range.start)?;
                }
            }
            Ok(Bytes::from(text))
        })
        .await
        .map_err(disk)
    }

    /// Where the text first differs from what the client saw, before the end that it knew.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub(crate) async fn first_difference(&self) -> lake::Result<Option<u64>> {
        let known = self.told.min(self.rendering.size());
        for range in self.written.within(0..known).collect::<Vec<_>>() {
            let mut offset = range.start;
            while offset < range.end {
                let length = usize::try_from(PIECE.min(range.end - offset)).unwrap_or_default();
                let ours = self.read(offset, length).await?;
                let theirs = self.rendering.read(offset, length).await?;
                if let Some(at) = ours.iter().zip(&theirs).position(|(a, b)| a != b) {
                    return Ok(Some(offset + at as u64));
                }
                offset += length as u64;
            }
        }
        Ok(if self.size < known { Some(self.size) } else { None })
    }

    /// Copies a part of the text to a file.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub(crate) async fn copy(&self, from: u64, to: u64, path: &Path) -> lake::Result<()> {
        let file = Arc::new(File::create(path).map_err(disk)?);
        let mut offset = from;
        while offset < to {
            let length = usize::try_from(PIECE.min(to - offset)).unwrap_or_default();
            let piece = self.read(offset, length).await?;
            let (file, at) = (file.clone(), offset - from);
            blocking(move || file.write_all_at(&piece, at)).await.map_err(disk)?;
            offset += length as u64;
        }
        Ok(())
    }

    /// Whether the text ends where a client's flush from the middle of a file does.
    pub(crate) fn ends_at_page(&self) -> bool {
        self.size.is_multiple_of(PAGE)
    }

    /// Whether the last byte ends a line.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub(crate) async fn ends_line(&self) -> lake::Result<bool> {
        let Some(last) = self.size.checked_sub(1) else {
            return Ok(false);
        };
        Ok(self.read(last, 1).await? == "\n")
    }

    /// Whether the text looks as if its client was stopped, or held up, in the middle of writing it: it ends within a line, at a page.
    pub(crate) async fn is_cut_off(&self) -> bool {
        self.size > 0 && !self.is_idle() && self.ends_at_page() && !self.ends_line().await.unwrap_or(true)
    }

    /// Whether every byte from `start` on was written: nothing is still on its way.
    pub(crate) fn is_whole_from(&self, start: u64) -> bool {
        self.written.covers(start..self.size)
    }
}

/// A table whose rows were removed by name, before they are deleted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) table_id: String,
    pub(crate) version: u64,
    pub(crate) user: Option<String>,
    pub(crate) author: String,
}

impl Removal {
    pub(crate) fn name(&self) -> TableName {
        TableName {
            schema: self.schema.clone(),
            table: self.table.clone(),
        }
    }
}

fn data_path(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{id}.data"))
}

/// Puts a journal on disk, if another is there.
fn note(folder: &Path, noted: &Mutex<Option<Journal>>, journal: Journal) -> io::Result<()> {
    let mut noted = noted.lock();
    if noted.as_ref() != Some(&journal) {
        write_durably(folder, &format!("{}.json", journal.id), &serde_json::to_vec(&journal)?)?;
        *noted = Some(journal);
    }
    Ok(())
}

/// Writes a small file so that it is there whole after a crash, or as it was before.
///
/// # Errors
/// As the disk's.
pub(crate) fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// A failure of the server's own disk.
pub(crate) fn disk(error: io::Error) -> lake::LakeError {
    lake::LakeError {
        kind: lake::Kind::Storage,
        message: format!("the mount's spool: {error}"),
    }
}

/// Runs what waits for the disk where it holds nobody up.
///
/// # Errors
/// As the work's.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
