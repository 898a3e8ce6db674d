use posixlake_sql::{parse, parse_expression, parse_type};

use crate::support::refused;

fn place(sql: &str) -> (u64, u64) {
    let error = refused(sql);
    (error.location.line, error.location.column)
}

#[test]
fn errors_stand_where_the_mistake_is() {
    for (sql, expected) in [
        ("SELECT * FORM t", (1, 10)),
        ("SELECT 1;\nSELECT 2;\n  VACUUM t RETIAN 3 HOURS", (3, 12)),
        ("SELECT 'a\nb\n', * FROM t; DELETE FROM t WHERE", (3, 33)),
        ("SELECT '\n;\n';\n\tOPTIMIZE t FULL", (4, 13)),
        ("/* a\n b */ SELECT 1; -- c\nINSERT INTO t", (3, 14)),
        ("SELECT 'äöü', b b b", (1, 19)),
        ("SELECT `\n`.a; MERGE INTO t USING s ON a", (2, 31)),
        ("CREATE TABLE t (\n  a INT,\n  b INTT\n)", (3, 5)),
        ("SELECT 1 1", (1, 10)),
        ("SELECT 1\r\nFROM t\r\nWHERE a a", (3, 9)),
    ] {
        assert_eq!(place(sql), expected, "{sql}: {}", refused(sql));
    }
}

#[test]
fn the_first_mistake_is_reported() {
    assert_eq!(place("SELEC 1; SELECT 'open"), (1, 1));
    assert_eq!(place("VACUUM; VACUUM"), (1, 7));
}

#[test]
fn unfinished_text_is_told_from_wrong_text() {
    for sql in [
        "SELECT '",
        "SELECT 'a\nb",
        "SELECT 1; SELECT \"a",
        "SELECT `a",
        "SELECT /* comment",
        "SELECT /* outer /* inner */",
        "SELECT (1 + ",
        "SELECT (1",
        "SELECT * FROM t WHERE",
        "SELECT * FROM t JOIN",
        "CREATE TABLE t",
        "CREATE TABLE t (a INT",
        "CREATE TABLE t (a INT,",
        "CREATE TABLE t (a ARRAY<",
        "CREATE",
        "CREATE OR REPLACE",
        "INSERT INTO t",
        "INSERT INTO t VALUES",
        "INSERT INTO t VALUES (1,",
        "UPDATE t",
        "UPDATE t SET a =",
        "MERGE INTO t USING s ON a",
        "MERGE INTO t USING s ON a WHEN MATCHED THEN",
        "OPTIMIZE",
        "OPTIMIZE t ZORDER BY",
        "VACUUM t RETAIN",
        "VACUUM t RETAIN 3",
        "CALL optimize('t'",
        "CALL optimize",
        "ALTER TABLE t",
        "ALTER TABLE t ADD COLUMN",
        "COPY INTO t FROM 'x'",
        "COPY t",
        "CREATE EXTERNAL TABLE t STORED AS CSV",
        "EXPLAIN",
        "PREPARE p AS",
        "DESCRIBE",
        "SELECT * FROM t VERSION AS OF",
        "SELECT 1; EXPLAIN",
    ] {
        assert!(refused(sql).incomplete, "{sql}: {}", refused(sql));
        // A semicolon says that nothing is to come, unless it is inside what is open.
        let closed = refused(&format!("{sql};"));
        let opened =
            ["'", "\"", "`", "/*"].iter().any(|open| sql.contains(open)) && closed.message.contains("not closed");
        assert_eq!(closed.incomplete, opened, "{sql};");
    }
    for sql in [
        "SELEC",
        "SELECT 1 1",
        "CREATE TABLE t (a INTT",
        "OPTIMIZE t FULL",
        "VACUUM t RETAIN x",
        "DROP TABLE a, b",
        "BEGIN",
        "SELECT )",
    ] {
        assert!(!refused(sql).incomplete, "{sql}");
    }
}

#[test]
fn misspelt_words_get_a_suggestion() {
    for (sql, hint) in [
        ("OPTIMISE t", "did you mean OPTIMIZE?"),
        ("VACCUM t", "did you mean VACUUM?"),
        ("SELCT 1", "did you mean SELECT?"),
        ("UPDTE t SET a = 1", "did you mean UPDATE?"),
        (
            "MEREG INTO t USING s ON a WHEN MATCHED THEN DELETE",
            "did you mean MERGE?",
        ),
        ("DESCRIBE HISTROY t", "did you mean DESCRIBE HISTORY?"),
        ("DESC DETIAL t", "did you mean DESC DETAIL?"),
        ("CREATE TABEL t (a INT)", "did you mean CREATE TABLE?"),
        ("INSERT INOT t VALUES (1)", "did you mean INSERT INTO?"),
        ("SHOW TBLPROPERTYS t", "did you mean SHOW TBLPROPERTIES?"),
        ("ALTER TALBE t DROP PRIMARY KEY", "did you mean ALTER TABLE?"),
        ("DROP TABEL t", "did you mean DROP TABLE?"),
        ("CREATE TABLE t (a INTT)", "did you mean INT?"),
        ("CREATE TABLE t (a INT) LOCATOIN 'x'", "did you mean LOCATION?"),
        ("COPY INTO t FROM 'x' FILEFORMT = CSV", "did you mean FILEFORMAT?"),
    ] {
        assert_eq!(refused(sql).hint.as_deref(), Some(hint), "{sql}");
    }
    assert_eq!(refused("XYZZY t").hint, None);
}

#[test]
fn errors_are_one_readable_line() {
    assert_eq!(
        refused("SELECT 1;\nOPTIMISE t").to_string(),
        "OPTIMISE is not the beginning of a statement at line 2, column 1; did you mean OPTIMIZE?"
    );
    assert_eq!(
        refused("SELECT * FROM").to_string(),
        "expected identifier, found the end of the statement at line 1, column 14"
    );
}

#[test]
fn parts_are_parsed_to_their_end() {
    assert_eq!(parse_expression("a + 1").unwrap().to_string(), "a + 1");
    assert_eq!(parse_type(" array<int> ").unwrap().to_string(), "ARRAY<INT>");
    for sql in ["a b", "a;", "a; b", ")", "SELECT 1"] {
        assert!(parse_expression(sql).is_err(), "{sql}");
    }
    for sql in ["INT INT", "INT;", "ARRAY<INT>>"] {
        assert!(parse_type(sql).is_err(), "{sql}");
    }
    for sql in ["", " ", "(a", "a +", "'a"] {
        assert!(parse_expression(sql).unwrap_err().incomplete, "{sql}");
    }
    assert!(parse_type("MAP<INT,").unwrap_err().incomplete);
    assert!(parse("a").is_err());
}
