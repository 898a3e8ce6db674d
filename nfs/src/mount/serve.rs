//! The procedures of NFSv3 on the mount's objects.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ, Nfs3Option,
    createhow3, fattr3, nfstime3, sattr3, set_atime, set_mtime, stable_how,
};
use tokio::sync::Mutex as AsyncMutex;

use super::attributes::{before, time};
use super::boundary::{Moment, Outcome};
use super::folders::{is_folder, is_writable};
use super::handle::{Node, TextId, text_id};
use super::names::{self, Own};
use super::refusal::{io_status, status};
use super::session::Session;
use super::table::{Client, Loss, Table, version_time};
use super::{Became, Mount, statement};
use crate::file_system::{
    Caller, Effect, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written,
};
use crate::lake::{Author, Version};
use crate::render::Rendering;
use crate::scratch::{Id, granted};

/// How long a client waits for rows that are rendered for the first time, before it is told to ask again.
const FIRST_RENDERING: Duration = Duration::from_secs(2);

/// What a table's text is to one client.
pub(crate) enum Content {
    /// What the client wrote, over what it saw.
    Staged(Arc<AsyncMutex<Session>>),
    /// The rows of a version.
    Rows(Arc<Version>, Arc<Rendering>),
    /// The header alone: the rows were removed.
    Blank(Arc<Version>, Arc<Rendering>),
}

pub(crate) fn author(caller: &Caller) -> Author {
    let machine = if caller.machine.is_empty() {
        caller.address.ip().to_string()
    } else {
        caller.machine.clone()
    };
    Author {
        user: None,
        client: format!("{}@{machine}", caller.uid),
    }
}

impl Mount {
    /// The rendering of a version, begun where it is not there yet; it goes on also when the caller stops waiting.
    pub(crate) async fn rendering(
        &self,
        version: &Arc<Version>,
        format: crate::render::Format,
    ) -> Result<Arc<Rendering>, Status> {
        let (renderer, version) = (self.renderer.clone(), version.clone());
        let opening = tokio::spawn(async move { renderer.open(version, format).await });
        match tokio::time::timeout(FIRST_RENDERING, opening).await {
            Ok(Ok(opened)) => opened.map_err(|error| status(error.kind)),
            Ok(Err(_)) => Err(Status::NFS3ERR_SERVERFAULT),
            Err(_) => Err(Status::NFS3ERR_JUKEBOX),
        }
    }

    pub(crate) async fn content(&self, client: &Client, id: &TextId) -> Result<Content, Status> {
        let table = self.table_at(id.table).await?;
        let version = table
            .shown(self.lake.as_ref(), id, client)
            .await
            .map_err(|error| status(error.kind))?;
        if text_id(&version.id) != id.incarnation {
            return Err(Status::NFS3ERR_STALE);
        }
        {
            let state = table.state.lock();
            if let Some(session) = state.sessions.get(&(*id, client.clone())) {
                return Ok(Content::Staged(session.clone()));
            }
        }
        let blank = {
            let current = table.text(&version, id.format);
            let state = table.state.lock();
            state
                .detached
                .clone()
                .filter(|detached| detached.loss == Loss::Removed && current == *id)
        };
        if let Some(detached) = blank {
            let rendering = self.rendering(&detached.base, id.format).await?;
            return Ok(Content::Blank(detached.base, rendering));
        }
        let rendering = self.rendering(&version, id.format).await?;
        Ok(Content::Rows(version, rendering))
    }

    /// GETATTR of anything.
    pub(crate) async fn stat(&self, client: &Client, node: &Node) -> Result<fattr3, Status> {
        Ok(match node {
            Node::Root | Node::Schema(_) | Node::Table(_) | Node::Pinned { .. } => self.stat_folder(node).await?,
            Node::Text(id) => self.stat_text(client, node, id, true).await?,
            Node::PinnedText { table, format, version } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let size = self.rendering(&version, *format).await?.size();
                self.file_attributes(node, size, version_time(&version), false)
            }
            Node::Data { table, version, file } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let file = version
                    .files
                    .iter()
                    .find(|known| text_id(&known.path) == *file)
                    .ok_or(Status::NFS3ERR_STALE)?;
                self.file_attributes(node, file.size, version_time(&version), false)
            }
            Node::Query(_) => {
                let query = self.query(client);
                let query = query.lock().await;
                self.file_attributes(node, query.size(), time(query.time), true)
            }
            Node::Scratch { inode, birth } => {
                if let Some(became) = self.became(*inode, *birth) {
                    return self.stat_became(client, node, became).await;
                }
                self.scratch
                    .attributes(Id {
                        inode: *inode,
                        birth: *birth,
                    })
                    .await?
            }
            Node::Definition { .. }
            | Node::Errors(_)
            | Node::Rejected(_)
            | Node::LakeDefinition
            | Node::Statements
            | Node::Status => {
                let (bytes, time) = self.small(node).await?;
                self.file_attributes(node, bytes.len() as u64, time, false)
            }
        })
    }

    /// Attributes that go with the answer to a change. A client does not take a size from there that it did not make itself, so it is not held to know it.
    async fn stat_aside(&self, client: &Client, node: &Node) -> Result<fattr3, Status> {
        match node {
            Node::Text(id) => self.stat_text(client, node, id, false).await,
            node => self.stat(client, node).await,
        }
    }

    /// `told`: whether the client knows the size from then on.
    async fn stat_text(&self, client: &Client, node: &Node, id: &TextId, told: bool) -> Result<fattr3, Status> {
        let writable = is_writable(id.format) && !self.options.read_only;
        Ok(match self.content(client, id).await? {
            Content::Staged(session) => {
                let session = session.lock().await;
                self.file_attributes(node, session.size, time(session.time), writable)
            }
            Content::Rows(version, rendering) => {
                if told {
                    self.tell(id, client, rendering.size());
                }
                self.file_attributes(node, rendering.size(), version_time(&version), writable)
            }
            Content::Blank(version, rendering) => {
                let size = rendering.header().len() as u64;
                if told {
                    self.tell(id, client, size);
                }
                let folder = self.table_at(id.table).await?.state.lock().folder_time();
                let shown = version_time(&version);
                let later = if (folder.seconds, folder.nseconds) > (shown.seconds, shown.nseconds) {
                    folder
                } else {
                    shown
                };
                self.file_attributes(node, size, later, writable)
            }
        })
    }

    fn tell(&self, id: &TextId, client: &Client, size: u64) {
        if let Some(table) = self.table(id.table) {
            table.state.lock().tell(id, client, size);
        }
    }

    pub(crate) fn became(&self, inode: u64, birth: u64) -> Option<Became> {
        self.became.lock().get(&(inode, birth)).copied()
    }

    /// The rows that a scratch file became, under the handle that its client still has.
    async fn text_of_became(&self, became: Became) -> Result<TextId, Status> {
        let table = self.table_at(became.table).await?;
        let latest = self.latest(&table).await?;
        Ok(table.text(&latest, became.format))
    }

    async fn stat_became(&self, client: &Client, node: &Node, became: Became) -> Result<fattr3, Status> {
        if became.format == crate::render::Format::Json {
            return self.stat_folder(&Node::Table(became.table)).await;
        }
        let id = self.text_of_became(became).await?;
        let mut attributes = self.stat_text(client, &Node::Text(id), &id, true).await?;
        if let Node::Scratch { inode, .. } = node {
            attributes.fileid = crate::scratch::file_id(*inode);
        }
        Ok(attributes)
    }

    /// The node behind a handle; a scratch file that became a table's rows is those rows.
    async fn node(&self, handle: &Handle) -> Result<Node, Status> {
        let node = self.handles.decode(handle)?;
        if let Node::Scratch { inode, birth } = node
            && let Some(became) = self.became(inode, birth)
        {
            if became.format == crate::render::Format::Json {
                return Ok(Node::Table(became.table));
            }
            return self.text_of_became(became).await.map(Node::Text);
        }
        Ok(node)
    }

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
        let header = rendering.header().clone();
        let session = Session::new(
            &self.sessions_folder(),
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
        let (table, shared) = self.session(caller, &client, id).await?;
        let written = shared.lock().await.write(offset, data).await;
        written.map_err(|error| io_status(&error))?;
        if stable == stable_how::UNSTABLE {
            return Ok(Written {
                count,
                committed: stable,
            });
        }
        match self.boundary(&table, &shared, Moment::Perhaps).await {
            Outcome::Settled | Outcome::Kept => Ok(Written {
                count,
                committed: stable_how::FILE_SYNC,
            }),
            Outcome::Refused(refusal) => Err(refusal.status),
        }
    }

    async fn resize_text(&self, caller: &Caller, id: &TextId, size: u64) -> Result<(), Status> {
        let client = Client::of(caller);
        let (mut table, mut shared) = self.session(caller, &client, id).await?;
        if size == 0 {
            // A text that was written from its beginning is an edit of its own.
            let whole = {
                let session = shared.lock().await;
                session.replaced && session.size > 0
            };
            if whole {
                if let Outcome::Refused(refusal) = self.boundary(&table, &shared, Moment::Done).await {
                    return Err(refusal.status);
                }
                (table, shared) = self.session(caller, &client, id).await?;
            }
        }
        {
            let mut session = shared.lock().await;
            if session.size == size && size > 0 {
                return Ok(());
            }
            if size > session.size {
                return Err(Status::NFS3ERR_INVAL);
            }
            session.resize(size).map_err(|error| io_status(&error))?;
            session.sync().await.map_err(|error| io_status(&error))?;
        }
        if size > 0
            && let Outcome::Refused(refusal) = self.boundary(&table, &shared, Moment::Perhaps).await
        {
            return Err(refusal.status);
        }
        Ok(())
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
            if whole && let Outcome::Refused(refusal) = self.boundary(table, &shared, Moment::Done).await {
                return Err(refusal.status);
            }
        }
        Ok(())
    }

    async fn set(&self, caller: &Caller, node: &Node, changes: &sattr3) -> Result<(), Status> {
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

    async fn read_node(&self, caller: &Caller, node: &Node, offset: u64, count: u32) -> Result<ReadPart, Status> {
        let client = Client::of(caller);
        let length = count as usize;
        let part = |data: Bytes, size: u64| ReadPart {
            end: offset.saturating_add(data.len() as u64) >= size,
            data,
            attributes: None,
        };
        match node {
            Node::Text(id) => match self.content(&client, id).await? {
                Content::Staged(session) => {
                    let session = session.lock().await;
                    let data = session.read(offset, length).await.map_err(|error| status(error.kind))?;
                    Ok(part(data, session.size))
                }
                Content::Rows(_, rendering) => {
                    let data = rendering
                        .read(offset, length)
                        .await
                        .map_err(|error| status(error.kind))?;
                    Ok(part(data, rendering.size()))
                }
                Content::Blank(_, rendering) => Ok(slice(rendering.header(), offset, length)),
            },
            Node::PinnedText { table, format, version } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let rendering = self.rendering(&version, *format).await?;
                let data = rendering
                    .read(offset, length)
                    .await
                    .map_err(|error| status(error.kind))?;
                Ok(part(data, rendering.size()))
            }
            Node::Data { table, version, file } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let file = version
                    .files
                    .iter()
                    .find(|known| text_id(&known.path) == *file)
                    .ok_or(Status::NFS3ERR_STALE)?;
                let end = file.size.min(offset.saturating_add(length as u64));
                let data = if offset >= end {
                    Bytes::new()
                } else {
                    self.lake
                        .bytes(&version, file, offset..end)
                        .await
                        .map_err(|error| status(error.kind))?
                };
                Ok(part(data, file.size))
            }
            Node::Query(_) => {
                // Who reads a statement that was not run yet is waiting for its rows.
                let _ = self.run_query(&client, &author(caller)).await;
                let query = self.query(&client);
                let query = query.lock().await;
                let data = query.read(offset, length).map_err(|error| io_status(&error))?;
                Ok(part(data, query.size()))
            }
            Node::Scratch { inode, birth } => {
                self.scratch
                    .read(
                        Id {
                            inode: *inode,
                            birth: *birth,
                        },
                        offset,
                        count,
                    )
                    .await
            }
            Node::Root | Node::Schema(_) | Node::Table(_) | Node::Pinned { .. } => Err(Status::NFS3ERR_ISDIR),
            node => {
                let (bytes, _) = self.small(node).await?;
                Ok(slice(&bytes, offset, length))
            }
        }
    }

    /// A file that is made when it is read: definitions, errors, state.
    async fn small(&self, node: &Node) -> Result<(Bytes, nfstime3), Status> {
        match node {
            Node::Definition { table, version } => {
                let table = self.table_at(*table).await?;
                let shown = match version.checked_sub(1) {
                    Some(number) => self.version(&table, number).await?,
                    None => self.latest(&table).await?,
                };
                Ok((self.definition(&shown).await?, version_time(&shown)))
            }
            Node::LakeDefinition => {
                let mut text = Vec::new();
                let mut latest = time(self.started);
                let mut tables = self.tables().await?;
                tables.sort();
                for name in tables {
                    let table = self.table_of(&name);
                    let version = self.latest(&table).await?;
                    text.extend_from_slice(&self.definition(&version).await?);
                    let changed = version_time(&version);
                    if (changed.seconds, changed.nseconds) > (latest.seconds, latest.nseconds) {
                        latest = changed;
                    }
                }
                Ok((text.into(), latest))
            }
            Node::Errors(table) => {
                let table = self.table_at(*table).await?;
                let state = table.state.lock();
                let mut text = String::new();
                for refused in &state.refusals {
                    let at = humantime::format_rfc3339_millis(refused.time);
                    text.push_str(&format!(
                        "{at} {} {} of version {}: {}\n",
                        refused.client, refused.operation, refused.version, refused.reason
                    ));
                }
                Ok((text.into(), state.folder_time()))
            }
            Node::Rejected(table) => {
                let table = self.table_at(*table).await?;
                let path = table.state.lock().rejected.clone().ok_or(Status::NFS3ERR_STALE)?;
                self.local(path).await
            }
            Node::Statements => self.local(self.statements_path()).await,
            Node::Status => Ok((self.state_text().into(), time(std::time::SystemTime::now()))),
            _ => Err(Status::NFS3ERR_BADHANDLE),
        }
    }

    async fn local(&self, path: std::path::PathBuf) -> Result<(Bytes, nfstime3), Status> {
        let read = super::session::blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok((Bytes::from(bytes), std::fs::metadata(&path)?.modified()?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok((Bytes::new(), std::time::SystemTime::UNIX_EPOCH))
            }
            Err(error) => Err(error),
        });
        let (bytes, changed) = read.await.map_err(|error| io_status(&error))?;
        let changed = if bytes.is_empty() {
            time(self.started)
        } else {
            time(changed)
        };
        Ok((bytes, changed))
    }

    /// The statement that makes a table as it stands.
    async fn definition(&self, version: &Version) -> Result<Bytes, Status> {
        let statement = crate::lake::Statement {
            sql: format!("SHOW CREATE TABLE {}", statement::table(&version.name)),
            transaction: None,
            author: Author::default(),
        };
        let rows = self.lake.run(statement).await.map_err(|error| status(error.kind))?;
        let batches: Vec<_> = rows.batches.try_collect().await.map_err(|error| status(error.kind))?;
        let mut text = String::new();
        for batch in batches {
            let Some(column) = batch.columns().last() else { continue };
            for row in 0..column.len() {
                text.push_str(&arrow::util::display::array_value_to_string(column, row).unwrap_or_default());
            }
        }
        text.push_str(if text.trim_end().ends_with(';') { "\n" } else { ";\n" });
        Ok(text.into())
    }

    /// What `.status` shows.
    fn state_text(&self) -> String {
        let mut edits = Vec::new();
        for table in self.all_tables() {
            let state = table.state.lock();
            for (id, client) in state.sessions.keys() {
                edits.push(serde_json::json!({
                    "table": statement::table(&table.name),
                    "client": client.0,
                    "version": id.version,
                }));
            }
            if let Some(detached) = &state.detached {
                edits.push(serde_json::json!({
                    "table": statement::table(&table.name),
                    "client": detached.client.0,
                    "version": detached.base.number,
                    "removed": detached.loss == Loss::Removed,
                }));
            }
        }
        let usage = self.scratch.usage();
        let status = serde_json::json!({
            "started": humantime::format_rfc3339_millis(self.started).to_string(),
            "pending_edits": edits,
            "scratch_bytes": usage.bytes,
            "scratch_files": usage.objects,
        });
        format!("{status:#}\n")
    }

    async fn found(&self, client: &Client, node: Node) -> Result<Object, Status> {
        Ok(Object {
            handle: self.handles.encode(&node),
            attributes: self.stat(client, &node).await?,
        })
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

    async fn create_in(&self, caller: &Caller, folder: &Node, name: &[u8], how: createhow3) -> Result<Object, Status> {
        let client = Client::of(caller);
        if let Node::Table(id) = folder {
            let table = self.table_at(*id).await?;
            if let Own::Text(format) = names::own(name)
                && is_writable(format)
                && self.alias(&table, name).is_none()
            {
                if self.options.read_only {
                    return Err(Status::NFS3ERR_ROFS);
                }
                let text = self.create_text(&table, format, &how, &client, &author(caller)).await?;
                if let createhow3::UNCHECKED(attributes) = &how
                    && let Nfs3Option::Some(size) = attributes.size
                {
                    self.resize_text(caller, &text, size).await?;
                }
                return self.found(&client, Node::Text(text)).await;
            }
        }
        match self.find(&client, folder, name).await {
            Ok(node) if !matches!(node, Node::Scratch { .. }) => {
                return match how {
                    createhow3::UNCHECKED(attributes) => {
                        if let Nfs3Option::Some(_) = attributes.size {
                            self.set(caller, &node, &attributes).await?;
                        }
                        self.found(&client, node).await
                    }
                    _ => Err(Status::NFS3ERR_EXIST),
                };
            }
            Ok(_) | Err(Status::NFS3ERR_NOENT) => {}
            Err(other) => return Err(other),
        }
        let behind = self.scratch_behind(folder).await?;
        let found = self.scratch.create(caller, &behind, name, how).await.result?;
        Ok(Object {
            handle: self.handles.encode(&scratch_node(found.id)),
            attributes: found.attributes,
        })
    }

    async fn remove_in(&self, caller: &Caller, folder: &Node, name: &[u8]) -> Result<(), Status> {
        let client = Client::of(caller);
        if let Node::Table(id) = folder {
            let table = self.table_at(*id).await?;
            if self.alias(&table, name).is_some() {
                self.done(&client, &table).await?;
                let mut state = table.state.lock();
                state.aliases.remove(name);
                state.touch();
                return Ok(());
            }
            match self.find_own(&table, &client, name).await? {
                Some(Node::Text(text)) => {
                    if !is_writable(text.format) || self.options.read_only {
                        return Err(Status::NFS3ERR_ROFS);
                    }
                    return self
                        .detach(&table, text.format, Loss::Removed, &client, &author(caller), None)
                        .await;
                }
                Some(Node::Errors(_)) => {
                    let mut state = table.state.lock();
                    state.refusals.clear();
                    state.touch();
                    return Ok(());
                }
                Some(Node::Rejected(_)) => {
                    let mut state = table.state.lock();
                    if let Some(path) = state.rejected.take() {
                        let _ = std::fs::remove_file(path);
                    }
                    state.touch();
                    return Ok(());
                }
                Some(_) => return Err(Status::NFS3ERR_ROFS),
                None => {}
            }
            let behind = self.scratch_behind(folder).await?;
            self.scratch.remove(&behind, name).await.result?;
            return self.done(&client, &table).await;
        }
        match self.find(&client, folder, name).await? {
            Node::Scratch { .. } => {
                let behind = self.scratch_behind(folder).await?;
                self.scratch.remove(&behind, name).await.result
            }
            Node::Table(_) | Node::Schema(_) | Node::Pinned { .. } => Err(Status::NFS3ERR_ISDIR),
            _ => Err(Status::NFS3ERR_ROFS),
        }
    }

    async fn remove_folder_in(&self, caller: &Caller, folder: &Node, name: &[u8]) -> Result<(), Status> {
        let client = Client::of(caller);
        match self.find(&client, folder, name).await? {
            Node::Table(id) => self.drop_table(caller, id).await,
            Node::Scratch { .. } => {
                let behind = self.scratch_behind(folder).await?;
                self.scratch.remove_directory(&behind, name).await.result
            }
            Node::Root | Node::Schema(_) => Err(Status::NFS3ERR_NOTEMPTY),
            Node::Pinned { .. } => Err(Status::NFS3ERR_ROFS),
            _ => Err(Status::NFS3ERR_NOTDIR),
        }
    }

    async fn rename_in(&self, caller: &Caller, from: (&Node, &[u8]), to: (&Node, &[u8])) -> Result<(), Status> {
        let client = Client::of(caller);
        let source = self.find(&client, from.0, from.1).await?;
        let same_folder = from.0 == to.0;
        if let Node::Table(id) = to.0 {
            let table = self.table_at(*id).await?;
            if same_folder && self.alias(&table, from.1).is_some() {
                if names::writable_text(to.1).is_some() {
                    self.reattach(&table, from.1, &client).await;
                } else {
                    let mut state = table.state.lock();
                    if let Some(handle) = state.aliases.remove(from.1) {
                        state.aliases.insert(to.1.to_vec(), handle);
                    }
                    state.touch();
                }
                return Ok(());
            }
            if let (Node::Scratch { inode, birth }, Some(format)) = (&source, names::writable_text(to.1)) {
                if self.options.read_only {
                    return Err(Status::NFS3ERR_ROFS);
                }
                return self
                    .replace_by(
                        caller,
                        &table,
                        format,
                        Id {
                            inode: *inode,
                            birth: *birth,
                        },
                    )
                    .await;
            }
            if matches!(
                names::own(to.1),
                Own::Text(_) | Own::Definition | Own::Errors | Own::Rejected
            ) {
                return Err(Status::NFS3ERR_PERM);
            }
        }
        match source {
            Node::Text(id) if same_folder && is_writable(id.format) && !self.options.read_only => {
                let table = self.table_at(id.table).await?;
                let behind = self.scratch_behind(to.0).await?;
                // What has the name gives way, as in any rename.
                if let Err(status) = self.scratch.remove(&behind, to.1).await.result
                    && status != Status::NFS3ERR_NOENT
                {
                    return Err(status);
                }
                self.detach(&table, id.format, Loss::Renamed, &client, &author(caller), Some(to.1))
                    .await
            }
            Node::Table(id) => self.rename_table(caller, id, from, to).await,
            Node::Scratch { .. } => {
                if let Node::Table(id) = to.0 {
                    self.table_at(*id).await?.state.lock().aliases.remove(to.1);
                }
                match self.find(&client, to.0, to.1).await {
                    Ok(Node::Scratch { .. }) | Err(Status::NFS3ERR_NOENT) => {}
                    Ok(_) => return Err(Status::NFS3ERR_PERM),
                    Err(other) => return Err(other),
                }
                let behind = (self.scratch_behind(from.0).await?, self.scratch_behind(to.0).await?);
                let (effect, _) = self.scratch.rename((&behind.0, from.1), (&behind.1, to.1)).await;
                effect.result?;
                if let Node::Scratch { .. } = to.0 {
                    self.created_by_rename(caller, to.0, to.1).await?;
                }
                Ok(())
            }
            _ => Err(Status::NFS3ERR_PERM),
        }
    }
}

fn slice(bytes: &Bytes, offset: u64, length: usize) -> ReadPart {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(length).min(bytes.len());
    ReadPart {
        data: bytes.slice(start..end),
        end: end == bytes.len(),
        attributes: None,
    }
}

pub(crate) fn scratch_node(id: Id) -> Node {
    Node::Scratch {
        inode: id.inode,
        birth: id.birth,
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
        if let Node::Scratch { inode, birth } = node {
            let id = Id { inode, birth };
            let effect = self.scratch.set_attributes(caller, id, changes, guard).await;
            if effect.result.is_ok()
                && let Err(status) = self.created(caller, id, Moment::Done).await
            {
                return Effect {
                    result: Err(status),
                    ..effect
                };
            }
            return effect;
        }
        let earlier = self.stat_aside(&client, &node).await.ok();
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
            after: self.stat_aside(&client, &node).await.ok(),
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
        let attributes = self.stat(&Client::of(caller), &node).await?;
        if let Node::Scratch { .. } = node {
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
            Node::Scratch { inode, birth } => self.scratch.read_link(Id { inode, birth }).await,
            _ => Err(Status::NFS3ERR_INVAL),
        }
    }

    async fn read(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Result<ReadPart, Status> {
        let node = self.node(file).await?;
        self.read_node(caller, &node, offset, count).await
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
        if let Node::Scratch { inode, birth } = node {
            let id = Id { inode, birth };
            let effect = self.scratch.write(id, offset, data, stable).await;
            if effect.result.is_ok()
                && stable != stable_how::UNSTABLE
                && let Err(status) = self.created(caller, id, Moment::Perhaps).await
            {
                return Effect {
                    result: Err(status),
                    ..effect
                };
            }
            return effect;
        }
        let earlier = self.stat_aside(&client, &node).await.ok();
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let result = match &node {
            Node::Text(id) => self.write_text(caller, id, offset, data, stable).await,
            Node::Query(_) => {
                let stable = stable != stable_how::UNSTABLE;
                let written = self.write_query(&client, &author(caller), offset, &data, stable).await;
                written.map(|()| Written {
                    count,
                    committed: if stable {
                        stable_how::FILE_SYNC
                    } else {
                        stable_how::UNSTABLE
                    },
                })
            }
            Node::Root | Node::Schema(_) | Node::Table(_) | Node::Pinned { .. } => Err(Status::NFS3ERR_ISDIR),
            _ => Err(Status::NFS3ERR_ROFS),
        };
        Effect {
            result,
            before: earlier.as_ref().map(before),
            after: self.stat_aside(&client, &node).await.ok(),
        }
    }

    async fn commit(&self, caller: &Caller, file: &Handle, _: u64, _: u32) -> Effect<()> {
        let client = Client::of(caller);
        let node = match self.node(file).await {
            Ok(node) => node,
            Err(status) => return Effect::failed(status),
        };
        if let Node::Scratch { inode, birth } = node {
            let id = Id { inode, birth };
            let effect = self.scratch.commit(id).await;
            if effect.result.is_ok()
                && let Err(status) = self.created(caller, id, Moment::Perhaps).await
            {
                return Effect {
                    result: Err(status),
                    ..effect
                };
            }
            return effect;
        }
        let earlier = self.stat_aside(&client, &node).await.ok();
        let result = match &node {
            Node::Text(id) => match self.content(&client, id).await {
                Ok(Content::Staged(shared)) => match self.table_at(id.table).await {
                    Ok(table) => match self.boundary(&table, &shared, Moment::Perhaps).await {
                        Outcome::Settled | Outcome::Kept => Ok(()),
                        Outcome::Refused(refusal) => Err(refusal.status),
                    },
                    Err(status) => Err(status),
                },
                Ok(_) => Ok(()),
                Err(status) => Err(status),
            },
            Node::Query(_) => self.run_query(&client, &author(caller)).await,
            _ => Ok(()),
        };
        Effect {
            result,
            before: earlier.as_ref().map(before),
            after: self.stat_aside(&client, &node).await.ok(),
        }
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
            match self.find(&client, &folder, name).await {
                Ok(_) => return Err(Status::NFS3ERR_EXIST),
                Err(Status::NFS3ERR_NOENT) => {}
                Err(other) => return Err(other),
            }
            let behind = self.scratch_behind(&folder).await?;
            let found = self
                .scratch
                .make_directory(caller, &behind, name, attributes)
                .await
                .result?;
            Ok(Object {
                handle: self.handles.encode(&scratch_node(found.id)),
                attributes: found.attributes,
            })
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
            match self.find(&client, &folder, name).await {
                Ok(_) => return Err(Status::NFS3ERR_EXIST),
                Err(Status::NFS3ERR_NOENT) => {}
                Err(other) => return Err(other),
            }
            let behind = self.scratch_behind(&folder).await?;
            let found = self
                .scratch
                .make_link(caller, &behind, name, target, attributes)
                .await
                .result?;
            Ok(Object {
                handle: self.handles.encode(&scratch_node(found.id)),
                attributes: found.attributes,
            })
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
