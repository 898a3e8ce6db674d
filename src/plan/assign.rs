//! A value on its way into a column: cast to the column's type, by name where it does not fit.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::Error;

/// The value in the type of the column that it goes to.
///
/// # Errors
/// Where no value of its type can be cast.
pub(super) fn assign(value: Expr, column: &str, data_type: &DataType, schema: &DFSchema) -> Result<Expr> {
    let Expr::Cast(cast) = value.clone().cast_to(data_type, schema)? else {
        return Ok(value);
    };
    let assign = Assign {
        column: column.to_string(),
        data_type: data_type.clone(),
        signature: Signature::any(1, Volatility::Immutable),
    };
    Ok(ScalarUDF::from(assign).call(vec![*cast.expr]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Assign {
    column: String,
    data_type: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Assign {
    fn name(&self) -> &str {
        "assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let field = arrow::datatypes::Field::new(&self.column, self.data_type.clone(), nullable);
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = args.args.into_iter().next();
        let value = value.ok_or_else(|| Error::internal("a column is given no value"))?;
        value.cast_to(&self.data_type, None).map_err(|error| {
            let reason = Error::from(error);
            let message = format!("column {}: {}", self.column, reason.message());
            Error::new(reason.kind(), message).with_source(reason).into()
        })
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let value = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(format!("CAST({value} AS {})", self.data_type))
    }
}
