//! Data files of tables on remote stores, kept on the local disk in blocks. The log says that a data file never changes, so
//! what was read once need not be asked for again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use posixlake_cache::{Folder, Hash128, Hasher};
use tokio::task::spawn_blocking;

use crate::access::{Access, check_read};
use crate::system;

/// What is asked for and kept at once: what a store sends in about the time that it takes to answer at all.
const BLOCK: u64 = 1 << 20;
/// How many blocks one request asks for at most: more requests are answered side by side.
const BLOCKS: u64 = 8;

/// The setting that says how much disk data files may take, and that for where.
const SIZE: &str = "data_cache";
const FOLDER: &str = "data_cache_folder";

/// A folder of blocks of data files, the least recently used of which go.
#[derive(Debug)]
pub(crate) struct DataCache {
    path: PathBuf,
    limit: u64,
    folder: OnceLock<Option<Arc<Folder>>>,
    /// Bytes that came from the disk, and bytes that had to be asked for.
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache has done and has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataCacheFigures {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) kept: u64,
}

impl DataCache {
    /// Takes the cache's settings out of a session's, or the environment's; none where neither asks for one.
    ///
    /// # Errors
    /// Where a size is none, or there is no folder for it.
    pub(super) fn of(settings: &mut HashMap<String, String>) -> crate::error::Result<Option<Self>> {
        let mut setting = |name: &str| {
            let key = settings.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            let given = key.and_then(|key| settings.remove(&key));
            let variable = || std::env::var(format!("POSIXLAKE_{}", name.to_ascii_uppercase())).ok();
            given.or_else(variable).filter(|value| !value.is_empty())
        };
        let (size, folder) = (setting(SIZE), setting(FOLDER));
        let Some(size) = size.filter(|size| size != "0" && !size.eq_ignore_ascii_case("off")) else {
            return Ok(None);
        };
        let limit = system::parse_size(&size).map_err(|error| {
            crate::error::Error::invalid(format!("the setting {SIZE} is '{size}': {error}, or 'off'"))
        })?;
        let path = folder.map(PathBuf::from);
        let path = path.or_else(|| Some(system::folder("XDG_CACHE_HOME", ".cache")?.join("data")));
        let path = path.ok_or_else(|| {
            crate::error::Error::invalid(format!(
                "the setting {SIZE} needs {FOLDER} where neither XDG_CACHE_HOME nor HOME is set"
            ))
        })?;
        Ok(Some(Self {
            path,
            limit: limit as u64,
            folder: OnceLock::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// The folder, opened when first asked for. One that cannot be opened is said once, and is no error. Blocks.
    fn folder(&self) -> Option<Arc<Folder>> {
        let open = || match Folder::open(self.path.clone(), self.limit) {
            Ok(folder) => Some(Arc::new(folder)),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "data files are not kept");
                None
            }
        };
        self.folder.get_or_init(open).clone()
    }

    /// What the cache has done in this session, and what it holds.
    pub(crate) fn figures(&self) -> DataCacheFigures {
        let folder = self.folder.get().and_then(Option::as_ref);
        DataCacheFigures {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            kept: folder.map_or(0, |folder| folder.size().1),
        }
    }
}

/// A store whose data files of one table are kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) cache: Arc<DataCache>,
    /// Of whom a file that is kept is asked for by right, as the store would.
    pub(super) access: Option<Arc<Access>>,
    pub(super) origin: String,
    /// The files, as the log has them.
    pub(super) files: HashMap<Path, ObjectMeta>,
}

/// A block of a file: its number, and the name that it is kept under.
type Block = (u64, Hash128);

impl Kept {
    fn name(&self, file: &ObjectMeta, block: u64) -> Hash128 {
        let mut hasher = Hasher::new("block of a data file");
        hasher.bytes(self.origin.as_bytes());
        hasher.bytes(file.location.as_ref().as_bytes());
        hasher.number(file.size);
        hasher.bytes(&file.last_modified.timestamp_millis().to_le_bytes());
        hasher.number(block);
        hasher.finish()
    }

    /// The bytes in ranges of a file.
    async fn read(&self, file: &ObjectMeta, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(access) = &self.access {
            check_read(access, &self.origin, &file.location)?;
        }
        match self.by_blocks(file, ranges).await? {
            Some(bytes) => Ok(bytes),
            None => self.inner.get_ranges(&file.location, ranges).await,
        }
    }

    /// The bytes by way of the cache; none where it is not to be had, or the file is not as the log says.
    async fn by_blocks(&self, file: &ObjectMeta, ranges: &[Range<u64>]) -> Result<Option<Vec<Bytes>>> {
        let mut wanted: Vec<Block> = Vec::new();
        for range in ranges {
            wanted.extend(blocks_of(range).map(|block| (block, self.name(file, block))));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let cache = self.cache.clone();
        let read = spawn_blocking(move || kept(&cache, wanted)).await;
        let (folder, mut blocks, missing) = match read {
            Ok((Some(folder), blocks, missing)) => (folder, blocks, missing),
            _ => return Ok(None),
        };
        let asked = runs(&missing, file.size);
        let fetched = match asked.is_empty() {
            true => Vec::new(),
            false => self.inner.get_ranges(&file.location, &asked).await?,
        };
        let mut new: Vec<(Hash128, Bytes)> = Vec::new();
        for (run, bytes) in asked.iter().zip(fetched) {
            // A file that is not as long as the log says is for the reader to complain about.
            if bytes.len() as u64 != run.end - run.start {
                return Ok(None);
            }
            self.cache.misses.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            for block in blocks_of(run) {
                let start = (block * BLOCK - run.start) as usize;
                let bytes = bytes.slice(start..bytes.len().min(start + BLOCK as usize));
                new.push((self.name(file, block), bytes.clone()));
                blocks.insert(block, bytes);
            }
        }
        if !new.is_empty() {
            // Waited for, or the blocks of a process that ends with its statement would not be kept.
            let written = spawn_blocking(move || new.iter().all(|(name, bytes)| folder.write(*name, bytes)));
            let _ = written.await;
        }
        Ok(ranges.iter().map(|range| assemble(&blocks, range)).collect())
    }
}

/// The blocks that a range touches.
fn blocks_of(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

/// The blocks that are on the disk, and those that are not. Blocks.
fn kept(cache: &DataCache, wanted: Vec<Block>) -> (Option<Arc<Folder>>, BTreeMap<u64, Bytes>, Vec<u64>) {
    let folder = cache.folder();
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for (block, name) in wanted {
        match folder.as_ref().and_then(|folder| folder.read(name)) {
            Some(bytes) => {
                cache.hits.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                found.insert(block, Bytes::from(bytes));
            }
            None => missing.push(block),
        }
    }
    (folder, found, missing)
}

/// The ranges to ask for, so that all missing blocks of a file come.
fn runs(missing: &[u64], size: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for block in missing {
        let (start, end) = (block * BLOCK, ((block + 1) * BLOCK).min(size));
        match runs.last_mut() {
            Some(run) if run.end == start && end - run.start <= BLOCKS * BLOCK => run.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// The bytes of a range from its blocks; none where one is missing or short.
fn assemble(blocks: &BTreeMap<u64, Bytes>, range: &Range<u64>) -> Option<Bytes> {
    let piece = |block: u64| {
        let bytes = blocks.get(&block)?;
        let start = range.start.saturating_sub(block * BLOCK);
        let end = (range.end - block * BLOCK).min(BLOCK);
        (end <= bytes.len() as u64).then(|| bytes.slice(start as usize..end as usize))
    };
    let touched = blocks_of(range);
    if touched.end - touched.start == 1 {
        return piece(touched.start);
    }
    let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
    for block in touched {
        whole.extend_from_slice(&piece(block)?);
    }
    Some(whole.freeze())
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Kept {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let range = match &options {
            GetOptions {
                range: Some(GetRange::Bounded(range)),
                if_match: None,
                if_none_match: None,
                if_modified_since: None,
                if_unmodified_since: None,
                version: None,
                head: false,
                ..
            } => Some(range.clone()),
            _ => None,
        };
        match (self.files.get(location), range) {
            (Some(file), Some(range)) if range.start < range.end && range.end <= file.size => {
                let bytes = self.read(file, std::slice::from_ref(&range)).await?;
                let bytes = bytes.into_iter().next().unwrap_or_default();
                Ok(GetResult {
                    payload: GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed()),
                    meta: file.clone(),
                    range,
                    attributes: Attributes::default(),
                })
            }
            _ => self.inner.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.files.get(location) {
            Some(file)
                if ranges
                    .iter()
                    .all(|range| range.start < range.end && range.end <= file.size) =>
            {
                self.read(file, ranges).await
            }
            _ => self.inner.get_ranges(location, ranges).await,
        }
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    use super::*;

    const FILE: u64 = 5 * BLOCK + 4_711;

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        let start = prop_oneof![0..FILE, (0..6_u64).prop_map(|block| block * BLOCK)];
        let length = prop_oneof![1..64_u64, 1..3 * BLOCK, Just(BLOCK)];
        let range = (start, length).prop_map(|(start, length)| start..(start + length).min(FILE));
        prop::collection::vec(range, 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn bytes_are_those_of_the_store(reads in prop::collection::vec(ranges(), 1..6), limit in 0..8_u64) {
            let folder = tempfile::tempdir().unwrap();
            let size = [("data_cache", format!("{}m", limit + 1)), ("data_cache_folder", folder.path().display().to_string())];
            let mut settings = size.map(|(key, value)| (key.to_string(), value)).into();
            let cache = Arc::new(DataCache::of(&mut settings).unwrap().unwrap());
            prop_assert!(settings.is_empty());
            let content: Bytes = (0..FILE).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let inner = Arc::new(InMemory::new());
                let location = Path::from("t/part.parquet");
                inner.put(&location, content.clone().into()).await.unwrap();
                let file = inner.head(&location).await.unwrap();
                let store = Kept {
                    inner,
                    cache,
                    access: None,
                    origin: "s3://bucket".to_string(),
                    files: [(location.clone(), file)].into(),
                };
                for ranges in &reads {
                    let read = store.get_ranges(&location, ranges).await.unwrap();
                    for (range, bytes) in ranges.iter().zip(&read) {
                        let expected = content.slice(range.start as usize..range.end as usize);
                        prop_assert!(*bytes == expected, "{range:?} of {ranges:?}");
                        prop_assert_eq!(store.get_range(&location, range.clone()).await.unwrap(), expected);
                    }
                }
                Ok(())
            })?;
        }
    }
}
