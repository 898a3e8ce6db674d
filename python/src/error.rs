//! Errors of the engine as Python's exceptions.

use posixlake::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The kind's name, by which the package chooses the class.
fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AlreadyExists => "AlreadyExists",
        ErrorKind::Syntax => "Syntax",
        ErrorKind::Invalid => "Invalid",
        ErrorKind::Schema => "Schema",
        ErrorKind::Constraint => "Constraint",
        ErrorKind::Conflict => "Conflict",
        ErrorKind::Permission => "Permission",
        ErrorKind::Unsupported => "Unsupported",
        ErrorKind::Storage => "Storage",
        ErrorKind::Corrupt => "Corrupt",
        ErrorKind::Closed => "Closed",
        _ => "Internal",
    }
}

/// The exception of an error's kind.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    named(py, name(error.kind()), error.message())
}

/// The exception for a fault of posixlake.
pub(crate) fn internal(py: Python<'_>, message: &str) -> PyErr {
    named(py, "Internal", message)
}

/// The exception that the package has for this name.
pub(crate) fn named(py: Python<'_>, name: &str, message: &str) -> PyErr {
    let made = py
        .import("posixlake._errors")
        .and_then(|module| module.call_method1("of_kind", (name, message)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => PyRuntimeError::new_err(message.to_string()),
    }
}
