//! MOUNT v3 (RFC 1813, appendix I).

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use nfs3_types::mount::MNTPATHLEN;
use nfs3_types::nfs3::nfsstat3;

use super::options::Options;
use super::reply::Body;
use super::xdr::{Decoder, Garbage};
use crate::{Caller, FileSystem, Status};

/// Names of the procedures by number.
pub(crate) const PROCEDURES: [&str; 6] = ["NULL", "MNT", "DUMP", "UMNT", "UMNTALL", "EXPORT"];

/// Mounts that are remembered for DUMP. It is for people alone, and clients that vanish never unmount.
const MOST_MOUNTS: usize = 1024;

/// A call of a MOUNT procedure.
#[derive(Debug)]
pub(crate) enum MountCall {
    Null,
    Mount(Vec<u8>),
    Dump,
    Unmount(Vec<u8>),
    UnmountAll,
    Export,
}

impl MountCall {
    /// The call of procedure `number`; `None` where there is no such procedure.
    pub(crate) fn decode(number: u32, bytes: &[u8]) -> Option<Result<Self, Garbage>> {
        let mut decoder = Decoder::new(bytes);
        let call = match number {
            0 => Ok(Self::Null),
            1 => decoder.opaque(MNTPATHLEN).map(|path| Self::Mount(path.to_vec())),
            2 => Ok(Self::Dump),
            3 => decoder.opaque(MNTPATHLEN).map(|path| Self::Unmount(path.to_vec())),
            4 => Ok(Self::UnmountAll),
            5 => Ok(Self::Export),
            _ => return None,
        };
        Some(call.and_then(|call| decoder.finish().map(|()| call)))
    }
}

/// One line for a trace.
impl fmt::Display for MountCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("MOUNT NULL"),
            Self::Mount(path) => write!(f, "MNT \"{}\"", path.escape_ascii()),
            Self::Dump => f.write_str("DUMP"),
            Self::Unmount(path) => write!(f, "UMNT \"{}\"", path.escape_ascii()),
            Self::UnmountAll => f.write_str("UMNTALL"),
            Self::Export => f.write_str("EXPORT"),
        }
    }
}

/// Who mounted what.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<VecDeque<(IpAddr, Vec<u8>)>>);

impl Mounts {
    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<(IpAddr, Vec<u8>)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, address: IpAddr, path: &[u8]) {
        self.with(|mounts| {
            mounts.retain(|(host, mounted)| *host != address || mounted != path);
            if mounts.len() == MOST_MOUNTS {
                mounts.pop_front();
            }
            mounts.push_back((address, path.to_vec()));
        });
    }
}

/// Does a call.
pub(crate) async fn run(
    options: &Options,
    files: &dyn FileSystem,
    mounts: &Mounts,
    caller: &Caller,
    xid: u32,
    call: MountCall,
) -> Body {
    let address = caller.address.ip();
    match call {
        MountCall::Null => Body::accepted(xid),
        MountCall::Mount(path) => mount(files, mounts, caller, xid, &path).await,
        MountCall::Dump => {
            let mut body = Body::accepted(xid);
            mounts.with(|mounts| {
                for (host, path) in mounts.iter() {
                    body.put(&true);
                    body.put_opaque(host.to_string().as_bytes());
                    body.put_opaque(path);
                }
            });
            body.put(&false);
            body
        }
        MountCall::Unmount(path) => {
            mounts.with(|mounts| mounts.retain(|(host, mounted)| *host != address || *mounted != path));
            Body::accepted(xid)
        }
        MountCall::UnmountAll => {
            mounts.with(|mounts| mounts.retain(|(host, _)| *host != address));
            Body::accepted(xid)
        }
        MountCall::Export => {
            let mut body = Body::accepted(xid);
            for path in &options.exports {
                body.put(&true);
                body.put_opaque(path.as_bytes());
                for network in &options.clients {
                    body.put(&true);
                    body.put_opaque(network.to_string().as_bytes());
                }
                body.put(&false);
            }
            body.put(&false);
            body
        }
    }
}

async fn mount(files: &dyn FileSystem, mounts: &Mounts, caller: &Caller, xid: u32, path: &[u8]) -> Body {
    let root = match std::str::from_utf8(path) {
        Ok(path) if !path.contains('\0') => files.mount(caller, path).await,
        _ => Err(nfsstat3::NFS3ERR_NOENT),
    };
    match root {
        Ok(root) => {
            mounts.add(caller.address.ip(), path);
            let mut body = Body::with_status(xid, nfsstat3::NFS3_OK);
            body.put_handle(&root);
            // Flavors that calls may have: AUTH_UNIX before AUTH_NONE.
            for number in [2_u32, 1, 0] {
                body.put(&number);
            }
            body
        }
        Err(status) => Body::with_status(xid, known(status)),
    }
}

/// MOUNT's statuses are NFS's, but fewer.
fn known(status: Status) -> Status {
    match status {
        nfsstat3::NFS3ERR_PERM
        | nfsstat3::NFS3ERR_NOENT
        | nfsstat3::NFS3ERR_IO
        | nfsstat3::NFS3ERR_ACCES
        | nfsstat3::NFS3ERR_NOTDIR
        | nfsstat3::NFS3ERR_INVAL
        | nfsstat3::NFS3ERR_NAMETOOLONG
        | nfsstat3::NFS3ERR_NOTSUPP => status,
        _ => nfsstat3::NFS3ERR_SERVERFAULT,
    }
}
