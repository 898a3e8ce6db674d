//! Changes of names.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nfs3_types::nfs3::{createhow3, createverf3, nfstime3, sattr3};
use rustix::fs::{AtFlags, Mode, OFlags, Timestamps};

use super::data::OpenFile;
use super::host::{Facts, OPEN, open_folder, status, timespec};
use super::names::Names;
use super::tree::{Directory, Tree, check_name};
use super::{Folder, Found, Id, rights};
use crate::file_system::{Caller, Effect, Status};

/// A new file's mode, and a new folder's, where the client says none.
const FILE_MODE: u32 = 0o666;
/// The mode of a file of an EXCLUSIVE create until the client sets one.
const EXCLUSIVE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o777;

impl Tree {
    /// Changes a folder: `work` under the lock, between the folder's attributes before and after, then stable storage without the lock, so that other
    /// changes go on and share the wait.
    pub(super) fn change<T>(
        &self,
        folder: &Folder,
        make: bool,
        work: impl FnOnce(&mut Names, &Directory) -> Result<T, Status>,
    ) -> Effect<T> {
        let mut names = self.names.lock();
        let directory = match self.resolve(&mut names, folder, make) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Effect::failed(Status::NFS3ERR_NOENT),
            Err(status) => return Effect::failed(status),
        };
        let before = self.host.inspect_open(&directory.file).ok();
        let result = work(&mut names, &directory);
        let after = self.host.inspect_open(&directory.file).ok();
        drop(names);
        Effect {
            result: result.and_then(|value| self.sync(&directory.file).map(|()| value)),
            before: before.map(|facts| facts.before()),
            after: after.map(|facts| facts.attributes(self.options.fsid)),
        }
    }

    pub(super) fn create(&self, caller: &Caller, folder: &Folder, name: &[u8], how: &createhow3) -> Effect<Found> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        let mut changed = None;
        let effect = self.change(folder, true, |names, directory| {
            let (open, facts) = match self.host.inspect(directory.file.as_fd(), name) {
                Ok(facts) => {
                    let id = self.know(names, directory.inode, name, &facts);
                    match self.create_over(caller, directory, name, id, &facts, how)? {
                        Some(truncated) => truncated,
                        None => return Ok(self.found(id, &facts)),
                    }
                }
                Err(Status::NFS3ERR_NOENT) => self.create_new(caller, directory, name, how)?,
                Err(status) => return Err(status),
            };
            names.put(open.id, directory.inode, name);
            self.keep(names, &open);
            let found = self.found(open.id, &facts);
            changed = Some(open);
            Ok(found)
        });
        self.then_sync(effect, changed.as_ref().map(|open| &open.file))
    }

    /// Brings an object that was made or moved to stable storage, after its folder.
    pub(super) fn then_sync<T>(&self, mut effect: Effect<T>, object: Option<&OwnedFd>) -> Effect<T> {
        if effect.result.is_ok()
            && let Some(object) = object
            && let Err(status) = self.sync(object)
        {
            effect.result = Err(status);
        }
        effect
    }

    /// CREATE of a name that is there. Says what it truncated, and to what.
    fn create_over(
        &self,
        caller: &Caller,
        directory: &Directory,
        name: &[u8],
        id: Id,
        facts: &Facts,
        how: &createhow3,
    ) -> Result<Option<(Arc<OpenFile>, Facts)>, Status> {
        let changes = match how {
            _ if !facts.is_file() => return Err(Status::NFS3ERR_EXIST),
            createhow3::EXCLUSIVE(verifier) if (facts.atime, facts.mtime) == verifier_times(verifier) => {
                return Ok(None);
            }
            createhow3::GUARDED(_) | createhow3::EXCLUSIVE(_) => return Err(Status::NFS3ERR_EXIST),
            createhow3::UNCHECKED(changes) if changes.size.is_none() => return Ok(None),
            createhow3::UNCHECKED(changes) => sattr3 {
                size: changes.size,
                ..sattr3::default()
            },
        };
        rights::changed(caller, facts, &changes)?;
        let file = rustix::fs::openat(&directory.file, name, OPEN | OFlags::RDWR, Mode::empty()).map_err(status)?;
        let _lock = self.stripe(id.inode);
        let before = self.host.inspect_open(&file)?;
        let size = self.charge_size(before.size, &changes)?;
        let charged = size.unwrap_or(before.size).max(before.size);
        let result = self.apply(&file, &before, None, size, &changes);
        let after = self.host.inspect_open(&file)?;
        self.settle(charged, after.size);
        result?;
        Ok(Some((OpenFile::new(id, file), after)))
    }

    /// CREATE of a new file, complete or not at all.
    fn create_new(
        &self,
        caller: &Caller,
        directory: &Directory,
        name: &[u8],
        how: &createhow3,
    ) -> Result<(Arc<OpenFile>, Facts), Status> {
        let none = sattr3::default();
        let (changes, mode) = match how {
            createhow3::UNCHECKED(changes) | createhow3::GUARDED(changes) => (changes, FILE_MODE),
            createhow3::EXCLUSIVE(_) => (&none, EXCLUSIVE_MODE),
        };
        let parent = self.host.inspect_open(&directory.file)?;
        let owner = rights::first(caller, &parent, changes, mode, self.options.umask)?;
        self.count()?;
        let size = self.charge_size(0, changes).inspect_err(|_| self.discount(None))?;
        let made = (|| {
            let flags = OPEN | OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = rustix::fs::openat(&directory.file, name, flags, mode).map_err(status)?;
            let done = self.host.inspect_open(&file).and_then(|before| {
                self.apply(&file, &before, Some(owner), size, changes)?;
                if let createhow3::EXCLUSIVE(verifier) = how {
                    let (atime, mtime) = verifier_times(verifier);
                    let times = Timestamps {
                        last_access: timespec(atime),
                        last_modification: timespec(mtime),
                    };
                    rustix::fs::futimens(&file, &times).map_err(status)?;
                }
                self.host.inspect_open(&file)
            });
            match done {
                Ok(facts) => Ok((OpenFile::new(facts.identify(), file), facts)),
                Err(status) => {
                    let _ = rustix::fs::unlinkat(&directory.file, name, AtFlags::empty());
                    Err(status)
                }
            }
        })();
        made.inspect_err(|_| self.discount(size))
    }

    pub(super) fn make_directory(
        &self,
        caller: &Caller,
        folder: &Folder,
        name: &[u8],
        changes: &sattr3,
    ) -> Effect<Found> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        let mut made = None;
        let effect = self.change(folder, true, |names, directory| {
            let parent = self.host.inspect_open(&directory.file)?;
            let mut owner = rights::first(caller, &parent, changes, FOLDER_MODE, self.options.umask)?;
            owner.mode |= parent.mode & 0o2000;
            self.count()?;
            let (opened, facts) = rustix::fs::mkdirat(&directory.file, name, Mode::RWXU)
                .map_err(status)
                .and_then(|()| {
                    let opened = open_folder(&directory.file, name)?;
                    let before = self.host.inspect_open(&opened)?;
                    let times = sattr3 {
                        atime: changes.atime,
                        mtime: changes.mtime,
                        ..sattr3::default()
                    };
                    let done = self.apply(&opened, &before, Some(owner), None, &times);
                    if let Err(status) = done {
                        let _ = rustix::fs::unlinkat(&directory.file, name, AtFlags::REMOVEDIR);
                        return Err(status);
                    }
                    let facts = self.host.inspect_open(&opened)?;
                    Ok((opened, facts))
                })
                .inspect_err(|_| self.discount(None))?;
            let id = facts.identify();
            names.put(id, directory.inode, name);
            let opened = Arc::new(opened);
            names.folders.insert(id.inode, Arc::clone(&opened));
            made = Some(opened);
            Ok(self.found(id, &facts))
        });
        self.then_sync(effect, made.as_deref())
    }

    pub(super) fn make_link(
        &self,
        caller: &Caller,
        folder: &Folder,
        name: &[u8],
        target: &[u8],
        changes: &sattr3,
    ) -> Effect<Found> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        if target.is_empty() || target.contains(&0) {
            return Effect::failed(Status::NFS3ERR_INVAL);
        }
        self.change(folder, true, |names, directory| {
            let parent = self.host.inspect_open(&directory.file)?;
            let owner = rights::first(caller, &parent, changes, FOLDER_MODE, 0)?;
            self.count()?;
            let facts = rustix::fs::symlinkat(target, &directory.file, name)
                .map_err(status)
                .and_then(|()| {
                    let done = self.host.own_link(directory.file.as_fd(), name, owner);
                    if done.is_err() {
                        let _ = rustix::fs::unlinkat(&directory.file, name, AtFlags::empty());
                    }
                    done.and_then(|()| self.host.inspect(directory.file.as_fd(), name))
                })
                .inspect_err(|_| self.discount(None))?;
            let id = facts.identify();
            names.put(id, directory.inode, name);
            Ok(self.found(id, &facts))
        })
    }

    pub(super) fn remove(&self, folder: &Folder, name: &[u8]) -> Effect<()> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        // Held until the lock is given back: the last reference to a large file takes long to drop.
        let mut gone = None;
        let effect = self.change(folder, false, |names, directory| {
            let facts = self.host.inspect(directory.file.as_fd(), name)?;
            if facts.is_directory() {
                return Err(Status::NFS3ERR_ISDIR);
            }
            gone = self.hold(directory.file.as_fd(), name, &facts);
            let _lock = self.stripe(facts.inode);
            rustix::fs::unlinkat(&directory.file, name, AtFlags::empty()).map_err(status)?;
            self.dropped(names, &facts, gone.as_ref());
            Ok(())
        });
        drop(gone);
        effect
    }

    pub(super) fn remove_directory(&self, folder: &Folder, name: &[u8]) -> Effect<()> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        self.change(folder, false, |names, directory| {
            let facts = self.host.inspect(directory.file.as_fd(), name)?;
            rustix::fs::unlinkat(&directory.file, name, AtFlags::REMOVEDIR).map_err(status)?;
            self.dropped(names, &facts, None);
            Ok(())
        })
    }

    /// Opens what is about to lose its name, so that its bytes are freed, and its last size is known, afterwards.
    pub(super) fn hold(&self, folder: std::os::fd::BorrowedFd<'_>, name: &[u8], facts: &Facts) -> Option<OwnedFd> {
        let flags = OPEN | OFlags::RDONLY;
        let file = facts
            .is_file()
            .then(|| rustix::fs::openat(folder, name, flags, Mode::empty()));
        file.and_then(Result::ok)
    }

    /// Forgets an object that lost its name.
    pub(super) fn dropped(&self, names: &mut Names, facts: &Facts, file: Option<&OwnedFd>) {
        let last = file.and_then(|file| self.host.inspect_open(file).ok());
        let last = last.as_ref().unwrap_or(facts);
        names.forget(facts.inode);
        self.open.lock().remove(facts.inode);
        // Another name, which only someone else can have made, still holds the bytes.
        let still_there = file.is_some() && last.links > 0;
        self.discount((facts.is_file() && !still_there).then_some(last.size));
    }

    pub(super) fn rename(&self, from: (&Folder, &[u8]), to: (&Folder, &[u8])) -> (Effect<()>, Effect<()>) {
        let failed = |status| (Effect::failed(status), Effect::failed(status));
        if let Err(status) = check_name(from.1).and_then(|()| check_name(to.1)) {
            return failed(status);
        }
        let mut names = self.names.lock();
        let source = match self.resolve(&mut names, from.0, false) {
            Ok(Some(source)) => source,
            Ok(None) => return failed(Status::NFS3ERR_NOENT),
            Err(status) => return failed(status),
        };
        let target = match self.resolve(&mut names, to.0, true) {
            Ok(Some(target)) => target,
            Ok(None) => return failed(Status::NFS3ERR_NOENT),
            Err(status) => return failed(status),
        };
        let before = [&source, &target].map(|folder| self.host.inspect_open(&folder.file).ok());
        let moved = self.move_name(&mut names, (&source, from.1), (&target, to.1));
        let after = [&source, &target].map(|folder| self.host.inspect_open(&folder.file).ok());
        drop(names);
        let result = moved.and_then(|gone| {
            drop(gone);
            self.sync(&target.file)?;
            if source.inode == target.inode {
                Ok(())
            } else {
                self.sync(&source.file)
            }
        });
        let effect = |before: Option<Facts>, after: Option<Facts>| Effect {
            result,
            before: before.map(|facts| facts.before()),
            after: after.map(|facts| facts.attributes(self.options.fsid)),
        };
        let ([before_source, before_target], [after_source, after_target]) = (before, after);
        (effect(before_source, after_source), effect(before_target, after_target))
    }

    /// Moves a name, and says what was under the new one.
    pub(super) fn move_name(
        &self,
        names: &mut Names,
        from: (&Directory, &[u8]),
        to: (&Directory, &[u8]),
    ) -> Result<Option<OwnedFd>, Status> {
        let moved = self.host.inspect(from.0.file.as_fd(), from.1)?;
        let replaced = match self.host.inspect(to.0.file.as_fd(), to.1) {
            Ok(facts) if facts.inode == moved.inode => return Ok(None),
            Ok(facts) => Some(facts),
            Err(Status::NFS3ERR_NOENT) => None,
            Err(status) => return Err(status),
        };
        let id = self.know(names, from.0.inode, from.1, &moved);
        let gone = replaced
            .as_ref()
            .and_then(|facts| self.hold(to.0.file.as_fd(), to.1, facts));
        let _lock = replaced.as_ref().map(|facts| self.stripe(facts.inode));
        rustix::fs::renameat(&from.0.file, from.1, &to.0.file, to.1).map_err(status)?;
        if let Some(replaced) = replaced {
            self.dropped(names, &replaced, gone.as_ref());
        }
        names.put(id, to.0.inode, to.1);
        Ok(gone)
    }

    /// Counts a new object.
    pub(super) fn count(&self) -> Result<(), Status> {
        let limit = self.options.objects;
        let more = |objects: u64| (objects < limit).then_some(objects + 1);
        let counted = self.objects.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.map(drop).map_err(|_| Status::NFS3ERR_NOSPC)
    }

    /// Counts an object no longer, nor the bytes of a file.
    pub(super) fn discount(&self, bytes: Option<u64>) {
        let less = |objects: u64| Some(objects.saturating_sub(1));
        let _ = self.objects.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.settle(bytes.unwrap_or_default(), 0);
    }
}

/// The times at which a file of an EXCLUSIVE create keeps its verifier, as RFC 1813 (section 3.3.8) proposes: the client sets the right times next.
fn verifier_times(verifier: &createverf3) -> (nfstime3, nfstime3) {
    let [a, b, c, d, e, f, g, h] = verifier.0;
    // Seconds that every file system can keep: with one bit less.
    let time = |bytes| nfstime3 {
        seconds: u32::from_be_bytes(bytes) & 0x7fff_ffff,
        nseconds: 0,
    };
    (time([a, b, c, d]), time([e, f, g, h]))
}
