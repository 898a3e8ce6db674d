//! Care for tables where files, logs and other writers take part.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use posixlake::{ErrorKind, Session};
use serde_json::{Value, json};

use crate::support::{Lake, lines, run, session};

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    lines(&run(session, sql).await.unwrap())
}

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|text| text == "parquet"))
        .collect();
    files.sort();
    files
}

/// Changes the actions of a commit.
fn rewrite_commit(table: &Path, version: u64, change: impl Fn(&mut Value)) {
    let path = table.join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        change(&mut action);
        action.to_string()
    });
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_takes_out_what_is_missing_and_nothing_else() {
    let lake = Lake::new();
    let session = lake.session().await;
    run(&session, "CREATE TABLE t (id BIGINT)").await.unwrap();
    for id in 0..3 {
        run(&session, &format!("INSERT INTO t VALUES ({id})")).await.unwrap();
    }
    let gone = data_files(&lake.path().join("t")).remove(1);
    std::fs::remove_file(&gone).unwrap();
    let name = gone.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        rows(&session, "FSCK REPAIR TABLE t DRY RUN").await,
        [format!("{name} true")]
    );
    assert_eq!(rows(&session, "SELECT current_version('t')").await, ["3"]);
    assert_eq!(rows(&session, "FSCK REPAIR TABLE t").await, [format!("{name} true")]);
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(rows(&session, "SELECT count(id) FROM t WHERE id >= 0").await, ["2"]);
    assert_eq!(rows(&session, "FSCK REPAIR TABLE t").await, Vec::<String>::new());
    let error = run(&session, "RESTORE TABLE t TO VERSION AS OF 3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains(name), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn analyze_gives_files_their_statistics() {
    let lake = Lake::new();
    let session = lake.session().await;
    run(
        &session,
        "CREATE TABLE t (id BIGINT, at TIMESTAMP, name STRING, price DECIMAL(10, 2), ratio DOUBLE)",
    )
    .await
    .unwrap();
    let insert = "INSERT INTO t VALUES (1, '2026-01-01 00:00:00.000001', 'a', 1.25, NULL), (9, '2026-01-02 00:00:00.5', 'b', -3, 0.5)";
    run(&session, insert).await.unwrap();
    let statistics = "SELECT num_records, min_values, max_values, null_counts FROM t$files";
    let written = rows(&session, statistics).await;
    session.close().await;

    rewrite_commit(&lake.path().join("t"), 1, |action| {
        if let Some(add) = action.get_mut("add").and_then(Value::as_object_mut) {
            add.remove("stats");
        }
    });
    let session = lake.session().await;
    assert_eq!(rows(&session, statistics).await, ["NULL NULL NULL NULL"]);
    assert_eq!(rows(&session, "ANALYZE TABLE t COMPUTE STATISTICS").await, ["1 1 2"]);
    assert_eq!(rows(&session, statistics).await, written);
    assert_eq!(
        rows(&session, "SELECT id FROM t WHERE at < '2026-01-01 00:00:00.000002'").await,
        ["1"]
    );
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(rows(&session, "ANALYZE TABLE t COMPUTE STATISTICS").await, ["0 1 0"]);
    assert_eq!(rows(&session, "SELECT current_version('t')").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_makes_the_same_table_again() {
    let lake = Lake::new();
    let session = lake.session().await;
    for definition in [
        "(id BIGINT NOT NULL, `Odd_Name` STRING COMMENT 'it''s', `Upper` INT, d DECIMAL(12, 3), \
         s STRUCT<a: INT NOT NULL COMMENT 'inner', b: ARRAY<MAP<STRING, DATE>>>, n TIMESTAMP_NTZ, \
         twice BIGINT GENERATED ALWAYS AS (id * 2), PRIMARY KEY (id), CONSTRAINT positive CHECK (id > 0), \
         CONSTRAINT named CHECK (`Odd_Name` <> 'x')) PARTITIONED BY (`Upper`) COMMENT 'all of it' \
         TBLPROPERTIES ('z' = '1', 'a' = 'it''s', 'delta.enableChangeDataFeed' = 'true')",
        "(id BIGINT, name STRING) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "(id BIGINT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "(id BIGINT)",
    ] {
        run(&session, &format!("CREATE OR REPLACE TABLE t {definition}"))
            .await
            .unwrap();
        let first = rows(&session, "SHOW CREATE TABLE t").await;
        let copy = first[0].replacen("CREATE TABLE t ", "CREATE OR REPLACE TABLE copy ", 1);
        run(&session, &copy).await.unwrap();
        let second = rows(&session, "SHOW CREATE TABLE copy").await;
        assert_eq!(second[0].replacen("TABLE copy ", "TABLE t ", 1), first[0]);
        let properties = rows(&session, "SHOW TBLPROPERTIES t").await;
        assert_eq!(
            rows(&session, "SHOW TBLPROPERTIES copy").await,
            properties,
            "{definition}"
        );
        let columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = ";
        let expected = rows(&session, &format!("{columns} 't'")).await;
        assert_eq!(
            rows(&session, &format!("{columns} 'copy'")).await,
            expected,
            "{definition}"
        );
    }
}

/// A deletion vector for some of the first rows of a file, as the log holds small ones (Delta protocol, "Deletion Vector
/// Format"): the portable form of a Roaring bitmap behind a magic number, in Z85.
fn deletion_vector(rows: &[u16]) -> Value {
    const DIGITS: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let mut bytes: Vec<u8> = Vec::new();
    bytes.extend(1_681_511_377_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    for word in [0_u32, 12346, 1] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend((rows.len() as u16 - 1).to_le_bytes());
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let text: String = bytes
        .chunks(4)
        .flat_map(|chunk| {
            let word = u32::from_be_bytes(chunk.try_into().unwrap());
            (0..5)
                .rev()
                .map(move |place| char::from(DIGITS[(word / 85_u32.pow(place) % 85) as usize]))
        })
        .collect();
    json!({ "storageType": "i", "pathOrInlineDv": text, "sizeInBytes": bytes.len(), "cardinality": rows.len() })
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_leaves_deleted_rows_behind() {
    let lake = Lake::new();
    let session = lake.session().await;
    run(
        &session,
        "CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
    )
    .await
    .unwrap();
    run(&session, "INSERT INTO t SELECT value FROM generate_series(0, 99)")
        .await
        .unwrap();
    session.close().await;
    rewrite_commit(&lake.path().join("t"), 1, |action| {
        if let Some(add) = action.get_mut("add") {
            add["deletionVector"] = deletion_vector(&[0, 5, 7, 50, 51, 52, 53, 54]);
        }
    });
    let session = lake.session().await;
    let sum = "SELECT count(*), sum(id) FROM t";
    let files = "SELECT num_records, num_deleted_records FROM t$files";
    assert_eq!(rows(&session, sum).await, ["92 4678"]);
    assert_eq!(rows(&session, files).await, ["100 8"]);
    assert_eq!(rows(&session, "SELECT num_records FROM t$partitions").await, ["92"]);
    let error = run(&session, "GENERATE symlink_format_manifest FOR TABLE t")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    run(&session, "OPTIMIZE t").await.unwrap();
    assert_eq!(rows(&session, sum).await, ["92 4678"]);
    assert_eq!(rows(&session, files).await, ["92 0"]);
    run(&session, "RESTORE TABLE t TO VERSION AS OF 1").await.unwrap();
    assert_eq!(rows(&session, sum).await, ["92 4678"]);
    assert_eq!(rows(&session, files).await, ["100 8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn optimize_loses_and_repeats_no_row_beside_writers() {
    let lake = Lake::new();
    let first = lake.session().await;
    run(&first, "CREATE TABLE t (id BIGINT, k INT) PARTITIONED BY (k)")
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let keepers = ["OPTIMIZE t", "OPTIMIZE t", "OPTIMIZE t ZORDER BY (id)"].map(|sql| {
        let (folder, done) = (lake.path().to_path_buf(), done.clone());
        tokio::spawn(async move {
            let session = session(&folder).await.unwrap();
            let mut times = 0;
            while !done.load(Ordering::Relaxed) {
                match run(&session, sql).await {
                    Ok(_) => times += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
            session.close().await;
            times
        })
    });
    let writers = (0..2).map(|writer: i64| {
        let folder = lake.path().to_path_buf();
        tokio::spawn(async move {
            let session = session(&folder).await.unwrap();
            for at in 0..12 {
                let id = writer * 1000 + at;
                run(&session, &format!("INSERT INTO t VALUES ({id}, {}), ({id}, 7)", at % 2))
                    .await
                    .unwrap();
            }
            session.close().await;
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    // What goes here must not come back with a file that is being written meanwhile.
    run(&first, "DELETE FROM t WHERE k = 7").await.unwrap();
    done.store(true, Ordering::Relaxed);
    for keeper in keepers {
        assert!(keeper.await.unwrap() > 0);
    }
    assert_eq!(
        rows(&first, "SELECT count(*), count(DISTINCT id), count(k) FROM t").await,
        ["24 24 24"]
    );
    let optimized = "SELECT count(*) > 0 FROM t$history WHERE operation = 'OPTIMIZE'";
    assert_eq!(rows(&first, optimized).await, ["true"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_copies_at_once_load_a_file_once() {
    let lake = Lake::new();
    let first = lake.session().await;
    run(&first, "CREATE TABLE t (id BIGINT)").await.unwrap();
    let files = lake.path().join("_files");
    std::fs::create_dir(&files).unwrap();
    for file in 0..6 {
        std::fs::write(files.join(format!("{file}.csv")), format!("id\n{file}\n")).unwrap();
    }
    let copies = (0..4).map(|_| {
        let (folder, files) = (lake.path().to_path_buf(), files.clone());
        tokio::spawn(async move {
            let session = session(&folder).await.unwrap();
            let copy = format!("COPY INTO t FROM '{}' FILEFORMAT = CSV", files.display());
            let loaded = rows(&session, &copy).await;
            session.close().await;
            loaded
        })
    });
    let mut loaded = Vec::new();
    for copy in copies.collect::<Vec<_>>() {
        loaded.extend(copy.await.unwrap());
    }
    loaded.sort();
    assert_eq!(loaded, ["0 0 6", "0 0 6", "0 0 6", "6 6 0"]);
    assert_eq!(
        rows(&first, "SELECT count(*), count(DISTINCT id) FROM t").await,
        ["6 6"]
    );
}
