//! The Python extension of posixlake: sessions, rows as Arrow, and what a DataFusion of another build needs to read the lake.
//! What Python programs see is the package `posixlake` around it.

mod arrow_stream;
mod buffer;
mod error;
mod fed;
mod ffi;
mod fork;
mod insert;
mod json;
mod lake_exec;
mod rows;
mod runtime;
mod server;
mod session;
mod source;
mod types;
mod view;

use pyo3::prelude::*;

/// Faster than the system's for the many short-lived buffers of a query.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The version of DataFusion that capsules are made for.
#[pyfunction]
fn datafusion_version() -> u64 {
    ffi::major_version()
}

/// What the package `posixlake` is built on.
#[pymodule]
mod _internal {
    #[pymodule_export]
    use super::buffer::JsonRows;
    #[pymodule_export]
    use super::datafusion_version;
    #[pymodule_export]
    use super::ffi::{CatalogCapsule, FunctionCapsule, TableCapsule};
    #[pymodule_export]
    use super::fork::{hold_threads, release_threads};
    #[pymodule_export]
    use super::rows::Rows;
    #[pymodule_export]
    use super::server::NfsHandle;
    #[pymodule_export]
    use super::session::{Engine, is_query};
}
