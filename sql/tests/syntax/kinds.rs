use crate::support::one;

#[test]
fn queries_only_read() {
    for sql in [
        "SELECT 1",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1)",
        "FROM t",
        "(SELECT 1)",
    ] {
        let statement = one(sql);
        assert!(statement.is_query() && !statement.modifies(), "{sql}");
        assert_eq!(statement.name(), "SELECT");
    }
}

#[test]
fn what_changes_something_says_so() {
    for sql in [
        "INSERT INTO t VALUES (1)",
        "DELETE FROM t",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'x'",
        "COPY t TO 'x.csv'",
        "CALL optimize('t')",
        "VACUUM t",
        "BACKUP TABLE t TO 'x'",
        "RESTORE LAKE FROM 'x'",
        "KILL QUERY 1",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXECUTE p",
    ] {
        assert!(one(sql).modifies() && !one(sql).is_query(), "{sql}");
    }
    for sql in [
        "EXPLAIN DELETE FROM t",
        "EXPLAIN ANALYZE SELECT 1",
        "VACUUM t DRY RUN",
        "FSCK REPAIR TABLE t DRY RUN",
        "DESCRIBE HISTORY t",
        "SHOW TABLES",
        "VERIFY BACKUP 'x'",
        "SET x = 1",
        "PREPARE p AS DELETE FROM t",
    ] {
        assert!(!one(sql).modifies(), "{sql}");
    }
}
