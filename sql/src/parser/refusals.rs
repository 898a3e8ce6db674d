//! Statements of other systems with the reason why they are refused, and what was probably meant by a misspelt word.

use crate::cursor::Cursor;
use crate::error::SyntaxError;

/// The words that a statement can begin with.
const LEADING: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BACKUP",
    "CALL",
    "CHECKPOINT",
    "COMMENT",
    "CONVERT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DELETE",
    "DESCRIBE",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "FROM",
    "FSCK",
    "GENERATE",
    "GRANT",
    "INSERT",
    "KILL",
    "MERGE",
    "OPTIMIZE",
    "PREPARE",
    "REORG",
    "RESET",
    "RESTORE",
    "REVOKE",
    "SELECT",
    "SET",
    "SHOW",
    "TRUNCATE",
    "UPDATE",
    "VACUUM",
    "VALUES",
    "VERIFY",
    "WITH",
];

/// What SHOW shows.
pub(crate) const SHOWN: &[&str] = &[
    "TABLES",
    "COLUMNS",
    "CREATE",
    "FUNCTIONS",
    "GRANTS",
    "PARTITIONS",
    "PROCEDURES",
    "ROLES",
    "SCHEMAS",
    "SECRETS",
    "TBLPROPERTIES",
    "USERS",
];

/// The words that follow a leading word.
const FOLLOWING: &[(&str, &[&str])] = &[
    ("ALTER", &["TABLE", "USER"]),
    ("ANALYZE", &["TABLE"]),
    ("BACKUP", &["TABLE", "LAKE"]),
    ("COMMENT", &["ON"]),
    ("CONVERT", &["TO"]),
    ("COPY", &["INTO"]),
    (
        "CREATE",
        &["TABLE", "EXTERNAL", "SCHEMA", "SECRET", "VIEW", "OR", "USER", "ROLE"],
    ),
    ("DELETE", &["FROM"]),
    ("DESC", &["HISTORY", "DETAIL"]),
    ("DESCRIBE", &["HISTORY", "DETAIL", "TABLE"]),
    ("DROP", &["TABLE", "SCHEMA", "SECRET", "VIEW", "USER", "ROLE"]),
    ("FSCK", &["REPAIR"]),
    ("KILL", &["QUERY"]),
    ("INSERT", &["INTO", "OVERWRITE", "WITH"]),
    ("MERGE", &["INTO", "WITH"]),
    ("SHOW", SHOWN),
    ("TRUNCATE", &["TABLE"]),
    ("VERIFY", &["BACKUP"]),
];

/// The refusal of a statement by its first words, where there is one.
pub(crate) fn refused(cursor: &Cursor, first: &str) -> Option<SyntaxError> {
    let refusal = |message: &str, hint: &str| Some(cursor.refusal(message).with_hint(hint));
    match first {
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "ABORT" | "SAVEPOINT" | "RELEASE" => refusal(
            &format!("{first} is not available: there are no transactions of several statements"),
            "every statement is one commit; put what belongs together into one MERGE, or undo with RESTORE TABLE",
        ),
        "REPLACE" | "UPSERT" => refusal(
            &format!("{first} is not a statement here"),
            "use MERGE INTO to replace rows by key, or INSERT OVERWRITE to replace all of them",
        ),
        "DENY" => refusal(
            "DENY is not available",
            "nothing is allowed that was not granted; use REVOKE",
        ),
        "MSCK" => refusal("MSCK is not a statement here", "use FSCK REPAIR TABLE t"),
        "REFRESH" => refusal("REFRESH is not needed", "every statement reads the newest version"),
        "UNDROP" => refusal("UNDROP is not available", "DROP TABLE deletes the table's files"),
        "USE" => refusal("USE is not available", "name tables as schema.table"),
        word if is_known(word) => None,
        word => {
            let error = cursor.refusal(format!("{word} is not the beginning of a statement"));
            Some(match nearest(word, LEADING) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => error,
            })
        }
    }
}

/// Whether DataFusion's parser knows statements that begin with this word.
fn is_known(word: &str) -> bool {
    const OTHERS: &[&str] = &[
        "ASSERT",
        "ATTACH",
        "CACHE",
        "CASE",
        "CLOSE",
        "DECLARE",
        "DETACH",
        "DISCARD",
        "EXEC",
        "EXPORT",
        "FETCH",
        "FLUSH",
        "IF",
        "INSTALL",
        "LOAD",
        "LOCK",
        "OPEN",
        "PRAGMA",
        "PRINT",
        "RAISE",
        "RAISERROR",
        "RENAME",
        "RETURN",
        "THROW",
        "UNCACHE",
        "UNLOAD",
        "WAITFOR",
        "WHILE",
    ];
    LEADING.contains(&word) || OTHERS.contains(&word)
}

/// Adds what the statement's second word was probably meant to be.
pub(crate) fn suggest(error: SyntaxError, words: &[Option<String>; 2]) -> SyntaxError {
    let [Some(first), Some(second)] = words else {
        return error;
    };
    let following = FOLLOWING
        .iter()
        .find(|(leading, _)| leading == first)
        .map(|(_, following)| *following);
    match following.and_then(|following| nearest(second, following)) {
        Some(near) if error.hint.is_none() => error.with_hint(format!("did you mean {first} {near}?")),
        _ => error,
    }
}

/// The candidate that a word is a slip of, itself excluded.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if candidates.contains(&word) {
        return None;
    }
    let allowed = if word.chars().count() < 4 { 1 } else { 2 };
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
