//! Scratch files: every name in a folder of the mount that is not a table's own. Editors' swap files, temporary files of `sed` and `rsync`, anybody's notes.
//!
//! They live in a real folder on the server's disk, the *scratch root*, so that their names, modes, times and bytes are the host's to keep:
//!
//! ```text
//! <root>/mount/files/…                          scratch files of the mount's root
//! <root>/mount/folders/orders/files/…           scratch files of the folder `orders`
//! <root>/mount/folders/sales/folders/x/files/…  scratch files of the folder `sales/x`
//! <root>/taken/…                                files that were taken out of the tree
//! ```
//!
//! An object is named by its inode and its time of birth ([`Id`]), which it keeps through renames and restarts. A map from inode to parent and name leads to
//! it; the map is read from the disk when the root is opened, and every answer is checked against the disk. One process at a time has a root open. The
//! server never follows a symbolic link in it: each step of a path is opened on its own, relative to the step before.
//!
//! An object that was removed, or replaced by a rename, is gone for everybody at once (`NFS3ERR_STALE`): a client that has the file open renames it away
//! before it removes or replaces it. An object that was [taken](Scratch::take) can be read and written until it is [released](Scratch::release).
//!
//! Calls that change something answer when it is on stable storage, as NFSv3 wants it, unless [`Options::sync_metadata`] is off; data is when the WRITE asked
//! for it, or after COMMIT. Rights of callers are the front's to check, with [`granted`]; only SETATTR, where rights depend on what is set, checks its own.

mod cache;
mod change;
mod data;
mod expiry;
mod host;
mod names;
mod private;
mod rights;
mod system;
mod tree;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nfs3_types::nfs3::{createhow3, fattr3, nfstime3, sattr3, stable_how};

pub use rights::granted;

use crate::file_system::{Caller, Effect, ReadPart, Space, Status, Written};
use tree::Tree;

/// The bit that every [`file_id`] of a scratch object has, and that no other object's may have.
pub const FILE_ID_BIT: u64 = 1 << 63;

/// The file id that clients see for an inode of the scratch root.
#[must_use]
pub const fn file_id(inode: u64) -> u64 {
    inode | FILE_ID_BIT
}

/// An object: good through renames and restarts, and never that of another object, for a reused inode has another time of birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Its inode in the scratch root.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970; on a file system that does not keep it, its change time when it was first seen.
    pub birth: u64,
}

/// A folder that holds scratch files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Folder {
    /// A folder of the mount's own by its path: none for the root, a table, a schema and a table. It need not exist: it comes with its first file.
    Mount(Vec<String>),
    /// A folder that a client made.
    Scratch(Id),
}

/// An object and what it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its identity.
    pub id: Id,
    /// Its attributes.
    pub attributes: fattr3,
}

/// A name of a folder.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The name.
    pub name: Vec<u8>,
    /// The object.
    pub id: Id,
    /// Its attributes, where they were asked for.
    pub attributes: Option<fattr3>,
}

/// What scratch files take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The sum of the files' sizes, holes included.
    pub bytes: u64,
    /// Files, folders and links.
    pub objects: u64,
}

/// Where owners and modes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// In the host's own inodes: needs a server that may give files away.
    Host,
    /// In the extended attribute `user.posixlake.owner`; on the host, everything belongs to the server. Symbolic links have no such attribute and show the
    /// owner of [`Options`].
    Recorded,
}

/// How scratch files are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file system id in attributes.
    pub fsid: u64,
    /// The owner of the mount's folders and of objects that have no owner of their own.
    pub uid: u32,
    /// The group of the same.
    pub gid: u32,
    /// Bits that new objects never have.
    pub umask: u32,
    /// Most bytes, as [`Usage::bytes`] counts them.
    pub quota: u64,
    /// Most objects.
    pub objects: u64,
    /// How long a file stays that nobody uses.
    pub unused: Duration,
    /// Whether changes of names and attributes are on stable storage when they are answered, as RFC 1813 (section 1.3) wants them.
    pub sync_metadata: bool,
    /// Whether data of stable WRITEs is on stable storage when they are answered; else at the next [`Scratch::settle`] or COMMIT, and at once only
    /// for a crash of the process. A client that mounts with `sync` sends each write of a program as a stable one, thousands for one file.
    pub sync_data: bool,
    /// Most files, and most folders, that are kept open between calls.
    pub open_files: usize,
    /// Where owners and modes are kept.
    pub ownership: Ownership,
}

impl Default for Options {
    fn default() -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Self {
            fsid: 0,
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            umask: 0,
            quota: 10 << 30,
            objects: 1_000_000,
            unused: Duration::from_secs(24 * 60 * 60),
            sync_metadata: true,
            sync_data: true,
            open_files: 128,
            ownership: if uid.is_root() {
                Ownership::Host
            } else {
                Ownership::Recorded
            },
        }
    }
}

/// So many bytes are sooner written, to the host's memory, than another thread is woken to do it.
const BRIEF: usize = 64 << 10;

/// The scratch files of a mount. Clones share them.
#[derive(Clone)]
pub struct Scratch {
    tree: Arc<Tree>,
}

impl Scratch {
    /// Opens the scratch files under `root`, which is made where it is not there. Reads all names.
    ///
    /// # Errors
    /// Where the folder cannot be made or read, another process has it open, or its file system cannot keep what [`Ownership::Recorded`] needs.
    pub fn open(root: PathBuf, options: Options) -> io::Result<Self> {
        let tree = Arc::new(Tree::open(root, options)?);
        Ok(Self { tree })
    }

    /// GETATTR.
    ///
    /// # Errors
    /// `NFS3ERR_STALE` where the object is gone; so in every method that takes an [`Id`].
    pub async fn attributes(&self, id: Id) -> Result<fattr3, Status> {
        self.look(move |tree| tree.attributes(id)).await
    }

    /// The attributes of several objects, as of the entries of a READDIRPLUS.
    pub async fn attributes_of(&self, ids: Vec<Id>) -> Vec<Result<fattr3, Status>> {
        let count = ids.len();
        let all = self.run(move |tree| Ok(ids.into_iter().map(|id| tree.attributes(id)).collect()));
        all.await.unwrap_or_else(|status| vec![Err(status); count])
    }

    /// The attributes of a folder; `None` for one of the mount's that has no scratch files yet.
    ///
    /// # Errors
    /// Where the host fails.
    pub async fn folder(&self, folder: &Folder) -> Result<Option<fattr3>, Status> {
        let folder = folder.clone();
        self.look(move |tree| tree.folder(&folder)).await
    }

    /// The folder that an object is in.
    ///
    /// # Errors
    /// `NFS3ERR_NOENT` for a file that was [taken](Self::take).
    pub async fn parent(&self, id: Id) -> Result<Folder, Status> {
        self.look(move |tree| tree.parent(id)).await
    }

    /// SETATTR: owner, mode, size and times, all or none where rights or space forbid one. A size needs the right to write or ownership, the server's time
    /// the same, anything else ownership; files are given away only by uid 0, to a group only by its members.
    pub async fn set_attributes(
        &self,
        caller: &Caller,
        id: Id,
        changes: sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()> {
        let caller = caller.clone();
        self.effect(move |tree| tree.set_attributes(&caller, id, &changes, guard))
            .await
    }

    /// LOOKUP, of anything but `.` and `..`.
    ///
    /// # Errors
    /// `NFS3ERR_NOENT`, `NFS3ERR_NOTDIR`, `NFS3ERR_NAMETOOLONG`.
    pub async fn lookup(&self, folder: &Folder, name: &[u8]) -> Result<Found, Status> {
        let (folder, name) = (folder.clone(), name.to_vec());
        self.look(move |tree| tree.lookup(&folder, &name)).await
    }

    /// READ.
    ///
    /// # Errors
    /// `NFS3ERR_ISDIR`; `NFS3ERR_INVAL` for what is neither folder nor file.
    pub async fn read(&self, id: Id, offset: u64, count: u32) -> Result<ReadPart, Status> {
        self.run(move |tree| tree.read(id, offset, count)).await
    }

    /// WRITE. The effect is the file's.
    pub async fn write(&self, id: Id, offset: u64, data: Bytes, stable: stable_how) -> Effect<Written> {
        if data.len() <= BRIEF && (stable == stable_how::UNSTABLE || !self.tree.options.sync_data) {
            return self.tree.write(id, offset, &data, stable);
        }
        self.effect(move |tree| tree.write(id, offset, &data, stable)).await
    }

    /// COMMIT. The effect is the file's. After `NFS3ERR_IO`, here or from WRITE, the host may have lost what was written before and reports it this once.
    pub async fn commit(&self, id: Id) -> Effect<()> {
        self.effect(move |tree| tree.commit(id)).await
    }

    /// Puts the data of stable WRITEs on stable storage that is not there yet ([`Options::sync_data`]).
    pub async fn settle(&self) {
        if self.tree.unsettled.lock().is_empty() {
            return;
        }
        if let Err(status) = self.run(Tree::settle_data).await {
            tracing::warn!("scratch files cannot be put on disk: {status}");
        }
    }

    /// CREATE. The effect, here and in all that follow, is the folder's. An existing file is opened by UNCHECKED, which changes nothing but the size it
    /// asks for, and by EXCLUSIVE with the verifier that made it, also after a restart, until its times are set.
    pub async fn create(&self, caller: &Caller, folder: &Folder, name: &[u8], how: createhow3) -> Effect<Found> {
        let (caller, folder, name) = (caller.clone(), folder.clone(), name.to_vec());
        self.effect(move |tree| tree.create(&caller, &folder, &name, &how))
            .await
    }

    /// MKDIR.
    pub async fn make_directory(
        &self,
        caller: &Caller,
        folder: &Folder,
        name: &[u8],
        attributes: sattr3,
    ) -> Effect<Found> {
        let (caller, folder, name) = (caller.clone(), folder.clone(), name.to_vec());
        self.effect(move |tree| tree.make_directory(&caller, &folder, &name, &attributes))
            .await
    }

    /// SYMLINK: the target is kept as it is and never looked at.
    pub async fn make_link(
        &self,
        caller: &Caller,
        folder: &Folder,
        name: &[u8],
        target: &[u8],
        attributes: sattr3,
    ) -> Effect<Found> {
        let (caller, folder, name, target) = (caller.clone(), folder.clone(), name.to_vec(), target.to_vec());
        self.effect(move |tree| tree.make_link(&caller, &folder, &name, &target, &attributes))
            .await
    }

    /// READLINK.
    ///
    /// # Errors
    /// `NFS3ERR_INVAL` where the object is no symbolic link.
    pub async fn read_link(&self, id: Id) -> Result<Vec<u8>, Status> {
        self.run(move |tree| tree.read_link(id)).await
    }

    /// REMOVE of anything but a folder (`NFS3ERR_ISDIR`).
    pub async fn remove(&self, folder: &Folder, name: &[u8]) -> Effect<()> {
        let (folder, name) = (folder.clone(), name.to_vec());
        self.effect(move |tree| tree.remove(&folder, &name)).await
    }

    /// RMDIR.
    pub async fn remove_directory(&self, folder: &Folder, name: &[u8]) -> Effect<()> {
        let (folder, name) = (folder.clone(), name.to_vec());
        self.effect(move |tree| tree.remove_directory(&folder, &name)).await
    }

    /// RENAME, over what has the new name as far as POSIX lets it. The effects are those of both folders; the second's `result` is that of the first.
    pub async fn rename(&self, from: (&Folder, &[u8]), to: (&Folder, &[u8])) -> (Effect<()>, Effect<()>) {
        let from = (from.0.clone(), from.1.to_vec());
        let to = (to.0.clone(), to.1.to_vec());
        let tree = Arc::clone(&self.tree);
        let renamed = tokio::task::spawn_blocking(move || tree.rename((&from.0, &from.1), (&to.0, &to.1))).await;
        renamed.unwrap_or_else(|_| {
            let failed = || Effect::failed(Status::NFS3ERR_SERVERFAULT);
            (failed(), failed())
        })
    }

    /// All names of a folder in no order, without `.` and `..`; none for a folder of the mount's that has no scratch files.
    ///
    /// # Errors
    /// `NFS3ERR_NOTDIR`.
    pub async fn list(&self, folder: &Folder, with_attributes: bool) -> Result<Vec<Listed>, Status> {
        let folder = folder.clone();
        self.run(move |tree| tree.list(&folder, with_attributes)).await
    }

    /// Where an object's bytes are on the host. Good until it is renamed, removed or taken: [`file`](Self::file) is the safer way to its bytes.
    ///
    /// # Errors
    /// `NFS3ERR_STALE`.
    pub async fn path(&self, id: Id) -> Result<PathBuf, Status> {
        self.run(move |tree| tree.path(id)).await
    }

    /// A file's bytes, open for reading, whatever becomes of its name.
    ///
    /// # Errors
    /// `NFS3ERR_ISDIR`; `NFS3ERR_INVAL` for what is neither folder nor file.
    pub async fn file(&self, id: Id) -> Result<std::fs::File, Status> {
        self.run(move |tree| tree.reader(id)).await
    }

    /// Moves a file of the host's into a folder, over a file that has the name. A file under `taken/` keeps its [`Id`]. It belongs to `caller` with `mode`,
    /// or stays as it is with `None`.
    pub async fn adopt(
        &self,
        path: PathBuf,
        folder: &Folder,
        name: &[u8],
        owner: Option<(&Caller, u32)>,
    ) -> Effect<Found> {
        let (folder, name) = (folder.clone(), name.to_vec());
        let owner = owner.map(|(caller, mode)| (caller.clone(), mode));
        self.effect(move |tree| tree.adopt(&path, &folder, &name, owner.as_ref()))
            .await
    }

    /// Takes a file out of the tree, to a path where no name leads. Its `Id` stays good for reading and writing, also after a restart, until it is
    /// [released](Self::release) or [adopted](Self::adopt). The effect is that of the folder it was in.
    pub async fn take(&self, id: Id) -> Effect<PathBuf> {
        self.effect(move |tree| tree.take(id)).await
    }

    /// The files that were taken and are not yet released, as of before a restart.
    ///
    /// # Errors
    /// Where the host fails.
    pub async fn taken(&self) -> Result<Vec<Found>, Status> {
        self.run(Tree::taken).await
    }

    /// Removes a file that was taken.
    ///
    /// # Errors
    /// `NFS3ERR_INVAL` for one that was not.
    pub async fn release(&self, id: Id) -> Result<(), Status> {
        self.run(move |tree| tree.release(id)).await
    }

    /// What scratch files take up, taken ones included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.tree.usage()
    }

    /// What is left of the quota and of the host's space (FSSTAT).
    ///
    /// # Errors
    /// Where the host fails.
    pub async fn space(&self) -> Result<Space, Status> {
        self.run(Tree::space).await
    }

    /// Removes files and links that nobody read, wrote or changed for [`Options::unused`], and folders that are empty as long. Says how many went.
    /// To be called from time to time.
    ///
    /// # Errors
    /// Where the host fails.
    pub async fn expire(&self) -> Result<usize, Status> {
        self.run(Tree::expire).await
    }

    /// As [`run`](Self::run), for what takes the host no longer than it takes to wake another thread, unless others are at work on names.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        if self.tree.names.is_locked() {
            return self.run(work).await;
        }
        work(&self.tree)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let tree = Arc::clone(&self.tree);
        let done = tokio::task::spawn_blocking(move || work(&tree)).await;
        done.unwrap_or(Err(Status::NFS3ERR_SERVERFAULT))
    }

    async fn effect<T: Send + 'static>(&self, work: impl FnOnce(&Tree) -> Effect<T> + Send + 'static) -> Effect<T> {
        let tree = Arc::clone(&self.tree);
        let done = tokio::task::spawn_blocking(move || work(&tree)).await;
        done.unwrap_or_else(|_| Effect::failed(Status::NFS3ERR_SERVERFAULT))
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Scratch")
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
