//! What outlives the process: the handles' key, edits that a crash interrupted, the record of statements.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex as AsyncMutex;
use xxhash_rust::xxh3::xxh3_64;

use super::Mount;
use super::boundary::{Moment, Outcome};
use super::edit::By;
use super::handle::{TextId, text_id};
use super::session::{Journal, Removal, Session};
use super::statement;
use super::table::{Client, Detached, Loss};
use crate::lake::{self, At, Author, TableName, Version};
use crate::render::Format;
use crate::scratch::Folder;

/// The handles' key, made at the first start, and the write verifier, another one at each start (RFC 1813, 3.3.7): which bytes of an edit were written is on
/// disk when they were committed, so clients have to send again what was not.
///
/// # Errors
/// Where the folder cannot be used.
pub(crate) fn keys(state: &Path) -> io::Result<(u64, [u8; 8])> {
    std::fs::create_dir_all(state.join("sessions"))?;
    std::fs::create_dir_all(state.join("rejected"))?;
    let path = state.join("key");
    let key = match std::fs::read(&path) {
        Ok(bytes) if bytes.len() == 16 => bytes,
        _ => {
            let bytes = uuid::Uuid::new_v4().into_bytes().to_vec();
            super::session::write_durably(state, "key", &bytes)?;
            bytes
        }
    };
    let (verifier, _) = uuid::Uuid::new_v4().as_u64_pair();
    Ok((xxh3_64(&key), verifier.to_be_bytes()))
}

impl Mount {
    /// Goes on with what a crash interrupted: texts that are whole become statements, unless they did so before; texts whose client was in the middle of
    /// writing wait for it; others are kept beside their table.
    pub(crate) async fn recover(&self) {
        let folder = self.options.edits();
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return;
        };
        let mut known = HashSet::new();
        let mut others = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if name.ends_with(".json")
                && let Ok(journal) = serde_json::from_slice::<Journal>(&bytes)
            {
                known.insert(journal.id.to_string());
                self.recover_session(journal, &path).await;
            } else if name.starts_with("removal-")
                && let Ok(removal) = serde_json::from_slice::<Removal>(&bytes)
            {
                self.recover_removal(&removal, &path).await;
            } else {
                others.push((name, path));
            }
        }
        for (name, path) in others {
            // Spools without a record, and files of edits that never became statements: nothing of them was acknowledged.
            if !known.iter().any(|id| name.starts_with(id.as_str())) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    async fn recover_session(&self, journal: Journal, path: &Path) {
        let name = TableName {
            schema: journal.schema.clone(),
            table: journal.table.clone(),
        };
        let spool = self.options.edits().join(format!("{}.data", journal.id));
        let id = journal.id;
        match self.reopened(journal, &name).await {
            Ok((text, client, session)) => {
                let table = self.table_of(&name);
                let cut_off = session.is_cut_off().await;
                let shared = Arc::new(AsyncMutex::new(session));
                table.state.lock().sessions.insert((text, client), shared.clone());
                if cut_off {
                    // Its client goes on with it when it finds the server again.
                    return;
                }
                match self.boundary(&table, &shared, Moment::Silence).await {
                    Outcome::Settled => tracing::info!(table = %name.table, "an interrupted edit is applied"),
                    Outcome::Refused(refusal) => {
                        tracing::warn!(table = %name.table, "an interrupted edit is refused: {}", refusal.reason)
                    }
                    Outcome::Kept => {
                        self.set_aside(&name, id, spool).await;
                        self.end(&table, shared.lock().await);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(table = %name.table, "an interrupted edit is set aside: {error}");
                self.set_aside(&name, id, spool).await;
                let _ = std::fs::remove_file(path);
            }
        }
    }

    async fn reopened(&self, journal: Journal, name: &TableName) -> lake::Result<(TextId, Client, Session)> {
        let format = if journal.json { Format::JsonLines } else { Format::Csv };
        let base = self.lake.version(name, &At::Version(journal.version)).await?;
        if base.id != journal.table_id {
            return Err(lake::LakeError {
                kind: lake::Kind::NotFound,
                message: "the table was made anew".to_string(),
            });
        }
        let rendering = self.renderer.open(base.clone(), format).await?;
        let (version, turn) = journal.line;
        let text = TextId {
            table: self.table_of(name).id,
            incarnation: text_id(&base.id),
            format,
            version,
            turn,
        };
        let client = Client(journal.client.clone());
        let session =
            Session::reopen(&self.options.edits(), journal, text, base, rendering).map_err(super::session::disk)?;
        Ok((text, client, session))
    }

    /// Keeps a text that is no edit yet, where its user finds it.
    async fn set_aside(&self, name: &TableName, id: uuid::Uuid, spool: PathBuf) {
        let short: String = id.simple().to_string().chars().take(8).collect();
        let folder = Folder::Mount(scratch_folder(name));
        let adopted = self
            .scratch
            .adopt(spool, &folder, format!("data.csv.pending-{short}").as_bytes(), None)
            .await;
        if let Err(status) = adopted.result {
            tracing::warn!(table = %name.table, "an interrupted edit cannot be kept: {status}");
        }
    }

    async fn recover_removal(&self, removal: &Removal, path: &Path) {
        let name = removal.name();
        let base = match self.lake.version(&name, &At::Version(removal.version)).await {
            Ok(base) if base.id == removal.table_id => base,
            _ => {
                let _ = std::fs::remove_file(path);
                return;
            }
        };
        let detached = Detached {
            format: Format::Csv,
            base,
            loss: Loss::Removed,
            since: Instant::now(),
            client: Client(String::new()),
            author: Author {
                user: removal.user.clone(),
                client: removal.author.clone(),
            },
        };
        self.apply_removal(&self.table_of(&name), &detached).await;
        let _ = std::fs::remove_file(path);
    }

    /// Notes a statement that an edit became, for `.sql`.
    pub(crate) async fn record(&self, sql: &str, version: &Version, rows: u64, by: &By) {
        let time = humantime::format_rfc3339_millis(std::time::SystemTime::now());
        let table = statement::table(&version.name);
        let line = format!(
            "-- {time} {table} version {} by {}, {rows} rows\n{sql};\n",
            version.number, by.author.client
        );
        let path = self.statements_path();
        let written = super::session::blocking(move || {
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(path)?
                .write_all(line.as_bytes())
        })
        .await;
        if let Err(error) = written {
            tracing::warn!("a statement is not noted: {error}");
        }
    }

    pub(crate) fn statements_path(&self) -> PathBuf {
        self.options.state.join("statements.sql")
    }
}

/// Where a table's scratch files are.
pub(crate) fn scratch_folder(name: &TableName) -> Vec<String> {
    name.schema
        .iter()
        .chain(std::iter::once(&name.table))
        .cloned()
        .collect()
}
