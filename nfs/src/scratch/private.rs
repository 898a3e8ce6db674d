//! Files that come into the tree from outside, and files that leave it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nfs3_types::nfs3::Nfs3Option;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::host::{OPEN, status};
use super::names::Names;
use super::tree::{COPY, Directory, Tree, check_name, entries};
use super::{Folder, Found, Id, rights, system};
use crate::file_system::{Caller, Effect, Status};

impl Tree {
    fn taken_folder(&self, names: &mut Names) -> Result<Directory, Status> {
        let inode = names.taken;
        let file = self.directory(names, inode)?;
        Ok(Directory { inode, file })
    }

    pub(super) fn take(&self, id: Id) -> Effect<PathBuf> {
        let parent = match self.parent(id) {
            Ok(parent) => parent,
            Err(status) => return Effect::failed(status),
        };
        let mut taken = None;
        let effect = self.change(&parent, false, |names, directory| {
            let located = self.locate(names, id)?;
            if located.parent.inode != directory.inode {
                // It was renamed in between.
                return Err(Status::NFS3ERR_JUKEBOX);
            }
            if !located.facts.is_file() {
                return Err(Status::NFS3ERR_INVAL);
            }
            let folder = self.taken_folder(names)?;
            let name = format!("{}-{}", id.inode, id.birth);
            self.move_name(names, (directory, &located.name), (&folder, name.as_bytes()))?;
            taken = Some(folder.file);
            self.path_of(names, id.inode)
        });
        self.then_sync(effect, taken.as_deref())
    }

    pub(super) fn taken(&self) -> Result<Vec<Found>, Status> {
        let names = &mut *self.names.lock();
        let folder = self.taken_folder(names)?;
        let mut taken = Vec::new();
        for (name, _) in entries(&folder.file)? {
            if !name.starts_with(COPY) {
                let facts = self.host.inspect(folder.file.as_fd(), &name)?;
                let id = self.know(names, folder.inode, &name, &facts);
                taken.push(self.found(id, &facts));
            }
        }
        Ok(taken)
    }

    pub(super) fn release(&self, id: Id) -> Result<(), Status> {
        let mut names = self.names.lock();
        let located = self.locate(&mut names, id)?;
        if located.parent.inode != names.taken {
            return Err(Status::NFS3ERR_INVAL);
        }
        let folder = &located.parent.file;
        let gone = self.hold(folder.as_fd(), &located.name, &located.facts);
        {
            let _lock = self.stripe(id.inode);
            rustix::fs::unlinkat(folder, &*located.name, AtFlags::empty()).map_err(status)?;
            self.dropped(&mut names, &located.facts, gone.as_ref());
        }
        drop(names);
        self.sync(folder)
    }

    pub(super) fn adopt(
        &self,
        path: &Path,
        folder: &Folder,
        name: &[u8],
        owner: Option<&(Caller, u32)>,
    ) -> Effect<Found> {
        if let Err(status) = check_name(name) {
            return Effect::failed(status);
        }
        let file = match open_source(path) {
            Ok(file) => file,
            Err(status) => return Effect::failed(status),
        };
        // The move is answered for with all that it moves.
        if let Err(status) = system::sync(&file) {
            return Effect::failed(status);
        }
        let moved = self.change(folder, true, |names, directory| {
            self.move_in(names, path, &file, directory, name, owner)
        });
        if !matches!(moved.result, Err(Status::NFS3ERR_XDEV)) {
            return moved;
        }
        let copied = self.copy_in(&file);
        let (copy, file) = match copied {
            Ok(copied) => copied,
            Err(status) => return Effect::failed(status),
        };
        let moved = self.change(folder, true, |names, directory| {
            self.move_in(names, &copy, &file, directory, name, owner)
        });
        // Either the copy or what it was made from is there no longer to be needed.
        let rest = if moved.result.is_ok() { path } else { &copy };
        if let Err(error) = std::fs::remove_file(rest) {
            tracing::warn!(path = %rest.display(), %error, "a file that was moved into the scratch files stays behind");
        }
        moved
    }

    fn move_in(
        &self,
        names: &mut Names,
        path: &Path,
        file: &OwnedFd,
        directory: &Directory,
        name: &[u8],
        owner: Option<&(Caller, u32)>,
    ) -> Result<Found, Status> {
        let facts = self.host.inspect_open(file)?;
        let replaced = match self.host.inspect(directory.file.as_fd(), name) {
            Ok(replaced) if replaced.is(facts.identify()) => return Err(Status::NFS3ERR_EXIST),
            Ok(replaced) if replaced.is_directory() => return Err(Status::NFS3ERR_ISDIR),
            Ok(replaced) => Some(replaced),
            Err(Status::NFS3ERR_NOENT) => None,
            Err(status) => return Err(status),
        };
        let known = names.known(facts.inode).is_some_and(|id| facts.is(id));
        if !known {
            self.count()?;
            self.charge(facts.size).inspect_err(|_| self.discount(None))?;
        }
        let moved = (|| {
            if let Some((caller, mode)) = owner {
                let parent = self.host.inspect_open(&directory.file)?;
                let mode = nfs3_types::nfs3::sattr3 {
                    mode: Nfs3Option::Some(*mode),
                    ..Default::default()
                };
                let owner = rights::first(caller, &parent, &mode, 0, self.options.umask)?;
                self.host.own(file, &facts, owner)?;
                self.sync(file)?;
            }
            let gone = replaced
                .as_ref()
                .and_then(|facts| self.hold(directory.file.as_fd(), name, facts));
            let _lock = replaced.as_ref().map(|facts| self.stripe(facts.inode));
            rustix::fs::renameat(CWD, path, &directory.file, name).map_err(status)?;
            if let Some(replaced) = replaced {
                self.dropped(names, &replaced, gone.as_ref());
            }
            Ok(())
        })();
        if let Err(status) = moved {
            if !known {
                self.discount(Some(facts.size));
            }
            return Err(status);
        }
        let facts = self.host.inspect(directory.file.as_fd(), name)?;
        let id = self.know(names, directory.inode, name, &facts);
        Ok(self.found(id, &facts))
    }

    /// Copies a file of another file system to where it can be moved in from.
    fn copy_in(&self, source: &OwnedFd) -> Result<(PathBuf, OwnedFd), Status> {
        let (folder, below) = {
            let names = &mut *self.names.lock();
            let folder = self.taken_folder(names)?;
            let path = self.path_of(names, folder.inode)?;
            (folder, path)
        };
        let facts = self.host.inspect_open(source)?;
        let name = [COPY, format!("{}-{}", facts.inode, facts.ctime.nseconds).as_bytes()].concat();
        let flags = OPEN | OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let copy = rustix::fs::openat(&folder.file, &name, flags, Mode::RUSR | Mode::WUSR).map_err(status)?;
        let copied = source.try_clone().and_then(|source| {
            let mut into = std::fs::File::from(copy.try_clone()?);
            std::io::copy(&mut std::fs::File::from(source), &mut into)?;
            into.sync_all()
        });
        if let Err(error) = copied {
            let _ = rustix::fs::unlinkat(&folder.file, &name, AtFlags::empty());
            return Err(Errno::from_io_error(&error).map_or(Status::NFS3ERR_IO, status));
        }
        Ok((below.join(OsStr::from_bytes(&name)), copy))
    }
}

fn open_source(path: &Path) -> Result<OwnedFd, Status> {
    let file = rustix::fs::open(path, OPEN | OFlags::RDONLY, Mode::empty()).map_err(status)?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).map_err(status)?.st_mode);
    if !kind.is_file() {
        return Err(Status::NFS3ERR_INVAL);
    }
    Ok(file)
}
