//! What a mount is at: for `.status`, and for views of it.

use super::table::Loss;
use super::{Mount, statement};
use crate::render::Statistics;

/// An edit that is not in its table yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEdit {
    /// The table, as SQL writes it.
    pub table: String,
    /// Whose it is.
    pub client: String,
    /// The version that it began with.
    pub version: u64,
    /// The file of rows was removed; else it was written to.
    pub removed: bool,
}

/// What a mount is at.
#[derive(Debug, Clone)]
pub struct State {
    /// Edits under way.
    pub edits: Vec<PendingEdit>,
    /// Bytes of ordinary files.
    pub scratch_bytes: u64,
    /// How many ordinary files, folders and links there are.
    pub scratch_files: u64,
    /// Rows as text: what is kept of them, and what was done for that.
    pub render: Statistics,
}

impl State {
    /// The counts by name.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let render = &self.render;
        vec![
            ("pending_edits", self.edits.len() as u64),
            ("scratch_bytes", self.scratch_bytes),
            ("scratch_files", self.scratch_files),
            ("indexes_built", render.indexes_built),
            ("indexes_in_memory", render.indexes_in_memory),
            ("indexes_on_disk", render.indexes_on_disk),
            ("texts_in_memory", render.blocks_in_memory),
            ("text_bytes_in_memory", render.bytes_in_memory),
            ("texts_on_disk", render.blocks_on_disk),
            ("text_bytes_on_disk", render.bytes_on_disk),
            ("memory_hits", render.memory_hits),
            ("disk_hits", render.disk_hits),
            ("misses", render.misses),
            ("rendered_chunks", render.rendered_chunks),
            ("rendered_rows", render.rendered_rows),
            ("rendered_bytes", render.rendered_bytes),
        ]
    }
}

impl Mount {
    /// What the mount is at.
    pub fn state(&self) -> State {
        let mut edits = Vec::new();
        for table in self.all_tables() {
            let state = table.state.lock();
            let name = statement::table(&table.name);
            edits.extend(state.sessions.keys().map(|(id, client)| PendingEdit {
                table: name.clone(),
                client: client.0.clone(),
                version: id.version,
                removed: false,
            }));
            edits.extend(state.detached.as_ref().map(|detached| PendingEdit {
                table: name.clone(),
                client: detached.client.0.clone(),
                version: detached.base.number,
                removed: detached.loss == Loss::Removed,
            }));
        }
        let usage = self.scratch.usage();
        State {
            edits,
            scratch_bytes: usage.bytes,
            scratch_files: usage.objects,
            render: self.renderer.statistics(),
        }
    }

    /// What `.status` shows.
    pub(super) fn state_text(&self) -> String {
        let state = self.state();
        let edits = state.edits.iter().map(|edit| {
            serde_json::json!({
                "table": edit.table,
                "client": edit.client,
                "version": edit.version,
                "removed": edit.removed,
            })
        });
        let mut status = serde_json::json!({
            "started": humantime::format_rfc3339_millis(self.started).to_string(),
            "edits": edits.collect::<Vec<_>>(),
        });
        if let Some(status) = status.as_object_mut() {
            let counts = state.counts().into_iter();
            status.extend(counts.map(|(name, count)| (name.to_string(), count.into())));
        }
        format!("{status:#}\n")
    }
}
