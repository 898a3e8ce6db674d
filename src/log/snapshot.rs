//! One version of a table as its log tells it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use delta_kernel::table_properties::TableProperties;
use deltalake_core::kernel::{DomainMetadata, Metadata, Protocol, Transaction};
use deltalake_core::logstore::LogStoreRef;
use object_store::ObjectStore;
use url::Url;

use super::actions::CommitActions;
use super::files::Files;
use super::replay::{read_commit, replay};
use crate::error::Result;

/// One version of a table. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot(Arc<State>);

#[derive(Debug)]
struct State {
    log_store: LogStoreRef,
    contents: Contents,
}

/// What a version of a table consists of (Delta protocol, "Action Reconciliation").
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) version: u64,
    pub(super) protocol: Protocol,
    pub(super) metadata: Metadata,
    pub(super) files: Files,
    /// The last transaction of each application, by its id.
    pub(super) transactions: Arc<HashMap<String, Transaction>>,
    /// Metadata of each domain, by its name.
    pub(super) domains: Arc<BTreeMap<String, DomainMetadata>>,
    /// What tells the version's commit from every other; none where it is not known.
    pub(super) commit: Option<String>,
}

impl Snapshot {
    /// Reads a version, the latest where none is named; `None` where no table stands.
    ///
    /// # Errors
    /// Where the store fails, the log cannot be read, or the version is not in it.
    pub(crate) async fn load(log_store: LogStoreRef, version: Option<u64>) -> Result<Option<Self>> {
        let contents = replay(&log_store, version).await?;
        Ok(contents.map(|contents| Self(Arc::new(State { log_store, contents }))))
    }

    /// The latest version, from this one on: this one where nothing was committed since.
    ///
    /// # Errors
    /// Where the store fails or a commit cannot be read.
    pub(crate) async fn refreshed(&self) -> Result<Self> {
        let store = self.store();
        let mut contents = self.0.contents.clone();
        loop {
            let version = contents.version + 1;
            let Some(actions) = read_commit(store.as_ref(), version).await? else {
                break;
            };
            contents.apply(version, actions);
        }
        if contents.version == self.version() {
            return Ok(self.clone());
        }
        let log_store = self.0.log_store.clone();
        Ok(Self(Arc::new(State { log_store, contents })))
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.contents.version
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.0.contents.metadata
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.0.contents.protocol
    }

    /// The value of a table property.
    pub(crate) fn property(&self, key: &str) -> Option<&str> {
        self.metadata().configuration().get(key).map(String::as_str)
    }

    /// The table's properties, parsed.
    pub(crate) fn properties(&self) -> TableProperties {
        TableProperties::from(self.metadata().configuration().iter())
    }

    /// The live data files.
    pub(crate) fn files(&self) -> &Files {
        &self.0.contents.files
    }

    /// The version of an application's last transaction.
    pub(crate) fn transaction(&self, app_id: &str) -> Option<i64> {
        let transaction = self.0.contents.transactions.get(app_id);
        transaction.map(|transaction| transaction.version)
    }

    /// Whether an application's transaction, or a later one of it, stands.
    pub(crate) fn has(&self, transaction: &Transaction) -> bool {
        self.transaction(&transaction.app_id)
            .is_some_and(|last| last >= transaction.version)
    }

    /// The last transaction of each application.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.0.contents.transactions.values()
    }

    /// Metadata of each domain, by its name.
    pub(crate) fn domains(&self) -> &BTreeMap<String, DomainMetadata> {
        &self.0.contents.domains
    }

    pub(crate) fn log_store(&self) -> LogStoreRef {
        self.0.log_store.clone()
    }

    /// The store whose root is the table's folder.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.0.log_store.object_store(None)
    }

    /// The table's folder.
    pub(crate) fn url(&self) -> &Url {
        self.0.log_store.root_url()
    }

    /// Whether the version's commit is still the one that was read: a table that was dropped and made again has others.
    ///
    /// # Errors
    /// Where the store fails or the commit cannot be read.
    pub(super) async fn stands(&self) -> Result<bool> {
        let actions = read_commit(self.store().as_ref(), self.version()).await?;
        let was = self.0.contents.commit.as_deref();
        Ok(actions.is_some_and(|actions| was.is_none_or(|was| actions.id() == Some(was))))
    }
}

impl Contents {
    /// Goes on to the next version.
    pub(super) fn apply(&mut self, version: u64, mut actions: CommitActions) {
        self.version = version;
        self.commit = actions.id().map(ToString::to_string);
        let removed = actions.removed_keys();
        let added = actions.take_files();
        if !removed.is_empty() || !added.is_empty() {
            self.files = self.files.after(&removed, added);
        }
        if !actions.transactions.is_empty() {
            actions.note_transactions(Arc::make_mut(&mut self.transactions));
        }
        if !actions.domains.is_empty() {
            actions.note_domains(Arc::make_mut(&mut self.domains));
        }
        if let Some(protocol) = actions.protocol {
            self.protocol = protocol;
        }
        if let Some(metadata) = actions.metadata {
            self.metadata = metadata;
        }
    }
}
