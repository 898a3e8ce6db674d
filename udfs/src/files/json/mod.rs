//! JSON.

use arrow::datatypes::DataType;
use datafusion::catalog::Session;

use super::csv::CsvTable;
use super::error::{FileError, Result};
use super::request::FileScanRequest;
use super::resolve::FoundFile;

pub(crate) async fn plan(
    _state: &dyn Session,
    _request: &FileScanRequest,
    _files: &[FoundFile],
    _strings: &DataType,
) -> Result<CsvTable> {
    Err(FileError::invalid("JSON is not read yet"))
}
