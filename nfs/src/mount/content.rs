//! What objects show: attributes, bytes, and the files that are made when they are read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use nfs3_types::nfs3::{fattr3, nfstime3};
use tokio::sync::Mutex as AsyncMutex;

use super::attributes::{later, time};
use super::folders::is_writable;
use super::handle::{Node, TextId, text_id};
use super::refusal::{io_status, status};
use super::serve::author;
use super::session::Session;
use super::table::{Client, Loss, version_time};
use super::{Became, Mount, statement};
use crate::call;
use crate::file_system::{Caller, Data, Handle, ReadPart, Status};
use crate::lake::{Author, DataFile, Version};
use crate::render::Rendering;
use crate::scratch::Id;

/// How long a client waits for rows that are rendered for the first time, before it is told to ask again, which Linux does after five seconds. Well
/// below the minute after which it would repeat the call.
const FIRST_RENDERING: Duration = Duration::from_secs(20);

/// What a table's text is to one client.
pub(crate) enum Content {
    /// What the client wrote, over what it saw.
    Staged(Arc<AsyncMutex<Session>>),
    /// The rows of a version.
    Rows(Arc<Version>, Arc<Rendering>),
    /// The header alone: the rows were removed.
    Blank(Arc<Version>, Arc<Rendering>),
}

impl Mount {
    /// The rendering of a version, begun where it is not there yet; it goes on also when the caller stops waiting.
    pub(crate) async fn rendering(
        &self,
        version: &Arc<Version>,
        format: crate::render::Format,
    ) -> Result<Arc<Rendering>, Status> {
        if let Some(rendering) = self.renderer.opened(version, format) {
            return Ok(rendering);
        }
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
            Node::Text(id) => {
                let content = self.content(client, id).await?;
                self.stat_content(client, node, id, &content, true).await?
            }
            Node::PinnedText { table, format, version } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let size = self.rendering(&version, *format).await?.size();
                self.file_attributes(node, size, version_time(&version), false)
            }
            Node::Data { table, version, file } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let file = data_file(&version, *file)?;
                self.file_attributes(node, file.size, version_time(&version), false)
            }
            Node::Query(_) => {
                let query = self.query(client);
                let query = query.lock().await;
                self.file_attributes(node, query.size(), time(query.time), true)
            }
            Node::Scratch(id) => match self.became(*id) {
                Some(became) => self.stat_became(client, *id, became).await?,
                None => self.scratch.attributes(*id).await?,
            },
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
    pub(crate) async fn stat_aside(&self, client: &Client, handle: &Handle, node: &Node) -> Result<fattr3, Status> {
        let attributes = match node {
            Node::Text(id) => {
                let content = self.content(client, id).await?;
                self.stat_content(client, node, id, &content, false).await?
            }
            node => self.stat(client, node).await?,
        };
        Ok(self.known(handle, attributes))
    }

    /// `told`: whether the client knows the size from then on.
    async fn stat_content(
        &self,
        client: &Client,
        node: &Node,
        id: &TextId,
        content: &Content,
        told: bool,
    ) -> Result<fattr3, Status> {
        let (size, time) = match content {
            Content::Staged(session) => {
                let session = session.lock().await;
                (session.size, time(session.time))
            }
            Content::Rows(version, rendering) => (rendering.size(), version_time(version)),
            Content::Blank(version, rendering) => {
                let folder = self.table_at(id.table).await?.state.lock().folder_time();
                (rendering.header().len() as u64, later(folder, version_time(version)))
            }
        };
        if told && !matches!(content, Content::Staged(_)) {
            self.tell(id, client, size);
        }
        let writable = is_writable(id.format) && !self.options.read_only;
        Ok(self.file_attributes(node, size, time, writable))
    }

    fn tell(&self, id: &TextId, client: &Client, size: u64) {
        if let Some(table) = self.table(id.table) {
            table.state.lock().tell(id, client, size);
        }
    }

    fn became(&self, id: Id) -> Option<Became> {
        self.became.lock().get(&id).copied()
    }

    /// What a scratch file became is under the handle that its client still has.
    async fn node_of_became(&self, became: Became) -> Result<Node, Status> {
        match became {
            Became::Folder(table) => Ok(Node::Table(table)),
            Became::Rows { table, format } => {
                let table = self.table_at(table).await?;
                let latest = self.latest(&table).await?;
                Ok(Node::Text(table.text(&latest, format)))
            }
        }
    }

    async fn stat_became(&self, client: &Client, id: Id, became: Became) -> Result<fattr3, Status> {
        match self.node_of_became(became).await? {
            node @ Node::Text(text) => {
                let content = self.content(client, &text).await?;
                let mut attributes = self.stat_content(client, &node, &text, &content, true).await?;
                attributes.fileid = crate::scratch::file_id(id.inode);
                Ok(attributes)
            }
            node => self.stat_folder(&node).await,
        }
    }

    /// Attributes of the node behind a handle as its client knows it: the number goes with the handle, or the client takes it for another file.
    pub(crate) fn known(&self, handle: &Handle, mut attributes: fattr3) -> fattr3 {
        if let Ok(Node::Scratch(id)) = self.handles.decode(handle) {
            attributes.fileid = crate::scratch::file_id(id.inode);
        }
        attributes
    }

    /// The node behind a handle; a scratch file that became a table's rows is those rows.
    pub(crate) async fn node(&self, handle: &Handle) -> Result<Node, Status> {
        let node = self.handles.decode(handle)?;
        if let Node::Scratch(id) = node
            && let Some(became) = self.became(id)
        {
            return self.node_of_became(became).await;
        }
        Ok(node)
    }

    pub(crate) async fn read_node(
        &self,
        caller: &Caller,
        node: &Node,
        offset: u64,
        count: u32,
    ) -> Result<ReadPart, Status> {
        let client = Client::of(caller);
        let length = count as usize;
        let failed = |error: crate::lake::LakeError| status(error.kind);
        if matches!(node, Node::Text(_) | Node::PinnedText { .. } | Node::Data { .. }) {
            call::recent_will_do();
        }
        let (data, attributes): (Data, _) = match node {
            Node::Text(id) => {
                let content = self.content(&client, id).await?;
                let attributes = self.stat_content(&client, node, id, &content, true).await?;
                let data = match &content {
                    Content::Staged(session) => session.lock().await.read(offset, length).await.map_err(failed)?.into(),
                    Content::Rows(_, rendering) => rendering.read_pieces(offset, length).await.map_err(failed)?.into(),
                    Content::Blank(_, rendering) => slice(rendering.header(), offset, length).into(),
                };
                (data, attributes)
            }
            Node::PinnedText { table, format, version } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let rendering = self.rendering(&version, *format).await?;
                let data = rendering.read_pieces(offset, length).await.map_err(failed)?;
                let attributes = self.file_attributes(node, rendering.size(), version_time(&version), false);
                (data.into(), attributes)
            }
            Node::Data { table, version, file } => {
                let version = self.version(&*self.table_at(*table).await?, *version).await?;
                let file = data_file(&version, *file)?;
                let end = file.size.min(offset.saturating_add(length as u64));
                let data = if offset >= end {
                    Bytes::new()
                } else {
                    self.lake.bytes(&version, file, offset..end).await.map_err(failed)?
                };
                (
                    data.into(),
                    self.file_attributes(node, file.size, version_time(&version), false),
                )
            }
            Node::Query(_) => {
                // Who reads a statement that was not run yet is waiting for its rows.
                let _ = self.run_query(&client, &author(caller)).await;
                let query = self.query(&client);
                let query = query.lock().await;
                let data = query.read(offset, length).map_err(|error| io_status(&error))?;
                (
                    data.into(),
                    self.file_attributes(node, query.size(), time(query.time), true),
                )
            }
            Node::Scratch(id) => return self.scratch.read(*id, offset, count).await,
            Node::Root | Node::Schema(_) | Node::Table(_) | Node::Pinned { .. } => return Err(Status::NFS3ERR_ISDIR),
            node => {
                let (bytes, time) = self.small(node).await?;
                let attributes = self.file_attributes(node, bytes.len() as u64, time, false);
                (slice(&bytes, offset, length).into(), attributes)
            }
        };
        // A text may have grown or shrunk since its attributes were taken, and nothing without an end is an error to clients. Only at the end are there fewer
        // bytes than were asked for.
        Ok(ReadPart {
            end: data.len() < length || offset.saturating_add(data.len() as u64) >= attributes.size,
            data,
            attributes,
        })
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
                    latest = later(latest, version_time(&version));
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
}

/// The data file that a handle names.
fn data_file(version: &Version, file: u64) -> Result<&DataFile, Status> {
    let is = |known: &&DataFile| text_id(&known.path) == file;
    version.files.iter().find(is).ok_or(Status::NFS3ERR_STALE)
}

fn slice(bytes: &Bytes, offset: u64, length: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(length).min(bytes.len());
    bytes.slice(start..end)
}
