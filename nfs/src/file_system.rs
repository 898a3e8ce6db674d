//! What an NFSv3 server asks of a file system: one method a procedure, with the caller's identity and with the attributes that weak cache consistency wants.
//!
//! The wire layer checks sizes, names and arguments before it calls: a name is 1 to 255 bytes, without `/` and NUL, and neither `.` nor `..`
//! (LOOKUP of these two does arrive: a directory knows its parent). Structures are those of RFC 1813, from `nfs3_types`.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use nfs3_types::nfs3::{createhow3, fattr3, nfstime3, sattr3, stable_how, wcc_attr};

/// The status of a procedure that failed (RFC 1813, section 2.6).
pub type Status = nfs3_types::nfs3::nfsstat3;

/// Who calls, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The client's address. Its port says nothing: one client uses several connections.
    pub address: SocketAddr,
    /// Effective user, after squashing. 65534 for a caller without AUTH_UNIX.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Further groups, at most 16 (RFC 5531, appendix A).
    pub groups: Vec<u32>,
    /// The client's own name for itself, empty without AUTH_UNIX.
    pub machine: String,
}

/// A file handle: up to 64 bytes that only the file system reads. It is good after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub Bytes);

/// An object with its attributes.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its handle.
    pub handle: Handle,
    /// Its attributes.
    pub attributes: fattr3,
}

/// The outcome of a procedure that changes an object (for a name: its directory): the result, and the object's attributes around the change, both taken
/// under the lock that the change held (`wcc_data`, RFC 1813 section 2.6). `None` where the object is not there.
#[derive(Debug)]
pub struct Effect<T> {
    /// What came of it.
    pub result: Result<T, Status>,
    /// The changed object before.
    pub before: Option<wcc_attr>,
    /// The changed object after; also of a change that failed.
    pub after: Option<fattr3>,
}

impl<T> Effect<T> {
    /// A failure about which no attributes are known.
    pub fn failed(status: Status) -> Self {
        Self {
            result: Err(status),
            before: None,
            after: None,
        }
    }
}

/// Bytes in pieces, each where it was: they are put together by the socket.
#[derive(Debug, Clone, Default)]
pub struct Data(Vec<Bytes>);

impl Data {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0
    }

    /// A copy in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Leaves out what is beyond `most` bytes.
    pub fn truncate(&mut self, most: usize) {
        let mut left = most;
        self.0.retain_mut(|piece| {
            piece.truncate(left);
            left -= piece.len();
            !piece.is_empty()
        });
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self(vec![bytes])
    }
}

impl From<Vec<Bytes>> for Data {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces)
    }
}

/// Bytes of a file.
#[derive(Debug, Clone)]
pub struct ReadPart {
    /// The bytes, at most as many as were asked for; fewer only at the end of the file.
    pub data: Data,
    /// Whether they reach the end of the file.
    pub end: bool,
    /// The file's attributes. Linux clients take all replies to READ to be as long as the first one before the data (`read_hdrsize`), so they must always be there.
    pub attributes: fattr3,
}

/// What a WRITE did.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Bytes taken.
    pub count: u32,
    /// How far they are on stable storage: at least as far as was asked for.
    pub committed: stable_how,
}

/// One name of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The object's file id.
    pub id: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// Where to go on after this entry. Never 0.
    pub cookie: u64,
    /// The object itself, where it was asked for and costs little.
    pub object: Option<Object>,
}

/// A part of a directory.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Says whether cookies from an earlier part are still good.
    pub verifier: [u8; 8],
    /// Entries in the order of their cookies, `.` and `..` first.
    pub entries: Vec<Entry>,
    /// Whether the directory ends here.
    pub end: bool,
}

/// Space of the file system in bytes and files (FSSTAT).
#[derive(Debug, Clone, Copy, Default)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// Bytes free to the caller.
    pub available: u64,
    /// Files in all.
    pub files: u64,
    /// Files that can still be made.
    pub free_files: u64,
}

/// What the wire layer needs to know of a file system (FSINFO, PATHCONF).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file.
    pub file_size: u64,
    /// Resolution of times in nanoseconds.
    pub time_delta: u32,
}

/// A file system that NFSv3 clients see.
///
/// Calls of one client come concurrently and in any order. A reply is sent when the future ends; a call that was repeated by the client is not seen twice
/// (the wire layer's reply cache answers it).
#[async_trait]
pub trait FileSystem: Send + Sync + 'static {
    /// The directory that is exported under `path` (MNT).
    ///
    /// # Errors
    /// `NFS3ERR_NOENT` where nothing is exported under that name, `NFS3ERR_ACCES` where the caller may not mount it.
    async fn mount(&self, caller: &Caller, path: &str) -> Result<Handle, Status>;

    /// GETATTR. Also asked before LOOKUP, READLINK, listings and FSSTAT, whose replies carry attributes, so it should cost little.
    ///
    /// # Errors
    /// `NFS3ERR_STALE` for a handle whose object is gone, `NFS3ERR_BADHANDLE` for bytes that are no handle; so in every method.
    async fn attributes(&self, caller: &Caller, object: &Handle) -> Result<fattr3, Status>;

    /// SETATTR, on condition that the change time is still `guard`.
    async fn set_attributes(
        &self,
        caller: &Caller,
        object: &Handle,
        changes: sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()>;

    /// LOOKUP. `.` and `..` are names of every directory; the parent of the root is the root.
    ///
    /// # Errors
    /// `NFS3ERR_NOENT`, `NFS3ERR_NOTDIR`, `NFS3ERR_ACCES`.
    async fn lookup(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Result<Object, Status>;

    /// ACCESS: which of the `wanted` bits (`ACCESS3_*`) the caller has.
    ///
    /// # Errors
    /// Only for bad handles: missing rights are missing bits.
    async fn access(&self, caller: &Caller, object: &Handle, wanted: u32) -> Result<(u32, fattr3), Status>;

    /// READLINK: the target's text.
    ///
    /// # Errors
    /// `NFS3ERR_INVAL` where the object is no symbolic link.
    async fn read_link(&self, caller: &Caller, link: &Handle) -> Result<Vec<u8>, Status>;

    /// READ.
    ///
    /// # Errors
    /// `NFS3ERR_ISDIR`, `NFS3ERR_ACCES`, `NFS3ERR_IO`, `NFS3ERR_JUKEBOX` (the client asks again).
    async fn read(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Result<ReadPart, Status>;

    /// WRITE: all of `data` at `offset`, as stable as `stable` says when it answers.
    async fn write(
        &self,
        caller: &Caller,
        file: &Handle,
        offset: u64,
        data: Bytes,
        stable: stable_how,
    ) -> Effect<Written>;

    /// COMMIT: all that was written before is on stable storage when it answers.
    async fn commit(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Effect<()>;

    /// CREATE of a regular file; the effect is the directory's.
    async fn create(&self, caller: &Caller, directory: &Handle, name: &[u8], how: createhow3) -> Effect<Object>;

    /// MKDIR; the effect is the directory's.
    async fn make_directory(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        attributes: sattr3,
    ) -> Effect<Object>;

    /// SYMLINK; the effect is the directory's.
    async fn make_link(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        target: &[u8],
        attributes: sattr3,
    ) -> Effect<Object>;

    /// REMOVE of anything but a directory; the effect is the directory's.
    async fn remove(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()>;

    /// RMDIR; the effect is the directory's.
    async fn remove_directory(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()>;

    /// RENAME, over what has the new name. The effects are those of both directories; the second's `result` is not looked at.
    async fn rename(&self, caller: &Caller, from: (&Handle, &[u8]), to: (&Handle, &[u8])) -> (Effect<()>, Effect<()>);

    /// READDIR (`with_objects` false) and READDIRPLUS: entries after `cookie` (0: from the start), about `limit` of them.
    ///
    /// # Errors
    /// `NFS3ERR_BAD_COOKIE` for a verifier that is not of this listing, `NFS3ERR_NOTDIR`.
    async fn list(
        &self,
        caller: &Caller,
        directory: &Handle,
        cookie: u64,
        verifier: [u8; 8],
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status>;

    /// FSSTAT.
    ///
    /// # Errors
    /// Only for bad handles.
    async fn space(&self, caller: &Caller, object: &Handle) -> Result<Space, Status>;

    /// FSINFO and PATHCONF, the parts that depend on the file system.
    fn limits(&self) -> Limits;

    /// The write verifier (RFC 1813, section 3.3.7): changes when unstable data may have been lost, and at no other time.
    fn write_verifier(&self) -> [u8; 8];
}
