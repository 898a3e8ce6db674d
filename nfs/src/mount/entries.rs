//! Names that come, go and change: CREATE, REMOVE, RMDIR and RENAME.

use nfs3_types::nfs3::{Nfs3Option, createhow3};

use super::Mount;
use super::folders::is_writable;
use super::handle::Node;
use super::names::{self, Own};
use super::serve::author;
use super::table::{Client, Loss};
use crate::file_system::{Caller, Object, Status};

impl Mount {
    pub(crate) async fn create_in(
        &self,
        caller: &Caller,
        folder: &Node,
        name: &[u8],
        how: createhow3,
    ) -> Result<Object, Status> {
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
            Ok(node) if !matches!(node, Node::Scratch(_)) => {
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
        Ok(self.scratch_object(self.scratch.create(caller, &behind, name, how).await.result?))
    }

    pub(crate) async fn remove_in(&self, caller: &Caller, folder: &Node, name: &[u8]) -> Result<(), Status> {
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
            match self.find_own(&table, name).await? {
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
            Node::Scratch(_) => {
                let behind = self.scratch_behind(folder).await?;
                self.scratch.remove(&behind, name).await.result
            }
            Node::Table(_) | Node::Schema(_) | Node::Pinned { .. } => Err(Status::NFS3ERR_ISDIR),
            _ => Err(Status::NFS3ERR_ROFS),
        }
    }

    pub(crate) async fn remove_folder_in(&self, caller: &Caller, folder: &Node, name: &[u8]) -> Result<(), Status> {
        let client = Client::of(caller);
        match self.find(&client, folder, name).await? {
            Node::Table(id) => self.drop_table(caller, id).await,
            Node::Scratch(_) => {
                let behind = self.scratch_behind(folder).await?;
                self.scratch.remove_directory(&behind, name).await.result
            }
            Node::Root | Node::Schema(_) => Err(Status::NFS3ERR_NOTEMPTY),
            Node::Pinned { .. } => Err(Status::NFS3ERR_ROFS),
            _ => Err(Status::NFS3ERR_NOTDIR),
        }
    }

    pub(crate) async fn rename_in(
        &self,
        caller: &Caller,
        from: (&Node, &[u8]),
        to: (&Node, &[u8]),
    ) -> Result<(), Status> {
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
            if let (Node::Scratch(id), Some(format)) = (&source, names::writable_text(to.1)) {
                if self.options.read_only {
                    return Err(Status::NFS3ERR_ROFS);
                }
                return self.replace_by(caller, &table, format, *id).await;
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
            Node::Scratch(_) => {
                if let Node::Table(id) = to.0 {
                    self.table_at(*id).await?.state.lock().aliases.remove(to.1);
                }
                match self.find(&client, to.0, to.1).await {
                    Ok(Node::Scratch(_)) | Err(Status::NFS3ERR_NOENT) => {}
                    Ok(_) => return Err(Status::NFS3ERR_PERM),
                    Err(other) => return Err(other),
                }
                let behind = (self.scratch_behind(from.0).await?, self.scratch_behind(to.0).await?);
                let (effect, _) = self.scratch.rename((&behind.0, from.1), (&behind.1, to.1)).await;
                effect.result?;
                if let Node::Scratch(_) = to.0 {
                    self.created_by_rename(caller, to.0, to.1).await?;
                }
                Ok(())
            }
            _ => Err(Status::NFS3ERR_PERM),
        }
    }
}
