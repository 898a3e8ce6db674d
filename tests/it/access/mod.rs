//! Users and rights: what each role may do, by every spelling, and what nobody gets around.

mod audit;
mod bypasses;
mod command_line;
mod matrix;
mod reads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use posixlake::{Error, ErrorKind, Session};

use crate::explain::{Entry, differences, everything};
use crate::support::{Lake, run};

/// The tables that statements are about.
const TABLES: &[&str] = &[
    "CREATE TABLE sales (id BIGINT NOT NULL, shop STRING, amount DOUBLE, day DATE) PARTITIONED BY (day) \
     TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "INSERT INTO sales VALUES (1, 'north', 10, DATE '2026-11-01'), (2, 'south', 20, DATE '2026-11-02')",
    "INSERT INTO sales VALUES (3, 'north', 30, DATE '2026-11-01')",
    "ALTER TABLE sales ADD CONSTRAINT positive CHECK (amount >= 0)",
    "CREATE TABLE fixed (id BIGINT NOT NULL, shop STRING, amount DOUBLE, day DATE, PRIMARY KEY (id))",
    "INSERT INTO fixed VALUES (2, 'south', 21, DATE '2026-11-02'), (4, 'west', 40, DATE '2026-11-03')",
    "COPY (SELECT * FROM fixed) TO '$LAKE/plain/rows.parquet'",
    "COPY (SELECT * FROM fixed) TO '$LAKE/plain/rows.csv'",
];

/// The users: an admin, one of each role that every lake has, one without any right, and one with rights to one table.
const USERS: &[&str] = &[
    "CREATE USER ana PASSWORD 'ana-secret'",
    "CREATE USER wil PASSWORD 'wil-secret'",
    "GRANT writer TO wil",
    "CREATE USER rea PASSWORD 'rea-secret'",
    "GRANT reader TO rea",
    "CREATE USER nob PASSWORD 'nob-secret'",
    "CREATE USER cle PASSWORD 'cle-secret'",
    "GRANT SELECT, INSERT ON TABLE sales TO cle",
];

/// A lake with tables and users.
async fn lake() -> (Lake, PathBuf) {
    let lake = Lake::new();
    let folder = lake.path().canonicalize().unwrap();
    let session = lake.session().await;
    for sql in TABLES.iter().chain(USERS) {
        run(&session, &in_place(&folder, sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    session.close().await;
    (lake, folder)
}

fn in_place(folder: &Path, sql: &str) -> String {
    sql.replace("$LAKE", folder.to_str().unwrap())
}

async fn try_open(folder: &Path, user: &str) -> Result<Session, Error> {
    let builder = Session::builder().lake(folder.to_str().unwrap());
    builder.user(user, format!("{user}-secret")).build().await
}

async fn open(folder: &Path, user: &str) -> Session {
    try_open(folder, user).await.unwrap()
}

async fn denied(session: &Session, sql: &str) -> String {
    match run(session, sql).await {
        Ok(_) => panic!("{sql}: was allowed"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Permission, "{sql}: {error}");
            error.to_string()
        }
    }
}

async fn done(session: &Session, sql: &str) -> Vec<String> {
    let rows = run(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    crate::support::lines(&rows)
}

/// The lake's folder but for the audit trail, in which denials are written down.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let own = folder.join("_posixlake");
    let audit = own.join("audit");
    let mut all = everything(folder);
    all.retain(|path, _| !path.starts_with(&audit) && *path != own);
    all
}

fn assert_untouched(before: &BTreeMap<PathBuf, Entry>, folder: &Path, what: &str) {
    let changed = differences(before, &contents(folder));
    assert!(changed.is_empty(), "{what}: {changed:#?}");
}
