//! Calls that each system has in its own way: what is known of an object, and stable storage.

use std::os::fd::{AsFd, BorrowedFd};

use nfs3_types::nfs3::{ftype3, nfstime3};
use rustix::fs::FileType;

use super::host::{Facts, status};
use crate::file_system::Status;

pub(super) use imp::{stat, stat_open, sync, sync_data};

#[cfg(target_os = "linux")]
mod imp {
    use rustix::fs::{AtFlags, Statx, StatxFlags};

    use super::*;

    /// The object called `name` in a folder.
    pub(crate) fn stat(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Facts, Status> {
        statx(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    pub(crate) fn stat_open(object: BorrowedFd<'_>) -> Result<Facts, Status> {
        statx(object, b"", AtFlags::EMPTY_PATH)
    }

    fn statx(folder: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Facts, Status> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let found: Statx = rustix::fs::statx(folder, name, flags, wanted).map_err(status)?;
        let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(Facts {
            inode: found.stx_ino,
            birth: birth(found.stx_btime.tv_sec, found.stx_btime.tv_nsec).filter(|_| has_birth),
            kind: kind(FileType::from_raw_mode(found.stx_mode.into())),
            mode: u32::from(found.stx_mode) & 0o7777,
            links: found.stx_nlink,
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            allocated: found.stx_blocks.saturating_mul(512),
            device: (found.stx_rdev_major, found.stx_rdev_minor),
            atime: moment(found.stx_atime.tv_sec, found.stx_atime.tv_nsec),
            mtime: moment(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            ctime: moment(found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
        })
    }

    pub(crate) fn sync(object: impl AsFd) -> Result<(), Status> {
        rustix::fs::fsync(object).map_err(status)
    }

    pub(crate) fn sync_data(file: impl AsFd) -> Result<(), Status> {
        rustix::fs::fdatasync(file).map_err(status)
    }
}

#[cfg(target_vendor = "apple")]
mod imp {
    use rustix::fs::{AtFlags, Stat};

    use super::*;

    /// The object called `name` in a folder.
    pub(crate) fn stat(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Facts, Status> {
        let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        found.map(facts).map_err(status)
    }

    pub(crate) fn stat_open(object: BorrowedFd<'_>) -> Result<Facts, Status> {
        rustix::fs::fstat(object).map(facts).map_err(status)
    }

    fn facts(found: Stat) -> Facts {
        let nanoseconds = |value: i64| u32::try_from(value).unwrap_or_default();
        Facts {
            inode: found.st_ino,
            birth: birth(found.st_birthtime, nanoseconds(found.st_birthtime_nsec)),
            kind: kind(FileType::from_raw_mode(found.st_mode)),
            mode: u32::from(found.st_mode) & 0o7777,
            links: found.st_nlink.into(),
            uid: found.st_uid,
            gid: found.st_gid,
            size: u64::try_from(found.st_size).unwrap_or_default(),
            allocated: u64::try_from(found.st_blocks).unwrap_or_default().saturating_mul(512),
            device: (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev)),
            atime: moment(found.st_atime, nanoseconds(found.st_atime_nsec)),
            mtime: moment(found.st_mtime, nanoseconds(found.st_mtime_nsec)),
            ctime: moment(found.st_ctime, nanoseconds(found.st_ctime_nsec)),
        }
    }

    pub(crate) fn sync(object: impl AsFd) -> Result<(), Status> {
        // `fsync` leaves the bytes in the drive's own cache.
        rustix::fs::fcntl_fullfsync(object).map_err(status)
    }

    pub(crate) use sync as sync_data;
}

fn moment(seconds: i64, nanoseconds: u32) -> nfstime3 {
    nfstime3 {
        // NFSv3 has no times before 1970 and none after 2106.
        seconds: u32::try_from(seconds.max(0)).unwrap_or(u32::MAX),
        nseconds: nanoseconds,
    }
}

fn birth(seconds: i64, nanoseconds: u32) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(nanoseconds.into())
}

fn kind(kind: FileType) -> ftype3 {
    match kind {
        FileType::Directory => ftype3::NF3DIR,
        FileType::Symlink => ftype3::NF3LNK,
        FileType::Fifo => ftype3::NF3FIFO,
        FileType::Socket => ftype3::NF3SOCK,
        FileType::CharacterDevice => ftype3::NF3CHR,
        FileType::BlockDevice => ftype3::NF3BLK,
        _ => ftype3::NF3REG,
    }
}
