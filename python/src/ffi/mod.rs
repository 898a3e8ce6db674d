//! The lake for a DataFusion of another build, in the capsules that its Python package takes.

mod catalog;
mod function;

// The C interface hands over pointers: a capsule's name says what it points to, and that is checked first.
#[allow(unsafe_code)]
mod capsule;

pub(crate) use capsule::{CatalogCapsule, FunctionCapsule, TableCapsule, major_version};
