//! `raise_error(text)`: fails, with that text.

use arrow::array::{Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function, as Spark has it: evaluating it for a row fails the statement with the row's text. Its type is that of NULL, so that it can stand for any value.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RaiseError {
    signature: Signature,
}

impl RaiseError {
    pub(crate) fn new() -> Self {
        // Volatile: planning must not evaluate it.
        Self {
            signature: Signature::any(1, Volatility::Volatile),
        }
    }
}

impl ScalarUDFImpl for RaiseError {
    fn name(&self) -> &'static str {
        "raise_error"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Null)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if arguments.number_rows == 0 {
            return Ok(ColumnarValue::Scalar(ScalarValue::Null));
        }
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = arrays.first().map(|texts| cast(texts, &DataType::Utf8)).transpose()?;
        let text = texts
            .as_ref()
            .and_then(|texts| texts.as_any().downcast_ref::<StringArray>())
            .filter(|texts| !texts.is_empty() && texts.is_valid(0))
            .map_or("", |texts| texts.value(0));
        exec_err!("{text}")
    }
}
