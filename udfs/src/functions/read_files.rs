//! `read_csv`, `read_json` and `read_parquet` as table functions of any session.

use std::sync::Arc;

use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::files::{FileError, FileErrorKind, FileFormat, FileScanRequest, open_files};

/// The table function that reads one format.
#[derive(Debug)]
pub(crate) struct ReadFiles {
    format: FileFormat,
}

impl ReadFiles {
    pub(crate) fn new(format: FileFormat) -> Self {
        Self { format }
    }

    /// Arguments: the path, then names and values of options by turns.
    fn request(&self, arguments: &[Expr]) -> Result<FileScanRequest, FileError> {
        let function = self.format.function();
        let invalid = |message: String| FileError::new(FileErrorKind::Invalid, message);
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                Expr::Literal(value, _) => values.push(value),
                other => return Err(invalid(format!("{function} takes constants, not {other}"))),
            }
        }
        let Some((path, options)) = values.split_first() else {
            return FileScanRequest::from_call(self.format, []);
        };
        let mut named: Vec<(Option<&str>, &ScalarValue)> = vec![(None, path)];
        for pair in options.chunks(2) {
            let [name, value] = pair else {
                return Err(invalid(format!(
                    "{function}: options come as pairs of name and value, and one is alone"
                )));
            };
            let name = name.try_as_str().flatten().ok_or_else(|| {
                invalid(format!(
                    "{function}: {name} is not the name of an option; pairs of name and value follow the path"
                ))
            })?;
            named.push((Some(name), value));
        }
        FileScanRequest::from_call(self.format, named)
    }
}

impl TableFunctionImpl for ReadFiles {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let request = self.request(arguments.exprs())?;
        open_here(arguments.session(), &request)
    }
}

/// Opens files from code that cannot wait: in a thread of its own, on the caller's runtime where other threads of it go
/// on working, else on a small one.
fn open_here(session: &dyn Session, request: &FileScanRequest) -> Result<Arc<dyn TableProvider>> {
    let shared = Handle::try_current()
        .ok()
        .filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    let stopped = || FileError::new(FileErrorKind::Storage, "the thread that opens files could not run");
    let open = || match shared {
        Some(handle) => handle.block_on(open_files(session, request)),
        None => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(open_files(session, request)),
            Err(_) => Err(stopped()),
        },
    };
    let opened = std::thread::scope(|scope| scope.spawn(open).join());
    Ok(opened.map_err(|_| stopped())??)
}
