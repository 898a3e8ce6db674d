//! The reference's part on caring for tables.

use super::{Section, StatementDoc, same};

pub(super) const STATEMENTS: &[StatementDoc] = &[
    StatementDoc {
        name: "OPTIMIZE",
        section: Section::Maintenance,
        syntax: &["OPTIMIZE t [WHERE p] [ZORDER BY (c, …)]"],
        also: &[
            same("OPTIMIZE t ZORDER BY a, b", "OPTIMIZE t ZORDER BY (a, b)"),
            same("OPTIMIZE TABLE t", "OPTIMIZE t"),
        ],
        summary: "Joins small files into larger ones, or sorts rows along several columns at once.",
        examples: &[
            "OPTIMIZE sales",
            "OPTIMIZE sales WHERE day >= '2026-01-01' ZORDER BY (shop, id)",
        ],
    },
    StatementDoc {
        name: "VACUUM",
        section: Section::Maintenance,
        syntax: &["VACUUM t [LITE | FULL] [RETAIN n HOURS] [DRY RUN]"],
        also: &[
            same("VACUUM t FULL", "VACUUM t"),
            same("VACUUM t DRY RUN RETAIN 168 HOURS", "VACUUM t RETAIN 168 HOURS DRY RUN"),
        ],
        summary: "Deletes files that no version within the retention time needs.",
        examples: &["VACUUM sales DRY RUN", "VACUUM sales RETAIN 720 HOURS"],
    },
    StatementDoc {
        name: "RESTORE",
        section: Section::Maintenance,
        syntax: &["RESTORE TABLE t TO {VERSION AS OF n | TIMESTAMP AS OF e}"],
        also: &[
            same("RESTORE t TO VERSION AS OF 3", "RESTORE TABLE t TO VERSION AS OF 3"),
            same("RESTORE TABLE t VERSION AS OF 3", "RESTORE TABLE t TO VERSION AS OF 3"),
        ],
        summary: "Goes back to an older version, as a new version.",
        examples: &[
            "RESTORE TABLE sales TO VERSION AS OF 3",
            "RESTORE TABLE sales TO TIMESTAMP AS OF '2026-11-22'",
        ],
    },
    StatementDoc {
        name: "BACKUP",
        section: Section::Maintenance,
        syntax: &["BACKUP {TABLE t | LAKE} TO 'url' [INCREMENTAL]"],
        also: &[],
        summary: "Copies a table, or all tables of the lake, with their history and checksums; INCREMENTAL adds what is new.",
        examples: &[
            "BACKUP TABLE sales TO '/backups/sales'",
            "BACKUP LAKE TO 's3://backups/lake' INCREMENTAL",
        ],
    },
    StatementDoc {
        name: "VERIFY BACKUP",
        section: Section::Maintenance,
        syntax: &["VERIFY BACKUP 'url'"],
        also: &[],
        summary: "Reads a whole backup and says what is missing or damaged; ends in an error where anything is.",
        examples: &["VERIFY BACKUP '/backups/sales'"],
    },
    StatementDoc {
        name: "RESTORE FROM",
        section: Section::Maintenance,
        syntax: &[
            "RESTORE TABLE t [AS new] FROM 'url' [TO {VERSION AS OF n | TIMESTAMP AS OF e}] [OVERWRITE]",
            "RESTORE LAKE FROM 'url' [TO TIMESTAMP AS OF e] [OVERWRITE]",
        ],
        also: &[same(
            "RESTORE sales FROM '/backups/sales' VERSION AS OF 3",
            "RESTORE TABLE sales FROM '/backups/sales' TO VERSION AS OF 3",
        )],
        summary: "Brings back a table, or all tables, from a backup; a table that stands is only replaced with OVERWRITE.",
        examples: &[
            "RESTORE TABLE sales FROM '/backups/sales'",
            "RESTORE TABLE sales AS sales_then FROM '/backups/sales' TO TIMESTAMP AS OF '2026-11-22'",
            "RESTORE LAKE FROM 's3://backups/lake' OVERWRITE",
        ],
    },
    StatementDoc {
        name: "FSCK REPAIR TABLE",
        section: Section::Maintenance,
        syntax: &["FSCK REPAIR TABLE t [DRY RUN]"],
        also: &[],
        summary: "Takes files out of the table that are missing in storage.",
        examples: &["FSCK REPAIR TABLE sales DRY RUN"],
    },
    StatementDoc {
        name: "REORG TABLE",
        section: Section::Maintenance,
        syntax: &["REORG TABLE t [WHERE p] APPLY (PURGE)"],
        also: &[],
        summary: "Rewrites files that hold deleted rows or dropped columns.",
        examples: &["REORG TABLE sales APPLY (PURGE)"],
    },
    StatementDoc {
        name: "CHECKPOINT",
        section: Section::Maintenance,
        syntax: &["CHECKPOINT t"],
        also: &[],
        summary: "Writes the table's state into one file, so that it opens faster.",
        examples: &["CHECKPOINT sales"],
    },
    StatementDoc {
        name: "GENERATE",
        section: Section::Maintenance,
        syntax: &["GENERATE symlink_format_manifest FOR TABLE t"],
        also: &[],
        summary: "Writes manifests for engines that read lists of files.",
        examples: &["GENERATE symlink_format_manifest FOR TABLE sales"],
    },
    StatementDoc {
        name: "ANALYZE TABLE",
        section: Section::Maintenance,
        syntax: &["ANALYZE TABLE t COMPUTE STATISTICS"],
        also: &[],
        summary: "Computes the statistics of files that have none.",
        examples: &["ANALYZE TABLE sales COMPUTE STATISTICS"],
    },
    StatementDoc {
        name: "KILL QUERY",
        section: Section::Maintenance,
        syntax: &["KILL QUERY n"],
        also: &[],
        summary: "Cancels a running statement by its number in system.queries.",
        examples: &["KILL QUERY 7"],
    },
    StatementDoc {
        name: "CALL",
        section: Section::Maintenance,
        syntax: &["CALL procedure(value, …, name => value, …)"],
        also: &[
            same("CALL system.optimize('t')", "CALL optimize('t')"),
            same("CALL OPTIMIZE('t')", "CALL optimize('t')"),
        ],
        summary: "Runs a procedure; SHOW PROCEDURES lists them.",
        examples: &[
            "CALL vacuum('sales', retain_hours => 168, dry_run => true)",
            "CALL zorder('sales', ARRAY['shop', 'id'])",
        ],
    },
];
