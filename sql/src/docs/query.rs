//! The reference's part on reading.

use super::{Section, StatementDoc, same};

pub(super) const STATEMENTS: &[StatementDoc] = &[
    StatementDoc {
        name: "SELECT",
        section: Section::Query,
        syntax: &[
            "SELECT … FROM t [VERSION AS OF n | TIMESTAMP AS OF e] [AS x] …",
            "SELECT … FROM 'file' | delta.`url` | table_changes('t', from[, to]) …",
        ],
        also: &[
            same("SELECT * FROM t FOR VERSION AS OF 3", "SELECT * FROM t VERSION AS OF 3"),
            same("SELECT * FROM t VERSION AS OF '3'", "SELECT * FROM t VERSION AS OF 3"),
            same(
                "SELECT * FROM t FOR SYSTEM_VERSION AS OF 3",
                "SELECT * FROM t VERSION AS OF 3",
            ),
            same("SELECT * FROM t AT (VERSION => 3)", "SELECT * FROM t VERSION AS OF 3"),
            same(
                "SELECT * FROM t FOR TIMESTAMP AS OF now()",
                "SELECT * FROM t TIMESTAMP AS OF now()",
            ),
            same(
                "SELECT * FROM t FOR SYSTEM_TIME AS OF now()",
                "SELECT * FROM t TIMESTAMP AS OF now()",
            ),
            same(
                "SELECT * FROM t AT (TIMESTAMP => now())",
                "SELECT * FROM t TIMESTAMP AS OF now()",
            ),
        ],
        summary: "Reads tables, as they are or as they were at a version or a time, files, and the changes between versions.",
        examples: &[
            "SELECT * FROM sales VERSION AS OF 3 AS before JOIN sales AS after ON before.id = after.id",
            "SELECT count(*) FROM sales TIMESTAMP AS OF now() - INTERVAL '1 hour'",
            "SELECT * FROM table_changes('sales', 0, 10)",
            "SELECT * FROM delta.`/data/sales`",
            "SELECT * FROM 'new/*.parquet'",
        ],
    },
    StatementDoc {
        name: "DESCRIBE",
        section: Section::Query,
        syntax: &["DESCRIBE t"],
        also: &[same("DESC t", "DESCRIBE t"), same("DESCRIBE TABLE t", "DESCRIBE t")],
        summary: "Lists a table's columns with their types.",
        examples: &["DESCRIBE sales"],
    },
    StatementDoc {
        name: "DESCRIBE HISTORY",
        section: Section::Query,
        syntax: &["DESCRIBE HISTORY t [LIMIT n]"],
        also: &[same("DESC HISTORY t", "DESCRIBE HISTORY t")],
        summary: "Lists a table's versions with the statements that made them, newest first.",
        examples: &["DESCRIBE HISTORY sales", "DESCRIBE HISTORY sales LIMIT 10"],
    },
    StatementDoc {
        name: "DESCRIBE DETAIL",
        section: Section::Query,
        syntax: &["DESCRIBE DETAIL t"],
        also: &[same("DESC DETAIL t", "DESCRIBE DETAIL t")],
        summary: "Shows a table's location, size, partitions, protocol and properties in one row.",
        examples: &["DESCRIBE DETAIL sales"],
    },
    StatementDoc {
        name: "SHOW TABLES",
        section: Section::Query,
        syntax: &["SHOW TABLES [IN schema] [LIKE 'pattern']"],
        also: &[same("SHOW TABLES FROM s", "SHOW TABLES IN s")],
        summary: "Lists the tables of all schemas, or of one.",
        examples: &["SHOW TABLES", "SHOW TABLES IN archive LIKE 'sales%'"],
    },
    StatementDoc {
        name: "SHOW SCHEMAS",
        section: Section::Query,
        syntax: &["SHOW SCHEMAS [LIKE 'pattern']"],
        also: &[same("SHOW DATABASES", "SHOW SCHEMAS")],
        summary: "Lists the schemas of the lake.",
        examples: &["SHOW SCHEMAS"],
    },
    StatementDoc {
        name: "SHOW COLUMNS",
        section: Section::Query,
        syntax: &["SHOW COLUMNS FROM t"],
        also: &[],
        summary: "Lists a table's columns with their types.",
        examples: &["SHOW COLUMNS FROM sales"],
    },
    StatementDoc {
        name: "SHOW TBLPROPERTIES",
        section: Section::Query,
        syntax: &["SHOW TBLPROPERTIES t [('key')]"],
        also: &[same(
            "SHOW TBLPROPERTIES t (delta.appendOnly)",
            "SHOW TBLPROPERTIES t ('delta.appendOnly')",
        )],
        summary: "Lists a table's properties, or one of them.",
        examples: &[
            "SHOW TBLPROPERTIES sales",
            "SHOW TBLPROPERTIES sales ('delta.appendOnly')",
        ],
    },
    StatementDoc {
        name: "SHOW PARTITIONS",
        section: Section::Query,
        syntax: &["SHOW PARTITIONS t"],
        also: &[],
        summary: "Lists a table's partitions.",
        examples: &["SHOW PARTITIONS sales"],
    },
    StatementDoc {
        name: "SHOW CREATE TABLE",
        section: Section::Query,
        syntax: &["SHOW CREATE TABLE t"],
        also: &[],
        summary: "Shows the statement that would create the table.",
        examples: &["SHOW CREATE TABLE sales"],
    },
    StatementDoc {
        name: "SHOW PROCEDURES",
        section: Section::Query,
        syntax: &["SHOW PROCEDURES"],
        also: &[],
        summary: "Lists the procedures for CALL with their parameters, types and defaults.",
        examples: &["SHOW PROCEDURES"],
    },
    StatementDoc {
        name: "SHOW SECRETS",
        section: Section::Query,
        syntax: &["SHOW SECRETS"],
        also: &[],
        summary: "Lists the session's credentials by the URLs that they are for; what is secret is masked.",
        examples: &["SHOW SECRETS"],
    },
    StatementDoc {
        name: "EXPLAIN",
        section: Section::Query,
        syntax: &[
            "EXPLAIN [ANALYZE] [VERBOSE] [FORMAT {INDENT | TREE | PGJSON | GRAPHVIZ}] statement",
            "EXPLAIN (option [value], …) statement",
        ],
        also: &[same(
            "EXPLAIN (ANALYZE, FORMAT tree) SELECT 1",
            "EXPLAIN ANALYZE FORMAT TREE SELECT 1",
        )],
        summary: "Shows how any statement would be executed.",
        examples: &[
            "EXPLAIN DELETE FROM sales WHERE id = 1",
            "EXPLAIN ANALYZE SELECT count(*) FROM sales",
        ],
    },
    StatementDoc {
        name: "PREPARE",
        section: Section::Query,
        syntax: &[
            "PREPARE name [(TYPE, …)] AS statement",
            "EXECUTE name[(value, …)]",
            "DEALLOCATE name",
        ],
        also: &[],
        summary: "Keeps any statement under a name, with parameters $1, $2, ….",
        examples: &[
            "PREPARE one (BIGINT) AS DELETE FROM sales WHERE id = $1",
            "EXECUTE one(1)",
            "DEALLOCATE one",
        ],
    },
];
