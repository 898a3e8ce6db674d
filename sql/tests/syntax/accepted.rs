#[test]
fn common_statements_parse() {
    for sql in [
        "SELECT 1",
        "CREATE TABLE t (a INT NOT NULL, b ARRAY<STRUCT<x: INT, y: MAP<STRING, INT>>>, PRIMARY KEY (a)) USING DELTA PARTITIONED BY (a) TBLPROPERTIES ('a' = 'b', delta.x = 3)",
        "INSERT INTO t VALUES (1)",
        "INSERT OVERWRITE t PARTITION (a = 1, b) SELECT 1",
        "UPDATE t SET a = 1 WHERE b",
        "DELETE FROM t WHERE a = 1",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        "OPTIMIZE t ZORDER BY (a, b)",
        "VACUUM t DRY RUN RETAIN 168 HOURS",
        "CALL optimize('t', where => 'a = 1')",
        "DESCRIBE HISTORY t LIMIT 3",
        "DESCRIBE t",
        "SHOW TABLES",
        "EXPLAIN ANALYZE OPTIMIZE t",
        "RESTORE t VERSION AS OF '3'",
        "SELECT * FROM t VERSION AS OF 3 AS x",
        "SELECT * FROM t FOR SYSTEM_TIME AS OF now() - INTERVAL '1 hour' x",
        "SELECT * FROM t AT (VERSION => 3) x JOIN u TIMESTAMP AS OF '2026-01-01' ON true",
        "SELECT version AS of FROM t",
        "SELECT * FROM t at",
        "SELECT * FROM t before",
        "SELECT * FROM 'x.csv' VERSION AS OF 3",
        "SELECT system_time AS of FROM system_time AS of",
        "COPY INTO t FROM 'x' FILEFORMAT = CSV",
        "COPY t TO 'x' STORED AS CSV",
        "CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION 'x'",
        "PREPARE p (INT) AS SELECT $1",
    ] {
        match posixlake_sql::parse(sql) {
            Ok(parsed) => println!("{:?}", parsed[0].statement),
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    for sql in [
        "OPTIMISE t",
        "DESCRIBE HISTROY t",
        "SELECT 'a",
        "SELECT (1",
        "SELECT 1;\nSELEC 1",
        "SELECT '\n\n';  VACUUM t RETAIN x",
        "BEGIN",
        "INSERT INTO t VALUES (1) RETURNING *",
        "SELECT * FROM t VERSION AS OF -1",
        "CREATE TABLE t (a INTT)",
    ] {
        match posixlake_sql::parse(sql) {
            Ok(parsed) => panic!("{sql} {:?}", parsed[0].statement),
            Err(error) => println!("{sql}: {error} {}", error.incomplete),
        }
    }
}
