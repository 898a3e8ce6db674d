//! The bytes and attributes of one object.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nfs3_types::nfs3::{Nfs3Option, nfstime3, sattr3, stable_how};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::host::{Facts, OPEN, Owner, open_folder, status, times};
use super::names::Names;
use super::tree::{Located, Tree};
use super::{Id, rights, system};
use crate::file_system::{Caller, Effect, ReadPart, Status, Written};

/// Offsets that the host can have.
const END: u64 = i64::MAX as u64;

/// A file that is kept open between calls.
pub(super) struct OpenFile {
    pub(super) id: Id,
    pub(super) file: OwnedFd,
    /// When it was last read or written, in seconds since 1970.
    pub(super) used: AtomicU64,
}

impl OpenFile {
    pub(super) fn new(id: Id, file: OwnedFd) -> Arc<Self> {
        Arc::new(Self {
            id,
            file,
            used: AtomicU64::new(now()),
        })
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

impl Tree {
    /// A file that is open already.
    pub(super) fn cached(&self, id: Id) -> Option<Arc<OpenFile>> {
        self.open.lock().get(id.inode).filter(|open| open.id == id)
    }

    /// Keeps a file open.
    pub(super) fn keep(&self, names: &mut Names, open: &Arc<OpenFile>) {
        let gone = self.open.lock().insert(open.id.inode, Arc::clone(open));
        if let Some((inode, gone)) = gone
            && let Some(node) = names.nodes.get_mut(&inode)
        {
            node.used = gone.used.load(Ordering::Relaxed);
        }
    }

    /// A file's bytes, opened where they are not.
    fn file(&self, id: Id) -> Result<Arc<OpenFile>, Status> {
        let open = match self.cached(id) {
            Some(open) => open,
            None => {
                let names = &mut *self.names.lock();
                let located = self.locate(names, id)?;
                let file = self.open_located(&located, id, OFlags::RDWR)?;
                let open = OpenFile::new(id, file);
                self.keep(names, &open);
                open
            }
        };
        open.used.store(now(), Ordering::Relaxed);
        Ok(open)
    }

    fn open_located(&self, located: &Located, id: Id, access: OFlags) -> Result<OwnedFd, Status> {
        if located.facts.is_directory() {
            return Err(Status::NFS3ERR_ISDIR);
        }
        if !located.facts.is_file() {
            return Err(Status::NFS3ERR_INVAL);
        }
        let open = |access| rustix::fs::openat(&located.parent.file, &*located.name, OPEN | access, Mode::empty());
        let file = match open(access) {
            // Somebody took the server's right to write: what is left is to read.
            Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => open(OFlags::RDONLY),
            opened => opened,
        };
        let file = file.map_err(status)?;
        if !self.host.inspect_open(&file)?.is(id) {
            return Err(Status::NFS3ERR_STALE);
        }
        Ok(file)
    }

    pub(super) fn reader(&self, id: Id) -> Result<std::fs::File, Status> {
        let located = self.locate(&mut self.names.lock(), id)?;
        Ok(self.open_located(&located, id, OFlags::RDONLY)?.into())
    }

    /// An open file's attributes, where it has not been removed.
    fn alive(&self, open: &OpenFile) -> Result<Facts, Status> {
        let facts = self.host.inspect_open(&open.file)?;
        if facts.links == 0 {
            return Err(Status::NFS3ERR_STALE);
        }
        Ok(facts)
    }

    pub(super) fn read(&self, id: Id, offset: u64, count: u32) -> Result<ReadPart, Status> {
        let open = self.file(id)?;
        let size = self.alive(&open)?.size;
        let wanted = size.saturating_sub(offset).min(count.into());
        let wanted = usize::try_from(wanted).map_err(|_| Status::NFS3ERR_INVAL)?;
        let mut data = Vec::with_capacity(wanted);
        while data.len() < wanted {
            let at = offset + data.len() as u64;
            match rustix::io::pread(&open.file, rustix::buffer::spare_capacity(&mut data), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(status(error)),
            }
        }
        let facts = self.alive(&open)?;
        Ok(ReadPart {
            // By the size from before the data: the file may have grown or shrunk, and nothing without an end is an error to clients.
            end: offset.saturating_add(data.len() as u64) >= size.min(facts.size),
            data: Bytes::from(data).into(),
            attributes: facts.attributes(self.options.fsid),
        })
    }

    pub(super) fn write(&self, id: Id, offset: u64, data: &[u8], stable: stable_how) -> Effect<Written> {
        let open = match self.file(id) {
            Ok(open) => open,
            Err(status) => return Effect::failed(status),
        };
        let mut effect = self.change_file(&open, |before| {
            let end = offset.checked_add(data.len() as u64).filter(|end| *end <= END);
            let end = end.ok_or(Status::NFS3ERR_FBIG)?;
            self.charge(end.saturating_sub(before.size))?;
            let written = write_all(&open.file, offset, data);
            // What was charged in vain is settled with the size that came of it.
            Ok((written, end.max(before.size)))
        });
        if effect.result.is_ok() && stable != stable_how::UNSTABLE {
            if self.options.sync_data {
                effect.result = system::sync_data(&open.file);
            } else {
                self.unsettled.lock().insert(id);
            }
        }
        Effect {
            result: effect.result.map(|()| Written {
                count: u32::try_from(data.len()).unwrap_or(u32::MAX),
                committed: stable,
            }),
            before: effect.before,
            after: effect.after,
        }
    }

    /// Changes a file under its lock. `work` says what came of it and for which size space was charged.
    fn change_file(
        &self,
        open: &OpenFile,
        work: impl FnOnce(&Facts) -> Result<(Result<(), Status>, u64), Status>,
    ) -> Effect<()> {
        let _lock = self.stripe(open.id.inode);
        let before = match self.alive(open) {
            Ok(before) => before,
            Err(status) => return Effect::failed(status),
        };
        let (result, charged) = match work(&before) {
            Ok(done) => done,
            Err(status) => (Err(status), before.size),
        };
        let after = self.alive(open);
        if let Ok(after) = &after {
            self.settle(charged, after.size);
        }
        Effect {
            result,
            before: Some(before.before()),
            after: after.ok().map(|facts| facts.attributes(self.options.fsid)),
        }
    }

    /// Puts on disk what stable WRITEs brought.
    pub(super) fn settle_data(&self) -> Result<(), Status> {
        let unsettled = std::mem::take(&mut *self.unsettled.lock());
        let mut result = Ok(());
        for id in unsettled {
            // A file that is gone in the meantime needs no disk.
            if let Ok(open) = self.file(id) {
                result = result.and(system::sync_data(&open.file));
            }
        }
        result
    }

    pub(super) fn commit(&self, id: Id) -> Effect<()> {
        let open = match self.file(id) {
            Ok(open) => open,
            Err(status) => return Effect::failed(status),
        };
        let before = match self.alive(&open) {
            Ok(before) => before,
            Err(status) => return Effect::failed(status),
        };
        let result = system::sync(&open.file);
        Effect {
            result,
            before: Some(before.before()),
            after: self.alive(&open).ok().map(|facts| facts.attributes(self.options.fsid)),
        }
    }

    pub(super) fn set_attributes(
        &self,
        caller: &Caller,
        id: Id,
        changes: &sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()> {
        let open = match self.file(id) {
            Ok(open) => open,
            Err(Status::NFS3ERR_ISDIR | Status::NFS3ERR_INVAL) => {
                return self.set_other(caller, id, changes, guard);
            }
            Err(status) => return Effect::failed(status),
        };
        let mut effect = self.change_file(&open, |before| {
            check_guard(before, guard)?;
            let owner = rights::changed(caller, before, changes)?;
            let size = self.charge_size(before.size, changes)?;
            let charged = size.unwrap_or(before.size).max(before.size);
            Ok((self.apply(&open.file, before, owner, size, changes), charged))
        });
        if effect.result.is_ok() && self.options.sync_metadata {
            effect.result = system::sync(&open.file);
        }
        effect
    }

    /// The size that is asked for, with space charged for it.
    pub(super) fn charge_size(&self, before: u64, changes: &sattr3) -> Result<Option<u64>, Status> {
        let Nfs3Option::Some(size) = changes.size else {
            return Ok(None);
        };
        if size > END {
            return Err(Status::NFS3ERR_FBIG);
        }
        self.charge(size.saturating_sub(before))?;
        Ok(Some(size))
    }

    /// Sets what was found allowed. The size first: it moves the times.
    pub(super) fn apply(
        &self,
        object: &OwnedFd,
        before: &Facts,
        owner: Option<Owner>,
        size: Option<u64>,
        changes: &sattr3,
    ) -> Result<(), Status> {
        if let Some(size) = size {
            rustix::fs::ftruncate(object, size).map_err(status)?;
        }
        if let Some(owner) = owner {
            self.host.own(object, before, owner)?;
        }
        if let Some(times) = times(changes) {
            rustix::fs::futimens(object, &times).map_err(status)?;
        }
        Ok(())
    }

    /// SETATTR of folders and links.
    fn set_other(&self, caller: &Caller, id: Id, changes: &sattr3, guard: Option<nfstime3>) -> Effect<()> {
        let mut names = self.names.lock();
        let located = match self.locate(&mut names, id) {
            Ok(located) => located,
            Err(status) => return Effect::failed(status),
        };
        let folder = &located.parent.file;
        let changed = check_guard(&located.facts, guard)
            .and_then(|()| rights::changed(caller, &located.facts, changes))
            .and_then(|owner| {
                if located.facts.is_directory() {
                    self.set_folder(&located, owner, changes)
                } else {
                    self.set_link(&located, owner, changes)
                }
            });
        let after = self.host.inspect(folder.as_fd(), &located.name).ok();
        drop(names);
        Effect {
            result: changed.and_then(|changed| self.sync(&changed)),
            before: Some(located.facts.before()),
            after: after.map(|facts| facts.attributes(self.options.fsid)),
        }
    }

    /// Says what to bring to stable storage.
    fn set_folder(&self, located: &Located, owner: Option<Owner>, changes: &sattr3) -> Result<Arc<OwnedFd>, Status> {
        if changes.size.is_some() {
            return Err(Status::NFS3ERR_ISDIR);
        }
        let opened = open_folder(&located.parent.file, &located.name)?;
        self.apply(&opened, &located.facts, owner, None, changes)?;
        Ok(Arc::new(opened))
    }

    /// Says what to bring to stable storage: there is no opening a link, its folder has to do.
    fn set_link(&self, located: &Located, owner: Option<Owner>, changes: &sattr3) -> Result<Arc<OwnedFd>, Status> {
        if changes.size.is_some() || changes.mode.is_some() {
            return Err(Status::NFS3ERR_INVAL);
        }
        let folder = &located.parent.file;
        if let Some(owner) = owner {
            self.host.own_link(folder.as_fd(), &located.name, owner)?;
        }
        if let Some(times) = times(changes) {
            rustix::fs::utimensat(folder, &*located.name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(status)?;
        }
        Ok(Arc::clone(folder))
    }

    /// Brings names and attributes to stable storage, where that is wanted.
    pub(super) fn sync(&self, object: &OwnedFd) -> Result<(), Status> {
        if self.options.sync_metadata {
            system::sync(object)?;
        }
        Ok(())
    }

    /// Takes space from the quota.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), Status> {
        let quota = self.options.quota;
        let grown = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            // A file may always stay as it is, also above a quota that was lowered.
            if bytes == 0 {
                Some(used)
            } else {
                used.checked_add(bytes).filter(|used| *used <= quota)
            }
        });
        grown.map(drop).map_err(|_| Status::NFS3ERR_NOSPC)
    }

    /// Corrects what was charged for a file of size `charged` to the size that it has.
    pub(super) fn settle(&self, charged: u64, size: u64) {
        let corrected = |used: u64| Some(used.saturating_sub(charged).saturating_add(size));
        if charged != size {
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, corrected);
        }
    }
}

fn check_guard(facts: &Facts, guard: Option<nfstime3>) -> Result<(), Status> {
    match guard {
        Some(guard) if guard != facts.ctime => Err(Status::NFS3ERR_NOT_SYNC),
        _ => Ok(()),
    }
}

fn write_all(file: &OwnedFd, mut offset: u64, mut data: &[u8]) -> Result<(), Status> {
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, offset) {
            Ok(0) => return Err(Status::NFS3ERR_IO),
            Ok(written) => {
                offset += written as u64;
                data = data.get(written..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            // A file that could be opened for reading only.
            Err(Errno::BADF) => return Err(Status::NFS3ERR_ACCES),
            Err(error) => return Err(status(error)),
        }
    }
    Ok(())
}
