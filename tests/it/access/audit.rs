//! The audit trail: one row a statement, whoever writes and however many.

use std::fs;

use super::{denied, done, lake, open};
use crate::support::{Lake, run};

#[tokio::test]
async fn every_statement_leaves_a_row() {
    let (_lake, folder) = lake().await;
    let clerk = open(&folder, "cle").await;
    done(&clerk, "SELECT * FROM sales").await;
    done(&clerk, "INSERT INTO sales VALUES (9, 'east', 1, DATE '2026-11-03')").await;
    denied(&clerk, "SELECT * FROM fixed").await;
    run(&clerk, "SELECT missing FROM sales").await.unwrap_err();
    run(&clerk, "SELECT CAST('x' AS INT) FROM sales").await.unwrap_err();
    done(&clerk, "SET datafusion.execution.batch_size = 100").await;
    denied(&clerk, "DELETE FROM sales").await;
    clerk.close().await;
    let admin = open(&folder, "ana").await;
    let rows = done(
        &admin,
        "SELECT kind, tables, rows, version, outcome FROM system.audit WHERE user = 'cle' ORDER BY time",
    )
    .await;
    assert_eq!(
        rows,
        [
            "SELECT sales 3 NULL ok",
            "INSERT sales 1 5 ok",
            "SELECT NULL NULL NULL denied",
            "SELECT NULL NULL NULL error",
            "SELECT sales NULL NULL stopped",
            "SET NULL NULL NULL ok",
            "DELETE NULL NULL NULL denied",
        ]
    );
    let history = "SELECT \"userName\" FROM sales$history WHERE version = 5";
    assert_eq!(done(&admin, history).await, ["cle"]);
    let more = "SELECT door, client IS NOT NULL, duration_ms >= 0, statement FROM system.audit WHERE user = 'cle' ORDER BY time LIMIT 1";
    assert_eq!(done(&admin, more).await, ["library true true SELECT * FROM sales"]);
}

#[tokio::test]
async fn no_text_shows_a_password() {
    let (_lake, folder) = lake().await;
    let admin = open(&folder, "ana").await;
    done(&admin, "create user eve password 'eve''s secret'").await;
    done(&admin, "ALTER USER eve PASSWORD 'changed-secret'").await;
    let plan = done(&admin, "EXPLAIN CREATE USER x PASSWORD 'x-secret'")
        .await
        .join("\n");
    assert!(plan.contains("'***'") && !plan.contains("secret"), "{plan}");
    let error = run(&admin, "CREATE USER eve PASSWORD 'eve-secret'")
        .await
        .unwrap_err()
        .to_string();
    assert!(!error.contains("secret"), "{error}");
    run(&admin, "PREPARE p AS CREATE USER y PASSWORD 'y-secret'")
        .await
        .unwrap_err();
    run(&admin, "CREATE USER z PASSWORD '***'").await.unwrap_err();
    let texts = done(&admin, "SELECT statement, message FROM system.audit")
        .await
        .join("\n");
    assert!(texts.contains("'***'") && !texts.contains("secret"), "{texts}");
    admin.close().await;
    for path in crate::explain::everything(&folder)
        .into_keys()
        .filter(|path| path.is_file())
    {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(6).any(|window| window == b"secret");
        assert!(!found, "{}", path.display());
    }
}

/// Processes and tasks that write at the same time lose nothing, and denials are there at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_trail_survives_many_writers() {
    let (_lake, folder) = lake().await;
    let tasks = (0..4).map(|_| {
        let folder = folder.clone();
        tokio::spawn(async move {
            let reader = open(&folder, "rea").await;
            for _ in 0..10 {
                done(&reader, "SELECT count(*) FROM sales").await;
            }
            denied(&reader, "DELETE FROM sales").await;
            reader.close().await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let reader = open(&folder, "rea").await;
    denied(&reader, "TRUNCATE TABLE sales").await;
    let admin = open(&folder, "ana").await;
    let counts = "SELECT outcome, count(*) FROM system.audit WHERE user = 'rea' GROUP BY outcome ORDER BY outcome";
    assert_eq!(done(&admin, counts).await, ["denied 5", "ok 40"]);
}

#[tokio::test]
async fn a_lake_without_users_keeps_a_trail_where_asked_to() {
    let lake = Lake::new();
    let session = lake.session().await;
    run(&session, "CREATE TABLE t (a INT)").await.unwrap();
    assert!(done(&session, "SELECT * FROM system.audit").await.is_empty());
    done(&session, "SET posixlake.audit = true").await;
    done(&session, "INSERT INTO t VALUES (1), (2)").await;
    done(&session, "SET posixlake.audit_retention = '30 days'").await;
    let rows = done(
        &session,
        "SELECT kind, rows, version, user FROM system.audit ORDER BY time LIMIT 1",
    )
    .await;
    assert_eq!(rows, ["INSERT 2 1 NULL"]);
    assert!(run(&session, "SET posixlake.audit_retention = 'soon'").await.is_err());
    assert!(run(&session, "DELETE FROM system.audit").await.is_err());
    session.close().await;
}

/// Sessions that end after a statement leave a small file each, and one of them joins those of the others.
#[tokio::test]
async fn small_files_of_the_trail_are_joined() {
    const SESSIONS: usize = 70;
    let (_lake, folder) = lake().await;
    for number in 0..SESSIONS {
        let reader = open(&folder, "rea").await;
        done(&reader, &format!("SELECT {number} FROM sales LIMIT 1")).await;
        reader.close().await;
    }
    let admin = open(&folder, "ana").await;
    let rows = "SELECT count(*), count(DISTINCT statement), min(date) = CAST(min(time) AS DATE) FROM system.audit \
                WHERE user = 'rea' AND kind = 'SELECT'";
    assert_eq!(done(&admin, rows).await, [format!("{SESSIONS} {SESSIONS} true")]);
    let last = done(
        &admin,
        "SELECT statement FROM system.audit WHERE user = 'rea' ORDER BY time DESC LIMIT 1",
    );
    assert_eq!(last.await, [format!("SELECT {} FROM sales LIMIT 1", SESSIONS - 1)]);
    admin.close().await;
    let log = folder.join("_posixlake/audit/_delta_log");
    let commits = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let commits = commits.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let joined = commits.filter(|path| fs::read_to_string(path).unwrap().contains("\"OPTIMIZE\""));
    assert_eq!(joined.count(), 1);
}
