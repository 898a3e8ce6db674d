//! What can go wrong with a file, in words that say what to do.

use std::fmt;

use datafusion::error::DataFusionError;

/// The result of the file readers.
pub(crate) type Result<T, E = FileError> = std::result::Result<T, E>;

/// What a caller can do about a [`FileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// A file, folder or pattern has nothing behind it: check the path.
    NotFound,
    /// An option, path or call makes no sense: fix it.
    Invalid,
    /// Columns of several files, or of a file and what was asked for, do not fit together.
    Schema,
    /// The content of a file is not what its format or its column types say.
    Data,
    /// Understood, and not something these readers do.
    Unsupported,
    /// The store did not answer or refused: check it, then retry.
    Storage,
}

/// An error of the file readers. Crosses DataFusion as [`DataFusionError::External`], from which [`FileError::find`]
/// takes it back.
#[derive(Debug)]
pub struct FileError {
    kind: FileErrorKind,
    message: String,
    source: Option<object_store::Error>,
}

impl FileError {
    pub(crate) fn new(kind: FileErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FileErrorKind::Invalid, message)
    }

    pub(crate) fn schema(message: impl Into<String>) -> Self {
        Self::new(FileErrorKind::Schema, message)
    }

    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(FileErrorKind::Data, message)
    }

    pub(crate) fn storage(message: impl Into<String>) -> Self {
        Self::new(FileErrorKind::Storage, message)
    }

    /// What the store said about `file`.
    pub(crate) fn store(file: &str, error: object_store::Error) -> Self {
        let (kind, message) = match &error {
            object_store::Error::NotFound { .. } => (FileErrorKind::NotFound, format!("{file}: no such file")),
            object_store::Error::Precondition { .. } => (
                FileErrorKind::Storage,
                format!("{file}: the file changed while it was read; run the statement again"),
            ),
            other => (FileErrorKind::Storage, format!("{file}: {other}")),
        };
        Self {
            kind,
            message,
            source: Some(error),
        }
    }

    /// What a caller can do.
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }

    /// The message, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file error inside a DataFusion error, however deep.
    pub fn find(error: &DataFusionError) -> Option<&FileError> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<FileError>() {
                return Some(found);
            }
            // A shared or boxed error hides its content behind a transparent source.
            if let Some(DataFusionError::External(inner)) = error.downcast_ref::<DataFusionError>()
                && let Some(found) = inner.downcast_ref::<FileError>()
            {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<FileError> for DataFusionError {
    fn from(error: FileError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// A value as errors show it: quoted, on one line, at most 60 characters of it.
pub(crate) fn clip(value: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::with_capacity(LONGEST + 8);
    shown.push('"');
    for (position, character) in value.chars().enumerate() {
        if position == LONGEST {
            shown.push('…');
            break;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            other => shown.push(other),
        }
    }
    shown.push('"');
    shown
}

/// ` (did you mean x?)` for the name in `known` closest to `name`, where one is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!(" (did you mean {candidate}?)"))
        .unwrap_or_default()
}
