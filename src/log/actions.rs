//! A commit file as its actions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deltalake_core::kernel::{Add, AddCDCFile, DomainMetadata, Metadata, Protocol, Remove, Transaction};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::{DataFile, FileKey};
use crate::error::{Error, Result};

/// One line of a commit. Kinds of actions that are not known here say nothing about the table's state (Delta protocol,
/// "Actions": what changes it comes with a table feature).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    cdc: Option<AddCDCFile>,
    meta_data: Option<Metadata>,
    protocol: Option<Protocol>,
    txn: Option<Transaction>,
    domain_metadata: Option<DomainMetadata>,
    commit_info: Option<Map<String, Value>>,
    sidecar: Option<Sidecar>,
}

/// A file with more actions of a checkpoint.
#[derive(Debug, Deserialize)]
struct Sidecar {
    path: String,
}

/// What one commit says.
#[derive(Debug, Default)]
pub(crate) struct CommitActions {
    pub(crate) adds: Vec<Add>,
    pub(crate) removes: Vec<Remove>,
    pub(crate) changes: Vec<AddCDCFile>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) domains: Vec<DomainMetadata>,
    /// Only checkpoints have them.
    pub(super) sidecars: Vec<String>,
    /// Files of a checkpoint that were read without their lines.
    pub(super) files: Vec<Arc<DataFile>>,
    /// Empty where the commit has no such action.
    pub(crate) info: Map<String, Value>,
}

impl CommitActions {
    /// The actions of a commit file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corrupt`] with the line that is not an action.
    pub(crate) fn parse(version: u64, bytes: &[u8]) -> Result<Self> {
        let mut actions = Self::default();
        actions.parse_more(version, bytes)?;
        Ok(actions)
    }

    /// Takes up more actions, as those of a later line of the same commit.
    ///
    /// # Errors
    /// As [`CommitActions::parse`].
    pub(super) fn parse_more(&mut self, version: u64, bytes: &[u8]) -> Result<()> {
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                Error::corrupt(format!(
                    "commit {version} of the log cannot be read: line {}: {error}",
                    number + 1
                ))
                .with_source(error)
            })?;
            self.adds.extend(line.add);
            self.removes.extend(line.remove);
            self.changes.extend(line.cdc);
            self.metadata = line.meta_data.or(self.metadata.take());
            self.protocol = line.protocol.or(self.protocol.take());
            self.transactions.extend(line.txn);
            self.domains.extend(line.domain_metadata);
            self.sidecars.extend(line.sidecar.map(|sidecar| sidecar.path));
            if let Some(info) = line.commit_info {
                self.info = info;
            }
        }
        Ok(())
    }

    /// What tells the commit from every other, where its writer says it.
    pub(super) fn id(&self) -> Option<&str> {
        let id = self.info.get("operationId").or_else(|| self.info.get("txnId"));
        id.and_then(Value::as_str)
    }

    /// Whether the commit added rows without reading any, as its writer says.
    pub(crate) fn is_blind_append(&self) -> bool {
        self.info.get("isBlindAppend").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn removed_keys(&self) -> HashSet<FileKey> {
        self.removes.iter().map(FileKey::of_remove).collect()
    }

    pub(super) fn take_files(&mut self) -> Vec<Arc<DataFile>> {
        let mut files = std::mem::take(&mut self.files);
        let adds = std::mem::take(&mut self.adds);
        files.extend(adds.into_iter().map(|add| Arc::new(DataFile::new(add))));
        files
    }

    pub(super) fn note_transactions(&mut self, into: &mut HashMap<String, Transaction>) {
        let transactions = self.transactions.drain(..);
        into.extend(transactions.map(|transaction| (transaction.app_id.clone(), transaction)));
    }

    pub(super) fn note_domains(&mut self, into: &mut BTreeMap<String, DomainMetadata>) {
        for domain in self.domains.drain(..) {
            if domain.removed {
                into.remove(&domain.domain);
            } else {
                into.insert(domain.domain.clone(), domain);
            }
        }
    }
}
