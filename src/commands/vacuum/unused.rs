//! Files that no version within the retention time needs.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::{DeletionVectorDescriptor, Remove};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::Result;
use crate::log::{Snapshot, tombstones};
use crate::plan::Progress;
use crate::table::{place, vector_file};

/// How many requests are on their way to the store at once.
const REQUESTS: usize = 16;
/// Folders that are not hidden although their names begin as hidden ones do.
const SEEN: [&str; 2] = ["_change_data", "_delta_index"];

/// What a table needs of the files in its folder, and what it may need no more.
pub(super) struct Needs {
    store: Arc<dyn ObjectStore>,
    partition_columns: Vec<String>,
    cutoff: DateTime<Utc>,
    /// The files of the latest version, and those that a version within the retention time had.
    needed: HashSet<Path>,
    /// Files that were taken away before that.
    expired: HashSet<Path>,
}

impl Needs {
    /// # Errors
    /// Where the log cannot be read.
    pub(super) async fn of(table: &Snapshot, cutoff: DateTime<Utc>) -> Result<Self> {
        let folder = Folder::of(table)?;
        let mut needed = HashSet::new();
        for file in table.files().iter() {
            folder.note(&file.add.path, file.add.deletion_vector.as_ref(), &mut needed)?;
        }
        let mut expired = HashSet::new();
        let is_recent = |remove: &Remove| remove.deletion_timestamp.unwrap_or_default() > cutoff.timestamp_millis();
        for remove in tombstones(table).await? {
            let into = if is_recent(&remove) { &mut needed } else { &mut expired };
            folder.note(&remove.path, remove.deletion_vector.as_ref(), into)?;
        }
        Ok(Self {
            store: table.store(),
            partition_columns: table.metadata().partition_columns().to_vec(),
            cutoff,
            needed,
            expired,
        })
    }

    /// The files that the log says were taken away, where they are still there.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn known(&self, progress: &Progress) -> Result<Vec<ObjectMeta>> {
        let paths = self.expired.difference(&self.needed).cloned().collect::<Vec<_>>();
        let found = futures::stream::iter(paths).map(|path| async move {
            progress.rows.add(1);
            match self.store.head(&path).await {
                // What is below a prefix may be answered with a location that has it.
                Ok(meta) => Ok(Some(ObjectMeta { location: path, ..meta })),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found: Vec<Option<ObjectMeta>> = found.buffer_unordered(REQUESTS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// All files in the table's folder that are needed no more, those included that the log does not know.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn all(&self, progress: &Progress) -> Result<Vec<ObjectMeta>> {
        let mut unused = Vec::new();
        let mut waiting: Vec<Option<Path>> = vec![None];
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < REQUESTS
                && let Some(folder) = waiting.pop()
            {
                let store = self.store.clone();
                under_way.push(async move { store.list_with_delimiter(folder.as_ref()).await });
            }
            let Some(listed) = under_way.next().await else { break };
            let listed = match listed {
                Ok(listed) => listed,
                // Someone else was faster.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            progress.rows.add(listed.objects.len());
            unused.extend(listed.objects.into_iter().filter(|meta| self.is_unused(meta)));
            let folders = listed.common_prefixes.into_iter();
            waiting.extend(folders.filter(|folder| !self.is_hidden(folder)).map(Some));
        }
        Ok(unused)
    }

    fn is_unused(&self, meta: &ObjectMeta) -> bool {
        let path = &meta.location;
        if self.is_hidden(path) || self.needed.contains(path) {
            return false;
        }
        // What nobody knows may be about to be committed.
        self.expired.contains(path) || meta.last_modified <= self.cutoff
    }

    /// Whether the last part of a path hides it from a table (as in Spark: names that begin with `_` or `.`, but for those
    /// of partitions and of change data).
    fn is_hidden(&self, path: &Path) -> bool {
        let name = path.filename().unwrap_or_default();
        let is_partition = || {
            let column = name.split_once('=').map(|(column, _)| column);
            column.is_some_and(|column| self.partition_columns.iter().any(|known| known == column))
        };
        name.starts_with(['_', '.']) && !SEEN.contains(&name) && !is_partition()
    }
}

/// A table's folder.
struct Folder<'a> {
    table: &'a Snapshot,
    store: String,
    path: Path,
}

impl<'a> Folder<'a> {
    fn of(table: &'a Snapshot) -> Result<Self> {
        let (store, path) = place(table.url(), "")?;
        Ok(Self { table, store, path })
    }

    /// Adds a file and its deletion vector, as far as they lie in the folder: a table may also refer to files elsewhere.
    fn note(&self, path: &str, vector: Option<&DeletionVectorDescriptor>, into: &mut HashSet<Path>) -> Result<()> {
        let vector = vector.map(vector_file).transpose()?.flatten();
        for path in [Some(path.to_string()), vector].into_iter().flatten() {
            let (store, path) = place(self.table.url(), &path)?;
            if store == self.store
                && let Some(parts) = path.prefix_match(&self.path)
            {
                into.insert(parts.collect());
            }
        }
        Ok(())
    }
}
