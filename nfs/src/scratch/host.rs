//! The host's file system as the scratch files need it: calls relative to an open folder that follow no symbolic link, statuses for error numbers, and
//! owners and modes where the server may not set them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nfs3_types::nfs3::{fattr3, ftype3, nfstime3, sattr3, set_atime, set_mtime, specdata3, wcc_attr};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::system::{stat, stat_open};
use super::{Id, Ownership, file_id};
use crate::file_system::Status;

/// Where [`Ownership::Recorded`] keeps `uid:gid:mode`, the mode in octal.
const OWNER: &str = "user.posixlake.owner";

/// How an object's own bytes are opened: never through a link, and never waiting for the other end of a pipe.
pub(super) const OPEN: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// The NFS status that says what the host said.
pub(super) fn status(error: Errno) -> Status {
    match error {
        Errno::PERM => Status::NFS3ERR_PERM,
        Errno::NOENT => Status::NFS3ERR_NOENT,
        Errno::NXIO => Status::NFS3ERR_NXIO,
        Errno::ACCESS => Status::NFS3ERR_ACCES,
        Errno::EXIST => Status::NFS3ERR_EXIST,
        Errno::XDEV => Status::NFS3ERR_XDEV,
        Errno::NODEV => Status::NFS3ERR_NODEV,
        Errno::NOTDIR => Status::NFS3ERR_NOTDIR,
        Errno::ISDIR => Status::NFS3ERR_ISDIR,
        // An object that was opened without following links, and is one.
        Errno::INVAL | Errno::LOOP => Status::NFS3ERR_INVAL,
        Errno::FBIG => Status::NFS3ERR_FBIG,
        Errno::NOSPC => Status::NFS3ERR_NOSPC,
        Errno::ROFS => Status::NFS3ERR_ROFS,
        Errno::MLINK => Status::NFS3ERR_MLINK,
        Errno::NAMETOOLONG => Status::NFS3ERR_NAMETOOLONG,
        Errno::NOTEMPTY => Status::NFS3ERR_NOTEMPTY,
        Errno::DQUOT => Status::NFS3ERR_DQUOT,
        Errno::STALE => Status::NFS3ERR_STALE,
        Errno::OPNOTSUPP => Status::NFS3ERR_NOTSUPP,
        // The server's own shortage, not the caller's fault: the client asks again.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Status::NFS3ERR_JUKEBOX,
        other => {
            tracing::warn!(error = %other, "the host's file system failed a call on a scratch file");
            Status::NFS3ERR_IO
        }
    }
}

/// What the host knows of an object; owner and mode as clients see them.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) inode: u64,
    /// When it was made, in nanoseconds, where the file system keeps that.
    pub(super) birth: Option<u64>,
    pub(super) kind: ftype3,
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) device: (u32, u32),
    pub(super) atime: nfstime3,
    pub(super) mtime: nfstime3,
    pub(super) ctime: nfstime3,
}

impl Facts {
    pub(super) fn is_file(&self) -> bool {
        self.kind == ftype3::NF3REG
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == ftype3::NF3DIR
    }

    /// Whether this is still the object of that identity.
    pub(super) fn is(&self, id: Id) -> bool {
        self.inode == id.inode && self.birth.is_none_or(|birth| birth == id.birth)
    }

    /// The identity of an object that is seen for the first time.
    pub(super) fn identify(&self) -> Id {
        let changed = u64::from(self.ctime.seconds) * 1_000_000_000 + u64::from(self.ctime.nseconds);
        Id {
            inode: self.inode,
            birth: self.birth.unwrap_or(changed),
        }
    }

    pub(super) fn before(&self) -> wcc_attr {
        wcc_attr {
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }

    pub(super) fn attributes(&self, fsid: u64) -> fattr3 {
        fattr3 {
            type_: self.kind,
            mode: self.mode,
            nlink: self.links,
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            used: self.allocated,
            rdev: specdata3 {
                specdata1: self.device.0,
                specdata2: self.device.1,
            },
            fsid,
            fileid: file_id(self.inode),
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }
}

/// Who owns an object, and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// The host, with the way owners are kept.
pub(super) struct Host {
    pub(super) ownership: Ownership,
    /// The owner of objects of which none is recorded.
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Host {
    /// The object called `name` in a folder.
    pub(super) fn inspect(&self, folder: BorrowedFd<'_>, name: &[u8]) -> Result<Facts, Status> {
        let mut facts = stat(folder, name)?;
        if self.ownership == Ownership::Recorded {
            let recorded = match facts.kind {
                ftype3::NF3REG | ftype3::NF3DIR => rustix::fs::openat(folder, name, OPEN, Mode::empty())
                    .ok()
                    .and_then(|object| recorded(object.as_fd())),
                _ => None,
            };
            self.complete(&mut facts, recorded);
        }
        Ok(facts)
    }

    /// An open object.
    pub(super) fn inspect_open(&self, object: impl AsFd) -> Result<Facts, Status> {
        let object = object.as_fd();
        let mut facts = stat_open(object)?;
        if self.ownership == Ownership::Recorded {
            self.complete(&mut facts, recorded(object));
        }
        Ok(facts)
    }

    fn complete(&self, facts: &mut Facts, recorded: Option<Owner>) {
        match recorded {
            Some(owner) => (facts.uid, facts.gid, facts.mode) = (owner.uid, owner.gid, owner.mode),
            None => (facts.uid, facts.gid) = (self.uid, self.gid),
        }
    }

    /// Gives an open file or folder to `owner`.
    pub(super) fn own(&self, object: impl AsFd, facts: &Facts, owner: Owner) -> Result<(), Status> {
        let object = object.as_fd();
        match self.ownership {
            Ownership::Host => {
                if (facts.uid, facts.gid) != (owner.uid, owner.gid) {
                    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                    rustix::fs::fchown(object, Some(uid), Some(gid)).map_err(status)?;
                }
                // Always after a change of owner: it takes the set-user-id bits away.
                rustix::fs::fchmod(object, Mode::from_raw_mode(owner.mode as RawMode)).map_err(status)
            }
            Ownership::Recorded => {
                let text = format!("{}:{}:{:o}", owner.uid, owner.gid, owner.mode);
                rustix::fs::fsetxattr(object, OWNER, text.as_bytes(), XattrFlags::empty()).map_err(status)
            }
        }
    }

    /// Gives a symbolic link to `owner`, as far as the host lets it: there is no place to record one at a link.
    pub(super) fn own_link(&self, folder: BorrowedFd<'_>, name: &[u8], owner: Owner) -> Result<(), Status> {
        match self.ownership {
            Ownership::Host => {
                let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(status)
            }
            Ownership::Recorded => Ok(()),
        }
    }

    /// Whether owners can be kept under `folder`.
    pub(super) fn probe(&self, folder: impl AsFd) -> std::io::Result<()> {
        if self.ownership == Ownership::Host {
            return Ok(());
        }
        let probe = rustix::fs::fsetxattr(folder, "user.posixlake.probe", b"1", XattrFlags::empty());
        probe.map_err(|error| {
            std::io::Error::new(
                std::io::Error::from(error).kind(),
                format!(
                    "the folder for scratch files does not take extended attributes ({error}), which keep the owners of files when the server is not root: \
                     put it on a file system with user attributes (ext4, xfs, btrfs, tmpfs since Linux 6.6)"
                ),
            )
        })
    }
}

fn recorded(object: BorrowedFd<'_>) -> Option<Owner> {
    let mut text = [0_u8; 64];
    let length = rustix::fs::fgetxattr(object, OWNER, text.as_mut_slice()).ok()?;
    let mut parts = std::str::from_utf8(text.get(..length)?).ok()?.split(':');
    Some(Owner {
        uid: parts.next()?.parse().ok()?,
        gid: parts.next()?.parse().ok()?,
        mode: u32::from_str_radix(parts.next()?, 8).ok()? & 0o7777,
    })
}

/// The times that a SETATTR sets, `None` for none.
pub(super) fn times(changes: &sattr3) -> Option<Timestamps> {
    let special = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let last_access = match changes.atime {
        set_atime::DONT_CHANGE => special(UTIME_OMIT),
        set_atime::SET_TO_SERVER_TIME => special(UTIME_NOW),
        set_atime::SET_TO_CLIENT_TIME(time) => timespec(time),
    };
    let last_modification = match changes.mtime {
        set_mtime::DONT_CHANGE => special(UTIME_OMIT),
        set_mtime::SET_TO_SERVER_TIME => special(UTIME_NOW),
        set_mtime::SET_TO_CLIENT_TIME(time) => timespec(time),
    };
    let none = matches!(changes.atime, set_atime::DONT_CHANGE) && matches!(changes.mtime, set_mtime::DONT_CHANGE);
    (!none).then_some(Timestamps {
        last_access,
        last_modification,
    })
}

pub(super) fn timespec(time: nfstime3) -> Timespec {
    Timespec {
        tv_sec: time.seconds.into(),
        tv_nsec: time.nseconds.min(999_999_999).into(),
    }
}

/// Opens the folder `name`, never through a link.
pub(super) fn open_folder(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Status> {
    let opened = rustix::fs::openat(parent, name, OPEN | OFlags::DIRECTORY, Mode::empty());
    opened.map_err(|error| match error {
        Errno::LOOP => Status::NFS3ERR_NOTDIR,
        other => status(other),
    })
}
