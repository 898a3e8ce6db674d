//! The reference's part on changing rows.

use super::{Section, StatementDoc, same};

pub(super) const STATEMENTS: &[StatementDoc] = &[
    StatementDoc {
        name: "INSERT",
        section: Section::Change,
        syntax: &[
            "INSERT [WITH SCHEMA EVOLUTION] INTO t [(c, …) | BY NAME] {query | VALUES (e, …), …}",
            "INSERT OVERWRITE t [PARTITION (c = v, …)] [(c, …) | BY NAME] {query | VALUES …}",
            "INSERT INTO t REPLACE WHERE p {query | VALUES …}",
        ],
        also: &[
            same("INSERT INTO TABLE t VALUES (1)", "INSERT INTO t VALUES (1)"),
            same("INSERT OVERWRITE TABLE t SELECT 1", "INSERT OVERWRITE t SELECT 1"),
            same("INSERT OVERWRITE INTO t SELECT 1", "INSERT OVERWRITE t SELECT 1"),
        ],
        summary: "Adds rows, replaces all rows, or replaces those of some partitions or of a predicate.",
        examples: &[
            "INSERT INTO sales (id, amount) VALUES (1, 9.99), (2, 19.99)",
            "INSERT INTO sales BY NAME SELECT 3 AS id, 5 AS amount",
            "INSERT INTO sales REPLACE WHERE day = '2026-11-22' SELECT * FROM 'today.csv'",
            "INSERT OVERWRITE sales PARTITION (day = '2026-11-22') SELECT id, amount FROM fixed",
            "INSERT WITH SCHEMA EVOLUTION INTO sales SELECT * FROM 'new.parquet'",
        ],
    },
    StatementDoc {
        name: "UPDATE",
        section: Section::Change,
        syntax: &["UPDATE t [AS x] SET c = e, … [FROM s, …] [WHERE p]"],
        also: &[same("UPDATE t x SET a = 1", "UPDATE t AS x SET a = 1")],
        summary: "Changes the rows that match.",
        examples: &[
            "UPDATE sales SET amount = amount * 2 WHERE id IN (SELECT id FROM wrong)",
            "UPDATE sales AS s SET amount = f.amount FROM fixed AS f WHERE f.id = s.id",
        ],
    },
    StatementDoc {
        name: "DELETE",
        section: Section::Change,
        syntax: &["DELETE FROM t [AS x] [USING s, …] [WHERE p]"],
        also: &[same("DELETE t WHERE a = 1", "DELETE FROM t WHERE a = 1")],
        summary: "Deletes the rows that match.",
        examples: &[
            "DELETE FROM sales WHERE day < '2020-01-01'",
            "DELETE FROM sales AS s USING wrong AS w WHERE w.id = s.id",
        ],
    },
    StatementDoc {
        name: "TRUNCATE TABLE",
        section: Section::Change,
        syntax: &["TRUNCATE TABLE t"],
        also: &[same("TRUNCATE t", "TRUNCATE TABLE t")],
        summary: "Deletes all rows.",
        examples: &["TRUNCATE TABLE sales"],
    },
    StatementDoc {
        name: "MERGE",
        section: Section::Change,
        syntax: &[
            "MERGE [WITH SCHEMA EVOLUTION] INTO t [AS x] USING s ON p clause …",
            "clause: WHEN MATCHED [AND c] THEN {UPDATE SET {* | c = e, …} | DELETE}",
            "clause: WHEN NOT MATCHED [BY TARGET] [AND c] THEN INSERT {* | (c, …) VALUES (e, …)}",
            "clause: WHEN NOT MATCHED BY SOURCE [AND c] THEN {UPDATE SET c = e, … | DELETE}",
        ],
        also: &[same(
            "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY TARGET THEN INSERT *",
            "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",
        )],
        summary: "Updates, deletes and inserts rows by comparing the table with a source, in one commit.",
        examples: &[
            "MERGE INTO sales AS t USING 'today.csv' AS s ON t.id = s.id \
             WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
            "MERGE INTO sales AS t USING fixed AS s ON t.id = s.id WHEN MATCHED AND s.gone THEN DELETE \
             WHEN MATCHED THEN UPDATE SET amount = s.amount \
             WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (s.id, s.amount) \
             WHEN NOT MATCHED BY SOURCE AND t.day < '2020-01-01' THEN DELETE",
        ],
    },
    StatementDoc {
        name: "COPY INTO",
        section: Section::Change,
        syntax: &[
            "COPY INTO t FROM 'url' FILEFORMAT = {CSV | JSON | PARQUET} [FILES = ('f', …)] [PATTERN = 'glob'] \
             [FORMAT_OPTIONS ('k' = 'v', …)] [COPY_OPTIONS ('k' = 'v', …)]",
        ],
        also: &[same(
            "COPY INTO t FROM 'in' FORMAT_OPTIONS (header = true) FILEFORMAT = csv",
            "COPY INTO t FROM 'in' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')",
        )],
        summary: "Loads files, each of them once, however often the statement is run.",
        examples: &["COPY INTO sales FROM 's3://in/sales/' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')"],
    },
    StatementDoc {
        name: "COPY TO",
        section: Section::Change,
        syntax: &["COPY {t | (query)} TO 'url' [STORED AS format] [PARTITIONED BY (c, …)] [OPTIONS ('k' 'v', …)]"],
        also: &[],
        summary: "Writes rows to plain files, as in DataFusion.",
        examples: &[
            "COPY sales TO 'sales.parquet'",
            "COPY (SELECT 1 AS a) TO 'a.csv' OPTIONS ('format.has_header' 'true')",
        ],
    },
];
