//! What the process's exit code says. This is the only place that gives the numbers.

use crate::error::ErrorKind;

/// How a run ended. A script can tell by the number what it can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    Success = 0,
    Failed = 1,
    Usage = 2,
    Syntax = 3,
    NotFound = 4,
    Conflict = 5,
    Constraint = 6,
    Unsupported = 7,
    Permission = 8,
    Storage = 9,
    Invalid = 10,
    Schema = 11,
    AlreadyExists = 12,
    Corrupt = 13,
    Interrupted = 130,
    BrokenPipe = 141,
}

impl ExitCode {
    /// Every code, in the order in which help shows them.
    pub(crate) const ALL: [Self; 16] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Syntax,
        Self::NotFound,
        Self::Conflict,
        Self::Constraint,
        Self::Unsupported,
        Self::Permission,
        Self::Storage,
        Self::Invalid,
        Self::Schema,
        Self::AlreadyExists,
        Self::Corrupt,
        Self::Interrupted,
        Self::BrokenPipe,
    ];

    /// The number that the process ends with.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// What the number means, in one line.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => "everything ran",
            Self::Failed => "a statement failed for a reason that has no code of its own",
            Self::Usage => "the command line is wrong",
            Self::Syntax => "a text is not a statement",
            Self::NotFound => "a lake, table, column, file or version is not there",
            Self::Conflict => "another writer was first; run the statement again",
            Self::Constraint => "a row breaks NOT NULL, a check or a key",
            Self::Unsupported => "understood, but not something that posixlake or the table can do",
            Self::Permission => "not allowed",
            Self::Storage => "the store did not answer, or refused",
            Self::Invalid => "the statement is understood and makes no sense",
            Self::Schema => "columns or types do not fit together",
            Self::AlreadyExists => "something of that name is there already",
            Self::Corrupt => "a table or a file is damaged",
            Self::Interrupted => "cancelled by Ctrl-C",
            Self::BrokenPipe => "the reader of the output went away",
        }
    }

    /// All codes with their meanings, one a line.
    pub(crate) fn list() -> String {
        let lines = Self::ALL.map(|code| format!("  {:>3}  {}", code.number(), code.meaning()));
        lines.join("\n")
    }
}

impl From<ErrorKind> for ExitCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists => Self::AlreadyExists,
            ErrorKind::Syntax => Self::Syntax,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Schema => Self::Schema,
            ErrorKind::Constraint => Self::Constraint,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Permission => Self::Permission,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Storage => Self::Storage,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Closed | ErrorKind::Internal => Self::Failed,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}
