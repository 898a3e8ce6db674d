//! Ways around rights that other systems left open, and some of our own making.

use std::fs;

use posixlake::ErrorKind;

use super::{assert_untouched, contents, denied, done, in_place, lake, open, try_open};
use crate::support::{run, session};

#[tokio::test]
async fn who_may_read_cannot_write_by_any_spelling() {
    let (_lake, folder) = lake().await;
    let before = contents(&folder);
    let reader = open(&folder, "rea").await;
    for sql in [
        "INSERT INTO sales SELECT * FROM sales",
        "INSERT OVERWRITE sales SELECT * FROM sales LIMIT 0",
        "EXPLAIN ANALYZE INSERT INTO sales SELECT * FROM sales",
        "EXPLAIN INSERT INTO sales SELECT * FROM sales",
        "COPY sales TO '$LAKE/../stolen.csv'",
        "COPY sales TO '$LAKE/fixed/x.parquet'",
        "COPY (SELECT 1) TO '$LAKE/_posixlake/access/x.parquet'",
        "CREATE TABLE mine AS SELECT * FROM sales",
        "CREATE TABLE mine LOCATION '$LAKE/../mine' AS SELECT * FROM sales",
        "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '$LAKE/../e.csv'",
        "CREATE OR REPLACE TABLE sales (a INT)",
        "DELETE FROM sales WHERE false",
        "DELETE FROM sales",
        "UPDATE delta.`$LAKE/sales` SET amount = 0",
        "CALL optimize('sales')",
        "CALL system.vacuum('sales', dry_run => true)",
        "SET posixlake.audit = false",
        "SET posixlake.audit_retention = 1",
        "RESET posixlake.audit",
        "SET datafusion.runtime.temp_directory = '/tmp'",
    ] {
        denied(&reader, &in_place(&folder, sql)).await;
    }
    done(&reader, "PREPARE p AS INSERT INTO sales SELECT * FROM sales").await;
    denied(&reader, "EXECUTE p").await;
    // DataFusion's own context, past posixlake's planner.
    for sql in [
        "INSERT INTO sales SELECT * FROM sales",
        "COPY (SELECT 1) TO '$LAKE/fixed/x.csv'",
    ] {
        let frame = reader.context().sql(&in_place(&folder, sql)).await;
        let outcome = match frame {
            Ok(frame) => frame.collect().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{sql}");
    }
    reader.close().await;
    assert_untouched(&before, &folder, "reader");
    assert!(!folder.join("../stolen.csv").exists());
}

#[tokio::test]
async fn what_may_not_be_read_shows_by_no_spelling() {
    let (_lake, folder) = lake().await;
    let part = fs::read_dir(folder.join("fixed"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .unwrap();
    let link = folder
        .parent()
        .unwrap()
        .join(format!("{}-link", folder.file_name().unwrap().to_str().unwrap()));
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    // This one may read and fill another table.
    let clerk = open(&folder, "cle").await;
    for sql in [
        "SELECT * FROM fixed".to_string(),
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM fixed)".to_string(),
        "SELECT (SELECT max(id) FROM fixed) FROM sales".to_string(),
        "SELECT * FROM sales WHERE id IN (SELECT id FROM fixed)".to_string(),
        "WITH f AS (SELECT * FROM fixed) SELECT count(*) FROM f".to_string(),
        "SELECT count(*) FROM fixed".to_string(),
        "SELECT id FROM sales UNION ALL SELECT id FROM lake.default.fixed".to_string(),
        "SELECT * FROM fixed VERSION AS OF 1".to_string(),
        "SELECT * FROM fixed TIMESTAMP AS OF now()".to_string(),
        "SELECT * FROM fixed@v1".to_string(),
        "SELECT * FROM fixed$files".to_string(),
        "SELECT * FROM fixed$history".to_string(),
        "SELECT * FROM fixed@v1$rows".to_string(),
        "SELECT * FROM table_changes('fixed', 0)".to_string(),
        "SELECT current_version('fixed')".to_string(),
        "SELECT missing FROM fixed".to_string(),
        "DESCRIBE fixed".to_string(),
        "DESCRIBE HISTORY fixed".to_string(),
        "DESCRIBE DETAIL fixed".to_string(),
        "SHOW CREATE TABLE fixed".to_string(),
        "SHOW COLUMNS FROM fixed".to_string(),
        "SHOW TBLPROPERTIES fixed".to_string(),
        "INSERT INTO sales SELECT * FROM fixed".to_string(),
        "CREATE VIEW v AS SELECT * FROM fixed".to_string(),
        "EXPLAIN SELECT * FROM fixed".to_string(),
        "PREPARE p AS SELECT 1; "
            .trim_end_matches("; ")
            .replace("SELECT 1", "SELECT * FROM fixed"),
        in_place(&folder, "SELECT * FROM delta.`$LAKE/fixed`"),
        format!("SELECT * FROM delta.`{}/fixed`", link.display()),
        format!("SELECT * FROM delta.`file://{}/x/../fixed`", folder.display()),
        format!("SELECT * FROM '{}'", part.display()),
        format!("SELECT * FROM read_parquet('{}')", part.display()),
        format!("SELECT * FROM '{}/fixed/*.parquet'", link.display()),
        in_place(&folder, "SELECT * FROM read_json('$LAKE/fixed/_delta_log/*.json')"),
        in_place(&folder, "COPY INTO sales FROM '$LAKE/fixed' FILEFORMAT = PARQUET"),
        in_place(
            &folder,
            "CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '$LAKE/fixed'",
        ),
        in_place(&folder, "CREATE TABLE again LOCATION '$LAKE/fixed'"),
        "SELECT * FROM missing".to_string(),
        "SELECT * FROM system.audit".to_string(),
        "SHOW USERS".to_string(),
        "SHOW GRANTS FOR ana".to_string(),
    ] {
        if sql.starts_with("PREPARE") {
            done(&clerk, &sql).await;
            denied(&clerk, "EXECUTE p").await;
            continue;
        }
        let said = denied(&clerk, &sql).await;
        assert!(!said.contains("amount"), "{sql} tells columns: {said}");
    }
    assert_eq!(
        done(
            &clerk,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'default'"
        )
        .await,
        ["sales"]
    );
    assert_eq!(
        done(
            &clerk,
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'default'"
        )
        .await,
        ["sales"]
    );
    assert!(!done(&clerk, "SHOW TABLES").await.join(" ").contains("fixed"));
    let own = run(&clerk, "SELECT count(*) FROM sales").await.unwrap();
    assert_eq!(crate::support::lines(&own), ["3"]);
    fs::remove_file(&link).unwrap();
}

#[tokio::test]
async fn the_users_themselves_are_reached_by_statements_alone() {
    let (_lake, folder) = lake().await;
    let before = contents(&folder);
    let admin = open(&folder, "ana").await;
    for sql in [
        "SELECT * FROM delta.`$LAKE/_posixlake/access`",
        "SELECT * FROM '$LAKE/_posixlake/access/*.parquet'",
        "SELECT * FROM read_parquet('$LAKE/_posixlake/access/')",
        "SELECT * FROM read_json('$LAKE/_posixlake/access/_delta_log/*.json')",
        "COPY (SELECT 1) TO '$LAKE/_posixlake/access/x.parquet'",
        "COPY (SELECT 1) TO '$LAKE/.posixlake-access' STORED AS CSV",
        "DELETE FROM delta.`$LAKE/_posixlake/access`",
        "VACUUM delta.`$LAKE/_posixlake/audit`",
        "CONVERT TO DELTA parquet.`$LAKE/_posixlake`",
    ] {
        denied(&admin, &in_place(&folder, sql)).await;
    }
    assert!(!done(&admin, "SHOW TABLES").await.join(" ").contains("posixlake"));
    admin.close().await;
    assert_untouched(&before, &folder, "admin");
}

#[tokio::test]
async fn a_lake_whose_users_are_lost_stays_shut() {
    let refused = |outcome: Result<posixlake::Session, posixlake::Error>, what: &str| match outcome {
        Ok(_) => panic!("{what}: let in"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Permission, "{what}: {error}");
        }
    };
    let (_lake, folder) = lake().await;
    refused(session(&folder).await, "without a user");
    let open_before = open(&folder, "rea").await;
    let away = folder
        .parent()
        .unwrap()
        .join(format!("{}-away", folder.file_name().unwrap().to_str().unwrap()));
    fs::rename(folder.join("_posixlake"), &away).unwrap();
    refused(session(&folder).await, "folder gone, nobody named");
    refused(try_open(&folder, "ana").await, "folder gone");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    denied(&open_before, "SELECT * FROM sales").await;

    // Marker gone, too: the tables say it, and a new first user is not let in over them.
    fs::remove_file(folder.join(".posixlake-access")).unwrap();
    let anyone = session(&folder).await.unwrap();
    for sql in [
        "SELECT * FROM sales",
        "DELETE FROM sales",
        "CREATE USER me PASSWORD 'mine'",
        "DESCRIBE HISTORY fixed",
    ] {
        denied(&anyone, sql).await;
    }
    anyone.close().await;

    // Damaged: every file of it in turn.
    fs::remove_dir_all(folder.join("_posixlake")).ok();
    fs::rename(&away, folder.join("_posixlake")).unwrap();
    drop(open(&folder, "ana").await);
    let access = folder.join("_posixlake/access");
    let mut files: Vec<_> = fs::read_dir(&access)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    let last = files.iter().rfind(|path| path.is_file()).unwrap();
    let whole = fs::read(last).unwrap();
    for damage in [&whole[..whole.len() / 2], b"", b"PAR1"] {
        fs::write(last, damage).unwrap();
        refused(try_open(&folder, "ana").await, "damaged");
    }
    fs::remove_file(last).unwrap();
    refused(try_open(&folder, "ana").await, "file gone");
    fs::write(last, whole).unwrap();
    drop(open(&folder, "ana").await);
}

#[tokio::test]
async fn rights_come_and_go_in_sessions_that_are_open() {
    let (_lake, folder) = lake().await;
    let admin = open(&folder, "ana").await;
    let nobody = open(&folder, "nob").await;
    denied(&nobody, "SELECT count(*) FROM sales").await;
    done(&admin, "CREATE ROLE analyst").await;
    done(&admin, "GRANT SELECT ON SCHEMA default TO analyst").await;
    done(&admin, "GRANT analyst TO nob").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(done(&nobody, "SELECT count(*) FROM sales").await, ["3"]);
    done(&nobody, "CREATE VIEW mine AS SELECT * FROM sales").await;
    done(&nobody, "PREPARE mine AS SELECT * FROM sales").await;
    assert_eq!(
        done(&nobody, "SHOW GRANTS").await,
        ["nob analyst SELECT SCHEMA `default`"]
    );
    done(&nobody, "ALTER USER nob PASSWORD 'another'").await;
    denied(&nobody, "ALTER USER ana PASSWORD 'mine'").await;
    denied(&nobody, "GRANT admin TO nob").await;
    denied(&nobody, "CREATE USER x PASSWORD 'y'").await;
    done(&admin, "REVOKE analyst FROM nob").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for sql in [
        "SELECT * FROM sales",
        "SELECT * FROM mine",
        "EXECUTE mine",
        "SHOW CREATE TABLE sales",
    ] {
        denied(&nobody, sql).await;
    }
    done(&admin, "DROP USER nob").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    denied(&nobody, "SELECT 1").await;
    for sql in [
        "DROP USER ana",
        "REVOKE admin FROM ana",
        "DROP ROLE admin",
        "GRANT SELECT ON LAKE TO writer",
    ] {
        assert_eq!(run(&admin, sql).await.unwrap_err().kind(), ErrorKind::Invalid, "{sql}");
    }
    for sql in [
        "GRANT SELECT ON TABLE nothing TO rea",
        "GRANT writer TO nobody",
        "DROP ROLE x",
        "REVOKE UPDATE ON sales FROM cle",
    ] {
        assert_eq!(run(&admin, sql).await.unwrap_err().kind(), ErrorKind::NotFound, "{sql}");
    }
    for sql in [
        "CREATE USER ana PASSWORD 'x'",
        "CREATE ROLE ana",
        "CREATE USER analyst PASSWORD 'x'",
        "CREATE ROLE reader",
    ] {
        assert_eq!(
            run(&admin, sql).await.unwrap_err().kind(),
            ErrorKind::AlreadyExists,
            "{sql}"
        );
    }
    done(&admin, "CREATE USER IF NOT EXISTS ana PASSWORD 'changed'").await;
    drop(open(&folder, "ana").await);
    assert_eq!(
        done(&admin, "SHOW USERS").await,
        ["ana admin", "cle (empty)", "rea reader", "wil writer"]
    );
}

/// Many sessions change users at once: nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_users_are_not_lost() {
    let (_lake, folder) = lake().await;
    let tasks = (0..4).map(|writer| {
        let folder = folder.clone();
        tokio::spawn(async move {
            let admin = open(&folder, "ana").await;
            for number in 0..4 {
                done(&admin, &format!("CREATE ROLE r_{writer}_{number}")).await;
            }
            admin.close().await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let admin = open(&folder, "ana").await;
    assert_eq!(done(&admin, "SHOW ROLES").await.len(), 3 + 16);
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_take_the_same_time() {
    let (_lake, folder) = lake().await;
    let mut times = Vec::new();
    for (user, password) in [("ana", "wrong"), ("nobody", "wrong"), ("ana", "")] {
        let started = std::time::Instant::now();
        let builder = posixlake::Session::builder().lake(folder.to_str().unwrap());
        let error = builder.user(user, password).build().await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(!error.to_string().contains("wrong"), "{error}");
        times.push(started.elapsed());
    }
    assert!(times.iter().all(|time| time.as_millis() >= 500), "slowed: {times:?}");
    let admin = open(&folder, "ana").await;
    let logins = "SELECT user FROM system.audit WHERE kind = 'LOGIN' AND outcome = 'denied' ORDER BY time";
    assert_eq!(done(&admin, logins).await, ["ana", "nobody", "ana"]);
}
