//! `current_version('t')`: the latest version of a table.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::{table_name, wait_for};
use crate::catalog::Lake;
use crate::error::Error;

/// The function. It looks at the log each time it is called.
#[derive(Debug)]
pub(super) struct CurrentVersion {
    lake: Arc<Lake>,
    signature: Signature,
}

impl CurrentVersion {
    pub(super) fn new(lake: Arc<Lake>) -> Self {
        Self {
            lake,
            signature: Signature::string(1, Volatility::Volatile),
        }
    }

    fn version(&self, name: &str) -> crate::Result<Option<i64>> {
        let id = self.lake.resolve(&table_name(name)?)?;
        let table = wait_for(self.lake.open_table(&id))?;
        i64::try_from(table.version())
            .map(Some)
            .map_err(|_| Error::internal("a version is too large"))
    }
}

impl PartialEq for CurrentVersion {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lake, &other.lake)
    }
}

impl Eq for CurrentVersion {}

impl Hash for CurrentVersion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.lake).hash(state);
    }
}

impl ScalarUDFImpl for CurrentVersion {
    fn name(&self) -> &str {
        "current_version"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Scalar(name)] => {
                let version = match name.try_as_str().flatten() {
                    Some(name) => self.version(name)?,
                    None => None,
                };
                Ok(ColumnarValue::Scalar(ScalarValue::Int64(version)))
            }
            [ColumnarValue::Array(names)] => {
                let names = cast(names, &DataType::Utf8)?;
                let names = names.as_string::<i32>();
                let versions = names.iter().map(|name| match name {
                    Some(name) => self.version(name),
                    None => Ok(None),
                });
                let versions: Int64Array = versions.collect::<crate::Result<_>>()?;
                debug_assert_eq!(versions.len(), names.len());
                Ok(ColumnarValue::Array(Arc::new(versions)))
            }
            _ => Err(Error::invalid("current_version takes one table name").into()),
        }
    }
}
