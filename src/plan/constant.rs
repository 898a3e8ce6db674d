//! Constant expressions: arguments of procedures, `AS OF` times, options.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chrono::{DateTime, TimeZone, Utc};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The value of an expression without columns; `now()` is the time of this call.
///
/// # Errors
/// Where it is not a constant.
pub(crate) fn evaluate(state: &SessionState, expr: &SqlExpr) -> Result<ScalarValue> {
    let logical = logical(state, expr)?;
    value(state, expr, logical)
}

/// The instant that an expression stands for. A time without a zone is in `datafusion.execution.time_zone`, or in UTC.
///
/// # Errors
/// Where it is not a constant date, time or text of one.
pub(crate) fn evaluate_time(state: &SessionState, expr: &SqlExpr) -> Result<DateTime<Utc>> {
    let logical = logical(state, expr)?;
    let data_type = logical.get_type(&DFSchema::empty())?;
    let is_time = matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(..)
    );
    if !is_time {
        return Err(Error::invalid(format!(
            "TIMESTAMP AS OF takes a time such as '2026-11-22 10:00:00'; {expr} is of type {data_type}"
        )));
    }
    let zone = state
        .config()
        .options()
        .execution
        .time_zone
        .clone()
        .unwrap_or_else(|| "UTC".to_string());
    let target = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    let broken = |cause: &dyn std::fmt::Display| Error::invalid(format!("{expr} is not a time: {cause}"));
    match value(state, expr, cast(logical, target)).map_err(|error| broken(&error))? {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Utc
            .timestamp_micros(micros)
            .single()
            .ok_or_else(|| broken(&"it is out of range")),
        _ => Err(broken(&"it is NULL")),
    }
}

fn logical(state: &SessionState, expr: &SqlExpr) -> Result<Expr> {
    let with_alias = ExprWithAlias {
        expr: expr.clone(),
        alias: None,
    };
    state
        .create_logical_expr_from_sql_expr(with_alias, &DFSchema::empty())
        .map_err(|error| {
            let error = Error::from(error);
            Error::new(error.kind(), format!("{expr} is not a constant: {}", error.message())).with_source(error)
        })
}

fn value(state: &SessionState, text: &SqlExpr, expr: Expr) -> Result<ScalarValue> {
    // Functions such as now() have a value only as the simplifier sets it.
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_config_options(state.config_options().clone())
        .with_current_time()
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = simplifier.simplify(simplifier.coerce(expr, &DFSchema::empty())?)?;
    let physical = state.create_physical_expr(expr, &DFSchema::empty())?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
    match physical.evaluate(&row)? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) if array.len() == 1 => Ok(ScalarValue::try_from_array(&array, 0)?),
        ColumnarValue::Array(_) => Err(Error::invalid(format!("{text} is not one value"))),
    }
}
