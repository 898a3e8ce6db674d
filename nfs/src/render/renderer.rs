//! Opens versions of tables as text.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use posixlake_cache::{Hash128, Lru};

use super::blocks::Blocks;
use super::chunks::Source;
use super::core::Core;
use super::flights::Flights;
use super::index::IndexStore;
use super::key::{file_key, schema_key};
use super::rendering::{Part, Rendering};
use super::statistics::Statistics;
use super::text::Format;
use crate::lake::{Lake, Result, Version};

/// Limits of a [`Renderer`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of rendered text on disk.
    pub disk: u64,
    /// Bytes of rendered text in memory.
    pub memory: u64,
    /// Bytes of measures of data files in memory, beside those of open renderings.
    pub index_memory: u64,
    /// How many chunks are rendered at a time.
    pub parallel: usize,
}

impl Default for Options {
    /// 4 GiB on disk, 32 MiB in memory for texts and 64 MiB for measures, all cores.
    fn default() -> Self {
        Self {
            disk: 4 << 30,
            memory: 32 << 20,
            index_memory: 64 << 20,
            parallel: thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// How far the opening of a rendering is.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    done: AtomicU64,
}

impl Progress {
    fn new(version: &Version) -> Self {
        Self {
            total: version.files.iter().map(|file| file.rows).sum(),
            done: AtomicU64::new(0),
        }
    }

    pub(super) fn add_rows(&self, rows: u64) {
        self.done.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows to be measured, hidden ones included, and how many of them have been.
    pub fn rows(&self) -> (u64, u64) {
        (self.total, self.done.load(Ordering::Relaxed).min(self.total))
    }
}

/// What tells a rendering: the table's id, version and columns, and the format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OpenKey {
    id: String,
    number: u64,
    schema: Hash128,
    format: Format,
}

impl OpenKey {
    fn new(version: &Version, format: Format) -> Self {
        Self {
            id: version.id.clone(),
            number: version.number,
            schema: schema_key(&version.schema),
            format,
        }
    }
}

/// Renders versions of the tables of a lake, with a cache that outlives the process.
pub struct Renderer {
    core: Arc<Core>,
    open: Arc<Mutex<Lru<OpenKey, Arc<Rendering>>>>,
    opening: Flights<OpenKey, Arc<Rendering>>,
    progress: Arc<Mutex<HashMap<OpenKey, Arc<Progress>>>>,
}

impl Renderer {
    /// A renderer that keeps what it makes in `folder`, which other renderers may use at the same time. Blocks while it
    /// looks through the folder.
    ///
    /// # Errors
    /// A folder that can be neither made nor read.
    pub fn new(lake: Arc<dyn Lake>, folder: PathBuf, options: &Options) -> io::Result<Self> {
        /// Files of all renderings that are kept open for the next who asks.
        const OPEN_FILES: u64 = 500_000;
        let indexes = IndexStore::open(folder.join("index"), options.index_memory)?;
        let blocks = Blocks::open(folder.join("blocks"), options.disk, options.memory)?;
        Ok(Self {
            core: Arc::new(Core::new(lake, indexes, blocks, options.parallel.max(1))),
            open: Arc::new(Mutex::new(Lru::new(OPEN_FILES))),
            opening: Flights::new(),
            progress: Arc::default(),
        })
    }

    /// A version as text. Measures what has not been measured yet; work that has begun goes on when the caller gives up,
    /// and is shared by all who ask for the same.
    ///
    /// # Errors
    /// As the lake's.
    pub async fn open(&self, version: Arc<Version>, format: Format) -> Result<Arc<Rendering>> {
        if let Some(rendering) = self.opened(&version, format) {
            return Ok(rendering);
        }
        let key = OpenKey::new(&version, format);
        let flight = self.opening.join(key.clone(), || {
            let progress = Arc::new(Progress::new(&version));
            self.progress.lock().insert(key.clone(), Arc::clone(&progress));
            let under_way = UnderWay(Arc::clone(&self.progress), key.clone());
            let (core, open) = (Arc::clone(&self.core), Arc::clone(&self.open));
            async move {
                let files = version.files.len() as u64;
                let rendering = assemble(core, version, format, key.schema, &progress).await?;
                open.lock().insert(key, Arc::clone(&rendering), files + 64);
                drop(under_way);
                Ok(rendering)
            }
        });
        flight.await
    }

    /// A version as text, if that takes no waiting.
    pub fn opened(&self, version: &Version, format: Format) -> Option<Arc<Rendering>> {
        self.open.lock().get(&OpenKey::new(version, format)).cloned()
    }

    /// How far an [`open`](Self::open) of this is that is under way.
    pub fn progress(&self, version: &Version, format: Format) -> Option<Arc<Progress>> {
        self.progress.lock().get(&OpenKey::new(version, format)).cloned()
    }

    /// What has been done, and what is held.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.core.counters;
        let (indexes_in_memory, indexes_on_disk) = self.core.indexes.counts();
        let (memory, disk) = self.core.blocks.sizes();
        Statistics {
            indexes_built: counters.indexes_built.get(),
            indexes_in_memory: indexes_in_memory as u64,
            indexes_on_disk: indexes_on_disk as u64,
            blocks_in_memory: memory.0 as u64,
            bytes_in_memory: memory.1,
            blocks_on_disk: disk.0 as u64,
            bytes_on_disk: disk.1,
            memory_hits: counters.memory_hits.get(),
            disk_hits: counters.disk_hits.get(),
            misses: counters.misses.get(),
            rendered_chunks: counters.rendered_chunks.get(),
            rendered_rows: counters.rendered_rows.get(),
            rendered_bytes: counters.rendered_bytes.get(),
        }
    }
}

/// Takes the progress out when the work has ended, however it did.
struct UnderWay(Arc<Mutex<HashMap<OpenKey, Arc<Progress>>>>, OpenKey);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Finds or makes the indexes of all files of a version.
async fn assemble(
    core: Arc<Core>,
    version: Arc<Version>,
    format: Format,
    schema: Hash128,
    progress: &Arc<Progress>,
) -> Result<Arc<Rendering>> {
    let files = futures::stream::iter(version.files.clone());
    let indexes = files.map(|file| {
        let source = Source {
            key: file_key(&version, schema, &file, format),
            version: Arc::clone(&version),
            file,
            format,
        };
        let (core, progress) = (Arc::clone(&core), Arc::clone(progress));
        async move {
            let key = source.key;
            core.index(source, &progress).await.map(|index| Part { key, index })
        }
    });
    // Most of these wait for a disk; how many render at a time is for the core to say.
    let parts: Vec<Part> = indexes.buffered(core.parallel * 4).try_collect().await?;
    Ok(Arc::new(Rendering::new(core, version, format, parts)))
}
