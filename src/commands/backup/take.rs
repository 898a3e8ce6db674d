//! `BACKUP`: a table's files and log as of one version, while others go on writing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::{Path, PathPart};
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};

use super::chain::Table;
use super::copy::{COPIES, copy};
use super::journal::Journal;
use super::manifest::{Entry, Ranges, TableHead, TablePart, checksum};
use super::walk::{Walk, is_elsewhere};
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{Outline, Snapshot, check_readable, commit_path, history, version_of_commit};
use crate::plan::Progress;

/// How often a table is begun anew when files vanish while they are copied.
const ATTEMPTS: usize = 5;

/// What a run copied of a table.
pub(super) struct Taken {
    pub(super) part: TablePart,
    /// The files and bytes that were copied by this very statement, and not by one that was interrupted.
    pub(super) copied: (u64, u64),
}

/// How one attempt ended.
enum Attempt {
    Done(Taken),
    /// A file that the log names is gone, which a newer version explains.
    Vanished(String),
}

/// Where a run begins in a table's history.
enum Begin {
    /// The backup has it all.
    Nothing,
    /// Behind a version that the backup has.
    After(Snapshot),
    /// At the first version that the table's log still tells.
    At(Snapshot),
}

/// A run of a backup.
pub(super) struct Taking {
    pub(super) lake: Arc<Lake>,
    /// The backup's folder.
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) number: u64,
    pub(super) progress: Progress,
}

impl Taking {
    /// Copies what the backup lacks of a table.
    ///
    /// # Errors
    /// Where the table refers to files outside its folder; where files are missing that its latest version needs; where a
    /// store fails.
    pub(super) async fn table(&self, id: &TableId, earlier: Option<&Table>, journal: &mut Journal) -> Result<Taken> {
        let mut attempts = 0;
        let mut seen = None;
        loop {
            let table = self.lake.open_table(id).await?;
            check_readable(table.protocol(), &id.display())?;
            match self.attempt(&table, id, earlier, journal).await? {
                Attempt::Done(taken) => return Ok(taken),
                Attempt::Vanished(path) => {
                    attempts += 1;
                    journal.untidy = true;
                    let now = self.lake.open_table(id).await?.version();
                    if attempts >= ATTEMPTS || (seen == Some(now) && now == table.version()) {
                        return Err(Error::corrupt(format!(
                            "{path} of table {} is not in storage, so version {now} cannot be backed up: FSCK REPAIR TABLE {} \
                             DRY RUN lists what is missing",
                            id.display(),
                            id.display()
                        )));
                    }
                    seen = Some(now);
                }
            }
        }
    }

    async fn attempt(
        &self,
        table: &Snapshot,
        id: &TableId,
        earlier: Option<&Table>,
        journal: &mut Journal,
    ) -> Result<Attempt> {
        let source = table.store();
        let version = table.version();
        let outline = Outline::read(source.as_ref(), version).await?;
        let (base, first_log, is_new) = match self.begin(table, id, &outline, earlier).await? {
            Begin::Nothing => return Ok(Attempt::Done(nothing(earlier))),
            Begin::After(base) => (base.clone(), base.version(), false),
            Begin::At(base) => (base.clone(), base.version(), true),
        };
        let Some(walk) = Walk::read(&source, &base, version).await? else {
            return Ok(Attempt::Vanished("a commit".to_string()));
        };
        if let Some(path) = walk.missing_at_last(|path| !is_elsewhere(path)) {
            return Err(Error::unsupported(format!(
                "table {} refers to a file outside its folder, '{path}': it is a shallow clone, which a backup cannot hold; \
                 make one that has its own files (CREATE TABLE copy CLONE {}), or back up the table that it was cloned from",
                id.display(),
                id.display()
            )));
        }
        let folder = match earlier {
            Some(earlier) => earlier.head.folder.clone(),
            None => folder(id, self.number),
        };
        let known = earlier.map(|earlier| earlier.files.clone()).unwrap_or_default();
        let wanted: Vec<String> = walk
            .paths()
            .into_iter()
            .filter(|path| !known.contains_key(path))
            .collect();
        let mut taken = Copied::default();
        self.data(&source, &folder, wanted, journal, &mut taken).await?;
        let has = |path: &str| known.contains_key(path) || taken.files.contains_key(path);
        if let Some(path) = walk.missing_at_last(has) {
            return Ok(Attempt::Vanished(path));
        }
        let mut restorable = earlier
            .map(|earlier| earlier.head.restorable.clone())
            .unwrap_or_default();
        walk.note_restorable(has, &mut restorable);
        let log = LogPart {
            outline: &outline,
            first: first_log,
            is_new,
            known: &known,
        };
        if let Some(gone) = self.log(table, &folder, log, &mut taken).await? {
            return Ok(Attempt::Vanished(gone));
        }
        let head = head(table, id, folder, restorable);
        Ok(Attempt::Done(Taken {
            copied: taken.copied,
            part: TablePart {
                head,
                files: taken.files.into_values().collect(),
            },
        }))
    }

    /// # Errors
    /// Where the backup has another table of this name, or the log does not tell the table's state.
    async fn begin(&self, table: &Snapshot, id: &TableId, outline: &Outline, earlier: Option<&Table>) -> Result<Begin> {
        let version = table.version();
        if let Some(earlier) = earlier {
            let then = earlier.head.version;
            if !is_continued(table, outline, earlier).await? {
                return Err(replaced(id));
            }
            if then == version {
                return Ok(Begin::Nothing);
            }
            if outline.has_all(then + 1..=version) {
                return Ok(Begin::After(earlier.snapshot(then).await?));
            }
        }
        let Some(start) = outline.start(version) else {
            return Err(Error::corrupt(format!(
                "the log of table {} lacks commits before version {version}, and has no checkpoint that makes up for them",
                id.display()
            )));
        };
        if start == version {
            return Ok(Begin::At(table.clone()));
        }
        let base = Snapshot::load(table.log_store(), Some(start)).await?;
        base.map(Begin::At).ok_or_else(|| self.lake.missing(id))
    }

    /// Copies data files, vectors and change data. What is gone is not copied: versions that need it cannot be restored.
    async fn data(
        &self,
        source: &Arc<dyn ObjectStore>,
        folder: &str,
        wanted: Vec<String>,
        journal: &mut Journal,
        taken: &mut Copied,
    ) -> Result<()> {
        let target = self.folder(folder)?;
        let mut copies = Vec::new();
        for path in wanted {
            if let Some(entry) = journal.find(folder, &path) {
                let entry = entry.clone();
                match target.head(&parsed(&path)?).await {
                    Ok(meta) if meta.size == entry.size => {
                        taken.files.insert(path, entry);
                        continue;
                    }
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let (source, target) = (source.clone(), target.clone());
            copies.push(async move {
                let path = parsed(&path)?;
                copy(source.as_ref(), &path, target.as_ref(), &path, None).await
            });
        }
        let mut copies = futures::stream::iter(copies).buffer_unordered(COPIES);
        while let Some(entry) = copies.try_next().await? {
            let Some(entry) = entry else { continue };
            self.count(&entry, taken);
            journal.note(folder, entry.clone()).await?;
            taken.files.insert(entry.path.clone(), entry);
        }
        Ok(())
    }

    fn count(&self, entry: &Entry, taken: &mut Copied) {
        self.progress.files.add(1);
        self.progress.bytes.add(usize::try_from(entry.size).unwrap_or_default());
        taken.copied.0 += 1;
        taken.copied.1 += entry.size;
    }

    /// Copies the log's files. It answers with a commit that is gone, if one is.
    async fn log(
        &self,
        table: &Snapshot,
        folder: &str,
        log: LogPart<'_>,
        taken: &mut Copied,
    ) -> Result<Option<String>> {
        let source = table.store();
        let target = self.folder(folder)?;
        let version = table.version();
        let checkpoints = log.outline.checkpoints(&source, log.first..=version).await;
        let mut wanted: Vec<Path> = (log.first..=version)
            .filter(|version| log.outline.has(*version))
            .map(commit_path)
            .collect();
        wanted.extend(log.outline.checksums(log.first..=version));
        wanted.extend(checkpoints.iter().flat_map(|(_, files)| files.clone()));
        wanted.retain(|path| !log.known.contains_key(path.as_ref()));
        let copies: Vec<_> = wanted
            .into_iter()
            .map(|path| {
                let (source, target) = (source.clone(), target.clone());
                async move {
                    let entry = copy(source.as_ref(), &path, target.as_ref(), &path, None).await?;
                    Ok::<_, Error>((path, entry))
                }
            })
            .collect();
        let mut found: BTreeMap<String, Entry> = BTreeMap::new();
        let mut gone: HashSet<String> = HashSet::new();
        let mut copies = futures::stream::iter(copies).buffered(COPIES);
        while let Some((path, entry)) = copies.try_next().await? {
            match entry {
                Some(entry) => {
                    self.count(&entry, taken);
                    found.insert(entry.path.clone(), entry);
                }
                None if version_of_commit(path.as_ref()).is_some() => return Ok(Some(path.to_string())),
                None => {
                    gone.insert(path.to_string());
                }
            }
        }
        // A checkpoint is there as a whole or not at all.
        let mut has_start = log.first == 0 || !log.is_new;
        for (version, files) in checkpoints {
            if files.iter().any(|file| gone.contains(file.as_ref())) {
                found.retain(|path, _| !files.iter().any(|file| file.as_ref() == path));
            } else {
                has_start |= version == log.first;
            }
        }
        if !has_start {
            return Ok(Some("a checkpoint".to_string()));
        }
        let times: HashMap<u64, i64> = history::commit_times(table)
            .await?
            .into_iter()
            .map(|(version, time)| (version, time.timestamp_micros()))
            .collect();
        for (path, entry) in &mut found {
            entry.time = version_of_commit(path).and_then(|version| times.get(&version).copied());
        }
        taken.files.extend(found);
        Ok(None)
    }

    fn folder(&self, folder: &str) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(PrefixStore::new(self.store.clone(), parsed(folder)?)))
    }
}

/// What is copied of a log.
struct LogPart<'a> {
    outline: &'a Outline,
    /// From which version on.
    first: u64,
    /// Whether the backup has nothing that this part continues.
    is_new: bool,
    known: &'a HashMap<String, Entry>,
}

/// The files that are in the backup, and how many of them were copied just then.
#[derive(Default)]
struct Copied {
    files: BTreeMap<String, Entry>,
    copied: (u64, u64),
}

fn parsed(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|error| Error::corrupt(format!("'{path}' is not a file's path: {error}")))
}

/// Where a table that a run begins lies in the backup: a table that is made again under a name lies elsewhere.
fn folder(id: &TableId, number: u64) -> String {
    let number = number.to_string();
    let parts = ["tables", id.schema.as_str(), id.name.as_str(), number.as_str()];
    parts.into_iter().map(PathPart::from).collect::<Path>().to_string()
}

fn head(table: &Snapshot, id: &TableId, folder: String, restorable: Ranges) -> TableHead {
    TableHead {
        schema: id.schema.clone(),
        name: id.name.clone(),
        folder,
        source: id.url.to_string(),
        id: table.metadata().id().to_string(),
        version: table.version(),
        restorable,
    }
}

/// A part without files.
fn nothing(earlier: Option<&Table>) -> Taken {
    let head = earlier.map(|earlier| earlier.head.clone());
    Taken {
        copied: (0, 0),
        part: TablePart {
            head: head.unwrap_or_default(),
            files: Vec::new(),
        },
    }
}

/// Whether a table is the one that the backup has, some versions later.
///
/// # Errors
/// Where the store fails.
pub(super) async fn is_continued(table: &Snapshot, outline: &Outline, earlier: &Table) -> Result<bool> {
    let then = earlier.head.version;
    if table.version() < then {
        return Ok(false);
    }
    let path = commit_path(then);
    match earlier.files.get(path.as_ref()) {
        Some(entry) if outline.has(then) => {
            let bytes = table.store().get(&path).await?.bytes().await?;
            Ok(checksum(&bytes) == entry.checksum)
        }
        // The commit was cleaned up.
        _ => Ok(table.metadata().id() == earlier.head.id),
    }
}

/// The error for a table that took the place of another.
fn replaced(id: &TableId) -> Error {
    Error::invalid(format!(
        "table {} is not the one that the backup has: it was dropped and made again, or restored; back it up to another place",
        id.display()
    ))
}
