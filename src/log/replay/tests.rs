use std::collections::BTreeSet;

use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints;
use object_store::path::Path;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use super::Listing;
use crate::log::{FOLDER, Snapshot, commit_path};
use crate::store::Stores;

/// What a commit does: files that come (by number; one that is there comes back with other statistics), and files that go.
#[derive(Debug, Clone)]
struct Change {
    adds: Vec<u8>,
    removes: Vec<u8>,
    property: Option<u8>,
    transaction: Option<i64>,
}

fn change() -> impl Strategy<Value = Change> {
    (
        prop::collection::vec(0..40_u8, 0..6),
        prop::collection::vec(0..40_u8, 0..4),
        prop::option::weighted(0.1, any::<u8>()),
        prop::option::weighted(0.3, 0..1000_i64),
    )
        .prop_map(|(adds, removes, property, transaction)| Change {
            // One commit does not add and remove the same file (Delta protocol, "Action Reconciliation").
            removes: removes.into_iter().filter(|file| !adds.contains(file)).collect(),
            adds,
            property,
            transaction,
        })
}

/// What a version consists of: its files with their row counts, the property, and the transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    files: BTreeSet<(String, u64)>,
    property: Option<String>,
    transaction: Option<i64>,
}

fn path(file: u8) -> String {
    // Some names have signs that URIs escape.
    match file % 3 {
        0 => format!("part-{file}.parquet"),
        1 => format!("a folder/part {file}.parquet"),
        _ => format!("part-%25{file}.parquet"),
    }
}

/// The path as the log has it.
fn written(path: &str) -> String {
    path.replace('%', "%25").replace(' ', "%20")
}

fn metadata(property: Option<&String>) -> serde_json::Value {
    let schema = json!({ "type": "struct", "fields": [
        { "name": "id", "type": "long", "nullable": true, "metadata": {} }
    ]});
    let mut configuration = serde_json::Map::new();
    if let Some(property) = property {
        configuration.insert("p".to_string(), json!(property));
    }
    json!({ "metaData": {
        "id": "a", "format": { "provider": "parquet", "options": {} }, "schemaString": schema.to_string(),
        "partitionColumns": [], "configuration": configuration, "createdTime": 0,
    }})
}

impl Model {
    fn after(&self, version: u64, change: &Change) -> (Self, Vec<serde_json::Value>) {
        let mut next = self.clone();
        let mut lines = Vec::new();
        for file in &change.removes {
            next.files.retain(|(known, _)| *known != path(*file));
            lines.push(json!({ "remove": { "path": written(&path(*file)), "dataChange": true, "deletionTimestamp": 4_000_000_000_000_i64 } }));
        }
        for file in change.adds.iter().collect::<BTreeSet<_>>() {
            let rows = version * 100 + u64::from(*file);
            next.files.retain(|(known, _)| *known != path(*file));
            next.files.insert((path(*file), rows));
            lines.push(json!({ "add": {
                "path": written(&path(*file)), "partitionValues": {}, "size": 10, "modificationTime": 0, "dataChange": true,
                "stats": json!({ "numRecords": rows }).to_string(),
            }}));
        }
        if let Some(property) = change.property {
            next.property = Some(property.to_string());
            lines.push(metadata(next.property.as_ref()));
        }
        if let Some(transaction) = change.transaction {
            next.transaction = Some(transaction);
            lines.push(json!({ "txn": { "appId": "app", "version": transaction } }));
        }
        (next, lines)
    }

    fn of(snapshot: &Snapshot) -> Self {
        let files = snapshot.files().iter();
        Self {
            files: files
                .map(|file| (file.add.path.clone(), file.records().unwrap()))
                .collect(),
            property: snapshot.property("p").map(str::to_string),
            transaction: snapshot.transaction("app"),
        }
    }
}

fn write(folder: &TempDir, version: u64, lines: &[serde_json::Value]) {
    let path = folder.path().join(commit_path(version).as_ref());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, text).unwrap();
}

/// A folder's listing need not have a file that was made while it went on, though it has one that was made after it.
#[tokio::test]
async fn a_commit_that_a_listing_overlooked_is_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let protocol = json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } });
    write(&folder, 0, &[protocol, metadata(None)]);
    for version in 1..=3 {
        let transaction = json!({ "txn": { "appId": version.to_string(), "version": 0 } });
        write(&folder, version, &[transaction]);
    }
    let url = Url::from_directory_path(folder.path().canonicalize().unwrap()).unwrap();
    let store = Stores::default().log_store(&url).unwrap().object_store(None);
    let listed = store.list_with_delimiter(Some(&Path::from(FOLDER))).await.unwrap();
    let mut seen = listed.objects;
    seen.retain(|meta| meta.location != commit_path(2));
    assert_eq!(seen.len(), 3);
    let log = Listing::of(seen);
    let contents = log.contents(&store, log.latest().unwrap(), None).await.unwrap();
    assert_eq!(contents.transactions.len(), 3);

    std::fs::remove_file(folder.path().join(commit_path(2).as_ref())).unwrap();
    let error = log.contents(&store, 3, None).await.unwrap_err();
    assert!(error.to_string().contains("the log lacks version 2"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_way_to_a_version_leads_to_the_same_contents(
        changes in prop::collection::vec(change(), 1..25),
        checkpoint in 0..25_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = Url::from_directory_path(folder.path().canonicalize().unwrap()).unwrap();
        let stores = Stores::default();
        let log_store = stores.log_store(&url).unwrap();
        let load = |version: Option<u64>| {
            let log_store = log_store.clone();
            runtime.block_on(async { Snapshot::load(log_store, version).await.unwrap().unwrap() })
        };
        let protocol = json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } });
        write(&folder, 0, &[protocol, metadata(None)]);
        let first = load(None);
        let mut refreshed = first.clone();
        let mut models = vec![Model::default()];
        for (place, change) in changes.iter().enumerate() {
            let version = place as u64 + 1;
            let (next, lines) = models[place].after(version, change);
            write(&folder, version, &lines);
            models.push(next);
            refreshed = runtime.block_on(refreshed.refreshed()).unwrap();
            prop_assert_eq!(&Model::of(&refreshed), &models[place + 1], "one by one, version {}", version);
        }
        let last = models.last().unwrap();
        prop_assert_eq!(&Model::of(&load(None)), last, "by commits");
        prop_assert_eq!(&Model::of(&runtime.block_on(first.refreshed()).unwrap()), last, "at once");
        let version = (checkpoint % models.len()) as u64;
        runtime.block_on(async {
            let mut table = DeltaTable::new(log_store.clone());
            table.load_version(version).await.unwrap();
            let handle = tokio::runtime::Handle::current();
            let written = tokio::task::spawn_blocking(move || handle.block_on(checkpoints::create_checkpoint(&table, None)));
            written.await.unwrap().unwrap();
        });
        prop_assert_eq!(&Model::of(&load(None)), last, "by the checkpoint of version {}", version);
        for (version, model) in models.iter().enumerate().step_by(3) {
            prop_assert_eq!(&Model::of(&load(Some(version as u64))), model, "at version {}", version);
        }
    }
}
