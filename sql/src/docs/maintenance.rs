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
