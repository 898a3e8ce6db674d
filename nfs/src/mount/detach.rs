//! The name of a table's rows, taken away: by `rm`, by `mv` to another name, and by tools that do either before they make the file anew.

use std::sync::Arc;
use std::time::Instant;

use nfs3_types::nfs3::createhow3;
use tokio::sync::Mutex as AsyncMutex;

use super::Mount;
use super::boundary::{Moment, once};
use super::handle::{Node, TextId};
use super::refusal::{io_status, status};
use super::session::{Removal, Session, write_durably};
use super::table::{Client, Detached, Loss, Table};
use crate::file_system::{Handle, Status};
use crate::lake::{Author, Change};
use crate::render::Format;

impl Mount {
    /// Takes the name away. The table is as it was until [`Mount::look_at_detached`].
    ///
    /// # Errors
    /// `NFS3ERR_NOENT` where the name is gone already.
    pub(crate) async fn detach(
        &self,
        table: &Table,
        format: Format,
        loss: Loss,
        client: &Client,
        author: &Author,
        alias: Option<&[u8]>,
    ) -> Result<(), Status> {
        let base = table
            .latest(self.lake.as_ref())
            .await
            .map_err(|error| status(error.kind))?;
        if loss == Loss::Removed {
            self.check(table, &[Change::Delete]).await?;
        }
        let id = table.text(&base, format);
        let own = table.state.lock().sessions.get(&(id, client.clone())).cloned();
        if let Some(shared) = own {
            // What the client wrote before belongs to the rows that it takes away.
            self.boundary(table, &shared, Moment::Done).await;
            self.end(table, shared.lock().await);
        }
        let base = table
            .latest(self.lake.as_ref())
            .await
            .map_err(|error| status(error.kind))?;
        let removal = Removal {
            schema: table.name.schema.clone(),
            table: table.name.table.clone(),
            table_id: base.id.clone(),
            version: base.number,
            user: author.user.clone(),
            author: author.client.clone(),
        };
        if loss == Loss::Removed {
            let (folder, name) = (self.options.edits(), removal_name(table));
            let bytes = serde_json::to_vec(&removal).map_err(|_| Status::NFS3ERR_SERVERFAULT)?;
            super::session::blocking(move || write_durably(&folder, &name, &bytes))
                .await
                .map_err(|error| io_status(&error))?;
        }
        let id = table.text(&base, format);
        let mut state = table.state.lock();
        if state
            .detached
            .as_ref()
            .is_some_and(|detached| detached.loss == Loss::Renamed && detached.format == format)
        {
            return Err(Status::NFS3ERR_NOENT);
        }
        if let Some(alias) = alias {
            state
                .aliases
                .insert(alias.to_vec(), self.handles.encode(&Node::Text(id)));
        }
        state.turn();
        state.detached = Some(Detached {
            format,
            base,
            loss,
            since: Instant::now(),
            client: client.clone(),
            author: author.clone(),
        });
        Ok(())
    }

    /// Makes the file of rows: a new text in the place of one that lost its name, or the one that is there.
    ///
    /// # Errors
    /// `NFS3ERR_EXIST` where it is there and must not be.
    pub(crate) async fn create_text(
        &self,
        table: &Arc<Table>,
        format: Format,
        how: &createhow3,
        client: &Client,
        author: &Author,
    ) -> Result<TextId, Status> {
        let latest = table
            .latest(self.lake.as_ref())
            .await
            .map_err(|error| status(error.kind))?;
        let id = table.text(&latest, format);
        let verifier = match how {
            createhow3::EXCLUSIVE(verifier) => Some(verifier.0),
            _ => None,
        };
        let (detached, own) = {
            let state = table.state.lock();
            let detached = state.detached.clone().filter(|detached| detached.format == format);
            (detached, state.sessions.get(&(id, client.clone())).cloned())
        };
        if let Some(own) = own {
            let session = own.lock().await;
            let repeated = verifier.is_some() && session.verifier == verifier;
            if repeated || matches!(how, createhow3::UNCHECKED(_)) {
                return Ok(id);
            }
            return Err(Status::NFS3ERR_EXIST);
        }
        let Some(detached) = detached else {
            return if matches!(how, createhow3::UNCHECKED(_)) {
                Ok(id)
            } else {
                Err(Status::NFS3ERR_EXIST)
            };
        };
        let rendering = self
            .renderer
            .open(detached.base.clone(), format)
            .await
            .map_err(|error| status(error.kind))?;
        let mut session = Session::new(
            &self.options.edits(),
            id,
            client.clone(),
            author.clone(),
            detached.base,
            rendering,
        )
        .map_err(|error| io_status(&error))?;
        session.resize(0).map_err(|error| io_status(&error))?;
        session.verifier = verifier;
        session.sync().await.map_err(|error| io_status(&error))?;
        // From here on the text that comes is what counts, also after a crash.
        let _ = std::fs::remove_file(self.options.edits().join(removal_name(table)));
        let mut state = table.state.lock();
        state.touch();
        state
            .sessions
            .insert((id, client.clone()), Arc::new(AsyncMutex::new(session)));
        Ok(id)
    }

    /// A name that the rows were moved to is given back to them.
    pub(crate) async fn reattach(&self, table: &Table, alias: &[u8], client: &Client) {
        let sessions: Vec<_> = {
            let mut state = table.state.lock();
            state.aliases.remove(alias);
            state.detached = None;
            state.turn();
            let of_client = state.sessions.iter().filter(|((_, of), _)| of == client);
            of_client.map(|(_, shared)| shared.clone()).collect()
        };
        for shared in sessions {
            self.end(table, shared.lock().await);
        }
    }

    /// Ends the wait for a file that lost its name, when it was long enough.
    pub(crate) async fn look_at_detached(&self, table: &Arc<Table>, closing: bool) {
        let detached = {
            let state = table.state.lock();
            let Some(detached) = state.detached.clone() else { return };
            let waits = detached.since.elapsed() < self.options.grace && !closing;
            if waits || state.is_made_anew(detached.format) {
                return;
            }
            detached
        };
        match detached.loss {
            Loss::Renamed => {
                let mut state = table.state.lock();
                state.refuse(&detached.author, "mv", detached.base.number, "the file of rows was moved away and nothing took its place: the table is as it was, and the name is back");
                state.detached = None;
                state.turn();
            }
            Loss::Removed => self.apply_removal(table, &detached).await,
        }
    }

    /// Empties the table whose rows were removed.
    pub(crate) async fn apply_removal(&self, table: &Arc<Table>, detached: &Detached) {
        let outcome = self.empty(table, &detached.base, &once(&detached.author)).await;
        let _ = std::fs::remove_file(self.options.edits().join(removal_name(table)));
        let mut state = table.state.lock();
        if let Err(refusal) = outcome {
            tracing::warn!(table = %table.name.table, "rm refused: {}", refusal.reason);
            state.refuse(&detached.author, "rm", detached.base.number, &refusal.reason);
        }
        state.detached = None;
        state.turn();
    }

    /// The handle that another name of the rows has.
    pub(crate) fn alias(&self, table: &Table, name: &[u8]) -> Option<Handle> {
        table.state.lock().aliases.get(name).cloned()
    }
}

pub(crate) fn removal_name(table: &Table) -> String {
    format!("removal-{:016x}", table.id)
}
