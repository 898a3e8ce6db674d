//! Texts of chunks, in memory and on disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use posixlake_cache::{Folder, Hash128, Lru};

use super::text::Format;

/// Texts of chunks by their keys.
pub(super) struct Blocks {
    folder: Arc<Folder>,
    memory: Mutex<Lru<(Hash128, Format), Bytes>>,
}

impl Blocks {
    /// # Errors
    /// As [`Folder::open`].
    pub(super) fn open(path: PathBuf, disk: u64, memory: u64) -> io::Result<Self> {
        Ok(Self {
            folder: Arc::new(Folder::open(path, disk)?),
            memory: Mutex::new(Lru::new(memory)),
        })
    }

    /// The text in a format, if it is in memory.
    pub(super) fn in_memory(&self, key: Hash128, format: Format) -> Option<Bytes> {
        self.memory.lock().get(&(key, format)).cloned()
    }

    /// Keeps a text in memory.
    pub(super) fn remember(&self, key: Hash128, format: Format, text: &Bytes) {
        self.memory
            .lock()
            .insert((key, format), text.clone(), text.len() as u64);
    }

    /// The text in its stored format, if it is on disk.
    pub(super) async fn on_disk(&self, key: Hash128) -> Option<Bytes> {
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || folder.read(key));
        read.await.ok().flatten().map(Bytes::from)
    }

    /// Keeps a text in its stored format on disk, in place of what was used longest ago.
    pub(super) async fn keep(&self, key: Hash128, text: Bytes) {
        let folder = Arc::clone(&self.folder);
        let _ = tokio::task::spawn_blocking(move || folder.write(key, &text)).await;
    }

    /// Keeps a text in its stored format on disk, if nothing has to go for it.
    pub(super) async fn keep_if_room(&self, key: Hash128, text: Bytes) {
        if self.folder.has_room(text.len()) {
            self.keep(key, text).await;
        }
    }

    /// Takes a text out that is not what it should be.
    pub(super) async fn forget(&self, key: Hash128) {
        let folder = Arc::clone(&self.folder);
        let _ = tokio::task::spawn_blocking(move || folder.remove(key)).await;
    }

    /// Texts and bytes in memory, and on disk.
    pub(super) fn sizes(&self) -> ((usize, u64), (usize, u64)) {
        let memory = self.memory.lock();
        ((memory.len(), memory.cost()), self.folder.size())
    }
}
