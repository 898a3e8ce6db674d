//! EXPLAIN of every statement plans it and leaves the lake's folder byte for byte as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use posixlake::{ErrorKind, Session};

use crate::support::{Lake, lines, run};

const PREPARATION: &[&str] = &[
    "CREATE TABLE sales (id BIGINT NOT NULL, shop STRING, amount DOUBLE, day DATE) PARTITIONED BY (day) \
     TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "INSERT INTO sales VALUES (1, 'north', 10, DATE '2026-11-01'), (2, 'south', 20, DATE '2026-11-02')",
    "INSERT INTO sales VALUES (3, 'north', 30, DATE '2026-11-01')",
    "ALTER TABLE sales ADD CONSTRAINT positive CHECK (amount >= 0)",
    "CREATE TABLE fixed (id BIGINT NOT NULL, shop STRING, amount DOUBLE, day DATE, PRIMARY KEY (id))",
    "INSERT INTO fixed VALUES (2, 'south', 21, DATE '2026-11-02'), (4, 'west', 40, DATE '2026-11-03')",
    "COPY (SELECT * FROM fixed) TO '$LAKE/plain/rows.parquet'",
    "COPY (SELECT * FROM fixed) TO '$LAKE/plain/rows.csv'",
    "PREPARE ready AS INSERT INTO fixed VALUES ($1, 'east', 1, NULL)",
    "CREATE VIEW northern AS SELECT * FROM sales WHERE shop = 'north'",
];

/// Statements that plan.
pub(crate) const STATEMENTS: &[&str] = &[
    // Query.
    "SELECT * FROM sales",
    "SELECT * FROM sales VERSION AS OF 1 AS before JOIN sales AS after ON before.id = after.id",
    "SELECT count(*) FROM sales VERSION AS OF 0",
    "SELECT * FROM sales@v1",
    "SELECT * FROM sales$history",
    "SELECT * FROM sales$files",
    "SELECT * FROM table_changes('sales', 0)",
    "SELECT * FROM delta.`$LAKE/sales`",
    "SELECT * FROM '$LAKE/plain/rows.csv'",
    "SELECT * FROM read_csv('$LAKE/plain/rows.csv', header => true)",
    "SELECT * FROM read_parquet('$LAKE/plain/*.parquet')",
    "SELECT * FROM northern",
    "VALUES (1), (2)",
    "DESCRIBE sales",
    "DESCRIBE HISTORY sales LIMIT 2",
    "DESCRIBE DETAIL sales",
    "SHOW TABLES",
    "SHOW COLUMNS FROM sales",
    "SHOW TBLPROPERTIES sales",
    "SHOW PARTITIONS sales",
    "SHOW CREATE TABLE sales",
    "SHOW PROCEDURES",
    "CREATE SECRET s (TYPE s3, SCOPE 's3://bucket/folder', KEY_ID 'k', SECRET 'v')",
    "SHOW SECRETS",
    "SHOW datafusion.execution.time_zone",
    // Definition.
    "CREATE TABLE other (id BIGINT, PRIMARY KEY (id), CONSTRAINT small CHECK (id < 10)) COMMENT 'x'",
    "CREATE TABLE IF NOT EXISTS sales (id BIGINT)",
    "CREATE TABLE parts (id BIGINT, day DATE, year INT GENERATED ALWAYS AS (extract(year FROM day))) PARTITIONED BY (day)",
    "CREATE TABLE other USING DELTA AS SELECT * FROM sales",
    "CREATE TABLE other LOCATION '$LAKE/elsewhere/other' AS SELECT 1 AS a",
    "CREATE OR REPLACE TABLE sales AS SELECT * FROM fixed",
    "CREATE OR REPLACE TABLE sales (a INT)",
    "CREATE TABLE other LIKE sales",
    "CREATE TABLE other SHALLOW CLONE sales VERSION AS OF 1",
    "CREATE TABLE other CLONE sales",
    "CREATE EXTERNAL TABLE again STORED AS DELTA LOCATION '$LAKE/sales'",
    "CREATE EXTERNAL TABLE plain STORED AS PARQUET LOCATION '$LAKE/plain/rows.parquet'",
    "CREATE SCHEMA archive",
    "CREATE VIEW big AS SELECT * FROM sales WHERE amount > 15",
    "CONVERT TO DELTA parquet.`$LAKE/plain`",
    "DROP TABLE fixed",
    "DROP TABLE IF EXISTS missing",
    "DROP VIEW northern",
    "ALTER TABLE sales ADD COLUMN note STRING COMMENT 'said'",
    "ALTER TABLE sales ADD COLUMNS (a INT, b STRUCT<x: INT>)",
    "ALTER TABLE sales ALTER COLUMN id DROP NOT NULL",
    "ALTER TABLE sales ALTER COLUMN shop SET NOT NULL",
    "ALTER TABLE sales ALTER COLUMN shop COMMENT 'where'",
    "ALTER TABLE sales ADD CONSTRAINT known CHECK (shop IS NOT NULL)",
    "ALTER TABLE sales DROP CONSTRAINT positive",
    "ALTER TABLE sales SET TBLPROPERTIES ('delta.appendOnly' = 'true')",
    "ALTER TABLE sales UNSET TBLPROPERTIES ('delta.enableChangeDataFeed')",
    "ALTER TABLE sales ADD PRIMARY KEY (id)",
    "ALTER TABLE fixed DROP PRIMARY KEY",
    "ALTER TABLE fixed RENAME TO repaired",
    "COMMENT ON TABLE sales IS 'all shops'",
    "COMMENT ON COLUMN sales.shop IS 'where'",
    // Change.
    "INSERT INTO sales VALUES (5, 'east', 50, DATE '2026-11-05')",
    "INSERT INTO sales (id, amount) SELECT id, amount FROM fixed",
    "INSERT INTO sales BY NAME SELECT 5 AS id, 'east' AS shop",
    "INSERT WITH SCHEMA EVOLUTION INTO sales SELECT *, 1 AS more FROM fixed",
    "INSERT OVERWRITE sales SELECT * FROM fixed",
    "INSERT OVERWRITE sales PARTITION (day = '2026-11-01') SELECT id, shop, amount FROM fixed",
    "INSERT INTO sales REPLACE WHERE day = DATE '2026-11-02' SELECT * FROM fixed WHERE id = 2",
    "INSERT INTO sales SELECT * FROM '$LAKE/plain/rows.parquet'",
    "UPDATE sales SET amount = amount * 2 WHERE id = 1",
    "UPDATE sales AS s SET amount = f.amount FROM fixed AS f WHERE f.id = s.id",
    "DELETE FROM sales WHERE shop = 'north'",
    "DELETE FROM sales AS s USING fixed AS f WHERE f.id = s.id",
    "TRUNCATE TABLE sales",
    "MERGE INTO sales AS t USING fixed AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * \
     WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE AND t.amount > 100 THEN DELETE",
    "MERGE INTO fixed AS t USING '$LAKE/plain/rows.parquet' AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "COPY INTO fixed FROM '$LAKE/plain/rows.csv' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')",
    "COPY sales TO '$LAKE/out/sales.parquet'",
    "COPY (SELECT 1 AS a) TO '$LAKE/out/one.csv'",
    // Maintenance.
    "OPTIMIZE sales",
    "OPTIMIZE sales WHERE day = '2026-11-01'",
    "OPTIMIZE sales ZORDER BY (id, shop)",
    "VACUUM sales",
    "VACUUM sales RETAIN 200 HOURS DRY RUN",
    "RESTORE TABLE sales TO VERSION AS OF 1",
    "RESTORE TABLE sales TO VERSION AS OF 0",
    "BACKUP TABLE sales TO '$LAKE/../backup'",
    "BACKUP LAKE TO '$LAKE/../backup' INCREMENTAL",
    "VERIFY BACKUP '$LAKE/../backup'",
    "RESTORE TABLE sales AS then FROM '$LAKE/../backup' TO VERSION AS OF 1",
    "RESTORE LAKE FROM '$LAKE/../backup' TO TIMESTAMP AS OF now() OVERWRITE",
    "FSCK REPAIR TABLE sales",
    "CHECKPOINT sales",
    "GENERATE symlink_format_manifest FOR TABLE sales",
    "ANALYZE TABLE sales COMPUTE STATISTICS",
    "CALL optimize('sales')",
    "CALL zorder('sales', ARRAY['id', 'shop'])",
    "CALL vacuum('sales', retain_hours => 200, dry_run => false)",
    "CALL restore('sales', version => 1)",
    "CALL checkpoint('sales')",
    // The session.
    "PREPARE later AS DELETE FROM sales WHERE id = $1",
    "EXECUTE ready(9)",
    "DEALLOCATE ready",
];

/// What EXPLAIN refuses as the statement itself is refused.
const REFUSED: &[(&str, ErrorKind)] = &[
    ("SELECT * FROM missing", ErrorKind::NotFound),
    ("SELECT * FROM sales VERSION AS OF 99", ErrorKind::NotFound),
    ("INSERT INTO missing VALUES (1)", ErrorKind::NotFound),
    ("UPDATE sales SET missing = 1", ErrorKind::NotFound),
    ("DELETE FROM sales VERSION AS OF 1", ErrorKind::Syntax),
    ("OPTIMIZE missing", ErrorKind::NotFound),
    ("VACUUM sales RETAIN 1 HOURS", ErrorKind::Invalid),
    ("BACKUP TABLE missing TO '$LAKE/../backup'", ErrorKind::NotFound),
    ("BACKUP LAKE TO '$LAKE/backup'", ErrorKind::Invalid),
    ("CREATE TABLE sales AS SELECT 1 AS a", ErrorKind::AlreadyExists),
    ("ALTER TABLE sales DROP COLUMN shop", ErrorKind::Unsupported),
    ("ALTER TABLE sales RENAME COLUMN shop TO place", ErrorKind::Unsupported),
    ("REORG TABLE missing APPLY (PURGE)", ErrorKind::NotFound),
    ("CALL missing()", ErrorKind::NotFound),
];

#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    bytes: Option<Vec<u8>>,
    modified: SystemTime,
}

/// Everything in a folder, with contents and times.
pub(crate) fn everything(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let modified = fs::metadata(&folder).unwrap().modified().unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                let bytes = Some(fs::read(&path).unwrap());
                entries.insert(path, Entry { bytes, modified });
            }
        }
        entries.insert(folder, Entry { bytes: None, modified });
    }
    entries
}

pub(crate) fn differences(before: &BTreeMap<PathBuf, Entry>, after: &BTreeMap<PathBuf, Entry>) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, entry) in before {
        match after.get(path) {
            None => differences.push(format!("removed {}", path.display())),
            Some(now) if now != entry => differences.push(format!("changed {}", path.display())),
            Some(_) => {}
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    differences.extend(new.map(|path| format!("added {}", path.display())));
    differences
}

/// What the session itself holds: names, settings.
async fn session_state(session: &Session) -> Vec<String> {
    let mut state = lines(&run(session, "SHOW TABLES").await.unwrap());
    state.sort();
    state.extend(lines(
        &run(session, "SHOW datafusion.execution.batch_size").await.unwrap(),
    ));
    state
}

#[tokio::test]
async fn explain_changes_nothing() {
    let lake = Lake::new();
    let folder = lake.path().canonicalize().unwrap();
    let in_place = |sql: &str| sql.replace("$LAKE", folder.to_str().unwrap());
    let session = lake.session().await;
    for sql in PREPARATION {
        run(&session, &in_place(sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    session.close().await;

    let before = everything(&folder);
    let state = session_state(&session).await;
    let mut wrong = Vec::new();
    let forms = ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN FORMAT TREE"];
    for (at, sql) in STATEMENTS.iter().enumerate() {
        // Each statement in the plain form, and the others in turn.
        for form in [forms[0], forms[at % forms.len()]] {
            match run(&session, &in_place(&format!("{form} {sql}"))).await {
                Ok(plan) if lines(&plan).is_empty() => wrong.push(format!("{form} {sql}: no plan")),
                Ok(_) => {}
                Err(error) => wrong.push(format!("{form} {sql}: {:?}: {error}", error.kind())),
            }
        }
        session.close().await;
        let changed = differences(&before, &everything(&folder));
        assert!(changed.is_empty(), "EXPLAIN {sql}: {changed:#?}");
    }
    for (sql, kind) in REFUSED {
        match run(&session, &in_place(&format!("EXPLAIN {sql}"))).await {
            Ok(plan) => wrong.push(format!("EXPLAIN {sql}: expected an error, got {:?}", lines(&plan))),
            Err(error) if error.kind() != *kind => {
                wrong.push(format!(
                    "EXPLAIN {sql}: expected {kind:?}, got {:?}: {error}",
                    error.kind()
                ));
            }
            Err(_) => {}
        }
        let changed = differences(&before, &everything(&folder));
        assert!(changed.is_empty(), "EXPLAIN {sql}: {changed:#?}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(session_state(&session).await, state, "the session is as it was");
    assert!(
        run(&session, "EXECUTE later(1)").await.is_err(),
        "EXPLAIN PREPARE keeps nothing"
    );
    run(&session, "EXECUTE ready(9)")
        .await
        .expect("EXPLAIN DEALLOCATE leaves the statement");
}

#[test]
fn the_list_is_long_enough() {
    assert!(STATEMENTS.len() >= 60, "{}", STATEMENTS.len());
}

#[tokio::test]
async fn explain_analyze_runs_the_statement() {
    let lake = Lake::new();
    let session = lake.session().await;
    run(&session, "CREATE TABLE t (a INT)").await.unwrap();
    run(&session, "EXPLAIN ANALYZE INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(lines(&run(&session, "SELECT a FROM t").await.unwrap()), ["1"]);
}
