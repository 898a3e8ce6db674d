//! Capsules of `datafusion_ffi`.

use std::ffi::CStr;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion_ffi::catalog_provider::FFI_CatalogProvider;
use datafusion_ffi::proto::logical_extension_codec::FFI_LogicalExtensionCodec;
use datafusion_ffi::table_provider::FFI_TableProvider;
use datafusion_ffi::udtf::FFI_TableFunction;
use posixlake::Session;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::catalog::LakeCatalog;
use super::function::LakeFunction;
use crate::error::{named, raise};
use crate::runtime::handle;

const CODEC: &CStr = c"datafusion_logical_extension_codec";

/// DataFusion's major version here; another one's capsules hold something else.
pub(crate) fn major_version() -> u64 {
    datafusion_ffi::version()
}

/// What encodes a context's expressions; `session` is the context, or the codec itself.
///
/// # Errors
/// Where it is neither, or another version's.
fn codec_of(session: &Bound<'_, PyAny>) -> PyResult<FFI_LogicalExtensionCodec> {
    let py = session.py();
    let codec = if session.hasattr("__datafusion_logical_extension_codec__")? {
        session.call_method0("__datafusion_logical_extension_codec__")?
    } else {
        session.clone()
    };
    let capsule = codec.cast::<PyCapsule>()?;
    let pointer = capsule
        .pointer_checked(Some(CODEC))?
        .cast::<FFI_LogicalExtensionCodec>();
    // SAFETY: a capsule of this name points to a codec, and lives while it is borrowed here.
    let codec = unsafe { pointer.as_ref() };
    // SAFETY: the function reads a constant of the other library.
    let other = unsafe { (codec.version)() };
    if other != major_version() {
        let message = format!(
            "this posixlake works with datafusion {0}, and datafusion {other} is installed: pip install 'datafusion=={0}.*'",
            major_version()
        );
        return Err(named(py, "Unsupported", &message));
    }
    Ok(codec.clone())
}

/// A table as `datafusion`'s contexts take it.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct TableCapsule {
    table: Arc<dyn TableProvider>,
}

impl TableCapsule {
    pub(crate) fn new(table: Arc<dyn TableProvider>) -> Self {
        Self { table }
    }
}

#[pymethods]
impl TableCapsule {
    fn __datafusion_table_provider__<'py>(
        &self,
        py: Python<'py>,
        session: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let runtime = handle().map_err(|error| raise(py, &error))?;
        let table = FFI_TableProvider::new_with_ffi_codec(self.table.clone(), true, Some(runtime), codec_of(&session)?);
        PyCapsule::new_with_value(py, table, c"datafusion_table_provider")
    }
}

/// The lake as `datafusion`'s contexts take a catalog.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct CatalogCapsule {
    session: Session,
}

impl CatalogCapsule {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }
}

#[pymethods]
impl CatalogCapsule {
    fn __datafusion_catalog_provider__<'py>(
        &self,
        py: Python<'py>,
        session: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let runtime = handle().map_err(|error| raise(py, &error))?;
        let catalog = Arc::new(LakeCatalog::new(self.session.clone()));
        let catalog = FFI_CatalogProvider::new_with_ffi_codec(catalog, Some(runtime), codec_of(&session)?);
        PyCapsule::new_with_value(py, catalog, c"datafusion_catalog_provider")
    }
}

/// A table function as `datafusion`'s contexts take it.
#[pyclass(frozen, module = "posixlake._internal")]
pub(crate) struct FunctionCapsule {
    session: Session,
    name: String,
}

impl FunctionCapsule {
    pub(crate) fn new(session: Session, name: String) -> Self {
        Self { session, name }
    }
}

#[pymethods]
impl FunctionCapsule {
    fn __datafusion_table_function__<'py>(
        &self,
        py: Python<'py>,
        session: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let runtime = handle().map_err(|error| raise(py, &error))?;
        let function = Arc::new(LakeFunction::new(self.session.clone(), self.name.clone()));
        let function = FFI_TableFunction::new_with_ffi_codec(function, Some(runtime), codec_of(&session)?);
        PyCapsule::new_with_value(py, function, c"datafusion_table_function")
    }
}
