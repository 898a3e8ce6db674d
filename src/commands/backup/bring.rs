//! `RESTORE … FROM`: a table comes back from a backup, as a new table or as the next version of one that stands.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use url::Url;

use super::chain::Table;
use super::copy::{COPIES, copy, measure};
use super::manifest::Entry;
use super::walk::Walk;
use crate::catalog::{Lake, Point, has_log, show_time};
use crate::commands::restore::GoingBack;
use crate::commands::target::NewName;
use crate::dml::with_retries;
use crate::error::{Error, Result};
use crate::log::{FOLDER, Outline, Snapshot, version_of_commit};
use crate::plan::Running;
use crate::store::path_of;

/// The file in a table's folder that says that a restore is under way.
const MARKER: &str = ".restore.json";

/// A table to bring back, from where and to where.
pub(super) struct Bringing<'a> {
    pub(super) lake: &'a Arc<Lake>,
    /// The backup's location.
    pub(super) from: &'a Url,
    /// What tells the backup from others.
    pub(super) backup: &'a str,
    pub(super) table: &'a Table,
    pub(super) version: u64,
    pub(super) target: &'a NewName,
    pub(super) overwrite: bool,
    pub(super) statement: &'a str,
}

/// What was brought back.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) table: String,
    /// The version that the table is at.
    pub(super) version: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Which restore is under way in a folder.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Marker {
    backup: String,
    folder: String,
    version: u64,
}

/// What a version and the history before it consist of, in the order in which it is written.
struct Plan {
    data: Vec<Entry>,
    /// Commits from the last to the first; then, where the first is not the table's own first, the checkpoint that the log
    /// begins with. Nothing can be read before the last of these is there.
    log: Vec<Entry>,
    /// What a log can do without.
    extras: Vec<Entry>,
}

/// How far a folder is.
enum Standing {
    /// Nothing is there.
    Free,
    /// A restore was interrupted: this one, or another.
    Begun {
        same: bool,
    },
    Live(Snapshot),
}

/// The version of a table that a point of time or of its history stands for; the last of the backup where none is said.
///
/// # Errors
/// Where the backup does not have it, with what it has.
pub(super) fn version_at(table: &Table, point: Option<Point>) -> Result<u64> {
    let has = || {
        format!(
            "the versions of table {} that can be restored from the backup are {}",
            table.display(),
            table.head.restorable
        )
    };
    let version = match point {
        None => table.head.version,
        Some(Point::Version(version)) => version,
        Some(Point::Timestamp(time)) => version_at_time(table, time)?,
    };
    match table.head.restorable.contains(version) {
        true => Ok(version),
        false => Err(Error::not_found(format!(
            "version {version} is not in the backup: {}",
            has()
        ))),
    }
}

/// The times of a table's commits, each later than the one before.
pub(super) fn commit_times(table: &Table) -> Vec<(u64, DateTime<Utc>)> {
    let times = table.files.values().filter_map(|entry| {
        let time = DateTime::<Utc>::from_timestamp_micros(entry.time?)?;
        Some((version_of_commit(&entry.path)?, time))
    });
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let mut previous = DateTime::<Utc>::MIN_UTC;
    for (_, time) in &mut times {
        if *time <= previous {
            *time = previous + chrono::Duration::milliseconds(1);
        }
        previous = *time;
    }
    times
}

fn version_at_time(table: &Table, time: DateTime<Utc>) -> Result<u64> {
    let times = commit_times(table);
    let taken = DateTime::<Utc>::from_timestamp_micros(table.taken).unwrap_or_default();
    let last = times.last().map_or(taken, |(_, last)| taken.max(*last));
    if time > last {
        return Err(Error::not_found(format!(
            "{} is after the backup of table {}, which was taken at {}; leave TO out to restore its last state",
            show_time(time),
            table.display(),
            show_time(last)
        )));
    }
    let at = times.partition_point(|(_, commit)| *commit <= time);
    match (at.checked_sub(1).and_then(|at| times.get(at)), times.first()) {
        (Some((version, _)), _) => Ok(*version),
        (None, first) => Err(Error::not_found(format!(
            "{} is before the first commit of table {} that the backup has{}",
            show_time(time),
            table.display(),
            first.map_or(String::new(), |(version, time)| format!(
                ": version {version} of {}",
                show_time(*time)
            ))
        ))),
    }
}

impl Bringing<'_> {
    /// # Errors
    /// Where a table stands that is not to be replaced, something that is none lies in its folder, or the backup is damaged.
    pub(super) async fn run(&self, running: &Running) -> Result<Brought> {
        match self.standing().await? {
            Standing::Live(table) if self.is_done(&table).await? => self.end(self.plan().await?).await,
            Standing::Live(_) if self.overwrite => self.replace(running).await,
            Standing::Live(_) => Err(Error::already_exists(format!(
                "table {} exists already; OVERWRITE gives it the state of the backup as its next version, and AS restores the \
                 backup under another name",
                self.target.id.display()
            ))),
            Standing::Free => {
                self.target.check_free(self.lake).await?;
                self.anew(false, running).await
            }
            Standing::Begun { same } => {
                if !same {
                    self.clear(&HashSet::new()).await?;
                }
                self.anew(true, running).await
            }
        }
    }

    /// Whether a table stands that must not be replaced.
    ///
    /// # Errors
    /// As [`Bringing::run`].
    pub(super) async fn is_in_the_way(&self) -> Result<bool> {
        match self.standing().await? {
            Standing::Live(table) => Ok(!self.overwrite && !self.is_done(&table).await?),
            _ => Ok(false),
        }
    }

    async fn standing(&self) -> Result<Standing> {
        let id = &self.target.id;
        let marker = self.marker().await?;
        match (self.lake.snapshots().latest(&id.url).await, marker) {
            (Ok(Some(table)), _) => Ok(Standing::Live(table)),
            (_, Some(marker)) => Ok(Standing::Begun {
                same: marker == self.own_marker(),
            }),
            (Ok(None), None) => Ok(Standing::Free),
            (Err(error), None) => Err(Error::new(
                error.kind(),
                format!(
                    "a table that cannot be read lies at '{}' ({}): restore it under another name with AS, or move that folder \
                     away first",
                    id.url,
                    error.message()
                ),
            )
            .with_source(error)),
        }
    }

    /// Whether the table is what an interrupted restore of the same version made, but for its end.
    async fn is_done(&self, table: &Snapshot) -> Result<bool> {
        Ok(table.version() == self.version && self.marker().await?.is_some_and(|marker| marker == self.own_marker()))
    }

    fn own_marker(&self) -> Marker {
        Marker {
            backup: self.backup.to_string(),
            folder: self.table.head.folder.clone(),
            version: self.version,
        }
    }

    async fn marker(&self) -> Result<Option<Marker>> {
        match self.store()?.get(&Path::from(MARKER)).await {
            // One that cannot be understood is that of another restore.
            Ok(found) => Ok(Some(serde_json::from_slice(&found.bytes().await?).unwrap_or(Marker {
                backup: String::new(),
                folder: String::new(),
                version: 0,
            }))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder that the table comes to.
    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let url = &self.target.id.url;
        Ok(Arc::new(PrefixStore::new(self.lake.stores().root(url)?, path_of(url)?)))
    }

    async fn plan(&self) -> Result<Plan> {
        let pinned = self.table.pinned();
        let files = &self.table.files;
        let outline = Outline::read(pinned.as_ref(), self.version).await?;
        let start = outline.start(self.version).ok_or_else(|| {
            Error::corrupt(format!(
                "the backup lacks commits of table {} before version {}",
                self.table.display(),
                self.version
            ))
        })?;
        let base = self.table.snapshot(start).await?;
        let walk = Walk::read(&pinned, &base, self.version).await?;
        let walk = walk.ok_or_else(|| Error::corrupt("a commit is missing in the backup"))?;
        let entries = |paths: Vec<Path>| paths.into_iter().filter_map(|path| files.get(path.as_ref()).cloned());
        let mut log: Vec<Entry> = (start..=self.version)
            .rev()
            .filter_map(|version| files.get(crate::log::commit_path(version).as_ref()).cloned())
            .collect();
        let mut extras: Vec<Entry> = entries(outline.checksums(start..=self.version)).collect();
        let mut begins = outline.has(start) && start == 0;
        for (version, paths) in outline.checkpoints(&pinned, start..=self.version).await {
            if version == start && !begins {
                log.extend(entries(paths));
                begins = true;
            } else {
                extras.extend(entries(paths));
            }
        }
        let data = walk.paths().into_iter().filter_map(|path| files.get(&path).cloned());
        Ok(Plan {
            data: data.collect(),
            log,
            extras,
        })
    }

    /// Makes the table, or goes on with it.
    async fn anew(&self, begun: bool, running: &Running) -> Result<Brought> {
        let plan = self.plan().await?;
        let store = self.store()?;
        let text = serde_json::to_vec(&self.own_marker()).map_err(|error| Error::internal(error.to_string()))?;
        store.put(&Path::from(MARKER), text.into()).await?;
        self.data(&plan.data, begun, running).await?;
        if begun {
            let wanted = plan.log.iter().chain(&plan.extras).map(|entry| entry.path.clone());
            self.clear(&wanted.collect()).await?;
        } else if has_log(store.as_ref(), &Path::default()).await? {
            return Err(self.other_writer());
        }
        let mut written = Vec::new();
        for entry in &plan.log {
            if !self.put(entry, begun).await? {
                let paths: Vec<_> = written.into_iter().map(Ok).collect();
                let deleted = store.delete_stream(futures::stream::iter(paths).boxed());
                deleted.try_for_each(|_| std::future::ready(Ok(()))).await?;
                return Err(self.other_writer());
            }
            written.push(parsed(&entry.path)?);
        }
        self.end(plan).await
    }

    /// What is left to do once the table stands.
    async fn end(&self, plan: Plan) -> Result<Brought> {
        for entry in &plan.extras {
            // Another that says the same is as good.
            self.put(entry, false).await?;
        }
        // The last commit may have come without its time.
        plan.log.iter().for_each(|entry| self.keep_time(entry));
        self.store()?.delete(&Path::from(MARKER)).await?;
        self.lake.snapshots().forget(&self.target.id.url);
        let all = || plan.data.iter().chain(&plan.log).chain(&plan.extras);
        Ok(Brought {
            table: self.target.id.display(),
            version: self.version,
            files: all().count() as u64,
            bytes: all().map(|entry| entry.size).sum(),
        })
    }

    fn other_writer(&self) -> Error {
        Error::conflict(format!(
            "another writer made table {} while it was being restored",
            self.target.id.display()
        ))
    }

    /// Copies data files that are not there yet.
    async fn data(&self, entries: &[Entry], begun: bool, running: &Running) -> Result<()> {
        let copies = self.copies(entries, begun)?;
        let mut copies = futures::stream::iter(copies).buffer_unordered(COPIES);
        while let Some(size) = copies.try_next().await? {
            running.progress.files.add(1);
            running.progress.bytes.add(usize::try_from(size).unwrap_or_default());
        }
        Ok(())
    }

    /// One copy a file; where `looking`, those that are there as they should be are left alone.
    fn copies(
        &self,
        entries: &[Entry],
        looking: bool,
    ) -> Result<Vec<impl Future<Output = Result<u64>> + Send + use<>>> {
        let (from, to) = (self.table.store.clone(), self.store()?);
        let copy_of = |entry: &Entry| {
            let (from, to, entry) = (from.clone(), to.clone(), entry.clone());
            async move {
                let path = parsed(&entry.path)?;
                if looking && is_there(to.as_ref(), &path, &entry).await? {
                    return Ok(0);
                }
                let copied = copy(from.as_ref(), &path, to.as_ref(), &path, Some(&entry)).await?;
                match copied {
                    Some(entry) => Ok(entry.size),
                    None => Err(Error::corrupt(format!(
                        "{} is missing in the backup; VERIFY BACKUP says what else is",
                        entry.path
                    ))),
                }
            }
        };
        Ok(entries.iter().map(copy_of).collect())
    }

    /// Writes a file of the log; false where another one of its name is there, which must stay.
    async fn put(&self, entry: &Entry, replace: bool) -> Result<bool> {
        let (store, path) = (self.store()?, parsed(&entry.path)?);
        let bytes: Bytes = self.table.pinned().get(&path).await?.bytes().await?;
        let options = PutOptions::from(PutMode::Create);
        match store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                let standing = store.get(&path).await?.bytes().await?;
                match standing == bytes {
                    true => {}
                    false if replace => {
                        store.put(&path, bytes.into()).await?;
                    }
                    false => return Ok(false),
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.keep_time(entry);
        Ok(true)
    }

    /// Gives a commit its time again, where the store is a disk: time travel goes by it.
    fn keep_time(&self, entry: &Entry) {
        let (Some(time), Ok(folder)) = (entry.time, self.target.id.url.to_file_path()) else {
            return;
        };
        let Ok(micros) = u64::try_from(time) else { return };
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(micros);
        let file = std::fs::File::options().write(true).open(folder.join(&entry.path));
        if let Err(error) = file.and_then(|file| file.set_modified(time)) {
            tracing::warn!(path = entry.path, %error, "a commit's time could not be kept");
        }
    }

    /// Removes what is in the log's folder but for these files: another restore left it.
    async fn clear(&self, wanted: &HashSet<String>) -> Result<()> {
        let store = self.store()?;
        let listed: Vec<_> = match store.list(Some(&Path::from(FOLDER))).try_collect().await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for meta in listed {
            if !wanted.contains(meta.location.as_ref()) {
                store.delete(&meta.location).await?;
            }
        }
        Ok(())
    }

    /// Gives the table that stands the backup's state as its next version.
    async fn replace(&self, running: &Running) -> Result<Brought> {
        let source = self.table.snapshot(self.version).await?;
        let files = Walk::of(&source)?.paths();
        let entries: Vec<Entry> = files
            .iter()
            .filter_map(|path| self.table.files.get(path).cloned())
            .collect();
        for entry in &entries {
            self.check_name_is_free(entry).await?;
        }
        self.data(&entries, true, running).await?;
        let going_back = GoingBack {
            id: &self.target.id,
            parameters: BTreeMap::from([
                ("backup".to_string(), self.from.to_string()),
                ("version".to_string(), self.version.to_string()),
            ]),
            statement: self.statement,
        };
        let (going_back, source) = (&going_back, &source);
        let version = with_retries(self.lake, &self.target.id, |table| async move {
            let (_, version) = going_back.commit(&table, source, running).await?;
            Ok((version.unwrap_or(table.version()), version))
        })
        .await?;
        Ok(Brought {
            table: self.target.id.display(),
            version,
            files: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.size).sum(),
        })
    }

    /// Whether a file can come to the table's folder: one of its name that is something else may be a live one.
    async fn check_name_is_free(&self, entry: &Entry) -> Result<()> {
        let (store, path) = (self.store()?, parsed(&entry.path)?);
        match store.head(&path).await {
            Ok(_) if is_there(store.as_ref(), &path, entry).await? => Ok(()),
            Ok(_) => Err(Error::already_exists(format!(
                "{} in the folder of table {} is not the file that the backup has under this name; restore the backup under \
                 another name with AS",
                entry.path,
                self.target.id.display()
            ))),
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a file is there, byte for byte.
async fn is_there(store: &dyn ObjectStore, path: &Path, entry: &Entry) -> Result<bool> {
    match store.head(path).await {
        Ok(meta) if meta.size != entry.size => Ok(false),
        Ok(_) => Ok(measure(store, path)
            .await?
            .is_some_and(|found| found.checksum == entry.checksum)),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn parsed(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|error| Error::corrupt(format!("'{path}' is not a file's path: {error}")))
}
