//! The procedures of NFSv3 on the mount's objects.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ, Nfs3Option,
    createhow3, fattr3, nfstime3, sattr3, set_atime, set_mtime, stable_how,
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::Mount;
use super::attributes::before;
use super::boundary::Moment;
use super::content::Content;
use super::folders::{is_folder, is_writable};
use super::handle::{Node, TextId};
use super::refusal::{io_status, status};
use super::session::Session;
use super::table::{Client, Table};
use crate::file_system::{
    Caller, Effect, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written,
};
use crate::lake::{Author, Change};
use crate::scratch::{Folder, Found, Id, granted};

pub(crate) fn author(caller: &Caller) -> Author {
    let address = caller.address.ip().to_string();
    let machine = if caller.machine.is_empty() {
        &address
    } else {
        &caller.machine
    };
    Author {
        user: None,
        client: format!("{}@{machine} ({address})", caller.uid),
    }
}

impl Mount {
    /// The session of a client's edit, begun where there is none.
    async fn session(
        &self,
        caller: &Caller,
        client: &Client,
        id: &TextId,
    ) -> Result<(Arc<Table>, Arc<AsyncMutex<Session>>), Status> {
        if !is_writable(id.format) || self.options.read_only {
            return Err(Status::NFS3ERR_ROFS);
        }
        let table = self.table_at(id.table).await?;
        let (version, rendering, blank) = match self.content(client, id).await? {
            Content::Staged(session) => return Ok((table, session)),
            Content::Rows(version, rendering) => (version, rendering, false),
            Content::Blank(version, rendering) => (version, rendering, true),
        };
        self.check(&table, &[Change::Insert, Change::Update, Change::Delete])
            .await?;
        let header = rendering.header().clone();
        let session = Session::new(
            &self.options.edits(),
            *id,
            client.clone(),
            author(caller),
            version,
            rendering,
        );
        let mut session = session.map_err(|error| io_status(&error))?;
        if blank {
            session.resize(0).map_err(|error| io_status(&error))?;
            session.write(0, header).await.map_err(|error| io_status(&error))?;
        } else if let Some(told) = table.state.lock().told(id, client) {
            session.told = told.min(session.size);
        }
        let session = Arc::new(AsyncMutex::new(session));
        let mut state = table.state.lock();
        let shared = state.sessions.entry((*id, client.clone())).or_insert(session).clone();
        drop(state);
        Ok((table, shared))
    }

    /// The session of a client's edit, locked: nothing that is done to it is lost.
    async fn locked_session(
        &self,
        caller: &Caller,
        client: &Client,
        id: &TextId,
    ) -> Result<(Arc<Table>, Arc<AsyncMutex<Session>>, OwnedMutexGuard<Session>), Status> {
        loop {
            let (table, shared) = self.session(caller, client, id).await?;
            let session = shared.clone().lock_owned().await;
            // It may have become a statement while this call waited for it.
            if session.ended.is_none() {
                return Ok((table, shared, session));
            }
        }
    }

    async fn write_text(
        &self,
        caller: &Caller,
        id: &TextId,
        offset: u64,
        data: Bytes,
        stable: stable_how,
    ) -> Result<Written, Status> {
        let client = Client::of(caller);
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let (table, shared, mut session) = self.locked_session(caller, &client, id).await?;
        session.write(offset, data).await.map_err(|error| io_status(&error))?;
        drop(session);
        if stable == stable_how::UNSTABLE {
            return Ok(Written {
                count,
                committed: stable,
            });
        }
        self.boundary(&table, &shared, Moment::Perhaps).await.accepted()?;
        Ok(Written {
            count,
            committed: stable_how::FILE_SYNC,
        })
    }

    /// Whether the caller's user may make one of the changes.
    ///
    /// # Errors
    /// `NFS3ERR_ACCES`, at the call that begins what could not end well.
    pub(crate) async fn check(&self, table: &Table, changes: &[Change]) -> Result<(), Status> {
        let may = self.lake.check(&table.name, changes).await;
        may.map_err(|error| status(error.kind))
    }

    pub(crate) async fn resize_text(&self, caller: &Caller, id: &TextId, size: u64) -> Result<(), Status> {
        let client = Client::of(caller);
        let (mut table, mut shared, mut session) = self.locked_session(caller, &client, id).await?;
        if size == 0 && session.replaced && session.size > 0 {
            // A text that was written from its beginning is an edit of its own.
            drop(session);
            self.boundary(&table, &shared, Moment::Done).await.accepted()?;
            (table, shared, session) = self.locked_session(caller, &client, id).await?;
        }
        if session.size == size && size > 0 {
            return Ok(());
        }
        if size > session.size {
            return Err(Status::NFS3ERR_INVAL);
        }
        session.resize(size).map_err(|error| io_status(&error))?;
        session.sync().await.map_err(|error| io_status(&error))?;
        drop(session);
        if size == 0 {
            return Ok(());
        }
        self.boundary(&table, &shared, Moment::Perhaps).await.accepted()
    }

    /// A client did what tools do when they are done with a file.
    pub(crate) async fn done(&self, client: &Client, table: &Table) -> Result<(), Status> {
        let own: Vec<_> = {
            let state = table.state.lock();
            let own = state.sessions.iter().filter(|((_, of), _)| of == client);
            own.map(|(_, session)| session.clone()).collect()
        };
        for shared in own {
            let whole = {
                let session = shared.lock().await;
                session.replaced && session.size > 0
            };
            if whole {
                self.boundary(table, &shared, Moment::Done).await.accepted()?;
            }
        }
        Ok(())
    }

    pub(crate) async fn set(&self, caller: &Caller, node: &Node, changes: &sattr3) -> Result<(), Status> {
        let client = Client::of(caller);
        match node {
            Node::Text(id) => {
                if let Nfs3Option::Some(size) = changes.size {
                    return self.resize_text(caller, id, size).await;
                }
                let table = self.table_at(id.table).await?;
                self.done(&client, &table).await
            }
            Node::Query(_) => match changes.size {
                Nfs3Option::Some(size) => self.resize_query(&client, size).await,
                Nfs3Option::None => Ok(()),
            },
            // Folders take times and modes and keep their own.
            Node::Root | Node::Schema(_) | Node::Table(_) => Ok(()),
            _ => {
                let nothing = matches!(changes.size, Nfs3Option::None)
                    && matches!(changes.atime, set_atime::DONT_CHANGE)
                    && matches!(changes.mtime, set_mtime::DONT_CHANGE);
                if nothing {
                    Err(Status::NFS3ERR_PERM)
                } else {
                    Err(Status::NFS3ERR_ROFS)
                }
            }
        }
    }

    pub(crate) async fn found(&self, client: &Client, node: Node) -> Result<Object, Status> {
        Ok(Object {
            handle: self.handles.encode(&node),
            attributes: self.stat(client, &node).await?,
        })
    }

    /// An effect on a scratch file, after which it may be time to make a table of it.
    async fn then_created<T>(&self, caller: &Caller, id: Id, moment: Moment, effect: Effect<T>) -> Effect<T> {
        if effect.result.is_err() {
            return effect;
        }
        match self.created(caller, id, moment).await {
            Ok(()) => effect,
            Err(status) => Effect {
                result: Err(status),
                ..effect
            },
        }
    }

    /// An effect on a file of the mount's own, with its attributes around it.
    async fn beside<T>(
        &self,
        client: &Client,
        (file, node): (&Handle, &Node),
        work: impl Future<Output = Result<T, Status>>,
    ) -> Effect<T> {
        let earlier = self.stat_aside(client, file, node).await.ok();
        let result = work.await;
        Effect {
            result,
            before: earlier.as_ref().map(before),
            after: self.stat_aside(client, file, node).await.ok(),
        }
    }

    /// The scratch folder for a new name, which must be nothing's.
    async fn free_place(&self, client: &Client, folder: &Node, name: &[u8]) -> Result<Folder, Status> {
        match self.find(client, folder, name).await {
            Ok(_) => Err(Status::NFS3ERR_EXIST),
            Err(Status::NFS3ERR_NOENT) => self.scratch_behind(folder).await,
            Err(other) => Err(other),
        }
    }

    pub(crate) fn scratch_object(&self, found: Found) -> Object {
        Object {
            handle: self.handles.encode(&Node::Scratch(found.id)),
            attributes: found.attributes,
        }
    }

    /// An effect on a folder of the mount, with the folder's attributes around it.
    async fn around<T>(
        &self,
        client: &Client,
        folder: &Node,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Effect<T> {
        let earlier = self.stat(client, folder).await.ok();
        let result = work.await;
        Effect {
            result,
            before: earlier.as_ref().map(before),
            after: self.stat(client, folder).await.ok(),
        }
    }
}

#[async_trait]
impl FileSystem for Mount {
    async fn mount(&self, caller: &Caller, path: &str) -> Result<Handle, Status> {
        let client = Client::of(caller);
        let path = path.trim_matches('/');
        let path = path
            .strip_prefix("share")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path);
        let mut node = Node::Root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            node = self.find(&client, &node, name.as_bytes()).await?;
        }
        if !is_folder(&self.stat(&client, &node).await?) {
            return Err(Status::NFS3ERR_NOTDIR);
        }
        Ok(self.handles.encode(&node))
    }

    async fn attributes(&self, caller: &Caller, object: &Handle) -> Result<fattr3, Status> {
        self.stat(&Client::of(caller), &self.handles.decode(object)?).await
    }

    async fn set_attributes(
        &self,
        caller: &Caller,
        object: &Handle,
        changes: sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()> {
        let client = Client::of(caller);
        let node = match self.node(object).await {
            Ok(node) => node,
            Err(status) => return Effect::failed(status),
        };
        if let Node::Scratch(id) = node {
            let effect = self.scratch.set_attributes(caller, id, changes, guard).await;
            return self.then_created(caller, id, Moment::Done, effect).await;
        }
        let earlier = self.stat_aside(&client, object, &node).await.ok();
        let stale = guard
            .zip(earlier.as_ref())
            .is_some_and(|(guard, now)| guard != now.ctime);
        let result = if stale {
            Err(Status::NFS3ERR_NOT_SYNC)
        } else {
            self.set(caller, &node, &changes).await
        };
        Effect {
            result,
            before: earlier.as_ref().map(before),
            after: self.stat_aside(&client, object, &node).await.ok(),
        }
    }

    async fn lookup(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Result<Object, Status> {
        let client = Client::of(caller);
        let folder = self.node(directory).await?;
        let node = self.find(&client, &folder, name).await?;
        self.found(&client, node).await
    }

    async fn access(&self, caller: &Caller, object: &Handle, wanted: u32) -> Result<(u32, fattr3), Status> {
        let node = self.node(object).await?;
        let attributes = self.known(object, self.stat(&Client::of(caller), &node).await?);
        if let Node::Scratch(_) = node {
            return Ok((wanted & granted(caller, &attributes), attributes));
        }
        let all = if is_folder(&attributes) {
            ACCESS3_READ | ACCESS3_LOOKUP | ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE | ACCESS3_EXECUTE
        } else {
            ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND
        };
        let writable = attributes.mode & 0o222 != 0;
        let all = if writable {
            all
        } else {
            all & !(ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE)
        };
        Ok((wanted & all, attributes))
    }

    async fn read_link(&self, _: &Caller, link: &Handle) -> Result<Vec<u8>, Status> {
        match self.node(link).await? {
            Node::Scratch(id) => self.scratch.read_link(id).await,
            _ => Err(Status::NFS3ERR_INVAL),
        }
    }

    async fn read(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Result<ReadPart, Status> {
        let node = self.node(file).await?;
        let part = self.read_node(caller, &node, offset, count).await?;
        Ok(ReadPart {
            attributes: self.known(file, part.attributes),
            ..part
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
        let client = Client::of(caller);
        let node = match self.node(file).await {
            Ok(node) => node,
            Err(status) => return Effect::failed(status),
        };
        if let Node::Scratch(id) = node {
            let effect = self.scratch.write(id, offset, data, stable).await;
            if stable == stable_how::UNSTABLE {
                return effect;
            }
            return self.then_created(caller, id, Moment::Perhaps, effect).await;
        }
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let work = async {
            match &node {
                Node::Text(id) => self.write_text(caller, id, offset, data, stable).await,
                Node::Query(_) => {
                    let is_stable = stable != stable_how::UNSTABLE;
                    self.write_query(&client, &author(caller), offset, &data, is_stable)
                        .await?;
                    Ok(Written {
                        count,
                        committed: if is_stable { stable_how::FILE_SYNC } else { stable },
                    })
                }
                Node::Root | Node::Schema(_) | Node::Table(_) | Node::Pinned { .. } => Err(Status::NFS3ERR_ISDIR),
                _ => Err(Status::NFS3ERR_ROFS),
            }
        };
        self.beside(&client, (file, &node), work).await
    }

    async fn commit(&self, caller: &Caller, file: &Handle, _: u64, _: u32) -> Effect<()> {
        let client = Client::of(caller);
        let node = match self.node(file).await {
            Ok(node) => node,
            Err(status) => return Effect::failed(status),
        };
        if let Node::Scratch(id) = node {
            let effect = self.scratch.commit(id).await;
            return self.then_created(caller, id, Moment::Perhaps, effect).await;
        }
        let work = async {
            match &node {
                Node::Text(id) => match self.content(&client, id).await? {
                    Content::Staged(shared) => {
                        let table = self.table_at(id.table).await?;
                        self.boundary(&table, &shared, Moment::Perhaps).await.accepted()
                    }
                    Content::Rows(..) | Content::Blank(..) => Ok(()),
                },
                Node::Query(_) => self.run_query(&client, &author(caller)).await,
                _ => Ok(()),
            }
        };
        self.beside(&client, (file, &node), work).await
    }

    async fn create(&self, caller: &Caller, directory: &Handle, name: &[u8], how: createhow3) -> Effect<Object> {
        match self.node(directory).await {
            Ok(folder) => {
                self.around(&Client::of(caller), &folder, self.create_in(caller, &folder, name, how))
                    .await
            }
            Err(status) => Effect::failed(status),
        }
    }

    async fn make_directory(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        let client = Client::of(caller);
        let folder = match self.node(directory).await {
            Ok(folder) => folder,
            Err(status) => return Effect::failed(status),
        };
        let work = async {
            let behind = self.free_place(&client, &folder, name).await?;
            let made = self.scratch.make_directory(caller, &behind, name, attributes).await;
            Ok(self.scratch_object(made.result?))
        };
        self.around(&client, &folder, work).await
    }

    async fn make_link(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        target: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        let client = Client::of(caller);
        let folder = match self.node(directory).await {
            Ok(folder) => folder,
            Err(status) => return Effect::failed(status),
        };
        let work = async {
            let behind = self.free_place(&client, &folder, name).await?;
            let made = self.scratch.make_link(caller, &behind, name, target, attributes).await;
            Ok(self.scratch_object(made.result?))
        };
        self.around(&client, &folder, work).await
    }

    async fn remove(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        match self.node(directory).await {
            Ok(folder) => {
                self.around(&Client::of(caller), &folder, self.remove_in(caller, &folder, name))
                    .await
            }
            Err(status) => Effect::failed(status),
        }
    }

    async fn remove_directory(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        match self.node(directory).await {
            Ok(folder) => {
                self.around(
                    &Client::of(caller),
                    &folder,
                    self.remove_folder_in(caller, &folder, name),
                )
                .await
            }
            Err(status) => Effect::failed(status),
        }
    }

    async fn rename(&self, caller: &Caller, from: (&Handle, &[u8]), to: (&Handle, &[u8])) -> (Effect<()>, Effect<()>) {
        let client = Client::of(caller);
        let (source, target) = match (self.node(from.0).await, self.node(to.0).await) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(status), _) | (_, Err(status)) => return (Effect::failed(status), Effect::failed(status)),
        };
        let earlier = self.stat(&client, &target).await.ok();
        let effect = self
            .around(
                &client,
                &source,
                self.rename_in(caller, (&source, from.1), (&target, to.1)),
            )
            .await;
        let other = Effect {
            result: Ok(()),
            before: earlier.as_ref().map(before),
            after: self.stat(&client, &target).await.ok(),
        };
        (effect, other)
    }

    async fn list(
        &self,
        caller: &Caller,
        directory: &Handle,
        cookie: u64,
        _: [u8; 8],
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status> {
        let folder = self.node(directory).await?;
        self.show(&Client::of(caller), &folder, cookie, limit, with_objects)
            .await
    }

    async fn space(&self, _: &Caller, _: &Handle) -> Result<Space, Status> {
        self.scratch.space().await
    }

    fn limits(&self) -> Limits {
        Limits {
            file_size: i64::MAX as u64,
            time_delta: 1,
        }
    }

    fn write_verifier(&self) -> [u8; 8] {
        self.verifier
    }
}
