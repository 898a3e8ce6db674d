//! The tree of scratch files: opening it, finding objects in it, reading names and attributes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nfs3_types::nfs3::{fattr3, ftype3};
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{Dir, FlockOperation, Mode};
use rustix::io::Errno;

use super::cache::Cache;
use super::data::OpenFile;
use super::host::{Facts, Host, Owner, open_folder, status};
use super::names::{Base, Names};
use super::{Folder, Found, Id, Listed, Options, Usage, system};
use crate::file_system::{Space, Status};

/// The scratch root's folder of the mount's root.
pub(super) const MOUNT: &str = "mount";
/// In a folder of the mount: its scratch files.
pub(super) const FILES: &str = "files";
/// In a folder of the mount: the mount's folders below it.
pub(super) const FOLDERS: &str = "folders";
/// The scratch root's folder of files that were taken.
const TAKEN: &str = "taken";
/// How a copy begins that [`adopt`](super::Scratch::adopt) has not finished.
pub(super) const COPY: &[u8] = b"copy-";

/// Files that change at the same time without waiting for each other, at most.
const STRIPES: usize = 64;

/// The scratch files. Locks are taken in this order: names, one stripe, open files.
pub(super) struct Tree {
    pub(super) options: Options,
    pub(super) host: Host,
    pub(super) path: PathBuf,
    /// The scratch root, locked against other processes as long as it is open.
    pub(super) root: OwnedFd,
    pub(super) names: Mutex<Names>,
    pub(super) open: Mutex<Cache<Arc<OpenFile>>>,
    /// Files with data that is to be on disk soon.
    pub(super) unsettled: Mutex<HashSet<Id>>,
    stripes: Vec<Mutex<()>>,
    spare: Mutex<()>,
    pub(super) bytes: AtomicU64,
    pub(super) objects: AtomicU64,
}

/// An open folder.
pub(super) struct Directory {
    pub(super) inode: u64,
    pub(super) file: Arc<OwnedFd>,
}

/// An object with the folder that has it.
pub(super) struct Located {
    pub(super) parent: Directory,
    pub(super) name: Box<[u8]>,
    pub(super) facts: Facts,
}

impl Tree {
    pub(super) fn open(path: PathBuf, options: Options) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let path = path.canonicalize()?;
        let root = rustix::fs::open(&path, super::host::OPEN | rustix::fs::OFlags::DIRECTORY, Mode::empty())?;
        // What clients put here is for the server's eyes only.
        rustix::fs::fchmod(&root, Mode::RWXU)?;
        rustix::fs::flock(&root, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "the folder for scratch files {} is in use by another server",
                    path.display()
                ),
            ),
            other => other.into(),
        })?;
        let host = Host {
            ownership: options.ownership,
            uid: options.uid,
            gid: options.gid,
        };
        host.probe(&root)?;
        let tree = Self {
            host,
            path,
            root,
            names: Mutex::new(Names::new(options.open_files)),
            open: Mutex::new(Cache::new(options.open_files)),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            spare: Mutex::new(()),
            unsettled: Mutex::default(),
            bytes: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            options,
        };
        tree.discover()
            .map_err(|status| io::Error::other(format!("cannot read the folder for scratch files: {status}")))?;
        Ok(tree)
    }

    /// Reads all names.
    fn discover(&self) -> Result<(), Status> {
        let names = &mut *self.names.lock();
        for folder in [MOUNT, TAKEN] {
            ensure(&self.root, folder)?;
        }
        let mut pending = vec![self.base(names, TAKEN.into(), None)?];
        names.taken = pending.first().copied().unwrap_or_default();
        self.discard_copies(names)?;
        let mut folders = vec![(PathBuf::from(MOUNT), Vec::new())];
        while let Some((path, components)) = folders.pop() {
            let opened = self.open_below_root(&path)?;
            if exists(&opened, FILES)? {
                pending.push(self.base(names, path.join(FILES), Some(components.clone()))?);
            }
            if exists(&opened, FOLDERS)? {
                let below = open_folder(&opened, FOLDERS.as_bytes())?;
                for (name, _) in entries(&below)? {
                    if let Ok(name) = String::from_utf8(name) {
                        let path = path.join(FOLDERS).join(&name);
                        folders.push((path, [components.as_slice(), &[name]].concat()));
                    }
                }
            }
        }
        let (mut bytes, mut objects) = (0_u64, 0_u64);
        let mut seen = HashSet::new();
        while let Some(parent) = pending.pop() {
            let read = self
                .directory(names, parent)
                .and_then(|folder| Ok((entries(&folder)?, folder)));
            let (entries, folder) = match read {
                Ok(read) => read,
                Err(status) => {
                    // Clients get the same answer when they ask for it; the rest is good.
                    let path = self.path_of(names, parent).unwrap_or_default();
                    tracing::warn!(path = %path.display(), %status, "cannot read a folder of scratch files");
                    continue;
                }
            };
            for (name, _) in entries {
                let Ok(facts) = self.host.inspect(folder.as_fd(), &name) else {
                    continue;
                };
                objects += 1;
                // Two names of one file, which only someone else can have made, are one file.
                if facts.is_file() && seen.insert(facts.inode) {
                    bytes = bytes.saturating_add(facts.size);
                }
                names.put(facts.identify(), parent, &name);
                if facts.is_directory() {
                    pending.push(facts.inode);
                }
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        self.objects.store(objects, Ordering::Relaxed);
        Ok(())
    }

    /// Removes copies that a crash left unfinished.
    fn discard_copies(&self, names: &mut Names) -> Result<(), Status> {
        let taken = self.directory(names, names.taken)?;
        for (name, _) in entries(&taken)? {
            if name.starts_with(COPY) {
                rustix::fs::unlinkat(&taken, &name, rustix::fs::AtFlags::empty()).map_err(status)?;
            }
        }
        Ok(())
    }

    /// Makes a folder under the root known as a base.
    fn base(&self, names: &mut Names, path: PathBuf, folder: Option<Vec<String>>) -> Result<u64, Status> {
        let opened = self.open_below_root(&path)?;
        let inode = self.host.inspect_open(&opened)?.inode;
        if let Some(folder) = &folder {
            names.base_of.insert(folder.clone(), inode);
        }
        names.bases.insert(inode, Base { path, folder });
        names.folders.insert(inode, Arc::new(opened));
        Ok(inode)
    }

    fn open_below_root(&self, path: &std::path::Path) -> Result<OwnedFd, Status> {
        let mut at = self.root.try_clone().map_err(|_| Status::NFS3ERR_JUKEBOX)?;
        for step in path.components() {
            at = open_folder(&at, step.as_os_str().as_bytes())?;
        }
        Ok(at)
    }

    /// The folder with an inode, opened step by step.
    pub(super) fn directory(&self, names: &mut Names, inode: u64) -> Result<Arc<OwnedFd>, Status> {
        if let Some(folder) = names.folders.get(inode) {
            return Ok(folder);
        }
        let (base, steps) = names.steps(inode)?;
        let stale = |status| match status {
            Status::NFS3ERR_NOENT => Status::NFS3ERR_STALE,
            other => other,
        };
        let mut at = self.open_below_root(&base.path).map_err(stale)?;
        for name in steps {
            at = open_folder(&at, name).map_err(stale)?;
        }
        let facts = self.host.inspect_open(&at)?;
        let birth = names.nodes.get(&inode).map(|node| node.birth);
        if facts.inode != inode || birth.is_some_and(|birth| !facts.is(Id { inode, birth })) {
            return Err(Status::NFS3ERR_STALE);
        }
        let folder = Arc::new(at);
        names.folders.insert(inode, Arc::clone(&folder));
        Ok(folder)
    }

    /// An open folder by what callers call it, `None` where a folder of the mount has no scratch files and none is to be made.
    pub(super) fn resolve(&self, names: &mut Names, folder: &Folder, make: bool) -> Result<Option<Directory>, Status> {
        let inode = match folder {
            Folder::Scratch(id) => {
                names.find(*id)?;
                id.inode
            }
            Folder::Mount(components) => match names.base_of.get(components) {
                Some(inode) => *inode,
                None if make => self.make_base(names, components)?,
                None => return Ok(None),
            },
        };
        let file = self.directory(names, inode)?;
        Ok(Some(Directory { inode, file }))
    }

    fn make_base(&self, names: &mut Names, components: &[String]) -> Result<u64, Status> {
        let mut path = PathBuf::from(MOUNT);
        let mut at = self.open_below_root(&path)?;
        for component in components {
            check_name(component.as_bytes())?;
            for step in [FOLDERS, component.as_str()] {
                at = ensure(&at, step)?;
                path.push(step);
            }
        }
        let files = ensure(&at, FILES)?;
        let facts = self.host.inspect_open(&files)?;
        let owner = Owner {
            uid: self.host.uid,
            gid: self.host.gid,
            mode: 0o755,
        };
        self.host.own(&files, &facts, owner)?;
        self.base(names, path.join(FILES), Some(components.to_vec()))
    }

    /// Finds an object, and looks whether it is still there.
    pub(super) fn locate(&self, names: &mut Names, id: Id) -> Result<Located, Status> {
        let node = names.find(id)?;
        let (parent, name) = (node.parent, node.name.clone());
        let file = self.directory(names, parent)?;
        match self.host.inspect(file.as_fd(), &name) {
            Ok(facts) if facts.is(id) => Ok(Located {
                parent: Directory { inode: parent, file },
                name,
                facts,
            }),
            Ok(_) | Err(Status::NFS3ERR_NOENT) => {
                names.forget(id.inode);
                Err(Status::NFS3ERR_STALE)
            }
            Err(status) => Err(status),
        }
    }

    /// The identity of what was found under a name; makes it known where it is not.
    pub(super) fn know(&self, names: &mut Names, parent: u64, name: &[u8], facts: &Facts) -> Id {
        let id = names
            .known(facts.inode)
            .filter(|id| facts.is(*id))
            .unwrap_or_else(|| facts.identify());
        names.put(id, parent, name);
        id
    }

    pub(super) fn found(&self, id: Id, facts: &Facts) -> Found {
        Found {
            id,
            attributes: facts.attributes(self.options.fsid),
        }
    }

    /// The lock under which a file's bytes and size change.
    pub(super) fn stripe(&self, inode: u64) -> MutexGuard<'_, ()> {
        let index = usize::try_from(inode % STRIPES as u64).unwrap_or_default();
        self.stripes.get(index).unwrap_or(&self.spare).lock()
    }

    pub(super) fn attributes(&self, id: Id) -> Result<fattr3, Status> {
        if let Some(open) = self.cached(id) {
            let facts = self.host.inspect_open(&open.file)?;
            if facts.links == 0 {
                return Err(Status::NFS3ERR_STALE);
            }
            return Ok(facts.attributes(self.options.fsid));
        }
        let located = self.locate(&mut self.names.lock(), id)?;
        Ok(located.facts.attributes(self.options.fsid))
    }

    pub(super) fn folder(&self, folder: &Folder) -> Result<Option<fattr3>, Status> {
        let opened = self.resolve(&mut self.names.lock(), folder, false)?;
        opened
            .map(|opened| {
                let facts = self.host.inspect_open(&opened.file)?;
                Ok(facts.attributes(self.options.fsid))
            })
            .transpose()
    }

    pub(super) fn parent(&self, id: Id) -> Result<Folder, Status> {
        let names = self.names.lock();
        let inode = names.find(id)?.parent;
        if let Some(base) = names.bases.get(&inode) {
            return base.folder.clone().map(Folder::Mount).ok_or(Status::NFS3ERR_NOENT);
        }
        let birth = names.nodes.get(&inode).ok_or(Status::NFS3ERR_STALE)?.birth;
        Ok(Folder::Scratch(Id { inode, birth }))
    }

    pub(super) fn lookup(&self, folder: &Folder, name: &[u8]) -> Result<Found, Status> {
        check_name(name)?;
        let names = &mut *self.names.lock();
        let directory = self.resolve(names, folder, false)?.ok_or(Status::NFS3ERR_NOENT)?;
        let facts = self.host.inspect(directory.file.as_fd(), name)?;
        let id = self.know(names, directory.inode, name, &facts);
        Ok(self.found(id, &facts))
    }

    pub(super) fn read_link(&self, id: Id) -> Result<Vec<u8>, Status> {
        let located = self.locate(&mut self.names.lock(), id)?;
        if located.facts.kind != ftype3::NF3LNK {
            return Err(Status::NFS3ERR_INVAL);
        }
        let target = rustix::fs::readlinkat(&located.parent.file, &*located.name, Vec::new()).map_err(status)?;
        Ok(target.into_bytes())
    }

    pub(super) fn list(&self, folder: &Folder, with_attributes: bool) -> Result<Vec<Listed>, Status> {
        let Some(directory) = self.resolve(&mut self.names.lock(), folder, false)? else {
            return Ok(Vec::new());
        };
        // The names are read without the lock: a large folder takes a while, and POSIX leaves open what is seen of changes made meanwhile.
        let mut listed = Vec::new();
        for (name, inode) in entries(&directory.file)? {
            let known = self.names.lock().known(inode);
            let facts = match (known, with_attributes) {
                (Some(_), false) => None,
                _ => match self.host.inspect(directory.file.as_fd(), &name) {
                    Ok(facts) => Some(facts),
                    Err(Status::NFS3ERR_NOENT) => continue,
                    Err(status) => return Err(status),
                },
            };
            let id = match (known, &facts) {
                (Some(id), None) => id,
                (Some(id), Some(facts)) if facts.is(id) => id,
                (_, Some(facts)) => {
                    // Nobody but this process makes objects here, so this one is somebody's from outside.
                    let names = &mut *self.names.lock();
                    match self.host.inspect(directory.file.as_fd(), &name) {
                        Ok(again) if again.inode == facts.inode => self.know(names, directory.inode, &name, &again),
                        _ => continue,
                    }
                }
                (None, None) => continue,
            };
            let attributes = facts.map(|facts| facts.attributes(self.options.fsid));
            listed.push(Listed { name, id, attributes });
        }
        Ok(listed)
    }

    pub(super) fn path(&self, id: Id) -> Result<PathBuf, Status> {
        let names = &mut *self.names.lock();
        self.locate(names, id)?;
        self.path_of(names, id.inode)
    }

    pub(super) fn path_of(&self, names: &Names, inode: u64) -> Result<PathBuf, Status> {
        let (base, steps) = names.steps(inode)?;
        let mut path = self.path.join(&base.path);
        path.extend(steps.iter().map(|name| OsStr::from_bytes(name)));
        Ok(path)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            objects: self.objects.load(Ordering::Relaxed),
        }
    }

    pub(super) fn space(&self) -> Result<Space, Status> {
        let host = rustix::fs::fstatvfs(&self.root).map_err(status)?;
        let (usage, options) = (self.usage(), &self.options);
        let free = options.quota.saturating_sub(usage.bytes);
        let free = free.min(host.f_bavail.saturating_mul(host.f_frsize));
        let free_files = options.objects.saturating_sub(usage.objects).min(host.f_favail);
        Ok(Space {
            total: options.quota.max(usage.bytes),
            free,
            available: free,
            files: options.objects.max(usage.objects),
            free_files,
        })
    }
}

/// Opens a folder, made where it is not there.
fn ensure(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Status> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => system::sync(parent)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(status(error)),
    }
    open_folder(parent, name.as_bytes())
}

fn exists(folder: &OwnedFd, name: &str) -> Result<bool, Status> {
    match rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(status(error)),
    }
}

/// The names of a folder with their inodes.
pub(super) fn entries(folder: impl AsFd) -> Result<Vec<(Vec<u8>, u64)>, Status> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder).map_err(status)? {
        let entry = entry.map_err(status)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push((name.to_vec(), entry.ino()));
        }
    }
    Ok(entries)
}

/// Whether a name can be one: the last line of defence, for all that follows is relative to an open folder.
pub(super) fn check_name(name: &[u8]) -> Result<(), Status> {
    match name {
        b"" | b"." | b".." => Err(Status::NFS3ERR_INVAL),
        name if name.len() > 255 => Err(Status::NFS3ERR_NAMETOOLONG),
        name if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Status::NFS3ERR_INVAL),
        _ => Ok(()),
    }
}
