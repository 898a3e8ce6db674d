//! Records that found no equal one nearby: a multiset of hashes, cancelled by count, on disk where it is large.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use roaring::RoaringTreemap;

use super::Result;
use super::pieces::Cancel;

/// 128 random-looking bits that stand for a record's text: the first half chooses a partition, the second a place in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(u64, u64);

impl From<u128> for Digest {
    fn from(bits: u128) -> Self {
        Self((bits >> 64) as u64, bits as u64)
    }
}

impl Hash for Digest {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.1);
    }
}

/// A map by digest. Its bits are good as they are.
pub(super) type DigestMap<T> = HashMap<Digest, T, BuildHasherDefault<AsIs>>;

/// Takes a word for its own hash.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Base,
    New,
}

/// Records of either side that have no partner.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    pub(super) removed: RoaringTreemap,
    pub(super) added: RoaringTreemap,
}

const PARTITIONS: usize = 256;
const ENTRY: usize = 24;
/// Partitions of partitions of partitions: where this is not enough, memory is not what is short.
const DEPTHS: u32 = 3;
/// Bytes of a map for each digest, with room to grow.
const MAP_ENTRY: usize = 56;

/// The records of one side in one partition: blocks in the file, and what came after them.
#[derive(Debug, Default)]
struct Part {
    blocks: Vec<(u64, usize)>,
    buffer: Vec<u8>,
    entries: usize,
}

/// Collects leftovers and cancels the equal ones.
#[derive(Debug)]
pub(super) struct Leftovers {
    /// Bytes of memory that may be used.
    limit: usize,
    depth: u32,
    folder: PathBuf,
    file: Option<File>,
    written: u64,
    buffered: usize,
    base: Vec<Part>,
    new: Vec<Part>,
}

impl Leftovers {
    pub(super) fn new(limit: usize, folder: &Path) -> Self {
        Self::at_depth(limit, folder, 0)
    }

    fn at_depth(limit: usize, folder: &Path, depth: u32) -> Self {
        let parts = || std::iter::repeat_with(Part::default).take(PARTITIONS).collect();
        Self {
            limit,
            depth,
            folder: folder.to_owned(),
            file: None,
            written: 0,
            buffered: 0,
            base: parts(),
            new: parts(),
        }
    }

    /// Adds a record. Those of a side come in the order of their ordinals.
    #[inline]
    pub(super) fn push(&mut self, side: Side, digest: Digest, ordinal: u64) -> Result<()> {
        let Digest(first, last) = digest;
        let partition = (first >> (56 - 8 * self.depth)) as usize % PARTITIONS;
        let parts = match side {
            Side::Base => &mut self.base,
            Side::New => &mut self.new,
        };
        if let Some(part) = parts.get_mut(partition) {
            for word in [first, last, ordinal] {
                part.buffer.extend_from_slice(&word.to_le_bytes());
            }
            part.entries += 1;
            self.buffered += ENTRY;
        }
        // Buffers grow by doubling, so they may hold twice the memory that they use.
        if self.buffered > self.limit / 4 {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        for part in self.base.iter_mut().chain(&mut self.new) {
            if !part.buffer.is_empty() {
                file.write_all_at(&part.buffer, self.written)?;
                part.blocks.push((self.written, part.buffer.len()));
                self.written += part.buffer.len() as u64;
                part.buffer.clear();
            }
        }
        self.buffered = 0;
        Ok(())
    }

    /// Cancels equal records of the two sides, one for one, and tells those that are left.
    pub(super) fn cancel(mut self, cancel: &Cancel, unmatched: &mut Unmatched) -> Result<()> {
        let (base, new) = (std::mem::take(&mut self.base), std::mem::take(&mut self.new));
        let mut open: DigestMap<u64> = DigestMap::default();
        for (base, new) in base.into_iter().zip(new) {
            cancel.check()?;
            if base.entries * MAP_ENTRY > self.limit / 2 && self.depth < DEPTHS {
                self.divide(&base, &new, cancel, unmatched)?;
                continue;
            }
            open.clear();
            self.each(&base, |digest, _| {
                *open.entry(digest).or_default() += 1;
                Ok(())
            })?;
            self.each(&new, |digest, ordinal| {
                match open.get_mut(&digest) {
                    Some(count) if *count > 0 => *count -= 1,
                    _ => {
                        unmatched.added.insert(ordinal);
                    }
                }
                Ok(())
            })?;
            if open.values().all(|count| *count == 0) {
                continue;
            }
            self.each(&base, |digest, ordinal| {
                if let Some(count) = open.get_mut(&digest).filter(|count| **count > 0) {
                    *count -= 1;
                    unmatched.removed.insert(ordinal);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Cancels what is too much for one map in finer partitions.
    fn divide(&self, base: &Part, new: &Part, cancel: &Cancel, unmatched: &mut Unmatched) -> Result<()> {
        let mut finer = Self::at_depth(self.limit, &self.folder, self.depth + 1);
        self.each(base, |digest, ordinal| finer.push(Side::Base, digest, ordinal))?;
        self.each(new, |digest, ordinal| finer.push(Side::New, digest, ordinal))?;
        finer.cancel(cancel, unmatched)
    }

    fn each(&self, part: &Part, mut visit: impl FnMut(Digest, u64) -> Result<()>) -> Result<()> {
        let mut all = |bytes: &[u8]| {
            let (words, _) = bytes.as_chunks::<8>();
            let (entries, _) = words.as_chunks::<3>();
            entries.iter().try_for_each(|[first, last, ordinal]| {
                let digest = Digest(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
                visit(digest, u64::from_le_bytes(*ordinal))
            })
        };
        let mut block = Vec::new();
        for (offset, len) in &part.blocks {
            block.resize(*len, 0);
            if let Some(file) = &self.file {
                file.read_exact_at(&mut block, *offset)?;
            }
            all(&block)?;
        }
        all(&part.buffer)
    }
}
