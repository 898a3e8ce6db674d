//! Log compaction files: several commits as one (Delta protocol, "Log Compaction Files").

use std::collections::{BTreeMap, HashMap};

use deltalake_core::kernel::{Action, DomainMetadata, Transaction};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::actions::CommitActions;
use super::files::FileKey;
use super::replay::needed_commit;
use super::{FOLDER, Snapshot};
use crate::error::{Error, Result};

/// How many commits are compacted into one file.
const COMMITS: u64 = 10;

/// The first of the commits that are to be compacted behind this version, where a table that has a checkpoint every
/// `interval` commits has reached the end of a group of them. Tables with frequent checkpoints need none.
pub(super) fn first_due(version: u64, interval: u64) -> Option<u64> {
    let behind = version % interval;
    let due = interval >= 2 * COMMITS && behind > 0 && behind.is_multiple_of(COMMITS);
    due.then(|| version + 1 - COMMITS)
}

/// The versions that a file of this name stands for, first and last; none where it is something else.
pub(super) fn range(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".compacted.json")?.split_once('.')?;
    let version = |text: &str| (text.len() == 20).then(|| text.parse().ok()).flatten();
    let (first, last) = (version(first)?, version(last)?);
    (first < last).then_some((first, last))
}

fn path(first: u64, last: u64) -> Path {
    Path::from(format!("{FOLDER}/{first:020}.{last:020}.compacted.json"))
}

/// The actions that a range of commits amounts to.
///
/// # Errors
/// Where the file cannot be read.
pub(super) async fn read(store: &dyn ObjectStore, first: u64, last: u64) -> Result<CommitActions> {
    let bytes = store.get(&path(first, last)).await?.bytes().await?;
    let parsed = tokio::task::spawn_blocking(move || CommitActions::parse(last, &bytes)).await;
    parsed.map_err(|error| Error::internal(error.to_string()))?
}

/// Writes what the commits from version `first` to the table's amount to.
///
/// # Errors
/// Where a commit cannot be read or the store fails.
pub(super) async fn write(table: &Snapshot, first: u64) -> Result<()> {
    let store = table.store();
    let mut sum = Sum::default();
    for version in first..=table.version() {
        sum.apply(needed_commit(store.as_ref(), version).await?);
    }
    let mut bytes = Vec::new();
    for action in sum.into_actions() {
        serde_json::to_writer(&mut bytes, &action).map_err(|error| Error::internal(error.to_string()))?;
        bytes.push(b'\n');
    }
    let options = PutOptions::from(PutMode::Create);
    match store
        .put_opts(&path(first, table.version()), bytes.into(), options)
        .await
    {
        // Another writer's says the same.
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What remains of the actions of some commits (Delta protocol, "Action Reconciliation").
#[derive(Default)]
struct Sum {
    protocol: Option<Action>,
    metadata: Option<Action>,
    transactions: BTreeMap<String, Transaction>,
    domains: BTreeMap<String, DomainMetadata>,
    /// The last word on each file, with its place among all.
    files: HashMap<FileKey, (usize, Action)>,
    came: usize,
}

impl Sum {
    fn apply(&mut self, commit: CommitActions) {
        let removes = commit.removes.into_iter();
        let removes = removes.map(|remove| (FileKey::of_remove(&remove), Action::Remove(remove)));
        let adds = commit.adds.into_iter();
        let adds = adds.map(|add| (FileKey::new(&add.path, add.deletion_vector.as_ref()), Action::Add(add)));
        for (key, action) in removes.chain(adds) {
            self.came += 1;
            self.files.insert(key, (self.came, action));
        }
        let transactions = commit.transactions.into_iter();
        self.transactions
            .extend(transactions.map(|transaction| (transaction.app_id.clone(), transaction)));
        // One that was removed is still said: it may stand before the first of the commits.
        let domains = commit.domains.into_iter();
        self.domains
            .extend(domains.map(|domain| (domain.domain.clone(), domain)));
        self.protocol = commit.protocol.map(Action::Protocol).or(self.protocol.take());
        self.metadata = commit.metadata.map(Action::Metadata).or(self.metadata.take());
    }

    fn into_actions(self) -> Vec<Action> {
        let mut actions: Vec<Action> = self.protocol.into_iter().chain(self.metadata).collect();
        actions.extend(self.transactions.into_values().map(Action::Txn));
        actions.extend(self.domains.into_values().map(Action::DomainMetadata));
        let mut files: Vec<(usize, Action)> = self.files.into_values().collect();
        files.sort_by_key(|(came, _)| *came);
        actions.extend(files.into_iter().map(|(_, action)| action));
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_end_between_checkpoints() {
        assert_eq!(first_due(10, 10), None);
        assert_eq!(first_due(10, 100), Some(1));
        assert_eq!(first_due(100, 100), None);
        assert_eq!(first_due(35, 25), Some(26));
        assert_eq!(first_due(30, 25), None);
    }

    #[test]
    fn names_tell_ranges() {
        let name = "00000000000000000004.00000000000000000006.compacted.json";
        assert_eq!(range(name), Some((4, 6)));
        assert_eq!(range("00000000000000000004.00000000000000000004.compacted.json"), None);
        assert_eq!(range("4.6.compacted.json"), None);
        assert_eq!(range("00000000000000000004.json"), None);
    }

    #[test]
    fn the_last_word_on_a_file_stays() {
        let first = r#"{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}
{"add":{"path":"b","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}
{"txn":{"appId":"app","version":1}}
{"cdc":{"path":"c","partitionValues":{},"size":1,"dataChange":false}}"#;
        let second = r#"{"commitInfo":{"operation":"DELETE"}}
{"remove":{"path":"a","deletionTimestamp":5,"dataChange":true}}
{"remove":{"path":"b","deletionTimestamp":5,"dataChange":true}}
{"txn":{"appId":"app","version":2}}"#;
        let third = r#"{"add":{"path":"b","partitionValues":{},"size":2,"modificationTime":1,"dataChange":true}}
{"domainMetadata":{"domain":"d","configuration":"","removed":true}}"#;
        let mut sum = Sum::default();
        for commit in [first, second, third] {
            sum.apply(CommitActions::parse(0, commit.as_bytes()).unwrap());
        }
        let words = sum.into_actions().into_iter().map(|action| match action {
            Action::Txn(transaction) => format!("txn {}", transaction.version),
            Action::DomainMetadata(domain) => format!("domain {}", domain.removed),
            Action::Remove(remove) => format!("remove {}", remove.path),
            Action::Add(add) => format!("add {} {}", add.path, add.size),
            other => format!("{other:?}"),
        });
        assert_eq!(
            words.collect::<Vec<_>>(),
            ["txn 2", "domain true", "remove a", "add b 2"]
        );
    }
}
