use std::fs;
use std::path::PathBuf;

use chrono::Utc;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::write::write_in_parts;
use crate::error::Result;
use crate::log::Snapshot;
use crate::store::Stores;

/// A table whose log is made by hand.
struct Table {
    folder: TempDir,
}

impl Table {
    /// With five files, one of them hidden by a deletion vector, and two that were removed, one of them long ago.
    fn new(features: &[&str], properties: Value) -> Self {
        let table = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir_all(table.log()).unwrap();
        let schema = json!({ "type": "struct", "fields": [
            { "name": "id", "type": "long", "nullable": true, "metadata": {} },
            { "name": "at", "type": "timestamp", "nullable": true, "metadata": {} },
            { "name": "inner", "nullable": true, "metadata": {}, "type": { "type": "struct", "fields": [
                { "name": "price", "type": "decimal(10,2)", "nullable": true, "metadata": {} },
                { "name": "ratio", "type": "double", "nullable": true, "metadata": {} },
            ] } },
            { "name": "day", "type": "date", "nullable": true, "metadata": {} },
        ] });
        table.commit(0, &[
            json!({ "protocol": { "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features } }),
            json!({ "metaData": { "id": "one", "format": { "provider": "parquet", "options": {} }, "schemaString": schema.to_string(),
                "partitionColumns": ["day"], "configuration": properties, "createdTime": 1 } }),
            json!({ "txn": { "appId": "app", "version": 7, "lastUpdated": 1 } }),
            json!({ "domainMetadata": { "domain": "d", "configuration": "{}", "removed": false } }),
        ]);
        let adds: Vec<Value> = (0..5).map(add).chain([add(8), add(9)]).collect();
        table.commit(1, &adds);
        table.commit(2, &[remove(8, 1), remove(9, Utc::now().timestamp_millis())]);
        table
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("_delta_log")
    }

    fn commit(&self, version: u64, actions: &[Value]) {
        let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
        fs::write(self.log().join(format!("{version:020}.json")), lines.join("\n")).unwrap();
    }

    fn forget_commits(&self) {
        for version in 0..=2 {
            fs::remove_file(self.log().join(format!("{version:020}.json"))).unwrap();
        }
    }

    async fn open(&self) -> Result<Snapshot> {
        let url = Url::from_directory_path(self.folder.path()).unwrap();
        let log_store = Stores::default().log_store(&url)?;
        Ok(Snapshot::load(log_store, None).await?.unwrap())
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.log().join(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn add(number: u64) -> Value {
    let id = if number == 3 { json!("no number") } else { json!(number) };
    let statistics = json!({
        "numRecords": 10 + number,
        "minValues": { "id": id, "at": "2026-01-01T00:00:00.000Z", "inner": { "price": 1.25, "ratio": 0.5 } },
        "maxValues": { "id": number, "at": "2026-01-02T00:00:00.000Z", "inner": { "price": 99.50, "ratio": 0.5 } },
        "nullCount": { "id": 0, "at": 1, "inner": { "price": 2, "ratio": 3 } },
    });
    let day = if number == 2 { Value::Null } else { json!("2026-02-03") };
    let vector = json!({ "storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, "sizeInBytes": 40, "cardinality": 6 });
    json!({ "add": {
        "path": format!("a%20file%20{number}.parquet"), "partitionValues": { "day": day }, "size": 100 + number,
        "modificationTime": 5, "dataChange": true, "stats": statistics.to_string(), "tags": { "k": "v" },
        "deletionVector": if number == 1 { vector } else { Value::Null }, "baseRowId": 17,
    } })
}

fn remove(number: u64, time: i64) -> Value {
    json!({ "remove": {
        "path": format!("a%20file%20{number}.parquet"), "deletionTimestamp": time, "dataChange": true,
        "extendedFileMetadata": true, "partitionValues": { "day": "2026-02-03" }, "size": 100 + number,
    } })
}

/// All that a snapshot says, as one value.
fn said(table: &Snapshot) -> Value {
    let files = table.files().iter().map(|file| {
        let mut add = serde_json::to_value(&file.add).unwrap();
        add["dataChange"] = Value::Null;
        add["stats"] = Value::Object(file.statistics().clone());
        add
    });
    json!({
        "version": table.version(),
        "protocol": table.protocol(),
        "metadata": table.metadata(),
        "files": files.collect::<Vec<_>>(),
        "transactions": table.transactions().collect::<Vec<_>>(),
        "domains": table.domains(),
    })
}

#[tokio::test]
async fn a_classic_checkpoint_says_what_the_commits_say() {
    let table = Table::new(&["deletionVectors"], json!({}));
    let before = table.open().await.unwrap();
    write_in_parts(&before, 2).await.unwrap();
    assert_eq!(table.names("_sidecars"), Vec::<String>::new());
    table.forget_commits();
    let after = table.open().await.unwrap();
    assert_eq!(said(&after), said(&before));
    let hint: Value = serde_json::from_slice(&fs::read(table.log().join("_last_checkpoint")).unwrap()).unwrap();
    let size = fs::metadata(table.log().join("00000000000000000002.checkpoint.parquet"))
        .unwrap()
        .len();
    let expected = json!({ "version": 2, "size": 10, "sizeInBytes": size, "numOfAddFiles": 5 });
    assert_eq!(hint, expected);
}

#[tokio::test]
async fn a_mistaken_hint_is_replaced_and_a_newer_one_is_not() {
    let table = Table::new(&["deletionVectors"], json!({}));
    let snapshot = table.open().await.unwrap();
    let path = table.log().join("_last_checkpoint");
    let hinted = || {
        let hint: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        hint["version"].as_u64().unwrap()
    };
    fs::write(&path, r#"{"version":99999,"size":3}"#).unwrap();
    write_in_parts(&snapshot, 2).await.unwrap();
    assert_eq!(hinted(), 2);
    table.commit(3, &[add(6)]);
    write_in_parts(&table.open().await.unwrap(), 2).await.unwrap();
    write_in_parts(&snapshot, 2).await.unwrap();
    assert_eq!(hinted(), 3);
}

#[tokio::test]
async fn sidecars_share_the_files() {
    let table = Table::new(&["deletionVectors", "v2Checkpoint"], json!({}));
    let before = table.open().await.unwrap();
    write_in_parts(&before, 2).await.unwrap();
    // Five files and one tombstone.
    assert_eq!(table.names("_sidecars").len(), 3);
    table.forget_commits();
    let after = table.open().await.unwrap();
    assert_eq!(said(&after), said(&before));
    fs::remove_file(table.log().join("_last_checkpoint")).unwrap();
    assert_eq!(said(&table.open().await.unwrap()), said(&before));
    // A checkpoint without one of its sidecars is none.
    fs::remove_file(table.log().join("_sidecars").join(&table.names("_sidecars")[0])).unwrap();
    assert!(table.open().await.is_err());
}

#[tokio::test]
async fn tombstones_stay_until_they_expire() {
    for policy in ["classic", "v2"] {
        let features = ["deletionVectors", "v2Checkpoint"];
        let table = Table::new(&features, json!({ "delta.checkpointPolicy": policy }));
        let snapshot = table.open().await.unwrap();
        // The second is made from the first.
        for _ in 0..2 {
            write_in_parts(&snapshot, 2).await.unwrap();
            let removes = super::tombstones::gather(&snapshot, 0).await.unwrap();
            let paths: Vec<&str> = removes.iter().map(|remove| remove.path.as_str()).collect();
            assert_eq!(paths, ["a file 9.parquet"], "{policy}");
            assert_eq!(removes[0].size, Some(109));
            assert_eq!(
                removes[0].partition_values.as_ref().unwrap()["day"].as_deref(),
                Some("2026-02-03")
            );
        }
    }
}

#[tokio::test]
async fn old_transactions_go_where_the_table_wants_it() {
    let property = json!({ "delta.setTransactionRetentionDuration": "interval 1 day" });
    let table = Table::new(&["deletionVectors"], property);
    let before = table.open().await.unwrap();
    assert_eq!(before.transaction("app"), Some(7));
    write_in_parts(&before, 2).await.unwrap();
    assert_eq!(table.open().await.unwrap().transaction("app"), None);
}

#[tokio::test]
async fn statistics_are_kept_as_values() {
    let properties = json!({
        "delta.checkpoint.writeStatsAsJson": "false",
        "delta.checkpoint.writeStatsAsStruct": "true",
    });
    let table = Table::new(&["deletionVectors"], properties);
    let before = table.open().await.unwrap();
    write_in_parts(&before, 2).await.unwrap();
    table.forget_commits();
    let after = table.open().await.unwrap();
    for (was, is) in before.files().iter().zip(after.files().iter()) {
        assert_eq!(is.add.path, was.add.path);
        if was.add.path.contains('3') {
            // One of its bounds is none.
            assert_eq!(Value::Object(is.statistics().clone()), json!({ "numRecords": 13 }));
            continue;
        }
        let (was, is) = (was.statistics(), is.statistics());
        for key in ["numRecords", "nullCount"] {
            assert_eq!(is[key], was[key]);
        }
        assert_eq!(is["minValues"]["id"], was["minValues"]["id"]);
        assert_eq!(is["minValues"]["inner"], was["minValues"]["inner"]);
        assert_eq!(is["maxValues"]["at"], "2026-01-02T00:00:00Z");
    }
}

#[tokio::test]
async fn a_checksum_that_contradicts_stops_a_checkpoint() {
    let table = Table::new(&["deletionVectors"], json!({}));
    let snapshot = table.open().await.unwrap();
    crate::log::checksum::write(&snapshot).await.unwrap();
    let path = table.log().join("00000000000000000002.crc");
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(r#""numFiles":5"#) && text.contains(r#""tableSizeBytes":510"#),
        "{text}"
    );
    write_in_parts(&snapshot, 2).await.unwrap();
    fs::write(&path, text.replace(r#""numFiles":5"#, r#""numFiles":6"#)).unwrap();
    let error = write_in_parts(&snapshot, 2).await.unwrap_err();
    assert!(
        error.message().contains("5 files by the log and 6 by its checksum"),
        "{error}"
    );
    fs::write(&path, "{").unwrap();
    write_in_parts(&snapshot, 2).await.unwrap();
}
