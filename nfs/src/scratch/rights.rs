//! What a caller may do, by owner, group and mode.

use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ, Nfs3Option, fattr3,
    ftype3, sattr3, set_atime, set_mtime,
};

use super::host::{Facts, Owner};
use crate::file_system::{Caller, Status};

/// The `ACCESS3_*` bits that `caller` has on an object, as POSIX reads modes: the first class that fits decides, and uid 0 may everything but execute a file
/// that nobody may execute.
#[must_use]
pub fn granted(caller: &Caller, attributes: &fattr3) -> u32 {
    let directory = attributes.type_ == ftype3::NF3DIR;
    bits(caller, directory, attributes.uid, attributes.gid, attributes.mode)
}

fn bits(caller: &Caller, directory: bool, uid: u32, gid: u32, mode: u32) -> u32 {
    let class = if caller.uid == 0 {
        0o6 | u32::from(directory || mode & 0o111 != 0)
    } else if caller.uid == uid {
        mode >> 6
    } else if member(caller, gid) {
        mode >> 3
    } else {
        mode
    };
    let mut bits = 0;
    if class & 0o4 != 0 {
        bits |= ACCESS3_READ;
    }
    if class & 0o2 != 0 {
        bits |= ACCESS3_MODIFY | ACCESS3_EXTEND;
        if directory {
            bits |= ACCESS3_DELETE;
        }
    }
    if class & 0o1 != 0 {
        bits |= if directory { ACCESS3_LOOKUP } else { ACCESS3_EXECUTE };
    }
    bits
}

fn member(caller: &Caller, gid: u32) -> bool {
    caller.gid == gid || caller.groups.contains(&gid)
}

/// The owner that an object has after `changes`, where `caller` may make them.
pub(super) fn changed(caller: &Caller, facts: &Facts, changes: &sattr3) -> Result<Option<Owner>, Status> {
    let owns = caller.uid == 0 || caller.uid == facts.uid;
    let writes = bits(caller, facts.is_directory(), facts.uid, facts.gid, facts.mode) & ACCESS3_MODIFY != 0;
    let client_time = matches!(changes.atime, set_atime::SET_TO_CLIENT_TIME(_))
        || matches!(changes.mtime, set_mtime::SET_TO_CLIENT_TIME(_));
    let server_time = matches!(changes.atime, set_atime::SET_TO_SERVER_TIME)
        || matches!(changes.mtime, set_mtime::SET_TO_SERVER_TIME);
    let owner = owner(changes);
    if (owner != (None, None) || changes.mode.is_some() || client_time) && !owns {
        return Err(Status::NFS3ERR_PERM);
    }
    if (changes.size.is_some() || server_time) && !owns && !writes {
        return Err(Status::NFS3ERR_ACCES);
    }
    if owner == (None, None) && changes.mode.is_none() {
        return Ok(None);
    }
    let (uid, gid) = (owner.0.unwrap_or(facts.uid), owner.1.unwrap_or(facts.gid));
    may_own(caller, uid, (gid != facts.gid).then_some(gid))?;
    let mode = match changes.mode {
        // Only a member of a group gives its rights to a file.
        Nfs3Option::Some(mode) if caller.uid != 0 && !facts.is_directory() && !member(caller, gid) => mode & 0o5777,
        Nfs3Option::Some(mode) => mode & 0o7777,
        // A file that changes hands runs with its caller's rights only.
        Nfs3Option::None if (uid, gid) != (facts.uid, facts.gid) && !facts.is_directory() => facts.mode & 0o1777,
        Nfs3Option::None => facts.mode,
    };
    Ok(Some(Owner { uid, gid, mode }))
}

/// The owner of a new object in a folder: the caller, and in a set-group-id folder the folder's group.
pub(super) fn first(
    caller: &Caller,
    folder: &Facts,
    changes: &sattr3,
    default: u32,
    umask: u32,
) -> Result<Owner, Status> {
    let inherited = if folder.mode & 0o2000 != 0 {
        folder.gid
    } else {
        caller.gid
    };
    let (uid, gid) = owner(changes);
    let (uid, gid) = (uid.unwrap_or(caller.uid), gid.unwrap_or(inherited));
    may_own(caller, uid, (gid != inherited).then_some(gid))?;
    let mode = match changes.mode {
        Nfs3Option::Some(mode) => mode & 0o7777,
        Nfs3Option::None => default,
    };
    Ok(Owner {
        uid,
        gid,
        mode: mode & !umask,
    })
}

fn owner(changes: &sattr3) -> (Option<u32>, Option<u32>) {
    let value = |option: &Nfs3Option<u32>| match option {
        Nfs3Option::Some(value) => Some(*value),
        Nfs3Option::None => None,
    };
    (value(&changes.uid), value(&changes.gid))
}

fn may_own(caller: &Caller, uid: u32, new_gid: Option<u32>) -> Result<(), Status> {
    // All ones means "no change" to the host.
    if uid == u32::MAX || new_gid == Some(u32::MAX) {
        return Err(Status::NFS3ERR_INVAL);
    }
    if caller.uid != 0 && (uid != caller.uid || new_gid.is_some_and(|gid| !member(caller, gid))) {
        return Err(Status::NFS3ERR_PERM);
    }
    Ok(())
}
