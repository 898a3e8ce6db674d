//! The one public error: a coarse kind that says what a caller can do, a message, and the source below.

use std::fmt;

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;
use posixlake_sql::{Location, SyntaxError};
use posixlake_udfs::{FileError, FileErrorKind};

/// The result of everything public.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A table, column, file or version is not there: check the name.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// The text is not a statement: fix the spelling.
    Syntax,
    /// The statement is understood and makes no sense: fix it.
    Invalid,
    /// Columns or types do not fit together.
    Schema,
    /// A row breaks NOT NULL, a CHECK constraint, a generated column or a key: fix the data.
    Constraint,
    /// Another writer was first: run the statement again.
    Conflict,
    /// Not allowed.
    Permission,
    /// Understood, and not something that posixlake (or this table's protocol) can do.
    Unsupported,
    /// The store did not answer or refused: check it, then retry.
    Storage,
    /// A table or file is damaged.
    Corrupt,
    /// The session, or what it stood on, is closed or was cancelled.
    Closed,
    /// A fault of posixlake: please report it.
    Internal,
}

/// What went wrong, in one line, and why.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    location: Option<Location>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a source.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            location: None,
            source: None,
        }
    }

    /// The same error with what lies below it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the session's memory did not suffice.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> =
            self.source.as_ref().map(|source| source.as_ref() as _);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<DataFusionError>()
                && matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
            {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place in the statement, where one is to blame.
    pub fn location(&self) -> Option<Location> {
        self.location
    }
}

impl Error {
    /// The same error with the kind that the operating system's code in its message gives it: libraries below turn what
    /// the system says into errors of all kinds.
    fn of_system(mut self) -> Self {
        // EPERM, EACCES, EROFS; then what a full or broken disk says: EIO, ENOSPC, EDQUOT.
        const REFUSED: [&str; 3] = ["(os error 1)", "(os error 13)", "(os error 30)"];
        const BROKEN: [&str; 3] = ["(os error 5)", "(os error 28)", "(os error 122)"];
        let says = |codes: [&str; 3]| codes.iter().any(|code| self.message.contains(code));
        if says(REFUSED) {
            self.kind = ErrorKind::Permission;
        } else if says(BROKEN) {
            self.kind = ErrorKind::Storage;
        }
        self
    }
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self::new(ErrorKind::$kind, message)
                }
            )*
        }
    };
}

constructors! {
    not_found => NotFound,
    already_exists => AlreadyExists,
    invalid => Invalid,
    schema => Schema,
    constraint => Constraint,
    conflict => Conflict,
    permission => Permission,
    unsupported => Unsupported,
    storage => Storage,
    corrupt => Corrupt,
    internal => Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

impl From<SyntaxError> for Error {
    fn from(error: SyntaxError) -> Self {
        Self {
            kind: ErrorKind::Syntax,
            message: error.to_string(),
            location: Some(error.location),
            source: Some(Box::new(error)),
        }
    }
}

/// Ours travels through DataFusion as an external error, and comes out as it was.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let kind = kind_of_datafusion(&error);
        let error: Self = match error {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => match other.downcast::<DeltaTableError>() {
                    Ok(delta) => (*delta).into(),
                    Err(other) => match other.downcast::<FileError>() {
                        Ok(file) => (*file).into(),
                        Err(other) => match other.downcast::<DataFusionError>() {
                            Ok(inner) => (*inner).into(),
                            Err(other) => Error::new(kind, other.to_string()).with_source(other),
                        },
                    },
                },
            },
            DataFusionError::Context(context, inner) => {
                let inner = Error::from(*inner);
                // Where in the optimizer a constant was computed is nothing that a user could act upon.
                if context.starts_with("Optimizer rule ") {
                    return inner;
                }
                Error {
                    message: format!("{context}: {}", inner.message),
                    ..inner
                }
            }
            DataFusionError::Diagnostic(_, inner) => Error::from(*inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Error::from(first),
                None => Error::internal("an error without a cause"),
            },
            DataFusionError::Shared(inner) => match find_ours(&inner) {
                Some((kind, message)) => Error::new(kind, message).with_source(DataFusionError::Shared(inner)),
                None => Error::new(kind, message_of(&inner)).with_source(DataFusionError::Shared(inner)),
            },
            DataFusionError::ArrowError(arrow, backtrace) => match *arrow {
                arrow::error::ArrowError::ExternalError(inner) => Error::from(DataFusionError::External(inner)),
                other => {
                    let message = other.to_string();
                    Error::new(kind, message).with_source(DataFusionError::ArrowError(Box::new(other), backtrace))
                }
            },
            other => match refused(&other) {
                Some(ours) => ours.with_source(other),
                None => Error::new(kind, message_of(&other)).with_source(other),
            },
        };
        error.of_system()
    }
}

/// DataFusion's message without its `Error during planning: ` and its like, which say where in DataFusion it arose.
fn message_of(error: &DataFusionError) -> String {
    const PREFIXES: [&str; 15] = [
        "Error during planning: ",
        "Execution error: ",
        "Schema error: ",
        "SQL error: ",
        "This feature is not implemented: ",
        "Invalid or Unsupported Configuration: ",
        "Resources exhausted: ",
        "Arrow error: ",
        "Parquet error: ",
        "Object Store error: ",
        "Generic store error: ",
        "Operation not supported: ",
        "IO error: ",
        "External error: ",
        "Substrait error: ",
    ];
    let text = error.strip_backtrace();
    let mut rest = text.as_str();
    while let Some(stripped) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = stripped;
    }
    reworded(rest.trim())
}

/// Messages of the libraries below that leave out what to do.
fn reworded(text: &str) -> String {
    if let Some(key) = text
        .to_lowercase()
        .strip_prefix("could not find config namespace for key ")
        .map(|key| key.trim_matches(['"', '.']).to_string())
    {
        return format!("there is no setting '{key}'; SHOW ALL lists them");
    }
    // Without credentials, the clients ask the service that machines in a cloud have them from.
    let hint = if text.contains("169.254.169.254") {
        "; no credentials were found: use CREATE SECRET, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Azure: \
         AZURE_STORAGE_ACCOUNT_KEY) or --option, or say --option aws_skip_signature=true for a public bucket"
    } else if text.contains("metadata.google.internal") {
        "; no credentials were found: use CREATE SECRET, set GOOGLE_SERVICE_ACCOUNT or --option google_service_account=FILE"
    } else {
        ""
    };
    format!("{text}{hint}")
}

/// The last of the causes that DataFusion chains in one text: the one that says what is wrong.
fn innermost(text: &str) -> String {
    let last = text.rsplit("caused by\n").next().unwrap_or(text).trim();
    let prefixes = [
        "Generic DeltaTable error: ",
        "Generic error: ",
        "Kernel error: ",
        "Error interacting with object store: ",
        "Generic store error: ",
        "Operation not supported: ",
        "Arrow error: ",
        "Cast error: ",
        "Execution error: ",
    ];
    let mut rest = last;
    while let Some(stripped) = prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = stripped;
    }
    reworded(rest)
}

/// Looks for our error below errors that are shared and cannot be taken apart.
fn find_ours(error: &(dyn std::error::Error + 'static)) -> Option<(ErrorKind, String)> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some((ours.kind, ours.message.clone()));
        }
        if let Some(file) = error.downcast_ref::<FileError>() {
            return Some((kind_of_file(file), file.to_string()));
        }
        next = error.source();
    }
    None
}

/// What a store said that guards the files of a lake with users, in its own words.
fn refused(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error
            .downcast_ref::<Error>()
            .filter(|ours| ours.kind == ErrorKind::Permission)
        {
            return Some(Error::permission(ours.message.clone()));
        }
        next = error.source();
    }
    None
}

fn kind_of_datafusion(error: &DataFusionError) -> ErrorKind {
    match error {
        DataFusionError::SQL(..) => ErrorKind::Syntax,
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::SchemaError(..) => ErrorKind::Schema,
        DataFusionError::Plan(message) if message.contains("not found") => ErrorKind::NotFound,
        DataFusionError::Plan(_) | DataFusionError::Configuration(_) | DataFusionError::Execution(_) => {
            ErrorKind::Invalid
        }
        DataFusionError::ArrowError(..) | DataFusionError::ParquetError(_) => ErrorKind::Invalid,
        DataFusionError::ObjectStore(inner) => match inner.as_ref() {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                ErrorKind::Permission
            }
            object_store::Error::NotSupported { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Storage,
        },
        DataFusionError::IoError(inner) => match inner.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            _ => ErrorKind::Storage,
        },
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Invalid,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => kind_of_datafusion(inner),
        DataFusionError::Shared(inner) => kind_of_datafusion(inner),
        _ => ErrorKind::Invalid,
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match refused(&error) {
            Some(ours) => ours.with_source(error),
            None => Error::new(kind_of_file(&error), error.to_string()).with_source(error),
        }
    }
}

fn kind_of_file(error: &FileError) -> ErrorKind {
    match error.kind() {
        FileErrorKind::NotFound => ErrorKind::NotFound,
        FileErrorKind::Schema => ErrorKind::Schema,
        FileErrorKind::Unsupported => ErrorKind::Unsupported,
        FileErrorKind::Storage => ErrorKind::Storage,
        _ => ErrorKind::Invalid,
    }
}

impl From<DeltaTableError> for Error {
    fn from(error: DeltaTableError) -> Self {
        use DeltaTableError as E;
        let kind = match &error {
            E::NotATable(_) | E::InvalidVersion(_) => ErrorKind::NotFound,
            E::VersionAlreadyExists(_) | E::VersionMismatch { .. } => ErrorKind::Conflict,
            E::Transaction { source } => match source {
                TransactionError::UnsupportedTableFeatures(_) | TransactionError::TableFeaturesRequired(_) => {
                    ErrorKind::Unsupported
                }
                TransactionError::DeltaTableAppendOnly | TransactionError::SerializeLogJson { .. } => {
                    ErrorKind::Invalid
                }
                TransactionError::ObjectStore { .. } | TransactionError::LogStoreError { .. } => ErrorKind::Storage,
                _ => ErrorKind::Conflict,
            },
            E::ObjectStore { source } => match source {
                object_store::Error::NotFound { .. } => ErrorKind::NotFound,
                _ => ErrorKind::Storage,
            },
            E::Io { .. } => ErrorKind::Storage,
            E::InvalidData { .. } => ErrorKind::Constraint,
            E::SchemaMismatch { .. } => ErrorKind::Schema,
            E::InvalidJsonLog { .. } | E::InvalidStatsJson { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Invalid,
        };
        match error {
            E::GenericError { source } => match source.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(source) => match source.downcast::<DataFusionError>() {
                    Ok(inner) => (*inner).into(),
                    Err(source) => Error::new(kind, innermost(&source.to_string())).with_source(source),
                },
            },
            error => refused(&error)
                .unwrap_or_else(|| Error::new(kind, innermost(&error.to_string())))
                .with_source(error)
                .of_system(),
        }
    }
}

impl From<deltalake_core::kernel::Error> for Error {
    fn from(error: deltalake_core::kernel::Error) -> Self {
        DeltaTableError::from(error).into()
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        DataFusionError::ObjectStore(Box::new(error)).into()
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        DataFusionError::ArrowError(Box::new(error), None).into()
    }
}
