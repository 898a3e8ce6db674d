//! The reference's part on users and rights.

use super::{Section, StatementDoc, same};

pub(super) const STATEMENTS: &[StatementDoc] = &[
    StatementDoc {
        name: "CREATE USER",
        section: Section::Access,
        syntax: &["CREATE USER [IF NOT EXISTS] u PASSWORD 's'"],
        also: &[same(
            "CREATE USER ana WITH PASSWORD '***'",
            "CREATE USER ana PASSWORD '***'",
        )],
        summary: "Makes a user; the first one becomes the lake's admin, and from then on nobody gets in without a password.",
        examples: &["CREATE USER ana PASSWORD 'correct horse battery'"],
    },
    StatementDoc {
        name: "ALTER USER",
        section: Section::Access,
        syntax: &["ALTER USER u PASSWORD 's'"],
        also: &[],
        summary: "Changes a password: one's own, or as admin anyone's.",
        examples: &["ALTER USER ana PASSWORD 'staple correct horse'"],
    },
    StatementDoc {
        name: "DROP USER",
        section: Section::Access,
        syntax: &["DROP USER [IF EXISTS] u"],
        also: &[],
        summary: "Removes a user with all rights; the last admin stays.",
        examples: &["DROP USER IF EXISTS ana"],
    },
    StatementDoc {
        name: "CREATE ROLE",
        section: Section::Access,
        syntax: &["CREATE ROLE [IF NOT EXISTS] r"],
        also: &[],
        summary: "Makes a role, which holds rights for its users; admin, writer and reader are there already.",
        examples: &["CREATE ROLE analyst"],
    },
    StatementDoc {
        name: "DROP ROLE",
        section: Section::Access,
        syntax: &["DROP ROLE [IF EXISTS] r"],
        also: &[],
        summary: "Removes a role with all rights that it holds.",
        examples: &["DROP ROLE IF EXISTS analyst"],
    },
    StatementDoc {
        name: "GRANT",
        section: Section::Access,
        syntax: &["GRANT {SELECT | INSERT | UPDATE | DELETE | MODIFY | ALL}[, …] ON {TABLE t | SCHEMA s | LAKE} TO u"],
        also: &[
            same("GRANT SELECT ON sales TO ana", "GRANT SELECT ON TABLE sales TO ana"),
            same("GRANT ALL PRIVILEGES ON LAKE TO USER ana", "GRANT ALL ON LAKE TO ana"),
        ],
        summary: "Gives rights to a user or role; MODIFY is making, shaping, caring for and dropping tables.",
        examples: &[
            "GRANT SELECT, INSERT ON TABLE sales TO ana",
            "GRANT ALL ON SCHEMA archive TO analyst",
            "GRANT SELECT ON LAKE TO analyst",
        ],
    },
    StatementDoc {
        name: "REVOKE",
        section: Section::Access,
        syntax: &[
            "REVOKE {SELECT | INSERT | UPDATE | DELETE | MODIFY | ALL}[, …] ON {TABLE t | SCHEMA s | LAKE} FROM u",
        ],
        also: &[same(
            "REVOKE ALL PRIVILEGES ON sales FROM ana",
            "REVOKE ALL ON TABLE sales FROM ana",
        )],
        summary: "Takes rights away from a user or role.",
        examples: &["REVOKE INSERT ON TABLE sales FROM ana"],
    },
    StatementDoc {
        name: "GRANT ROLE",
        section: Section::Access,
        syntax: &["GRANT r TO u"],
        also: &[],
        summary: "Gives a user the rights of a role.",
        examples: &["GRANT writer TO ana"],
    },
    StatementDoc {
        name: "REVOKE ROLE",
        section: Section::Access,
        syntax: &["REVOKE r FROM u"],
        also: &[],
        summary: "Takes the rights of a role from a user.",
        examples: &["REVOKE writer FROM ana"],
    },
    StatementDoc {
        name: "SHOW GRANTS",
        section: Section::Access,
        syntax: &["SHOW GRANTS [FOR u]"],
        also: &[],
        summary: "Shows the rights of the session's user, or as admin of any user or role.",
        examples: &["SHOW GRANTS", "SHOW GRANTS FOR analyst"],
    },
    StatementDoc {
        name: "SHOW USERS",
        section: Section::Access,
        syntax: &["SHOW USERS"],
        also: &[],
        summary: "Lists the users with their roles, for admins.",
        examples: &["SHOW USERS"],
    },
    StatementDoc {
        name: "SHOW ROLES",
        section: Section::Access,
        syntax: &["SHOW ROLES"],
        also: &[],
        summary: "Lists the roles.",
        examples: &["SHOW ROLES"],
    },
];
