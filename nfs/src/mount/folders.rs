//! Folders: what a name leads to, and what a folder shows.

use std::sync::Arc;

use nfs3_types::nfs3::{fattr3, ftype3};

use super::Mount;
use super::attributes::{later, time};
use super::handle::{Node, schema_id, text_id};
use super::names::{self, DEFINITION, ERRORS, Own, QUERY, REJECTED, STATEMENTS, STATUS, TEXTS, Top, data_name};
use super::recover::scratch_folder;
use super::refusal::status;
use super::table::{Client, Loss, Table, version_time};
use crate::file_system::{Entry, Listing, Object, Status};
use crate::lake::{At, TableName, Version};
use crate::render::Format;
use crate::scratch::Folder;

/// The version number that a definition's handle has for the latest.
const LATEST: u64 = 0;

impl Mount {
    pub(crate) async fn tables(&self) -> Result<Vec<TableName>, Status> {
        let tables = self.lake.tables().await.map_err(|error| status(error.kind))?;
        for name in &tables {
            self.table_of(name);
        }
        Ok(tables)
    }

    pub(crate) async fn table_at(&self, id: u64) -> Result<Arc<Table>, Status> {
        self.table_by_id(id).await.map_err(|error| status(error.kind))
    }

    pub(crate) async fn latest(&self, table: &Table) -> Result<Arc<Version>, Status> {
        table
            .latest(self.lake.as_ref())
            .await
            .map_err(|error| status(error.kind))
    }

    pub(crate) async fn version(&self, table: &Table, number: u64) -> Result<Arc<Version>, Status> {
        if let Some(latest) = table.known().filter(|latest| latest.number == number) {
            return Ok(latest);
        }
        self.lake
            .version(&table.name, &At::Version(number))
            .await
            .map_err(|error| status(error.kind))
    }

    async fn schema_name(&self, id: u64) -> Result<String, Status> {
        let tables = self.tables().await?;
        tables
            .into_iter()
            .filter_map(|table| table.schema)
            .find(|schema| schema_id(schema) == id)
            .ok_or(Status::NFS3ERR_STALE)
    }

    /// The scratch folder behind a folder of the mount.
    ///
    /// # Errors
    /// `NFS3ERR_NOTDIR` for what is no folder, `NFS3ERR_ROFS` for a folder of a fixed version.
    pub(crate) async fn scratch_behind(&self, node: &Node) -> Result<Folder, Status> {
        Ok(match node {
            Node::Root => Folder::Mount(Vec::new()),
            Node::Schema(id) => Folder::Mount(vec![self.schema_name(*id).await?]),
            Node::Table(id) => Folder::Mount(scratch_folder(&self.table_at(*id).await?.name)),
            Node::Scratch(id) => Folder::Scratch(*id),
            Node::Pinned { .. } => return Err(Status::NFS3ERR_ROFS),
            _ => return Err(Status::NFS3ERR_NOTDIR),
        })
    }

    fn node_of_folder(&self, folder: &Folder) -> Node {
        match folder {
            Folder::Scratch(id) => Node::Scratch(*id),
            Folder::Mount(path) => match path.as_slice() {
                [table] => {
                    let name = TableName {
                        schema: None,
                        table: table.clone(),
                    };
                    let id = super::handle::table_id(&name);
                    if self.table(id).is_some() {
                        Node::Table(id)
                    } else {
                        Node::Schema(schema_id(table))
                    }
                }
                [schema, table] => Node::Table(super::handle::table_id(&TableName {
                    schema: Some(schema.clone()),
                    table: table.clone(),
                })),
                _ => Node::Root,
            },
        }
    }

    /// The folder that a folder is in.
    pub(crate) async fn parent(&self, node: &Node) -> Result<Node, Status> {
        Ok(match node {
            Node::Table(id) | Node::Pinned { table: id, .. } => match &self.table_at(*id).await?.name.schema {
                Some(schema) => Node::Schema(schema_id(schema)),
                None => Node::Root,
            },
            Node::Scratch(id) => {
                let folder = self.scratch.parent(*id).await?;
                self.node_of_folder(&folder)
            }
            _ => Node::Root,
        })
    }

    /// The object that a name leads to.
    ///
    /// # Errors
    /// `NFS3ERR_NOENT`, `NFS3ERR_NOTDIR`.
    pub(crate) async fn find(&self, client: &Client, folder: &Node, name: &[u8]) -> Result<Node, Status> {
        match name {
            b"." => return Ok(*folder),
            b".." => return self.parent(folder).await,
            _ => {}
        }
        match folder {
            Node::Root | Node::Schema(_) => {
                if let Some(table) = self.find_known(folder, name).await {
                    return Ok(Node::Table(table.id));
                }
                let tables = self.tables().await?;
                let schema = match folder {
                    Node::Schema(id) => Some(self.schema_name(*id).await?),
                    _ => None,
                };
                match names::top(&tables, schema.as_deref(), name) {
                    Top::Table(name) => return Ok(Node::Table(self.table_of(&name).id)),
                    Top::Schema(name) => return Ok(Node::Schema(schema_id(&name))),
                    Top::Pinned(name, at) => {
                        let version =
                            self.lake
                                .version(&name, &at)
                                .await
                                .map_err(|error| match status(error.kind) {
                                    Status::NFS3ERR_STALE => Status::NFS3ERR_NOENT,
                                    other => other,
                                })?;
                        return Ok(Node::Pinned {
                            table: self.table_of(&name).id,
                            version: version.number,
                        });
                    }
                    Top::Definition => return Ok(Node::LakeDefinition),
                    Top::Query => {
                        let query = self.query(client);
                        let turn = query.lock().await.turn;
                        return Ok(Node::Query(turn));
                    }
                    Top::Statements => return Ok(Node::Statements),
                    Top::Status => return Ok(Node::Status),
                    Top::Other => {}
                }
            }
            Node::Table(id) => {
                let table = self.table_at(*id).await?;
                if let Some(node) = self.find_own(&table, name).await? {
                    return Ok(node);
                }
            }
            Node::Pinned { table, version } => {
                let (table, version) = (*table, *version);
                return match names::own(name) {
                    Own::Text(format) => Ok(Node::PinnedText { table, format, version }),
                    Own::Definition => Ok(Node::Definition {
                        table,
                        version: version + 1,
                    }),
                    Own::Parquet(name) => {
                        let found = self.version(&*self.table_at(table).await?, version).await?;
                        data_node(table, &found, &name).ok_or(Status::NFS3ERR_NOENT)
                    }
                    _ => Err(Status::NFS3ERR_NOENT),
                };
            }
            Node::Scratch(_) => {}
            _ => return Err(Status::NFS3ERR_NOTDIR),
        }
        let found = self.scratch.lookup(&self.scratch_behind(folder).await?, name).await?;
        Ok(Node::Scratch(found.id))
    }

    /// A table that was seen before, if it is there still: the lake is listed for other names only.
    async fn find_known(&self, folder: &Node, name: &[u8]) -> Option<Arc<Table>> {
        let is = |table: &Table| {
            let in_folder = match (folder, &table.name.schema) {
                (Node::Root, None) => true,
                (Node::Schema(id), Some(schema)) => schema_id(schema) == *id,
                _ => false,
            };
            in_folder && table.name.table.as_bytes() == name
        };
        let known = self.tables.lock().values().find(|table| is(table)).cloned()?;
        self.latest(&known).await.is_ok().then_some(known)
    }

    /// The object of a table's own that a name in its folder leads to.
    pub(crate) async fn find_own(&self, table: &Arc<Table>, name: &[u8]) -> Result<Option<Node>, Status> {
        if let Some(handle) = self.alias(table, name) {
            return self.handles.decode(&handle).map(Some);
        }
        Ok(match names::own(name) {
            Own::Text(format) => {
                let latest = self.latest(table).await?;
                let id = table.text(&latest, format);
                let state = table.state.lock();
                let away = state
                    .detached
                    .as_ref()
                    .is_some_and(|detached| detached.format == format && detached.loss == Loss::Renamed);
                if away && !state.is_made_anew(format) {
                    return Err(Status::NFS3ERR_NOENT);
                }
                Some(Node::Text(id))
            }
            Own::Definition => Some(Node::Definition {
                table: table.id,
                version: LATEST,
            }),
            Own::Errors if !table.state.lock().refusals.is_empty() => Some(Node::Errors(table.id)),
            Own::Rejected if table.state.lock().rejected.is_some() => Some(Node::Rejected(table.id)),
            Own::Parquet(name) => data_node(table.id, &*self.latest(table).await?, &name),
            _ => None,
        })
    }

    /// What a folder shows: its names in an order that stays while others come and go.
    ///
    /// # Errors
    /// As [`Mount::find`].
    pub(crate) async fn show(
        &self,
        client: &Client,
        folder: &Node,
        after: u64,
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status> {
        let mut names: Vec<(Vec<u8>, Node)> =
            vec![(b".".to_vec(), *folder), (b"..".to_vec(), self.parent(folder).await?)];
        match folder {
            Node::Root | Node::Schema(_) => self.show_top(client, folder, &mut names).await?,
            Node::Table(id) => {
                let table = self.table_at(*id).await?;
                let version = self.latest(&table).await?;
                for (name, _) in TEXTS {
                    if let Ok(Some(node)) = self.find_own(&table, name.as_bytes()).await {
                        names.push((name.into(), node));
                    }
                }
                for name in [DEFINITION, ERRORS, REJECTED] {
                    if let Ok(Some(node)) = self.find_own(&table, name.as_bytes()).await {
                        names.push((name.into(), node));
                    }
                }
                show_data(table.id, &version, &mut names);
                let aliases: Vec<_> = table
                    .state
                    .lock()
                    .aliases
                    .iter()
                    .map(|(name, handle)| (name.clone(), handle.clone()))
                    .collect();
                names.extend(
                    aliases
                        .into_iter()
                        .filter_map(|(name, handle)| Some((name, self.handles.decode(&handle).ok()?))),
                );
            }
            Node::Pinned { table, version } => {
                let (table, number) = (*table, *version);
                let version = self.version(&*self.table_at(table).await?, number).await?;
                names.extend(TEXTS.map(|(name, format)| {
                    (
                        name.into(),
                        Node::PinnedText {
                            table,
                            format,
                            version: number,
                        },
                    )
                }));
                names.push((
                    DEFINITION.into(),
                    Node::Definition {
                        table,
                        version: number + 1,
                    },
                ));
                show_data(table, &version, &mut names);
            }
            Node::Scratch(_) => {}
            _ => return Err(Status::NFS3ERR_NOTDIR),
        }
        if !matches!(folder, Node::Pinned { .. }) {
            let behind = self.scratch_behind(folder).await?;
            for listed in self.scratch.list(&behind, false).await? {
                if !names.iter().any(|(name, _)| *name == listed.name) {
                    names.push((listed.name, Node::Scratch(listed.id)));
                }
            }
        }
        self.page(client, names, after, limit, with_objects).await
    }

    async fn show_top(&self, client: &Client, folder: &Node, names: &mut Vec<(Vec<u8>, Node)>) -> Result<(), Status> {
        let tables = self.tables().await?;
        let schema = match folder {
            Node::Schema(id) => Some(self.schema_name(*id).await?),
            _ => None,
        };
        for table in &tables {
            if table.schema == schema {
                names.push((table.table.clone().into_bytes(), Node::Table(self.table_of(table).id)));
            }
        }
        if schema.is_some() {
            return Ok(());
        }
        let mut schemas: Vec<&String> = tables.iter().filter_map(|table| table.schema.as_ref()).collect();
        schemas.sort();
        schemas.dedup();
        names.extend(
            schemas
                .into_iter()
                .map(|schema| (schema.clone().into_bytes(), Node::Schema(schema_id(schema)))),
        );
        names.push((DEFINITION.into(), Node::LakeDefinition));
        names.push((QUERY.into(), self.find(client, &Node::Root, QUERY.as_bytes()).await?));
        names.push((STATEMENTS.into(), Node::Statements));
        names.push((STATUS.into(), Node::Status));
        Ok(())
    }

    async fn page(
        &self,
        client: &Client,
        names: Vec<(Vec<u8>, Node)>,
        after: u64,
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status> {
        let mut names: Vec<(u64, Vec<u8>, Node)> = names
            .into_iter()
            .map(|(name, node)| (cookie(&name), name, node))
            .collect();
        names.sort_unstable_by(|(a, a_name, _), (b, b_name, _)| (a, a_name).cmp(&(b, b_name)));
        names.dedup_by(|(_, a, _), (_, b, _)| a == b);
        let start = names.partition_point(|(cookie, _, _)| *cookie <= after);
        let page: Vec<_> = names.iter().skip(start).take(limit.max(1)).collect();
        let end = start + page.len() >= names.len();
        let mut entries = Vec::with_capacity(page.len());
        for (cookie, name, node) in page {
            let object = if with_objects {
                self.cheap_object(client, node).await
            } else {
                None
            };
            let id = match node {
                Node::Scratch(id) => crate::scratch::file_id(id.inode),
                node => super::handle::file_id(node),
            };
            entries.push(Entry {
                id,
                name: name.clone(),
                cookie: *cookie,
                object,
            });
        }
        Ok(Listing {
            verifier: [0; 8],
            entries,
            end,
        })
    }

    /// An object with its attributes, where they cost nothing: rows that were never rendered have no size yet.
    async fn cheap_object(&self, client: &Client, node: &Node) -> Option<Object> {
        if let Node::Text(id) = node {
            let table = self.table_at(id.table).await.ok()?;
            let version = table.shown(self.lake.as_ref(), id, client).await.ok()?;
            self.renderer.opened(&version, id.format)?;
        }
        if let Node::PinnedText { table, format, version } = node {
            let version = self.version(&*self.table_at(*table).await.ok()?, *version).await.ok()?;
            self.renderer.opened(&version, *format)?;
        }
        let attributes = self.stat(client, node).await.ok()?;
        Some(Object {
            handle: self.handles.encode(node),
            attributes,
        })
    }

    /// The attributes of a folder.
    pub(crate) async fn stat_folder(&self, node: &Node) -> Result<fattr3, Status> {
        let behind = match node {
            Node::Pinned { .. } => None,
            node => self.scratch.folder(&self.scratch_behind(node).await?).await?,
        };
        let own = match node {
            Node::Table(id) => {
                let table = self.table_at(*id).await?;
                self.latest(&table).await?;
                table.state.lock().folder_time()
            }
            Node::Pinned { table, version } => {
                version_time(&*self.version(&*self.table_at(*table).await?, *version).await?)
            }
            _ => time(self.started),
        };
        let behind = behind.map(|attributes| attributes.mtime).unwrap_or_default();
        Ok(self.folder_attributes(node, later(own, behind), !matches!(node, Node::Pinned { .. })))
    }
}

/// A name's place in its folder's order. `.` and `..` are first.
fn cookie(name: &[u8]) -> u64 {
    match name {
        b"." => 1,
        b".." => 2,
        name => (xxhash_rust::xxh3::xxh3_64(name) >> 1).max(3),
    }
}

fn data_node(table: u64, version: &Version, name: &str) -> Option<Node> {
    let file = version.files.iter().find(|file| data_name(&file.path) == name)?;
    Some(Node::Data {
        table,
        version: version.number,
        file: text_id(&file.path),
    })
}

fn show_data(table: u64, version: &Version, names: &mut Vec<(Vec<u8>, Node)>) {
    names.extend(version.files.iter().map(|file| {
        let node = Node::Data {
            table,
            version: version.number,
            file: text_id(&file.path),
        };
        (data_name(&file.path).as_bytes().to_vec(), node)
    }));
}

/// Whether attributes are those of a folder.
pub(crate) fn is_folder(attributes: &fattr3) -> bool {
    attributes.type_ == ftype3::NF3DIR
}

/// Whether a table's rows can be written in a format.
pub(crate) fn is_writable(format: Format) -> bool {
    format != Format::Json
}
