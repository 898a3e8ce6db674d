//! Many writers and readers of one table at once, each with a session of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use posixlake::{ErrorKind, Session};

use crate::support::{Lake, lines, run, session};

async fn number(session: &Session, sql: &str) -> i64 {
    let rows = lines(&run(session, sql).await.unwrap());
    assert_eq!(rows.len(), 1, "{sql}");
    rows[0].parse().unwrap()
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    lines(&run(session, sql).await.unwrap())
}

/// Runs a statement again while others are first.
async fn insist(session: &Session, sql: &str) {
    for _ in 0..100 {
        match run(session, sql).await {
            Ok(_) => return,
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    panic!("{sql}: lost a hundred times");
}

async fn insert(folder: PathBuf, writer: i64, count: i64) {
    let session = session(&folder).await.unwrap();
    for at in 0..count {
        let values: Vec<String> = (0..10).map(|row| format!("({writer}, {at}, {row})")).collect();
        run(&session, &format!("INSERT INTO t VALUES {}", values.join(", ")))
            .await
            .unwrap();
    }
    session.close().await;
}

async fn lake_with_table() -> (Lake, Session) {
    let lake = Lake::new();
    let session = lake.session().await;
    run(&session, "CREATE TABLE t (writer BIGINT, at BIGINT, row BIGINT)")
        .await
        .unwrap();
    (lake, session)
}

fn versions(table: &Path) -> usize {
    let entries = std::fs::read_dir(table.join("_delta_log")).unwrap();
    entries
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|end| end == "json")
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn inserts_at_once_lose_nothing_and_readers_see_whole_statements() {
    let (lake, session) = lake_with_table().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (folder, done) = (lake.path().to_path_buf(), done.clone());
        async move {
            let session = crate::support::session(&folder).await.unwrap();
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let count = number(&session, "SELECT count(*) FROM t").await;
                assert_eq!(count % 10, 0, "half a statement");
                assert!(count >= seen, "{count} rows, after {seen}");
                seen = count;
            }
        }
    });
    let writers: Vec<_> = (0..6)
        .map(|writer| tokio::spawn(insert(lake.path().to_path_buf(), writer, 8)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 480);
    assert_eq!(
        number(&session, "SELECT count(*) FROM (SELECT DISTINCT * FROM t)").await,
        480
    );
    assert_eq!(versions(&lake.path().join("t")), 49, "a version for each statement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_of_one_counter_all_count() {
    let (lake, session) = lake_with_table().await;
    run(&session, "INSERT INTO t VALUES (0, 0, 0)").await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let folder = lake.path().to_path_buf();
            tokio::spawn(async move {
                let session = crate::support::session(&folder).await.unwrap();
                for _ in 0..5 {
                    insist(&session, "UPDATE t SET row = row + 1").await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["0 0 20"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn inserts_during_deletes_updates_and_optimize_survive() {
    let (lake, session) = lake_with_table().await;
    let inserting: Vec<_> = (0..3)
        .map(|writer| tokio::spawn(insert(lake.path().to_path_buf(), writer, 6)))
        .collect();
    let changing = tokio::spawn({
        let folder = lake.path().to_path_buf();
        async move {
            let session = crate::support::session(&folder).await.unwrap();
            for at in 0..6 {
                insist(&session, &format!("DELETE FROM t WHERE at = {at} AND row = 9")).await;
                insist(&session, "OPTIMIZE t").await;
                insist(
                    &session,
                    &format!("UPDATE t SET writer = writer + 100 WHERE at = {at} AND writer < 100"),
                )
                .await;
            }
        }
    });
    for writer in inserting {
        writer.await.unwrap();
    }
    changing.await.unwrap();
    for at in 0..6 {
        insist(&session, &format!("DELETE FROM t WHERE at = {at} AND row = 9")).await;
    }
    let left = "SELECT count(*) FROM t";
    assert_eq!(number(&session, left).await, 3 * 6 * 9, "neither lost nor twice");
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT writer % 100, at, row FROM t)";
    assert_eq!(number(&session, distinct).await, 3 * 6 * 9);
}

#[tokio::test]
async fn a_session_sees_the_commits_of_others_at_its_next_statement() {
    let (lake, one) = lake_with_table().await;
    let other = lake.session().await;
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 0);
    run(&one, "INSERT INTO t VALUES (1, 1, 1)").await.unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 1);
    run(&other, "DELETE FROM t").await.unwrap();
    assert_eq!(number(&one, "SELECT count(*) FROM t").await, 0);
    run(&one, "CREATE TABLE later AS SELECT 1 AS a").await.unwrap();
    assert_eq!(rows(&other, "SELECT * FROM later").await, ["1"]);
}

#[tokio::test]
async fn a_statement_is_lazy_and_runs_on_the_table_as_it_is_then() {
    let (lake, session) = lake_with_table().await;
    let frame = session.sql("INSERT INTO t VALUES (1, 1, 1)").await.unwrap();
    assert_eq!(versions(&lake.path().join("t")), 1, "planned, not run");
    run(&session, "INSERT INTO t VALUES (2, 2, 2)").await.unwrap();
    frame.collect().await.unwrap();
    assert_eq!(rows(&session, "SELECT writer FROM t ORDER BY writer").await, ["1", "2"]);
}

#[tokio::test]
async fn a_refused_statement_leaves_no_version_and_no_file() {
    let (lake, session) = lake_with_table().await;
    run(&session, "ALTER TABLE t ADD CONSTRAINT small CHECK (row < 100)")
        .await
        .unwrap();
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(lake.path().join("t"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = listing();
    let refused = run(
        &session,
        "INSERT INTO t SELECT 1 AS writer, 1 AS at, value FROM generate_series(1, 50000) AS g(value)",
    )
    .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Constraint, "{refused}");
    assert_eq!(versions(&lake.path().join("t")), 2);
    assert_eq!(listing(), before);
}
