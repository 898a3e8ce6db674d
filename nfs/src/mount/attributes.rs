//! What `stat` shows.

use std::time::SystemTime;

use nfs3_types::nfs3::{fattr3, ftype3, nfstime3, specdata3, wcc_attr};

use super::Mount;
use super::handle::{Node, file_id};

/// Every object of the mount is on this file system, scratch files too: a client takes another id for another mount.
pub const FSID: u64 = 0x706f_7369_786c;

impl Mount {
    pub(crate) fn folder_attributes(&self, node: &Node, time: nfstime3, writable: bool) -> fattr3 {
        let mode = if writable { 0o777 } else { 0o555 };
        self.object(node, ftype3::NF3DIR, mode, 4096, time)
    }

    pub(crate) fn file_attributes(&self, node: &Node, size: u64, time: nfstime3, writable: bool) -> fattr3 {
        let mode = if writable { 0o666 } else { 0o444 };
        self.object(node, ftype3::NF3REG, mode, size, time)
    }

    fn object(&self, node: &Node, type_: ftype3, mode: u32, size: u64, time: nfstime3) -> fattr3 {
        fattr3 {
            type_,
            mode: mode & !self.options.umask,
            nlink: if type_ == ftype3::NF3DIR { 2 } else { 1 },
            uid: self.options.uid,
            gid: self.options.gid,
            size,
            used: size.div_ceil(512) * 512,
            rdev: specdata3::default(),
            fsid: FSID,
            fileid: file_id(node),
            atime: time,
            mtime: time,
            ctime: time,
        }
    }
}

pub(crate) fn before(attributes: &fattr3) -> wcc_attr {
    wcc_attr {
        size: attributes.size,
        mtime: attributes.mtime,
        ctime: attributes.ctime,
    }
}

pub(crate) fn time(time: SystemTime) -> nfstime3 {
    nfstime3::try_from(time).unwrap_or_default()
}

/// The later of two times.
pub(crate) fn later(a: nfstime3, b: nfstime3) -> nfstime3 {
    if (a.seconds, a.nseconds) >= (b.seconds, b.nseconds) {
        a
    } else {
        b
    }
}
