//! `RENAME TO` on an object store, which cannot rename a folder: its objects are copied, and then deleted.
//!
//! What another writer commits in between must not be lost. So the old name is closed before it is left: a commit gives it a
//! table feature that nobody writes, which whoever is about to commit loses against, and which tells the next one. Until
//! then, and where the copy fails, the old name is the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use delta_kernel::table_features::TableFeature;
use deltalake_core::kernel::{Action, Protocol};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;

use super::drop_table::drop_objects;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, Snapshot, commit, commit_path};
use crate::plan::Running;
use crate::store::path_of;

/// The feature of a table that is being moved.
const MOVED: &str = "posixlakeMoved";
/// How many objects are copied at a time.
const COPIES: usize = 16;

/// Moves a table's objects from one folder to another that is free.
///
/// # Errors
/// Where the store fails: until the old name is closed nothing was changed but the new folder.
pub(super) async fn move_objects(
    lake: &Lake,
    from: &TableId,
    to: &TableId,
    text: &str,
    running: &Running,
) -> Result<()> {
    let mut moving = Moving {
        store: lake.stores().root(&from.url)?,
        from: path_of(&from.url)?,
        to: path_of(&to.url)?,
        copied: BTreeSet::new(),
    };
    let table = latest(lake, from).await?;
    if !is_closed(&table) {
        // Most of the work, while others write.
        moving.copy(|path| !is_log(path), running).await?;
    }
    let closed = close(lake, from, text).await?;
    let last = commit_path(closed);
    let copy = async {
        moving.copy(|path| !is_log(path), running).await?;
        moving.copy(|path| *path != last, running).await
    };
    if let Err(error) = copy.await {
        // Nobody can have committed behind it.
        let opened = moving.store.delete(&below(&moving.from, &last)).await;
        let state = match opened {
            Ok(()) => "it is what it was",
            Err(_) => "it can be read, and written again when RENAME TO has been repeated",
        };
        return Err(Error::new(
            error.kind(),
            format!("table {} was not moved, {state}: {error}", from.display()),
        )
        .with_source(error));
    }
    drop_objects(lake, from, running).await
}

async fn latest(lake: &Lake, id: &TableId) -> Result<Snapshot> {
    let table = lake.snapshots().latest(&id.url).await?;
    table.ok_or_else(|| lake.missing(id))
}

/// Whether an earlier attempt got as far as closing the table.
fn is_closed(table: &Snapshot) -> bool {
    let features = table.protocol().writer_features().unwrap_or_default();
    features.iter().any(|feature| feature.to_string() == MOVED)
}

/// Closes the table for writers, and returns the version that does.
async fn close(lake: &Lake, id: &TableId, text: &str) -> Result<u64> {
    loop {
        let table = latest(lake, id).await?;
        if is_closed(&table) {
            return Ok(table.version());
        }
        let protocol = table.protocol();
        let names = |features: Option<&[TableFeature]>| -> Option<Vec<String>> {
            Some(features?.iter().map(ToString::to_string).collect())
        };
        let mut written = names(protocol.writer_features()).unwrap_or_default();
        written.push(MOVED.to_string());
        let mut closed = json!({
            "minReaderVersion": protocol.min_reader_version(),
            "minWriterVersion": 7,
            "writerFeatures": written,
        });
        if let (Some(read), Some(fields)) = (names(protocol.reader_features()), closed.as_object_mut()) {
            fields.insert("readerFeatures".to_string(), json!(read));
        }
        let closed: Protocol = serde_json::from_value(closed)
            .map_err(|error| Error::internal(format!("a protocol cannot be made: {error}")))?;
        let closing = Commit {
            operation: "RENAME",
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            actions: vec![Action::Protocol(closed)],
            read_version: Some(table.version()),
            mode: Mode::Exclusive,
            statement: Some(text.to_string()),
        };
        match commit(table.log_store().as_ref(), closing).await {
            Ok(version) => {
                lake.snapshots().forget(&id.url);
                return Ok(version);
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_log(path: &Path) -> bool {
    path.parts().next().is_some_and(|part| part.as_ref() == "_delta_log")
}

/// A path in a table as one of the store.
fn below(folder: &Path, path: &Path) -> Path {
    folder.parts().chain(path.parts()).collect()
}

/// Two folders of one bucket: a lake is in one.
struct Moving {
    store: Arc<dyn ObjectStore>,
    from: Path,
    to: Path,
    /// By their paths in the table.
    copied: BTreeSet<Path>,
}

impl Moving {
    /// Copies those of the chosen objects that are not copied yet.
    async fn copy(&mut self, chosen: impl Fn(&Path) -> bool, running: &Running) -> Result<()> {
        let listed: Vec<Path> = self
            .store
            .list(Some(&self.from))
            .map_ok(|file| file.location)
            .try_collect()
            .await?;
        let inner = |path: &Path| Some(path.prefix_match(&self.from)?.collect::<Path>());
        let due: BTreeSet<Path> = listed
            .iter()
            .filter_map(inner)
            .filter(|path| chosen(path) && !self.copied.contains(path))
            .collect();
        let copies: Vec<_> = due
            .iter()
            .map(|path| copy(self.store.clone(), below(&self.from, path), below(&self.to, path)))
            .collect();
        let mut copies = futures::stream::iter(copies).buffered(COPIES);
        while copies.try_next().await?.is_some() {
            running.progress.files.add(1);
        }
        drop(copies);
        self.copied.extend(due);
        Ok(())
    }
}

async fn copy(store: Arc<dyn ObjectStore>, from: Path, to: Path) -> object_store::Result<()> {
    store.copy(&from, &to).await
}
