//! A backup as a whole: its manifests, and the tables that they amount to.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::manifest::{self, Entry, Manifest, TableHead};
use super::pinned::Pinned;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Snapshot;
use crate::store::{Stores, folder_url};

/// How many manifests are read at a time.
const READS: usize = 8;

/// A backup, as its runs left it.
pub(super) struct Chain {
    stores: Arc<Stores>,
    pub(super) url: Url,
    /// Its folder.
    pub(super) store: Arc<dyn ObjectStore>,
    /// In order; at least one.
    runs: Vec<Run>,
}

/// A manifest with its own checksum.
pub(super) struct Run {
    pub(super) manifest: Manifest,
    pub(super) checksum: String,
}

/// What is to be read of a manifest, or why it cannot be.
pub(super) type Found = (u64, Result<Run>);

/// A table with all its files.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) head: TableHead,
    pub(super) files: Arc<HashMap<String, Entry>>,
    /// When the run began that the table is of.
    pub(super) taken: i64,
    /// Its folder in the backup.
    pub(super) store: Arc<dyn ObjectStore>,
    url: Url,
    stores: Arc<Stores>,
}

/// The manifests in a backup's folder, in order.
///
/// # Errors
/// Where the store cannot be listed.
pub(super) async fn manifests(store: &Arc<dyn ObjectStore>) -> Result<Vec<Found>> {
    let listed = match store.list_with_delimiter(Some(&Path::from(manifest::FOLDER))).await {
        Ok(listed) => listed.objects,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let numbers = listed
        .iter()
        .filter_map(|meta| manifest::number(meta.location.filename()?));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    let reads: Vec<_> = numbers.into_iter().map(|number| read(store.clone(), number)).collect();
    Ok(futures::stream::iter(reads).buffered(READS).collect().await)
}

async fn read(store: Arc<dyn ObjectStore>, number: u64) -> Found {
    let run = async {
        let bytes = store.get(&manifest::path(number)).await?.bytes().await?;
        let manifest = Manifest::decode(&bytes)?;
        if manifest.head.number != number {
            return Err(Error::corrupt(format!("it is that of run {}", manifest.head.number)));
        }
        Ok(Run {
            manifest,
            checksum: manifest::checksum(&bytes),
        })
    };
    (number, run.await)
}

impl Chain {
    /// The backup at `url`; none where there is none that was ever completed.
    ///
    /// # Errors
    /// Where a manifest cannot be read, or does not belong to the one before.
    pub(super) async fn open(stores: &Arc<Stores>, url: &Url) -> Result<Option<Self>> {
        let store = stores.folder(url)?;
        let mut runs: Vec<Run> = Vec::new();
        for (number, run) in manifests(&store).await? {
            let wrong = |error: Error| {
                Error::new(
                    error.kind(),
                    format!(
                        "{} of the backup at '{url}': {}",
                        manifest::path(number),
                        error.message()
                    ),
                )
                .with_source(error)
            };
            let run = run.map_err(wrong)?;
            check_follows(runs.last(), &run).map_err(wrong)?;
            runs.push(run);
        }
        if runs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            stores: stores.clone(),
            url: url.clone(),
            store,
            runs,
        }))
    }

    /// The backup at `url`.
    ///
    /// # Errors
    /// As [`Chain::open`], and where there is none.
    pub(super) async fn existing(stores: &Arc<Stores>, url: &Url) -> Result<Self> {
        Self::open(stores, url).await?.ok_or_else(|| {
            Error::not_found(format!(
                "no backup at '{url}': there is no manifest. A backup that was interrupted is completed by saying BACKUP again"
            ))
        })
    }

    /// A backup of these runs.
    pub(super) fn of(stores: Arc<Stores>, url: Url, store: Arc<dyn ObjectStore>, runs: Vec<Run>) -> Self {
        Self {
            stores,
            url,
            store,
            runs,
        }
    }

    pub(super) fn manifests(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.runs.iter().map(|run| &run.manifest)
    }

    pub(super) fn last(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// The tables of a run, with the files of all runs up to it.
    ///
    /// # Errors
    /// Where a folder's name makes no sense.
    pub(super) fn tables(&self, number: u64) -> Result<Vec<Table>> {
        let mut files: HashMap<&str, HashMap<String, Entry>> = HashMap::new();
        let runs = self.manifests().filter(|manifest| manifest.head.number <= number);
        for table in runs.flat_map(|manifest| &manifest.tables) {
            let of_table = files.entry(&table.head.folder).or_default();
            of_table.extend(table.files.iter().map(|file| (file.path.clone(), file.clone())));
        }
        let Some(of_run) = self.manifests().find(|manifest| manifest.head.number == number) else {
            return Ok(Vec::new());
        };
        let tables = of_run.tables.iter().map(|table| {
            let files = files.remove(table.head.folder.as_str()).unwrap_or_default();
            self.table(table.head.clone(), files, of_run.head.taken)
        });
        tables.collect()
    }

    /// The tables of the last run.
    ///
    /// # Errors
    /// As [`Chain::tables`].
    pub(super) fn last_tables(&self) -> Result<Vec<Table>> {
        self.tables(self.last().map_or(0, |run| run.manifest.head.number))
    }

    /// Every table that a run ever had, as the last of these runs had it.
    ///
    /// # Errors
    /// As [`Chain::tables`].
    pub(super) fn all_tables(&self) -> Result<Vec<Table>> {
        let mut found: HashMap<String, Table> = HashMap::new();
        for manifest in self.manifests() {
            let tables = self.tables(manifest.head.number)?.into_iter();
            found.extend(tables.map(|table| (table.head.folder.clone(), table)));
        }
        let mut found: Vec<Table> = found.into_values().collect();
        found.sort_by(|a, b| a.head.folder.cmp(&b.head.folder));
        Ok(found)
    }

    fn table(&self, head: TableHead, files: HashMap<String, Entry>, taken: i64) -> Result<Table> {
        let folder = Path::parse(&head.folder).map_err(|error| Error::corrupt(error.to_string()))?;
        Ok(Table {
            store: Arc::new(PrefixStore::new(self.store.clone(), folder)),
            url: folder_url(&head.folder, Some(&self.url))?,
            head,
            files: Arc::new(files),
            taken,
            stores: self.stores.clone(),
        })
    }
}

/// Whether a run comes right behind the one before.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it does not.
pub(super) fn check_follows(before: Option<&Run>, run: &Run) -> Result<()> {
    let head = &run.manifest.head;
    let wrong = |what: String| Err(Error::new(ErrorKind::Corrupt, what));
    match before {
        None if head.number != 1 => wrong("the manifests before it are missing".to_string()),
        None => Ok(()),
        Some(before) if before.manifest.head.number + 1 != head.number => wrong(format!(
            "the manifest of run {} before it is missing",
            before.manifest.head.number + 1
        )),
        Some(before) if before.manifest.head.id != head.id || head.parent.as_ref() != Some(&before.checksum) => {
            wrong("it does not continue the manifest before it".to_string())
        }
        Some(_) => Ok(()),
    }
}

impl Table {
    /// The name as a user would write it.
    pub(super) fn display(&self) -> String {
        super::display(&self.head.schema, &self.head.name)
    }

    /// The table's folder with what the manifests name.
    pub(super) fn pinned(&self) -> Arc<dyn ObjectStore> {
        Arc::new(Pinned::new(self.store.clone(), self.files.clone()))
    }

    /// A version of the table.
    ///
    /// # Errors
    /// Where the log in the backup does not tell it.
    pub(super) async fn snapshot(&self, version: u64) -> Result<Snapshot> {
        let log_store = self.stores.log_store_on(&self.url, self.pinned())?;
        let found = Snapshot::load(log_store, Some(version)).await?;
        found.ok_or_else(|| Error::corrupt(format!("the log of table {} is not in the backup", self.display())))
    }
}
