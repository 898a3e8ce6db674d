//! A file system in memory with ordinary POSIX semantics.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ, Nfs3Option,
    createhow3, fattr3, ftype3, nfsstat3, nfstime3, sattr3, set_atime, set_mtime, specdata3, stable_how, wcc_attr,
};
use posixlake_nfs::{
    Caller, Effect, Entry, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written,
};

const PAGE: u64 = 1 << 20;
const ROOT: u64 = 1;
const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;

/// Runs before a method does its work: given its name and the name of the object, where it has one.
pub(crate) type Hook = Arc<dyn Fn(&'static str, &[u8]) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

enum Kind {
    /// Pages by number; what is not there is zero.
    File(HashMap<u64, Bytes>),
    /// Names, each with the cookie that it keeps.
    Directory(BTreeMap<Vec<u8>, (u64, u64)>),
    Link(Vec<u8>),
}

struct Node {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    accessed: u64,
    modified: u64,
    changed: u64,
    parent: u64,
    /// The verifier of the exclusive CREATE that made it.
    verifier: Option<[u8; 8]>,
}

struct State {
    nodes: HashMap<u64, Node>,
    next: u64,
    clock: u64,
}

/// The file system.
pub(crate) struct Memory {
    state: Mutex<State>,
    hook: Option<Hook>,
}

fn time(nanoseconds: u64) -> nfstime3 {
    nfstime3 {
        seconds: u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX),
        nseconds: u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0),
    }
}

fn nanoseconds(time: nfstime3) -> u64 {
    u64::from(time.seconds) * 1_000_000_000 + u64::from(time.nseconds)
}

impl Node {
    fn directory(&self) -> Result<&BTreeMap<Vec<u8>, (u64, u64)>, Status> {
        match &self.kind {
            Kind::Directory(names) => Ok(names),
            _ => Err(nfsstat3::NFS3ERR_NOTDIR),
        }
    }

    fn may(&self, caller: &Caller, bits: u32) -> bool {
        let shift = if caller.uid == self.uid {
            6
        } else if caller.gid == self.gid || caller.groups.contains(&self.gid) {
            3
        } else {
            0
        };
        caller.uid == 0 || self.mode >> shift & bits == bits
    }

    /// As a file is used through NFS: the owner may whatever the mode says, since the client checked when it opened the file.
    fn may_use(&self, caller: &Caller, bits: u32) -> Result<(), Status> {
        match &self.kind {
            Kind::Directory(_) => Err(nfsstat3::NFS3ERR_ISDIR),
            Kind::Link(_) => Err(nfsstat3::NFS3ERR_INVAL),
            Kind::File(_) if caller.uid == self.uid || self.may(caller, bits) => Ok(()),
            Kind::File(_) => Err(nfsstat3::NFS3ERR_ACCES),
        }
    }

    fn wcc(&self) -> wcc_attr {
        wcc_attr {
            size: self.size,
            mtime: time(self.modified),
            ctime: time(self.changed),
        }
    }

    fn resize(&mut self, size: u64) {
        if let Kind::File(pages) = &mut self.kind {
            pages.retain(|page, _| page * PAGE < size);
            if let Some(last) = pages.get_mut(&(size / PAGE)) {
                last.truncate(usize::try_from(size % PAGE).unwrap_or(usize::MAX));
            }
            self.size = size;
        }
    }

    fn write(&mut self, mut offset: u64, mut data: Bytes) {
        self.size = self.size.max(offset + data.len() as u64);
        let Kind::File(pages) = &mut self.kind else { return };
        while !data.is_empty() {
            let (page, start) = (offset / PAGE, usize::try_from(offset % PAGE).unwrap_or(0));
            let part = data.split_to(data.len().min(usize::try_from(PAGE).unwrap_or(0) - start));
            offset += part.len() as u64;
            if start == 0 && part.len() as u64 == PAGE {
                pages.insert(page, part);
                continue;
            }
            let mut bytes = BytesMut::from(pages.remove(&page).unwrap_or_default());
            bytes.resize(bytes.len().max(start + part.len()), 0);
            if let Some(target) = bytes.get_mut(start..start + part.len()) {
                target.copy_from_slice(&part);
            }
            pages.insert(page, bytes.freeze());
        }
    }

    fn read(&self, offset: u64, count: u32) -> Bytes {
        let Kind::File(pages) = &self.kind else {
            return Bytes::new();
        };
        let end = offset.saturating_add(u64::from(count)).min(self.size);
        let piece = |from: u64, to: u64| -> Option<Bytes> {
            let start = usize::try_from(from % PAGE).ok()?;
            let page = pages.get(&(from / PAGE))?;
            let stop = start + usize::try_from(to - from).ok()?;
            (stop <= page.len()).then(|| page.slice(start..stop))
        };
        if offset < end
            && offset / PAGE == (end - 1) / PAGE
            && let Some(bytes) = piece(offset, end)
        {
            return bytes;
        }
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let stop = end.min((at / PAGE + 1) * PAGE);
            let length = bytes.len() + usize::try_from(stop - at).unwrap_or(0);
            if let Some(page) = pages.get(&(at / PAGE)) {
                let start = usize::try_from(at % PAGE).unwrap_or(0).min(page.len());
                let part = page.slice(start..);
                bytes.extend_from_slice(part.get(..length - bytes.len()).unwrap_or(&part));
            }
            bytes.resize(length, 0);
            at = stop;
        }
        bytes.into()
    }
}

impl State {
    fn now(&mut self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        self.clock = u64::try_from(now).unwrap_or(u64::MAX).max(self.clock + 1);
        self.clock
    }

    fn id(handle: &Handle) -> Result<u64, Status> {
        let bytes = <[u8; 16]>::try_from(&handle.0[..]).map_err(|_| nfsstat3::NFS3ERR_BADHANDLE)?;
        let (magic, id) = bytes.split_at(8);
        if magic != b"memory01" {
            return Err(nfsstat3::NFS3ERR_BADHANDLE);
        }
        Ok(u64::from_be_bytes(id.try_into().unwrap_or_default()))
    }

    fn node(&self, handle: &Handle) -> Result<(u64, &Node), Status> {
        let id = Self::id(handle)?;
        let node = self.nodes.get(&id).ok_or(nfsstat3::NFS3ERR_STALE)?;
        Ok((id, node))
    }

    fn child(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Result<Option<u64>, Status> {
        let (id, node) = self.node(directory)?;
        let names = node.directory()?;
        if !node.may(caller, EXECUTE) {
            return Err(nfsstat3::NFS3ERR_ACCES);
        }
        Ok(match name {
            b"." => Some(id),
            b".." => Some(node.parent),
            name => names.get(name).map(|(child, _)| *child),
        })
    }

    fn attributes(&self, id: u64) -> Option<fattr3> {
        let node = self.nodes.get(&id)?;
        let (type_, nlink, used) = match &node.kind {
            Kind::File(pages) => (ftype3::NF3REG, 1, pages.values().map(|page| page.len() as u64).sum()),
            // A count of 1 says that it tells nothing about the folders within.
            Kind::Directory(_) => (ftype3::NF3DIR, 1, 4096),
            Kind::Link(_) => (ftype3::NF3LNK, 1, node.size),
        };
        Some(fattr3 {
            type_,
            mode: node.mode,
            nlink,
            uid: node.uid,
            gid: node.gid,
            size: node.size,
            used,
            rdev: specdata3::default(),
            fsid: 7,
            fileid: id,
            atime: time(node.accessed),
            mtime: time(node.modified),
            ctime: time(node.changed),
        })
    }

    fn object(&self, id: u64) -> Option<Object> {
        Some(Object {
            handle: handle(id),
            attributes: self.attributes(id)?,
        })
    }

    /// Runs `change` between two looks at the object.
    fn effect<T>(&mut self, object: &Handle, change: impl FnOnce(&mut Self, u64) -> Result<T, Status>) -> Effect<T> {
        let id = match self.node(object) {
            Ok((id, _)) => id,
            Err(status) => return Effect::failed(status),
        };
        let before = self.nodes.get(&id).map(Node::wcc);
        let result = change(self, id);
        Effect {
            result,
            before,
            after: self.attributes(id),
        }
    }

    /// The directory may be changed by the caller.
    fn writable(&self, caller: &Caller, directory: u64) -> Result<(), Status> {
        let node = self.nodes.get(&directory).ok_or(nfsstat3::NFS3ERR_STALE)?;
        node.directory()?;
        if node.may(caller, WRITE | EXECUTE) {
            Ok(())
        } else {
            Err(nfsstat3::NFS3ERR_ACCES)
        }
    }

    fn insert(&mut self, directory: u64, name: &[u8], child: u64) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&directory) {
            if let Kind::Directory(names) = &mut node.kind {
                names.insert(name.to_vec(), (child, now));
            }
            node.modified = now;
            node.changed = now;
        }
        if let Some(node) = self.nodes.get_mut(&child) {
            node.parent = directory;
            node.changed = now;
        }
    }

    fn unlink(&mut self, directory: u64, name: &[u8]) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&directory) {
            if let Kind::Directory(names) = &mut node.kind {
                names.remove(name);
            }
            node.modified = now;
            node.changed = now;
        }
    }

    fn make(&mut self, caller: &Caller, directory: u64, name: &[u8], kind: Kind, how: &sattr3) -> u64 {
        let now = self.now();
        let id = self.next;
        self.next += 1;
        let (mode, size) = match &kind {
            Kind::File(_) => (0o644, 0),
            Kind::Directory(_) => (0o755, 4096),
            Kind::Link(target) => (0o777, target.len() as u64),
        };
        let node = Node {
            kind,
            mode,
            uid: caller.uid,
            gid: caller.gid,
            size,
            accessed: now,
            modified: now,
            changed: now,
            parent: directory,
            verifier: None,
        };
        self.nodes.insert(id, node);
        self.apply(id, how);
        self.insert(directory, name, id);
        id
    }

    fn apply(&mut self, id: u64, changes: &sattr3) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Nfs3Option::Some(mode) = changes.mode {
            node.mode = mode & 0o7777;
        }
        if let Nfs3Option::Some(uid) = changes.uid {
            node.uid = uid;
        }
        if let Nfs3Option::Some(gid) = changes.gid {
            node.gid = gid;
        }
        if let Nfs3Option::Some(size) = changes.size {
            node.resize(size);
            node.modified = now;
        }
        match changes.atime {
            set_atime::DONT_CHANGE => {}
            set_atime::SET_TO_SERVER_TIME => node.accessed = now,
            set_atime::SET_TO_CLIENT_TIME(time) => node.accessed = nanoseconds(time),
        }
        match changes.mtime {
            set_mtime::DONT_CHANGE => {}
            set_mtime::SET_TO_SERVER_TIME => node.modified = now,
            set_mtime::SET_TO_CLIENT_TIME(time) => node.modified = nanoseconds(time),
        }
        node.changed = now;
    }

    fn may_change(&self, caller: &Caller, id: u64, changes: &sattr3) -> Result<(), Status> {
        let node = self.nodes.get(&id).ok_or(nfsstat3::NFS3ERR_STALE)?;
        let owner = caller.uid == 0 || caller.uid == node.uid;
        if changes.size.is_some() {
            node.may_use(caller, WRITE)?;
        }
        let owners_alone = changes.mode.is_some()
            || matches!(changes.uid, Nfs3Option::Some(uid) if uid != node.uid || !owner)
            || changes.gid.is_some()
            || matches!(changes.atime, set_atime::SET_TO_CLIENT_TIME(_))
            || matches!(changes.mtime, set_mtime::SET_TO_CLIENT_TIME(_));
        let gives_away = matches!(changes.uid, Nfs3Option::Some(uid) if uid != node.uid);
        if owners_alone && !owner || gives_away && caller.uid != 0 {
            return Err(nfsstat3::NFS3ERR_PERM);
        }
        Ok(())
    }

    fn remove(&mut self, caller: &Caller, directory: u64, name: &[u8], folder: bool) -> Result<(), Status> {
        self.writable(caller, directory)?;
        let child = self
            .child(caller, &handle(directory), name)?
            .ok_or(nfsstat3::NFS3ERR_NOENT)?;
        match (self.nodes.get(&child).map(|node| &node.kind), folder) {
            (Some(Kind::Directory(_)), false) => return Err(nfsstat3::NFS3ERR_ISDIR),
            (Some(Kind::Directory(names)), true) if !names.is_empty() => return Err(nfsstat3::NFS3ERR_NOTEMPTY),
            (Some(Kind::Directory(_)), true) | (_, false) => {}
            (_, true) => return Err(nfsstat3::NFS3ERR_NOTDIR),
        }
        self.unlink(directory, name);
        self.nodes.remove(&child);
        Ok(())
    }

    fn rename(&mut self, caller: &Caller, from: (u64, &[u8]), to: (u64, &[u8])) -> Result<(), Status> {
        self.writable(caller, from.0)?;
        self.writable(caller, to.0)?;
        let child = self
            .child(caller, &handle(from.0), from.1)?
            .ok_or(nfsstat3::NFS3ERR_NOENT)?;
        let folder = |id| self.nodes.get(&id).is_some_and(|node| node.directory().is_ok());
        let mut above = to.0;
        while above != ROOT {
            if above == child {
                return Err(nfsstat3::NFS3ERR_INVAL);
            }
            above = self.nodes.get(&above).map_or(ROOT, |node| node.parent);
        }
        match self.child(caller, &handle(to.0), to.1)? {
            Some(target) if target == child => return Ok(()),
            Some(target) => {
                if folder(target) != folder(child) {
                    return Err(nfsstat3::NFS3ERR_EXIST);
                }
                self.remove(caller, to.0, to.1, folder(target))?;
            }
            None => {}
        }
        self.unlink(from.0, from.1);
        self.insert(to.0, to.1, child);
        Ok(())
    }
}

fn handle(id: u64) -> Handle {
    Handle([*b"memory01", id.to_be_bytes()].concat().into())
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Memory {
    /// An empty one.
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        let mut state = State {
            nodes: HashMap::new(),
            next: ROOT + 1,
            clock: 0,
        };
        let now = state.now();
        state.nodes.insert(
            ROOT,
            Node {
                kind: Kind::Directory(BTreeMap::new()),
                mode: 0o777,
                uid: 0,
                gid: 0,
                size: 4096,
                accessed: now,
                modified: now,
                changed: now,
                parent: ROOT,
                verifier: None,
            },
        );
        Self {
            state: Mutex::new(state),
            hook,
        }
    }

    /// Puts a file into the root.
    pub(crate) fn put(&self, name: &str, data: impl Into<Bytes>) {
        let caller = Caller {
            address: ([127, 0, 0, 1], 0).into(),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            machine: String::new(),
        };
        let mut state = self.state();
        let id = state.make(
            &caller,
            ROOT,
            name.as_bytes(),
            Kind::File(HashMap::new()),
            &sattr3::default(),
        );
        if let Some(node) = state.nodes.get_mut(&id) {
            node.mode = 0o666;
            node.write(0, data.into());
        }
    }

    /// Puts a file of `size` bytes into the root, all of whose pages are one in memory.
    pub(crate) fn fill(&self, name: &str, size: u64) {
        let line = b"0,name,12345.67\n".iter().copied();
        let page: Bytes = line
            .cycle()
            .take(usize::try_from(PAGE).unwrap_or(0))
            .collect::<Vec<_>>()
            .into();
        let whole = (0..size / PAGE).map(|number| (number, page.clone()));
        let rest = page.slice(..usize::try_from(size % PAGE).unwrap_or(0));
        let pages = whole.chain([(size / PAGE, rest)]).collect();
        self.put(name, Bytes::new());
        let mut state = self.state();
        let id = state.next - 1;
        if let Some(node) = state.nodes.get_mut(&id) {
            node.kind = Kind::File(pages);
            node.size = size;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, method: &'static str, name: &[u8]) {
        if let Some(hook) = &self.hook {
            hook(method, name).await;
        }
    }
}

#[async_trait]
impl FileSystem for Memory {
    async fn mount(&self, _caller: &Caller, path: &str) -> Result<Handle, Status> {
        match path.trim_end_matches('/') {
            "" | "/share" => Ok(handle(ROOT)),
            _ => Err(nfsstat3::NFS3ERR_NOENT),
        }
    }

    async fn attributes(&self, _caller: &Caller, object: &Handle) -> Result<fattr3, Status> {
        self.enter("attributes", b"").await;
        let state = self.state();
        let (id, _) = state.node(object)?;
        state.attributes(id).ok_or(nfsstat3::NFS3ERR_STALE)
    }

    async fn set_attributes(
        &self,
        caller: &Caller,
        object: &Handle,
        changes: sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()> {
        self.enter("set_attributes", b"").await;
        self.state().effect(object, |state, id| {
            let changed = state.nodes.get(&id).map(|node| time(node.changed));
            if guard.is_some() && guard != changed {
                return Err(nfsstat3::NFS3ERR_NOT_SYNC);
            }
            state.may_change(caller, id, &changes)?;
            state.apply(id, &changes);
            Ok(())
        })
    }

    async fn lookup(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Result<Object, Status> {
        self.enter("lookup", name).await;
        let state = self.state();
        let id = state.child(caller, directory, name)?.ok_or(nfsstat3::NFS3ERR_NOENT)?;
        state.object(id).ok_or(nfsstat3::NFS3ERR_STALE)
    }

    async fn access(&self, caller: &Caller, object: &Handle, wanted: u32) -> Result<(u32, fattr3), Status> {
        let state = self.state();
        let (id, node) = state.node(object)?;
        let mut granted = 0;
        let folder = node.directory().is_ok();
        for (right, bits) in [
            (ACCESS3_READ, READ),
            (ACCESS3_LOOKUP, if folder { EXECUTE } else { 8 }),
            (ACCESS3_MODIFY, WRITE),
            (ACCESS3_EXTEND, WRITE),
            (ACCESS3_DELETE, if folder { WRITE } else { 8 }),
            (ACCESS3_EXECUTE, if folder { 8 } else { EXECUTE }),
        ] {
            let anybody = node.mode & 0o111 != 0 || right != ACCESS3_EXECUTE;
            if bits != 8 && anybody && node.may(caller, bits) {
                granted |= right;
            }
        }
        let attributes = state.attributes(id).ok_or(nfsstat3::NFS3ERR_STALE)?;
        Ok((granted & wanted, attributes))
    }

    async fn read_link(&self, _caller: &Caller, link: &Handle) -> Result<Vec<u8>, Status> {
        match &self.state().node(link)?.1.kind {
            Kind::Link(target) => Ok(target.clone()),
            _ => Err(nfsstat3::NFS3ERR_INVAL),
        }
    }

    async fn read(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Result<ReadPart, Status> {
        self.enter("read", b"").await;
        let state = self.state();
        let (id, node) = state.node(file)?;
        node.may_use(caller, READ)?;
        let data = node.read(offset, count);
        Ok(ReadPart {
            end: offset.saturating_add(data.len() as u64) >= node.size,
            data: data.into(),
            attributes: state.attributes(id).ok_or(Status::NFS3ERR_STALE)?,
        })
    }

    async fn write(
        &self,
        caller: &Caller,
        file: &Handle,
        offset: u64,
        data: Bytes,
        stable: stable_how,
    ) -> Effect<Written> {
        self.enter("write", b"").await;
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.state().effect(file, |state, id| {
            let now = state.now();
            let node = state.nodes.get_mut(&id).ok_or(nfsstat3::NFS3ERR_STALE)?;
            node.may_use(caller, WRITE)?;
            node.write(offset, data);
            node.modified = now;
            node.changed = now;
            Ok(Written {
                count,
                committed: stable,
            })
        })
    }

    async fn commit(&self, _caller: &Caller, file: &Handle, _offset: u64, _count: u32) -> Effect<()> {
        self.enter("commit", b"").await;
        self.state().effect(file, |_, _| Ok(()))
    }

    async fn create(&self, caller: &Caller, directory: &Handle, name: &[u8], how: createhow3) -> Effect<Object> {
        self.enter("create", name).await;
        self.state().effect(directory, |state, id| {
            let there = state.child(caller, directory, name)?;
            let (attributes, verifier) = match how {
                createhow3::EXCLUSIVE(verifier) => (sattr3::default(), Some(verifier.0)),
                createhow3::GUARDED(_) if there.is_some() => return Err(nfsstat3::NFS3ERR_EXIST),
                createhow3::GUARDED(attributes) | createhow3::UNCHECKED(attributes) => (attributes, None),
            };
            let file = match there {
                Some(file) => {
                    let node = state.nodes.get(&file).ok_or(nfsstat3::NFS3ERR_STALE)?;
                    if verifier.is_some() && verifier != node.verifier || !matches!(node.kind, Kind::File(_)) {
                        return Err(nfsstat3::NFS3ERR_EXIST);
                    }
                    if attributes.size.is_some() {
                        let size = sattr3 {
                            size: attributes.size,
                            ..sattr3::default()
                        };
                        state.may_change(caller, file, &size)?;
                        state.apply(file, &size);
                    }
                    file
                }
                None => {
                    state.writable(caller, id)?;
                    let file = state.make(caller, id, name, Kind::File(HashMap::new()), &attributes);
                    if let Some(node) = state.nodes.get_mut(&file) {
                        node.verifier = verifier;
                    }
                    file
                }
            };
            state.object(file).ok_or(nfsstat3::NFS3ERR_STALE)
        })
    }

    async fn make_directory(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        self.state().effect(directory, |state, id| {
            if state.child(caller, directory, name)?.is_some() {
                return Err(nfsstat3::NFS3ERR_EXIST);
            }
            state.writable(caller, id)?;
            let made = state.make(caller, id, name, Kind::Directory(BTreeMap::new()), &attributes);
            state.object(made).ok_or(nfsstat3::NFS3ERR_STALE)
        })
    }

    async fn make_link(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        target: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        self.state().effect(directory, |state, id| {
            if state.child(caller, directory, name)?.is_some() {
                return Err(nfsstat3::NFS3ERR_EXIST);
            }
            state.writable(caller, id)?;
            let made = state.make(caller, id, name, Kind::Link(target.to_vec()), &attributes);
            state.object(made).ok_or(nfsstat3::NFS3ERR_STALE)
        })
    }

    async fn remove(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        self.enter("remove", name).await;
        self.state()
            .effect(directory, |state, id| state.remove(caller, id, name, false))
    }

    async fn remove_directory(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        self.state()
            .effect(directory, |state, id| state.remove(caller, id, name, true))
    }

    async fn rename(&self, caller: &Caller, from: (&Handle, &[u8]), to: (&Handle, &[u8])) -> (Effect<()>, Effect<()>) {
        self.enter("rename", from.1).await;
        let mut state = self.state();
        let mut result = Ok(());
        let second = match state.node(to.0) {
            Ok((id, node)) => Ok((id, node.wcc())),
            Err(status) => Err(status),
        };
        let first = state.effect(from.0, |state, id| {
            let target = second.as_ref().map_err(|status| *status)?.0;
            result = state.rename(caller, (id, from.1), (target, to.1));
            result
        });
        let after = match second {
            Ok((id, before)) => Effect {
                result,
                before: Some(before),
                after: state.attributes(id),
            },
            Err(status) => Effect::failed(status),
        };
        (first, after)
    }

    async fn list(
        &self,
        caller: &Caller,
        directory: &Handle,
        cookie: u64,
        _verifier: [u8; 8],
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status> {
        self.enter("list", b"").await;
        let state = self.state();
        let (id, node) = state.node(directory)?;
        let names = node.directory()?;
        if !node.may(caller, READ) {
            return Err(nfsstat3::NFS3ERR_ACCES);
        }
        // A name keeps its cookie, so that names that come and go between pages move no others.
        let mut places = vec![(1, &b"."[..], id), (2, b"..", node.parent)];
        places.extend(
            names
                .iter()
                .map(|(name, (child, cookie))| (*cookie, name.as_slice(), *child)),
        );
        places.retain(|place| place.0 > cookie);
        places.sort_unstable();
        let end = places.len() <= limit;
        let entries = places.into_iter().take(limit).map(|(cookie, name, child)| Entry {
            id: child,
            name: name.to_vec(),
            cookie,
            object: with_objects.then(|| state.object(child)).flatten(),
        });
        Ok(Listing {
            verifier: *b"constant",
            entries: entries.collect(),
            end,
        })
    }

    async fn space(&self, _caller: &Caller, object: &Handle) -> Result<Space, Status> {
        self.state().node(object)?;
        Ok(Space {
            total: 1 << 40,
            free: 1 << 39,
            available: 1 << 39,
            files: 1 << 20,
            free_files: 1 << 19,
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            file_size: 1 << 50,
            time_delta: 1,
        }
    }

    fn write_verifier(&self) -> [u8; 8] {
        *b"verifier"
    }
}
