//! Tables as wholes: made from a file in a new folder, replaced by a file that is moved onto their rows, renamed, dropped.

use std::path::Path;
use std::sync::Arc;

use super::boundary::{Moment, once};
use super::edit::NewText;
use super::ending::{Ending, ending};
use super::handle::Node;
use super::names;
use super::refusal::{Refusal, io_status, status};
use super::serve::author;
use super::session::disk;
use super::statement;
use super::table::{Client, Table};
use super::{Became, Mount};
use crate::file_system::{Caller, Status};
use crate::lake::TableName;
use crate::render::Format;
use crate::scratch::{Folder, Id};

impl Mount {
    /// The rows of a table become those of a scratch file: what `sed -i`, editors and `mv` ask for.
    ///
    /// # Errors
    /// `NFS3ERR_PERM` where the file cannot be the table's, whatever the reason: of all errors, tools take this one best from a rename.
    pub(crate) async fn replace_by(
        &self,
        caller: &Caller,
        table: &Arc<Table>,
        format: Format,
        id: Id,
    ) -> Result<(), Status> {
        let client = Client::of(caller);
        let by = once(&author(caller));
        let base = {
            let state = table.state.lock();
            state
                .detached
                .as_ref()
                .filter(|detached| detached.format == format)
                .map(|detached| detached.base.clone())
        };
        let base = match base {
            Some(base) => base,
            None => self.latest(table).await?,
        };
        let path = self.scratch.path(id).await?;
        let outcome = async {
            let rendering = self.renderer.open(base.clone(), format).await?;
            let csv = format == Format::Csv;
            let looked_at = path.clone();
            let ending = super::session::blocking(move || ending(&looked_at, csv))
                .await
                .map_err(disk)?;
            if let Ending::Open { quoted: true, .. } = ending {
                return Err(Refusal::invalid(
                    "the last line begins a quoted field that does not end",
                ));
            }
            let prepared = self
                .compare(NewText {
                    path: path.clone(),
                    format,
                    base: base.clone(),
                    rendering,
                    part: None,
                })
                .await?;
            self.apply(table, &prepared, &by).await
        }
        .await;
        match outcome {
            Ok(applied) => {
                self.became.lock().insert(
                    id,
                    Became::Rows {
                        table: table.id,
                        format,
                    },
                );
                let taken = self.scratch.take(id).await;
                if taken.result.is_ok() {
                    let _ = self.scratch.release(id).await;
                }
                let sessions: Vec<_> = {
                    let mut state = table.state.lock();
                    state.advance(&applied.version);
                    if state.detached.take().is_some() {
                        state.turn();
                    }
                    state.touch();
                    let own = state
                        .sessions
                        .iter()
                        .filter(|((id, of), _)| id.format == format && *of == client);
                    own.map(|(_, session)| session.clone()).collect()
                };
                for shared in sessions {
                    self.end(table, shared.lock().await);
                }
                let _ = std::fs::remove_file(self.options.edits().join(super::detach::removal_name(table)));
                Ok(())
            }
            Err(refusal) => {
                tracing::warn!(table = %table.name.table, client = %by.author.client, "rename refused: {}", refusal.reason);
                let kept = self.rejected_path(table);
                let copied = std::fs::copy(&path, &kept);
                let mut state = table.state.lock();
                state.rejected = copied.is_ok().then_some(kept);
                state.refuse(&by.author, "rename", base.number, &refusal.reason);
                Err(match refusal.status {
                    Status::NFS3ERR_JUKEBOX => Status::NFS3ERR_JUKEBOX,
                    _ => Status::NFS3ERR_PERM,
                })
            }
        }
    }

    /// The table that a scratch file would make: `data.csv` in a folder that a client made where tables stand.
    async fn would_make(&self, id: Id) -> Option<(TableName, Format, Id)> {
        let path = self.scratch.path(id).await.ok()?;
        let format = names::writable_text(path.file_name()?.as_encoded_bytes())?;
        let Folder::Scratch(folder) = self.scratch.parent(id).await.ok()? else {
            return None;
        };
        let Folder::Mount(above) = self.scratch.parent(folder).await.ok()? else {
            return None;
        };
        let table = path.parent()?.file_name()?.to_str()?.to_string();
        let schema = match above.as_slice() {
            [] => None,
            [schema] => Some(schema.clone()),
            _ => return None,
        };
        Some((TableName { schema, table }, format, folder))
    }

    /// Looks whether a scratch file makes a table, and makes it.
    ///
    /// # Errors
    /// As the statement's.
    pub(crate) async fn created(&self, caller: &Caller, id: Id, moment: Moment) -> Result<(), Status> {
        let Some((name, format, folder)) = self.would_make(id).await else {
            return Ok(());
        };
        let size = self.scratch.attributes(id).await?.size;
        if size == 0 {
            return Ok(());
        }
        let path = self.scratch.path(id).await?;
        let (csv, looked_at) = (format == Format::Csv, path.clone());
        let found = super::session::blocking(move || ending(&looked_at, csv))
            .await
            .map_err(|error| io_status(&error))?;
        if moment == Moment::Perhaps {
            if !matches!(found, Ending::Whole) || size.is_multiple_of(4096) {
                return Ok(());
            }
            tokio::time::sleep(self.options.hold).await;
            if self.scratch.attributes(id).await?.size != size {
                return Ok(());
            }
        }
        self.create_table(caller, &name, format, id, folder, &path).await
    }

    /// A file was renamed to `data.csv` in a folder that no table has yet.
    ///
    /// # Errors
    /// As [`Mount::created`].
    pub(crate) async fn created_by_rename(&self, caller: &Caller, folder: &Node, name: &[u8]) -> Result<(), Status> {
        let found = self.scratch.lookup(&self.scratch_behind(folder).await?, name).await?;
        self.created(caller, found.id, Moment::Done).await
    }

    async fn create_table(
        &self,
        caller: &Caller,
        name: &TableName,
        format: Format,
        id: Id,
        folder: Id,
        path: &Path,
    ) -> Result<(), Status> {
        let by = once(&author(caller));
        // Under another name, no copy: statements for users read no other files than edits.
        let edit = self.edit_file(format);
        link_file(path, &edit).map_err(|error| io_status(&error))?;
        let sql = statement::create(name, format, &edit);
        let outcome = self.run(&sql, &by).await;
        let _ = std::fs::remove_file(&edit);
        let rows = match outcome {
            Ok(rows) => rows,
            Err(error) if error.kind == crate::lake::Kind::AlreadyExists => return Ok(()),
            Err(error) => {
                let reason = super::refusal::explained(&error.message, &edit, Some);
                tracing::warn!(table = %name.table, client = %by.author.client, "table not made: {reason}");
                let note = self.options.state.join(format!("note-{}", uuid::Uuid::new_v4()));
                if std::fs::write(&note, format!("{reason}\n")).is_ok() {
                    let _ = self
                        .scratch
                        .adopt(
                            note,
                            &Folder::Scratch(folder),
                            names::ERRORS.as_bytes(),
                            Some((caller, 0o644)),
                        )
                        .await;
                }
                return Err(status(error.kind));
            }
        };
        let table = self.table_of(name);
        let version = self.latest(&table).await?;
        self.record(&sql, &version, rows, &by).await;
        {
            let mut became = self.became.lock();
            became.insert(
                id,
                Became::Rows {
                    table: table.id,
                    format,
                },
            );
            became.insert(folder, Became::Folder(table.id));
        }
        if self.scratch.take(id).await.result.is_ok() {
            let _ = self.scratch.release(id).await;
        }
        let (from, to) = (
            Folder::Scratch(folder),
            Folder::Mount(super::recover::scratch_folder(name)),
        );
        for listed in self.scratch.list(&from, false).await.unwrap_or_default() {
            if listed.name != names::ERRORS.as_bytes() {
                let _ = self.scratch.rename((&from, &listed.name), (&to, &listed.name)).await;
            } else {
                let _ = self.scratch.remove(&from, &listed.name).await;
            }
        }
        let above = match &name.schema {
            Some(schema) => Folder::Mount(vec![schema.clone()]),
            None => Folder::Mount(Vec::new()),
        };
        let _ = self.scratch.remove_directory(&above, name.table.as_bytes()).await;
        Ok(())
    }

    /// `rmdir` of a table's folder: drops a table without rows.
    ///
    /// # Errors
    /// `NFS3ERR_NOTEMPTY` where it has rows, or other files are in its folder.
    pub(crate) async fn drop_table(&self, caller: &Caller, id: u64) -> Result<(), Status> {
        if self.options.read_only {
            return Err(Status::NFS3ERR_ROFS);
        }
        let table = self.table_at(id).await?;
        self.look_at_detached(&table, true).await;
        let version = self.latest(&table).await?;
        let rows: u64 = version
            .files
            .iter()
            .map(|file| file.rows.saturating_sub(file.hidden))
            .sum();
        let behind = Folder::Mount(super::recover::scratch_folder(&table.name));
        if rows > 0 || !self.scratch.list(&behind, false).await?.is_empty() {
            return Err(Status::NFS3ERR_NOTEMPTY);
        }
        let by = once(&author(caller));
        let sql = format!("DROP TABLE {}", statement::table(&table.name));
        self.run(&sql, &by).await.map_err(|error| status(error.kind))?;
        self.record(&sql, &version, 0, &by).await;
        self.tables.lock().remove(&id);
        Ok(())
    }

    /// `mv` of a table's folder.
    ///
    /// # Errors
    /// `NFS3ERR_EXIST` where the name is taken; as the statement's.
    pub(crate) async fn rename_table(
        &self,
        caller: &Caller,
        id: u64,
        from: (&Node, &[u8]),
        to: (&Node, &[u8]),
    ) -> Result<(), Status> {
        if self.options.read_only {
            return Err(Status::NFS3ERR_ROFS);
        }
        let table = self.table_at(id).await?;
        let client = Client::of(caller);
        if from.0 != to.0 || !matches!(to.0, Node::Root | Node::Schema(_)) {
            return Err(Status::NFS3ERR_PERM);
        }
        let new = std::str::from_utf8(to.1).map_err(|_| Status::NFS3ERR_INVAL)?;
        match self.find(&client, to.0, to.1).await {
            Err(Status::NFS3ERR_NOENT) => {}
            Ok(_) => return Err(Status::NFS3ERR_EXIST),
            Err(other) => return Err(other),
        }
        let sessions: Vec<_> = table.state.lock().sessions.values().cloned().collect();
        for shared in sessions {
            self.boundary(&table, &shared, Moment::Done).await;
        }
        self.look_at_detached(&table, true).await;
        let by = once(&author(caller));
        let sql = format!(
            "ALTER TABLE {} RENAME TO {}",
            statement::table(&table.name),
            statement::quoted(new)
        );
        self.run(&sql, &by).await.map_err(|error| status(error.kind))?;
        let name = TableName {
            schema: table.name.schema.clone(),
            table: new.to_string(),
        };
        let renamed = self.table_of(&name);
        let version = self.latest(&renamed).await?;
        self.record(&sql, &version, 0, &by).await;
        self.tables.lock().remove(&id);
        let (old, behind) = (
            Folder::Mount(super::recover::scratch_folder(&table.name)),
            Folder::Mount(super::recover::scratch_folder(&name)),
        );
        for listed in self.scratch.list(&old, false).await.unwrap_or_default() {
            let _ = self.scratch.rename((&old, &listed.name), (&behind, &listed.name)).await;
        }
        Ok(())
    }
}

/// Gives a file another name; what is no file, a symbolic link above all, gets none.
///
/// # Errors
/// As the disk's.
fn link_file(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::hard_link(from, to)?;
    if std::fs::symlink_metadata(to)?.is_file() {
        return Ok(());
    }
    std::fs::remove_file(to)?;
    Err(std::io::ErrorKind::InvalidInput.into())
}
