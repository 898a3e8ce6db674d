//! What a run that is under way, or was interrupted, has copied already.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::manifest::Entry;
use crate::error::{Error, Result};

/// The folder of journals, one folder a run.
pub(super) const FOLDER: &str = "unfinished";
/// After how many files the journal goes on.
const FILES: usize = 16;
/// After how many bytes of files the journal goes on.
const BYTES: u64 = 256 << 20;

/// A file that was copied.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    /// The table's folder in the backup.
    folder: String,
    file: Entry,
}

/// The journal of one run.
#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<dyn ObjectStore>,
    number: u64,
    run: Uuid,
    part: u64,
    waiting: Vec<Done>,
    /// Whether files may be in the backup that no manifest will name.
    pub(super) untidy: bool,
    /// What was copied before, by the table's folder and the file's path.
    done: HashMap<(String, String), Entry>,
}

impl Journal {
    /// Takes up what earlier attempts at the same run have left, and leaves word that the run is begun.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn open(store: Arc<dyn ObjectStore>, number: u64) -> Result<Self> {
        let mut journal = Self {
            number,
            run: Uuid::new_v4(),
            part: 0,
            waiting: Vec::new(),
            untidy: false,
            done: HashMap::new(),
            store,
        };
        for meta in listed(journal.store.as_ref()).await? {
            if number_of(&meta.location) != Some(number) {
                continue;
            }
            journal.untidy = true;
            let bytes = journal.store.get(&meta.location).await?.bytes().await?;
            // A line that cannot be read vouches for nothing.
            let lines = bytes.split(|byte| *byte == b'\n');
            let lines = lines.filter_map(|line| serde_json::from_slice::<Done>(line).ok());
            let entries = lines.map(|done| ((done.folder, done.file.path.clone()), done.file));
            journal.done.extend(entries);
        }
        journal.flush().await?;
        Ok(journal)
    }

    /// The file as it was copied before.
    pub(super) fn find(&self, folder: &str, path: &str) -> Option<&Entry> {
        self.done.get(&(folder.to_string(), path.to_string()))
    }

    /// Takes note of a file that is in the backup.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn note(&mut self, folder: &str, file: Entry) -> Result<()> {
        self.waiting.push(Done {
            folder: folder.to_string(),
            file,
        });
        let bytes: u64 = self.waiting.iter().map(|done| done.file.size).sum();
        if self.waiting.len() >= FILES || bytes >= BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let mut text = Vec::new();
        for done in self.waiting.drain(..) {
            serde_json::to_writer(&mut text, &done).map_err(|error| Error::internal(error.to_string()))?;
            text.push(b'\n');
        }
        let path = format!("{FOLDER}/{:010}/{}-{:06}.jsonl", self.number, self.run, self.part);
        self.part += 1;
        self.store.put(&Path::from(path), text.into()).await?;
        Ok(())
    }

    /// Removes the journals of this run and of those before it: the manifest tells all. What stays is in nobody's way.
    pub(super) async fn close(self) {
        let Ok(listed) = listed(self.store.as_ref()).await else {
            return;
        };
        let old = |path: &Path| number_of(path).is_some_and(|number| number <= self.number);
        let paths = listed.into_iter().map(|meta| meta.location).filter(old);
        let paths: Vec<_> = paths.map(Ok).collect();
        let deleted = self.store.delete_stream(futures::stream::iter(paths).boxed());
        if let Err(error) = deleted.try_for_each(|_| std::future::ready(Ok(()))).await {
            tracing::warn!(%error, "the journal of a backup that is complete could not be removed");
        }
    }
}

/// Whether a run of this number was begun.
///
/// # Errors
/// Where the store fails.
pub(super) async fn is_begun(store: &dyn ObjectStore, number: u64) -> Result<bool> {
    let listed = listed(store).await?;
    Ok(listed.iter().any(|meta| number_of(&meta.location) == Some(number)))
}

async fn listed(store: &dyn ObjectStore) -> Result<Vec<ObjectMeta>> {
    match store.list(Some(&Path::from(FOLDER))).try_collect().await {
        Ok(listed) => Ok(listed),
        Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.filename()?;
    let folder = path.as_ref().strip_prefix(FOLDER)?.strip_prefix('/')?;
    let number = folder.strip_suffix(name)?.strip_suffix('/')?;
    (!name.starts_with('.')).then(|| number.parse().ok()).flatten()
}
