//! Plans that another session of the same lake runs.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use posixlake::{ErrorKind, Session};

use crate::support::{lines, run, session};

async fn plan(session: &Session, sql: &str) -> Arc<dyn ExecutionPlan> {
    session.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_give_the_same_rows_in_another_session() {
    let folder = tempfile::tempdir().unwrap();
    let here = session(folder.path()).await.unwrap();
    for statement in [
        "CREATE TABLE parts (id BIGINT, part STRING, value DOUBLE) PARTITIONED BY (part)",
        "INSERT INTO parts SELECT value, concat('p', value % 3), value / 7.0 FROM generate_series(1, 900)",
        "CREATE TABLE hidden (id BIGINT, name STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "INSERT INTO hidden SELECT value, concat('name ', value) FROM generate_series(1, 1000)",
        "DELETE FROM hidden WHERE id % 7 = 0",
        "CREATE TABLE mapped (id BIGINT, a STRING, s STRUCT<x INT, y STRING>) \
         TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')",
        "INSERT INTO mapped SELECT value, concat('a', value), named_struct('x', value, 'y', 'z') FROM generate_series(1, 50)",
        "INSERT INTO mapped SELECT value, concat('c', value), named_struct('x', value, 'y', 'z') FROM generate_series(51, 99)",
        "DELETE FROM mapped WHERE id IN (3, 60)",
    ] {
        run(&here, statement).await.unwrap();
    }
    let there = session(folder.path()).await.unwrap();
    for query in [
        "SELECT * FROM parts ORDER BY id",
        "SELECT part, count(*), sum(value) FROM parts WHERE part <> 'p1' AND id > 100 GROUP BY part ORDER BY part",
        "SELECT count(*) FROM hidden",
        "SELECT 1 AS one FROM hidden LIMIT 3",
        "SELECT * FROM hidden WHERE id BETWEEN 30 AND 60 ORDER BY id",
        "SELECT max(name) FROM hidden WHERE id > 500",
        "SELECT * FROM mapped ORDER BY id",
        "SELECT a, s['x'] AS x FROM mapped WHERE s['x'] > 40 AND a <> 'c70' ORDER BY id",
        "SELECT h.id, m.a FROM hidden h JOIN mapped m ON h.id = m.id ORDER BY h.id",
        "SELECT * FROM hidden@v1 ORDER BY id DESC LIMIT 5",
    ] {
        let plan = plan(&here, query).await;
        let bytes = physical_plan_to_bytes_with_extension_codec(plan.clone(), here.codec().as_ref()).unwrap();
        let context = there.context().task_ctx();
        let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &context, there.codec().as_ref()).unwrap();
        let found = collect(decoded, context).await.unwrap();
        let expected = collect(plan, here.context().task_ctx()).await.unwrap();
        assert!(!lines(&expected).is_empty(), "{query}");
        assert_eq!(lines(&found), lines(&expected), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_travel_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path()).await.unwrap();
    run(&session, "CREATE TABLE t AS SELECT 1 AS id").await.unwrap();
    for (statement, reason) in [
        ("SELECT _row FROM t$rows", "its rows say where they lie"),
        ("INSERT INTO t VALUES (2)", "it runs in the session that planned it"),
        ("DELETE FROM t WHERE id = 1", "it runs in the session that planned it"),
    ] {
        let plan = plan(&session, statement).await;
        let error = physical_plan_to_bytes_with_extension_codec(plan, session.codec().as_ref()).unwrap_err();
        assert!(error.to_string().contains(reason), "{statement}: {error}");
    }
    assert_eq!(
        run(&session, "SELECT * FROM nothing").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
