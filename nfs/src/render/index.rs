//! How many rows and bytes of text each chunk of a data file has.

use std::path::PathBuf;
use std::sync::Arc;
use std::{io, mem};

use bytes::Bytes;
use parking_lot::Mutex;
use posixlake_cache::{Folder, Hash128, Lru};

/// Texts up to this many bytes stand in the index itself: a file of its own would cost more.
pub(super) const INLINE: usize = 1_024;

/// Indexes of one data file under so many deletion vectors are kept: readers of some versions, and the next change.
const KEPT: usize = 8;

/// What index files may take on disk.
const DISK_LIMIT: u64 = 2 << 30;

/// One chunk: its live rows as text in the stored format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) rows: u32,
    pub(super) bytes: u64,
    /// The hash of its live places.
    pub(super) places: Hash128,
    /// The text, where it is short.
    pub(super) text: Option<Bytes>,
}

/// The chunks of a data file under one deletion vector.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileIndex {
    pub(super) vector: Hash128,
    chunks: Vec<Chunk>,
    /// Rows and bytes up to the end of each chunk.
    ends: Vec<(u64, u64)>,
}

impl FileIndex {
    pub(super) fn new(vector: Hash128, chunks: Vec<Chunk>) -> Self {
        let ends = chunks
            .iter()
            .scan((0u64, 0u64), |(rows, bytes), chunk| {
                *rows = rows.saturating_add(u64::from(chunk.rows));
                *bytes = bytes.saturating_add(chunk.bytes);
                Some((*rows, *bytes))
            })
            .collect();
        Self { vector, chunks, ends }
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Live rows and bytes of text of the file.
    pub(super) fn total(&self) -> (u64, u64) {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Live rows and bytes of text before a chunk.
    pub(super) fn before(&self, chunk: usize) -> (u64, u64) {
        let previous = chunk.checked_sub(1).and_then(|previous| self.ends.get(previous));
        previous.copied().unwrap_or_default()
    }

    /// The chunk with the n-th row, or the number of chunks.
    pub(super) fn chunk_of_row(&self, n: u64) -> usize {
        self.ends.partition_point(|(rows, _)| *rows <= n)
    }

    /// The first chunk whose end, by `end_of` rows and bytes, is beyond a place.
    pub(super) fn chunk_beyond(&self, place: u64, end_of: impl Fn(u64, u64) -> u64) -> usize {
        self.ends
            .partition_point(|(rows, bytes)| end_of(*rows, *bytes) <= place)
    }

    fn cost(&self) -> u64 {
        let texts: usize = self
            .chunks
            .iter()
            .filter_map(|chunk| chunk.text.as_ref())
            .map(Bytes::len)
            .sum();
        let fixed = self.chunks.len() * (mem::size_of::<Chunk>() + mem::size_of::<(u64, u64)>());
        (texts + fixed + mem::size_of::<Self>()) as u64
    }
}

/// The indexes of one data file, the latest last.
pub(super) type History = Arc<Vec<Arc<FileIndex>>>;

/// Indexes of data files, in memory and on disk.
pub(super) struct IndexStore {
    folder: Arc<Folder>,
    memory: Mutex<Lru<Hash128, History>>,
}

impl IndexStore {
    /// # Errors
    /// As [`Folder::open`].
    pub(super) fn open(path: PathBuf, memory: u64) -> io::Result<Self> {
        Ok(Self {
            folder: Arc::new(Folder::open(path, DISK_LIMIT)?),
            memory: Mutex::new(Lru::new(memory)),
        })
    }

    /// The index of a file under a vector, if it is in memory.
    pub(super) fn in_memory(&self, file: Hash128, vector: Hash128) -> Option<Arc<FileIndex>> {
        let mut memory = self.memory.lock();
        let history = memory.get(&file)?;
        history.iter().find(|index| index.vector == vector).cloned()
    }

    /// All that is known of a file.
    pub(super) async fn history(&self, file: Hash128) -> History {
        if let Some(history) = self.memory.lock().get(&file) {
            return Arc::clone(history);
        }
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || {
            let bytes = folder.read(file)?;
            let history = decode(&bytes);
            if history.is_none() {
                folder.remove(file);
            }
            history
        });
        let history = Arc::new(read.await.ok().flatten().unwrap_or_default());
        if !history.is_empty() {
            self.remember(file, &history);
        }
        history
    }

    fn remember(&self, file: Hash128, history: &History) {
        let cost = history.iter().map(|index| index.cost()).sum();
        self.memory.lock().insert(file, Arc::clone(history), cost);
    }

    /// Adds an index of a file.
    pub(super) async fn add(&self, file: Hash128, index: Arc<FileIndex>) {
        let mut history: Vec<Arc<FileIndex>> = self.history(file).await.as_ref().clone();
        history.retain(|known| known.vector != index.vector);
        history.push(index);
        let surplus = history.len().saturating_sub(KEPT);
        history.drain(..surplus);
        let history = Arc::new(history);
        self.remember(file, &history);
        let folder = Arc::clone(&self.folder);
        let write = tokio::task::spawn_blocking(move || folder.write(file, &encode(&history)));
        // A write that failed has been logged; the index is in memory.
        let _ = write.await;
    }

    /// Forgets all that is known of a file.
    pub(super) async fn forget(&self, file: Hash128) {
        self.memory.lock().remove(&file);
        let folder = Arc::clone(&self.folder);
        let _ = tokio::task::spawn_blocking(move || folder.remove(file)).await;
    }

    /// How many files have an index in memory, and on disk.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.memory.lock().len(), self.folder.size().0)
    }
}

const MAGIC: &[u8; 8] = b"plxindex";

fn encode(history: &[Arc<FileIndex>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let number = |out: &mut Vec<u8>, number: u64| out.extend_from_slice(&number.to_le_bytes());
    number(&mut out, history.len() as u64);
    for index in history {
        out.extend_from_slice(&index.vector.0);
        number(&mut out, index.chunks.len() as u64);
        for chunk in &index.chunks {
            number(&mut out, u64::from(chunk.rows));
            number(&mut out, chunk.bytes);
            out.extend_from_slice(&chunk.places.0);
            // The text's length is that of the chunk.
            out.push(u8::from(chunk.text.is_some()));
            out.extend_from_slice(chunk.text.as_deref().unwrap_or_default());
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Option<Vec<Arc<FileIndex>>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let rest = &mut rest;
    let count = number(rest)?;
    let mut history = Vec::new();
    for _ in 0..count {
        let vector = hash(rest)?;
        let count = number(rest)?;
        let mut chunks = Vec::new();
        for _ in 0..count {
            let rows = u32::try_from(number(rest)?).ok()?;
            let bytes = number(rest)?;
            let places = hash(rest)?;
            let text = match take(rest, 1)? {
                [0] => None,
                _ => Some(Bytes::copy_from_slice(take(rest, usize::try_from(bytes).ok()?)?)),
            };
            chunks.push(Chunk {
                rows,
                bytes,
                places,
                text,
            });
        }
        history.push(Arc::new(FileIndex::new(vector, chunks)));
    }
    rest.is_empty().then_some(history)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest, 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn hash(rest: &mut &[u8]) -> Option<Hash128> {
    take(rest, 16)?.try_into().ok().map(Hash128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(seed: u8) -> Arc<FileIndex> {
        let chunk = |rows: u32, text: Option<&'static [u8]>| Chunk {
            rows,
            bytes: text.map_or(70_000, |text| text.len() as u64),
            places: Hash128::of(&[seed, rows as u8]),
            text: text.map(Bytes::from_static),
        };
        let chunks = vec![chunk(3, None), chunk(0, Some(b"")), chunk(2, Some(b"1\n2\n"))];
        Arc::new(FileIndex::new(Hash128::of(&[seed]), chunks))
    }

    #[test]
    fn comes_back_as_it_was() {
        let history = vec![index(1), index(2)];
        let bytes = encode(&history);
        assert_eq!(decode(&bytes), Some(history));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None);
        }
    }

    #[test]
    fn finds_chunks() {
        let index = index(1);
        assert_eq!(index.total(), (5, 70_004));
        assert_eq!(
            (index.chunk_of_row(0), index.chunk_of_row(2), index.chunk_of_row(3)),
            (0, 0, 2)
        );
        assert_eq!(index.chunk_of_row(5), 3);
        assert_eq!(index.chunk_beyond(70_000, |_, bytes| bytes), 2);
        assert_eq!(index.before(2), (3, 70_000));
    }

    #[tokio::test]
    async fn keeps_the_latest_vectors() {
        let root = tempfile::tempdir().unwrap();
        let store = IndexStore::open(root.path().into(), 1 << 20).unwrap();
        let file = Hash128::of(b"file");
        for seed in 0..20 {
            store.add(file, index(seed)).await;
        }
        let reopened = IndexStore::open(root.path().into(), 1 << 20).unwrap();
        assert_eq!(reopened.in_memory(file, Hash128::of(&[19])), None);
        let history = reopened.history(file).await;
        assert_eq!(history.len(), KEPT);
        assert_eq!(history.last(), Some(&index(19)));
        assert_eq!(reopened.in_memory(file, Hash128::of(&[19])), Some(index(19)));
    }
}
