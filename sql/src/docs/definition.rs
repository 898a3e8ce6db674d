//! The reference's part on tables and their shape.

use super::{Section, StatementDoc, same};

pub(super) const STATEMENTS: &[StatementDoc] = &[
    StatementDoc {
        name: "CREATE TABLE",
        section: Section::Definition,
        syntax: &[
            "CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t [(column, … [, PRIMARY KEY (c, …)] [, [CONSTRAINT n] CHECK (e)])] \
             [USING DELTA] [PARTITIONED BY (c, …)] [CLUSTER BY (c, …)] [LOCATION 'url'] [COMMENT 's'] \
             [TBLPROPERTIES ('k' = 'v', …)] [AS query]",
            "column: c TYPE [NOT NULL] [DEFAULT e] [GENERATED ALWAYS AS (e)] \
             [GENERATED {ALWAYS | BY DEFAULT} AS IDENTITY [(START WITH n INCREMENT BY n)]] [COMMENT 's']",
        ],
        also: &[
            same(
                "CREATE TABLE t (id BIGINT PRIMARY KEY)",
                "CREATE TABLE t (id BIGINT NOT NULL, PRIMARY KEY (id))",
            ),
            same(
                "CREATE TABLE t (a INT) PARTITIONED BY (day DATE)",
                "CREATE TABLE t (a INT, day DATE) PARTITIONED BY (day)",
            ),
            same(
                "CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION '/data/t'",
                "CREATE TABLE t LOCATION '/data/t'",
            ),
            same(
                "CREATE TABLE t (a INTEGER, b TEXT, c INT[])",
                "CREATE TABLE t (a INT, b STRING, c ARRAY<INT>)",
            ),
        ],
        summary: "Creates or replaces a table, from columns, from a query, or from what stands at a location.",
        examples: &[
            "CREATE TABLE sales (id BIGINT NOT NULL, day DATE, amount DECIMAL(12, 2) DEFAULT 0, PRIMARY KEY (id), \
             CONSTRAINT positive CHECK (amount >= 0)) PARTITIONED BY (day) COMMENT 'all shops'",
            "CREATE OR REPLACE TABLE totals AS SELECT day, sum(amount) AS amount FROM sales GROUP BY day",
            "CREATE TABLE points (name STRING, at STRUCT<x: DOUBLE, y: DOUBLE>, tags MAP<STRING, ARRAY<STRING>>)",
        ],
    },
    StatementDoc {
        name: "CREATE TABLE LIKE",
        section: Section::Definition,
        syntax: &["CREATE TABLE [IF NOT EXISTS] t LIKE s [LOCATION 'url']"],
        also: &[],
        summary: "Creates an empty table with the shape and properties of another.",
        examples: &["CREATE TABLE sales_test LIKE sales"],
    },
    StatementDoc {
        name: "CLONE",
        section: Section::Definition,
        syntax: &[
            "CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t [SHALLOW] CLONE s [VERSION AS OF n | TIMESTAMP AS OF e] \
             [LOCATION 'url'] [TBLPROPERTIES ('k' = 'v', …)]",
        ],
        also: &[same("CREATE TABLE t DEEP CLONE s", "CREATE TABLE t CLONE s")],
        summary: "Copies a table, its files included or, with SHALLOW, referring to them.",
        examples: &["CREATE TABLE sales_old SHALLOW CLONE sales VERSION AS OF 3"],
    },
    StatementDoc {
        name: "CREATE EXTERNAL TABLE",
        section: Section::Definition,
        syntax: &["CREATE EXTERNAL TABLE t [(c TYPE, …)] STORED AS {CSV | JSON | PARQUET | …} LOCATION 'url'"],
        also: &[],
        summary: "Names plain files for this session, as in DataFusion.",
        examples: &["CREATE EXTERNAL TABLE raw STORED AS PARQUET LOCATION 'raw/'"],
    },
    StatementDoc {
        name: "CREATE SCHEMA",
        section: Section::Definition,
        syntax: &["CREATE SCHEMA [IF NOT EXISTS] s"],
        also: &[],
        summary: "Creates a schema: a folder of tables.",
        examples: &["CREATE SCHEMA archive"],
    },
    StatementDoc {
        name: "CREATE VIEW",
        section: Section::Definition,
        syntax: &["CREATE [OR REPLACE] VIEW v AS query"],
        also: &[],
        summary: "Keeps a query under a name for this session.",
        examples: &["CREATE VIEW big AS SELECT * FROM sales WHERE amount > 1000"],
    },
    StatementDoc {
        name: "CONVERT TO DELTA",
        section: Section::Definition,
        syntax: &["CONVERT TO DELTA parquet.`path` [NO STATISTICS] [PARTITIONED BY (c TYPE, …)]"],
        also: &[same(
            "CONVERT TO DELTA '/data/raw'",
            "CONVERT TO DELTA parquet.`/data/raw`",
        )],
        summary: "Makes a folder of Parquet files into a table, in place.",
        examples: &["CONVERT TO DELTA parquet.`/data/raw` PARTITIONED BY (day DATE)"],
    },
    StatementDoc {
        name: "DROP TABLE",
        section: Section::Definition,
        syntax: &["DROP TABLE [IF EXISTS] t"],
        also: &[],
        summary: "Removes a table.",
        examples: &["DROP TABLE IF EXISTS sales_test"],
    },
    StatementDoc {
        name: "ALTER TABLE",
        section: Section::Definition,
        syntax: &[
            "ALTER TABLE t ADD {COLUMN | COLUMNS} ([IF NOT EXISTS] c TYPE [NOT NULL] [DEFAULT e] [COMMENT 's'] \
             [FIRST | AFTER d], …)",
            "ALTER TABLE t DROP {COLUMN | COLUMNS} (c, …)",
            "ALTER TABLE t RENAME COLUMN c TO d",
            "ALTER TABLE t ALTER COLUMN c {TYPE T | SET NOT NULL | DROP NOT NULL | COMMENT 's' | SET DEFAULT e | \
             DROP DEFAULT}",
            "ALTER TABLE t ADD CONSTRAINT n CHECK (e)",
            "ALTER TABLE t DROP CONSTRAINT [IF EXISTS] n",
            "ALTER TABLE t ADD PRIMARY KEY (c, …)",
            "ALTER TABLE t DROP PRIMARY KEY",
            "ALTER TABLE t SET TBLPROPERTIES ('k' = 'v', …)",
            "ALTER TABLE t UNSET TBLPROPERTIES [IF EXISTS] ('k', …)",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE t CLUSTER BY {(c, …) | NONE}",
            "ALTER TABLE t DROP FEATURE f [TRUNCATE HISTORY]",
        ],
        also: &[
            same("ALTER TABLE t ADD COLUMNS (c INT)", "ALTER TABLE t ADD COLUMN c INT"),
            same(
                "ALTER TABLE t ADD COLUMN c INT, d DATE",
                "ALTER TABLE t ADD COLUMNS (c INT, d DATE)",
            ),
            same(
                "ALTER TABLE t CHANGE COLUMN c COMMENT 'x'",
                "ALTER TABLE t ALTER COLUMN c COMMENT 'x'",
            ),
            same(
                "ALTER TABLE t ALTER COLUMN c SET DATA TYPE BIGINT",
                "ALTER TABLE t ALTER COLUMN c TYPE BIGINT",
            ),
            same(
                "ALTER TABLE t SET TBLPROPERTIES (a.b = true)",
                "ALTER TABLE t SET TBLPROPERTIES ('a.b' = 'true')",
            ),
        ],
        summary: "Changes a table's columns, constraints, keys, properties or name.",
        examples: &[
            "ALTER TABLE sales ADD COLUMN shop STRING COMMENT 'where' AFTER id",
            "ALTER TABLE points ADD COLUMN at.z DOUBLE",
            "ALTER TABLE sales ALTER COLUMN id TYPE BIGINT",
            "ALTER TABLE sales ADD CONSTRAINT positive CHECK (amount >= 0)",
            "ALTER TABLE sales SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
        ],
    },
    StatementDoc {
        name: "COMMENT ON",
        section: Section::Definition,
        syntax: &[
            "COMMENT ON TABLE t IS {'s' | NULL}",
            "COMMENT ON COLUMN t.c IS {'s' | NULL}",
        ],
        also: &[],
        summary: "Sets or takes away the comment of a table or a column.",
        examples: &[
            "COMMENT ON TABLE sales IS 'all shops'",
            "COMMENT ON COLUMN sales.shop IS NULL",
        ],
    },
    StatementDoc {
        name: "CREATE SECRET",
        section: Section::Definition,
        syntax: &[
            "CREATE [OR REPLACE] SECRET [IF NOT EXISTS] [name] (TYPE {s3 | azure | gcs}, [SCOPE 'url',] option value, …)",
        ],
        also: &[],
        summary: "Gives the session credentials and settings for the URLs below a scope; the longest scope wins.",
        examples: &[
            "CREATE SECRET sales (TYPE s3, SCOPE 's3://company/sales', KEY_ID 'AKIA0', SECRET '***', REGION 'eu-central-1')",
            "CREATE OR REPLACE SECRET minio (TYPE s3, ENDPOINT 'minio:9000', USE_SSL false, PROVIDER credential_chain)",
        ],
    },
    StatementDoc {
        name: "DROP SECRET",
        section: Section::Definition,
        syntax: &["DROP SECRET [IF EXISTS] name"],
        also: &[],
        summary: "Forgets credentials.",
        examples: &["DROP SECRET sales", "DROP SECRET IF EXISTS sales"],
    },
];
