//! Which names reach the file system.

use nfs3_types::nfs3::nfsstat3;

use crate::Status;

/// The longest name (PATHCONF `name_max`).
pub(crate) const LONGEST_NAME: usize = 255;

/// The longest target of a symbolic link.
pub(crate) const LONGEST_PATH: usize = 4095;

/// A name that is looked up: `.` and `..` are good.
pub(crate) fn looked_up(name: &[u8]) -> Result<(), Status> {
    if name.len() > LONGEST_NAME {
        return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
    }
    // RFC 1813, section 3.2: names that the server cannot have are NFS3ERR_ACCES.
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return Err(nfsstat3::NFS3ERR_ACCES);
    }
    Ok(())
}

/// A name that is made, removed or renamed: `.` and `..` get the status `dot` and `dots`.
pub(crate) fn changed(name: &[u8], dot: Status, dots: Status) -> Result<(), Status> {
    looked_up(name)?;
    match name {
        b"." => Err(dot),
        b".." => Err(dots),
        _ => Ok(()),
    }
}

/// The target of a symbolic link: any path.
pub(crate) fn target(path: &[u8]) -> Result<(), Status> {
    if path.len() > LONGEST_PATH {
        return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
    }
    if path.is_empty() || path.contains(&0) {
        return Err(nfsstat3::NFS3ERR_INVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let dots = |name: &[u8]| changed(name, nfsstat3::NFS3ERR_INVAL, nfsstat3::NFS3ERR_EXIST);
        assert_eq!(dots(b"data.csv"), Ok(()));
        assert_eq!(dots(b"..."), Ok(()));
        assert_eq!(dots(&[0xff; 255]), Ok(()));
        assert_eq!(dots(&[b'a'; 256]), Err(nfsstat3::NFS3ERR_NAMETOOLONG));
        assert_eq!(dots(b""), Err(nfsstat3::NFS3ERR_ACCES));
        assert_eq!(dots(b"a/b"), Err(nfsstat3::NFS3ERR_ACCES));
        assert_eq!(dots(b"a\0b"), Err(nfsstat3::NFS3ERR_ACCES));
        assert_eq!(dots(b"."), Err(nfsstat3::NFS3ERR_INVAL));
        assert_eq!(dots(b".."), Err(nfsstat3::NFS3ERR_EXIST));
        assert_eq!(looked_up(b".."), Ok(()));
        assert_eq!(target(b"../a"), Ok(()));
        assert_eq!(target(b""), Err(nfsstat3::NFS3ERR_INVAL));
    }
}
