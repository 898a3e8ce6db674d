//! Files in a cache folder, named by hashes. Any of them may vanish or be damaged at any time: then it is not there. Several
//! processes may share a folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3Default;

use super::hash::Hash128;
use super::lru::Lru;

/// The hash at the end of a file, over its name and its bytes.
const SEAL: usize = 16;

/// The part of the limit after which a process looks for what others wrote: together they stay below it but for so much each.
const LOOKS: u64 = 16;

/// What a file takes at least, on most file systems.
const SMALLEST: u64 = 4_096;

/// A folder of sealed files, the least recently used of which go when they take more than a limit.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    limit: u64,
    files: Mutex<Lru<Hash128, ()>>,
    /// Bytes that were written since the folder was last looked at.
    written: AtomicU64,
}

impl Folder {
    /// Opens the folder, or makes it. Blocks.
    ///
    /// # Errors
    /// A folder that can be neither made nor read.
    pub fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        fs::read_dir(&path)?;
        let folder = Self {
            path,
            limit,
            files: Mutex::new(Lru::new(limit)),
            written: AtomicU64::new(0),
        };
        folder.look();
        Ok(folder)
    }

    /// Takes account of what is there, in the order in which processes used it. Blocks.
    fn look(&self) {
        let mut found = Vec::new();
        for shelf in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if shelf.file_type().is_ok_and(|kind| kind.is_dir()) {
                scan(&shelf.path(), &mut found);
            }
        }
        found.sort_by_key(|(_, _, used)| *used);
        *self.files.lock() = Lru::new(self.limit);
        for (name, size, _) in found {
            self.account(name, size);
        }
    }

    fn path_of(&self, name: Hash128) -> PathBuf {
        let name = name.name();
        self.path.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// The bytes that were written under a name, if they are there in good order. Blocks.
    pub fn read(&self, name: Hash128) -> Option<Vec<u8>> {
        let path = self.path_of(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| {
            file.read_to_end(&mut bytes)?;
            // Tells the next process what was used last.
            let _ = file.set_modified(SystemTime::now());
            Ok(())
        });
        if let Err(error) = read {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "cannot read a file of the cache");
            }
            self.files.lock().remove(&name);
            return None;
        }
        let sealed = bytes
            .len()
            .checked_sub(SEAL)
            .and_then(|length| bytes.split_at_checked(length))
            .is_some_and(|(content, seal)| seal == seal_of(name, content));
        if !sealed {
            tracing::warn!(path = %path.display(), "a damaged file of the cache is made anew");
            self.remove(name);
            return None;
        }
        let size = bytes.len();
        bytes.truncate(bytes.len() - SEAL);
        if self.files.lock().get(&name).is_none() {
            self.account(name, size);
        }
        Some(bytes)
    }

    /// Whether a file of this many bytes goes in without another having to go.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.files.lock().has_room(cost(bytes + SEAL))
    }

    /// Writes a file, whole or not at all. A disk that does not take it is no error: the cache is smaller then. Blocks.
    pub fn write(&self, name: Hash128, content: &[u8]) -> bool {
        if !self.files.lock().takes(cost(content.len() + SEAL)) {
            return false;
        }
        let path = self.path_of(name);
        if let Err(error) = write(&path, name, content) {
            tracing::warn!(path = %path.display(), %error, "cannot write a file of the cache");
            return false;
        }
        let size = content.len() + SEAL;
        self.account(name, size);
        let written = self.written.fetch_add(cost(size), Ordering::Relaxed) + cost(size);
        if written > self.limit / LOOKS {
            self.written.store(0, Ordering::Relaxed);
            self.look();
        }
        true
    }

    fn account(&self, name: Hash128, size: usize) {
        let gone = self.files.lock().insert(name, (), cost(size));
        for (name, ()) in gone {
            let _ = fs::remove_file(self.path_of(name));
        }
    }

    /// Removes a file. Blocks.
    pub fn remove(&self, name: Hash128) {
        self.files.lock().remove(&name);
        let _ = fs::remove_file(self.path_of(name));
    }

    /// How many files there are, and what they take.
    pub fn size(&self) -> (usize, u64) {
        let files = self.files.lock();
        (files.len(), files.cost())
    }
}

/// What a file of so many bytes takes on the disk, at least.
fn cost(bytes: usize) -> u64 {
    (bytes as u64).max(SMALLEST)
}

/// Tells damage. It need not withstand who means to deceive: whoever writes here can write a seal as well.
fn seal_of(name: Hash128, content: &[u8]) -> [u8; SEAL] {
    let mut hasher = Xxh3Default::new();
    hasher.update(&name.0);
    hasher.update(content);
    hasher.digest128().to_le_bytes()
}

fn write(path: &Path, name: Hash128, content: &[u8]) -> io::Result<()> {
    let shelf = path.parent().unwrap_or(path);
    fs::create_dir_all(shelf)?;
    let mut file = tempfile::NamedTempFile::new_in(shelf)?;
    file.write_all(content)?;
    file.write_all(&seal_of(name, content))?;
    file.persist(path)?;
    Ok(())
}

/// Finds the files of a shelf, and removes what a process left when it ended in the middle of writing.
fn scan(shelf: &Path, found: &mut Vec<(Hash128, usize, SystemTime)>) {
    const LEFT_OVER: Duration = Duration::from_secs(3_600);
    let Ok(entries) = fs::read_dir(shelf) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        match entry.file_name().to_str().and_then(Hash128::from_name) {
            Some(name) => found.push((name, metadata.len() as usize, used)),
            None if metadata.is_file() && used.elapsed().is_ok_and(|age| age > LEFT_OVER) => {
                let _ = fs::remove_file(entry.path());
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_of(folder: &Folder) -> usize {
        let shelves = fs::read_dir(&folder.path).unwrap();
        shelves
            .map(|shelf| fs::read_dir(shelf.unwrap().path()).unwrap().count())
            .sum()
    }

    #[test]
    fn keeps_what_was_used_last() {
        let root = tempfile::tempdir().unwrap();
        let open = || Folder::open(root.path().join("cache"), 3 * SMALLEST).unwrap();
        let names: Vec<Hash128> = (0..5u8).map(|n| Hash128::of(&[n])).collect();
        let folder = open();
        for name in names.iter().take(3) {
            assert!(folder.write(*name, &name.0));
        }
        assert!(!folder.has_room(1));
        assert!(folder.read(names[0]).is_some());
        assert!(folder.write(names[3], b"more"));
        assert_eq!(folder.read(names[1]), None);
        assert_eq!(folder.read(names[0]).as_deref(), Some(&names[0].0[..]));
        assert_eq!(folder.size().0, 3);
        assert_eq!(files_of(&folder), 3);
        drop(folder);
        let folder = open();
        assert_eq!(folder.size().0, 3);
        assert_eq!(folder.read(names[3]).as_deref(), Some(&b"more"[..]));
        assert!(!folder.write(names[4], &[0; 4 * SMALLEST as usize]));
        assert_eq!(files_of(&folder), 3);
    }

    #[test]
    fn takes_no_damaged_or_foreign_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().into(), 1 << 20).unwrap();
        let (one, other) = (Hash128::of(b"one"), Hash128::of(b"other"));
        for damage in [&b""[..], b"short", b"long enough but no seal at its end, not at all"] {
            assert!(folder.write(one, b"content"));
            fs::write(folder.path_of(one), damage).unwrap();
            assert_eq!(folder.read(one), None);
            assert!(!folder.path_of(one).exists());
        }
        assert!(folder.write(one, b"content"));
        fs::create_dir_all(folder.path_of(other).parent().unwrap()).unwrap();
        fs::copy(folder.path_of(one), folder.path_of(other)).unwrap();
        assert_eq!(folder.read(other), None, "a file under another name");
        assert_eq!(folder.read(one).as_deref(), Some(&b"content"[..]));
        fs::remove_dir_all(root.path()).unwrap();
        assert_eq!(folder.read(one), None);
        assert!(folder.write(one, b"again"), "a folder that was deleted is made again");
    }

    #[test]
    fn processes_share_a_limit() {
        const FILES: u64 = 4 * LOOKS;
        let root = tempfile::tempdir().unwrap();
        let open = || Folder::open(root.path().join("cache"), FILES * SMALLEST).unwrap();
        let (one, other) = (open(), open());
        for round in 0..FILES {
            for (folder, owner) in [(&one, b'1'), (&other, b'2')] {
                assert!(folder.write(Hash128::of(&[round as u8, owner]), b"content"));
            }
        }
        let most = FILES + 2 * FILES / LOOKS;
        assert!(files_of(&one) as u64 <= most, "{} files", files_of(&one));
    }
}
