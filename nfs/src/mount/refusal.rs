//! Edits that are refused: the status that the tool sees, and the words that `data.csv.errors` keeps.

use crate::file_system::Status;
use crate::lake::{Kind, LakeError};

/// Why an edit was refused, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told.
    pub status: Status,
    /// What people are told.
    pub reason: String,
}

impl Refusal {
    /// Content that the table cannot take.
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self {
            status: Status::NFS3ERR_INVAL,
            reason: reason.into(),
        }
    }
}

impl From<LakeError> for Refusal {
    fn from(error: LakeError) -> Self {
        Self {
            status: status(error.kind),
            reason: error.message,
        }
    }
}

/// The status of a failure.
pub(crate) fn status(kind: Kind) -> Status {
    match kind {
        Kind::NotFound => Status::NFS3ERR_STALE,
        Kind::AlreadyExists => Status::NFS3ERR_EXIST,
        Kind::Invalid => Status::NFS3ERR_INVAL,
        Kind::Conflict | Kind::Storage | Kind::Internal => Status::NFS3ERR_IO,
        Kind::Permission => Status::NFS3ERR_ACCES,
        Kind::Unsupported => Status::NFS3ERR_ROFS,
    }
}

/// The status of a failure of the server's own disk.
pub(crate) fn io_status(error: &std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Status::NFS3ERR_NOSPC,
        std::io::ErrorKind::FileTooLarge => Status::NFS3ERR_FBIG,
        std::io::ErrorKind::NotFound => Status::NFS3ERR_STALE,
        _ => Status::NFS3ERR_IO,
    }
}

/// The words of a statement's failure, with its lines as the user counts them: `line_of` turns a line of the edit's file into one of the user's text.
pub(crate) fn explained(message: &str, file: &std::path::Path, line_of: impl Fn(u64) -> Option<u64>) -> String {
    let name = file.display().to_string();
    let short = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    for name in [name.as_str(), short.as_str()] {
        let Some((before, after)) = message.split_once(&format!("{name}, line ")) else {
            continue;
        };
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let Some(line) = digits.parse().ok().and_then(&line_of) else {
            continue;
        };
        let before = before
            .rsplit_once('/')
            .filter(|_| name == short)
            .map_or(before, |(before, _)| before.trim_end_matches(|sign: char| sign != ' '));
        return format!("{before}line {line}{}", after.get(digits.len()..).unwrap_or_default());
    }
    message.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lines_are_those_of_the_user() {
        let file = Path::new("/state/sessions/a.csv");
        let line = |line: u64| Some(line + 10);
        assert_eq!(
            explained(
                "/state/sessions/a.csv, line 3, column v: \"x\" is not an INT",
                file,
                line
            ),
            "line 13, column v: \"x\" is not an INT"
        );
        assert_eq!(
            explained("a.csv, line 3: 2 fields where 3 are expected", file, line),
            "line 13: 2 fields where 3 are expected"
        );
        assert_eq!(
            explained("column v must not be NULL", file, line),
            "column v must not be NULL"
        );
    }
}
