//! SQL functions, and their registration.

mod raise_error;
mod read_files;
mod zorder_key;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::FileFormat;

/// Registers every function of this crate: the scalars `zorder_key` and `raise_error`, and the table functions `read_csv`, `read_json`
/// and `read_parquet`.
///
/// DataFusion plans table functions by position, so that in a session with nothing but these the options follow the
/// path as pairs of name and value: `read_csv('x.csv', 'header', false)`.
pub fn register(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(zorder_key::ZOrderKey::new()));
    context.register_udf(ScalarUDF::from(raise_error::RaiseError::new()));
    for format in [FileFormat::Csv, FileFormat::Json, FileFormat::Parquet] {
        context.register_udtf(format.function(), Arc::new(read_files::ReadFiles::new(format)));
    }
}
