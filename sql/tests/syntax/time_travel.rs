use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use posixlake_sql::{LakeDialect, Statement};

use crate::support::{assert_canonical, assert_same, one, refused};

#[test]
fn versions_in_every_spelling() {
    assert_same(&[
        "SELECT * FROM t VERSION AS OF 3",
        "SELECT * FROM t FOR VERSION AS OF 3",
        "SELECT * FROM t VERSION AS OF '3'",
        "SELECT * FROM t FOR VERSION AS OF '3'",
        "SELECT * FROM t FOR SYSTEM_VERSION AS OF 3",
        "SELECT * FROM t SYSTEM_VERSION AS OF 3",
        "SELECT * FROM t AT (VERSION => 3)",
        "SELECT * FROM t AT(VERSION=>'3')",
        "select * from t at ( version => 003 )",
        "SELECT * FROM t /* now */ FOR -- then\n VERSION AS\tOF 3",
    ]);
}

#[test]
fn times_in_every_spelling() {
    for time in [
        "'2026-11-22 10:00:00'",
        "now() - INTERVAL '1 hour'",
        "TIMESTAMP '2026-11-22'",
        "CAST('2026-11-22' AS TIMESTAMP)",
        "'2026-11-22'::TIMESTAMP",
        "$1",
        "to_timestamp(3) + INTERVAL '1' DAY",
    ] {
        let spellings = [
            format!("SELECT * FROM t TIMESTAMP AS OF {time}"),
            format!("SELECT * FROM t FOR TIMESTAMP AS OF {time}"),
            format!("SELECT * FROM t FOR SYSTEM_TIME AS OF {time}"),
            format!("SELECT * FROM t SYSTEM_TIME AS OF {time}"),
            format!("SELECT * FROM t AT (TIMESTAMP => {time})"),
            format!("SELECT * FROM t TIMESTAMP AS OF ({time})"),
        ];
        assert_same(&spellings.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn versions_stand_anywhere_a_table_does() {
    for sql in [
        "SELECT * FROM t VERSION AS OF 3 AS x",
        "SELECT * FROM s.t VERSION AS OF 3 AS x JOIN t VERSION AS OF 4 AS y ON x.id = y.id",
        "SELECT * FROM a VERSION AS OF 1, b VERSION AS OF 2 WHERE a.id = b.id",
        "SELECT (SELECT max(a) FROM t VERSION AS OF 3) FROM u WHERE EXISTS (SELECT 1 FROM v TIMESTAMP AS OF '2026-01-01' AS w)",
        "WITH q AS (SELECT * FROM t VERSION AS OF 3) SELECT * FROM q UNION ALL SELECT * FROM t",
        "SELECT * FROM `Odd``Name` VERSION AS OF 3 AS x",
        "SELECT * FROM t TIMESTAMP AS OF (now() - INTERVAL '1') hour",
        "SELECT 'it''s' FROM t TIMESTAMP AS OF CAST('it''s' AS TIMESTAMP) AS x",
        "SELECT * FROM 'x.csv' VERSION AS OF 3",
        "SELECT * FROM delta.`/a` VERSION AS OF 3 GROUP BY a ORDER BY 1",
        "SELECT * FROM as TIMESTAMP AS OF now() - INTERVAL '1 hour' AS x",
        "CREATE VIEW v AS SELECT * FROM t VERSION AS OF 3",
        "COPY (SELECT * FROM t VERSION AS OF 3) TO 'x.csv'",
        "INSERT INTO t SELECT * FROM t VERSION AS OF 3",
        "CREATE TABLE u AS SELECT * FROM t VERSION AS OF 3",
        "DELETE FROM t WHERE id IN (SELECT id FROM t VERSION AS OF 3 AS old)",
        "UPDATE t SET a = (SELECT a FROM t VERSION AS OF 3) FROM s VERSION AS OF 4 AS s",
        "MERGE INTO t USING t VERSION AS OF 3 AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *",
        "EXPLAIN SELECT * FROM t VERSION AS OF 3",
    ] {
        assert_canonical(sql);
    }
    assert_same(&[
        "SELECT * FROM t VERSION AS OF 3 AS x (a, b)",
        "SELECT * FROM t FOR VERSION AS OF 3 AS x (a, b)",
        "SELECT * FROM t AT (VERSION => 3) AS x (a, b)",
    ]);
    assert_same(&[
        "SELECT * FROM t TIMESTAMP AS OF '2026-01-01' x",
        "SELECT * FROM t AT (TIMESTAMP => '2026-01-01') x",
    ]);
}

#[test]
fn words_of_time_travel_are_names_elsewhere() {
    for sql in [
        "SELECT version AS of FROM t",
        "SELECT a, version AS of, timestamp AS of FROM t",
        "SELECT system_version AS of FROM t",
        "SELECT system_time AS of, system_time FROM t",
        "SELECT DISTINCT version AS of FROM version AS of",
        "SELECT * FROM version AS of JOIN timestamp AS of2 ON true",
        "SELECT * FROM a JOIN system_version AS of ON true",
        "SELECT * FROM t version",
        "SELECT * FROM t AS version",
        "SELECT * FROM t timestamp",
        "SELECT * FROM t at",
        "SELECT * FROM t before",
        "SELECT * FROM t changes",
        "SELECT * FROM t at WHERE at.x = 1",
        "SELECT * FROM t at (a, b)",
        "SELECT * FROM t before (a, b)",
        "SELECT * FROM t AS at JOIN u AS before ON at.id = before.id",
        "SELECT at, before, changes, version FROM at, before, changes",
        "SELECT at.version FROM at",
        "SELECT at(version => 3), before(a => 1)",
        "SELECT x AT TIME ZONE 'UTC' FROM t",
        "SELECT ts AT TIME ZONE 'UTC' AS at FROM t at",
        "SELECT 'FOR VERSION AS OF 3', \"VERSION AS OF '3'\" FROM t -- AT (VERSION => 3)",
        "SELECT substring(a FROM 1 FOR version) FROM t",
        "SELECT * FROM t@v3",
        "CREATE VIEW v AS SELECT * FROM t before",
    ] {
        let expected = DFParser::parse_sql_with_dialect(sql, &GenericDialect {})
            .unwrap()
            .pop_front()
            .unwrap();
        assert_eq!(one(sql), Statement::Native(Box::new(expected)), "{sql}");
    }
    // The wrapper alone reads two of these words as the beginning of a version.
    assert!(DFParser::parse_sql_with_dialect("SELECT * FROM t at", &LakeDialect).is_err());
}

#[test]
fn what_is_no_version_is_refused() {
    for (sql, column) in [
        ("SELECT * FROM t VERSION AS OF -1", 31),
        ("SELECT * FROM t VERSION AS OF 1.5", 31),
        ("SELECT * FROM t VERSION AS OF 'three'", 31),
        ("SELECT * FROM t VERSION AS OF ''", 31),
        ("SELECT * FROM t VERSION AS OF '-1'", 31),
        ("SELECT * FROM t VERSION AS OF $1", 31),
        ("SELECT * FROM t VERSION AS OF 1 + 1", 33),
        ("SELECT * FROM t VERSION AS OF 9223372036854775808", 31),
        ("SELECT * FROM t VERSION AS OF 99999999999999999999999", 31),
        ("SELECT * FROM t AT (VERSION => x)", 32),
        ("SELECT * FROM t AT (VERSION => 3, 4)", 33),
        ("SELECT * FROM t AT (OFFSET => -60)", 21),
        ("SELECT * FROM t AT (STATEMENT => 'x')", 21),
        ("SELECT * FROM t BEFORE (STATEMENT => 'x')", 17),
        (
            "SELECT * FROM t CHANGES (INFORMATION => DEFAULT) AT (TIMESTAMP => now())",
            17,
        ),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN 1 AND 2", 21),
        ("SELECT * FROM t AT (TIMESTAMP => now(), 1)", 15),
    ] {
        let error = refused(sql);
        assert_eq!(
            (error.location.line, error.location.column),
            (1, column),
            "{sql}: {error}"
        );
        assert!(!error.incomplete, "{sql}");
    }
    let hint = refused("SELECT * FROM t VERSION AS OF -1").hint.unwrap();
    assert!(
        hint.contains("VERSION AS OF 3") && hint.contains("TIMESTAMP AS OF"),
        "{hint}"
    );
    assert!(
        refused("SELECT * FROM t CHANGES (INFORMATION => DEFAULT)")
            .hint
            .unwrap()
            .contains("table_changes")
    );
    assert!(refused("SELECT * FROM t VERSION AS OF").incomplete);
}

#[test]
fn the_past_cannot_be_changed() {
    for sql in [
        "UPDATE t VERSION AS OF 3 SET a = 1",
        "DELETE FROM t VERSION AS OF 3",
        "INSERT INTO t VERSION AS OF 3 VALUES (1)",
        "MERGE INTO t FOR SYSTEM_TIME AS OF now() USING s ON true WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE t AT (VERSION => 3)",
    ] {
        assert!(refused(sql).message.contains("newest version"), "{sql}");
    }
}
