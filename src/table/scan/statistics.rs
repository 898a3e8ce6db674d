//! What the log says about the values in a file (Delta protocol, "Per-file Statistics"), as DataFusion understands it.

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use serde_json::Value;
use std::sync::Arc;

use super::layout::Layout;
use crate::log::DataFile;
use crate::table::Definition;

/// The digits that a number in JSON is sure to keep.
const SURE_DIGITS: u8 = 15;

/// A side of the range that a column's values are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Lower,
    Upper,
}

/// The least or the greatest value of a column in a file, or what lies beyond it.
pub(super) fn bound(file: &DataFile, column: &str, data_type: &DataType, side: Bound) -> Option<ScalarValue> {
    let key = match side {
        Bound::Lower => "minValues",
        Bound::Upper => "maxValues",
    };
    value(file.statistics().get(key)?.get(column)?, data_type, side)
}

/// The NULLs of a column in a file.
pub(super) fn null_count(file: &DataFile, column: &str) -> Option<u64> {
    file.statistics().get("nullCount")?.get(column)?.as_u64()
}

fn value(value: &Value, data_type: &DataType, side: Bound) -> Option<ScalarValue> {
    match (value, data_type) {
        (Value::Number(number), DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64) => {
            ScalarValue::Int64(number.as_i64()).cast_to(data_type).ok()
        }
        (Value::Number(number), DataType::Float32 | DataType::Float64) => {
            // Zero has two signs, and statistics may have lost which.
            let number = match (number.as_f64()?, side) {
                (0.0, Bound::Lower) => -0.0,
                (0.0, Bound::Upper) => 0.0,
                (number, _) => number,
            };
            ScalarValue::Float64(Some(number)).cast_to(data_type).ok()
        }
        (Value::Number(number), DataType::Decimal128(precision, scale)) if *precision > SURE_DIGITS => {
            decimal_beyond(number.as_f64()?, *precision, *scale, side)
        }
        (Value::Number(number), DataType::Decimal128(..)) => parse(&number.to_string(), data_type),
        (Value::String(text), DataType::Utf8View) => Some(ScalarValue::Utf8View(Some(text.clone()))),
        (Value::String(text), DataType::Date32) => parse(text, data_type),
        (Value::String(text), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            let parsed = parse(text, data_type)?;
            match (parsed, side) {
                // Writers cut instants to the millisecond.
                (ScalarValue::TimestampMicrosecond(Some(micros), _), Bound::Upper) => {
                    let micros = micros.checked_add(999)?;
                    Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()))
                }
                (parsed, _) => Some(parsed),
            }
        }
        _ => None,
    }
}

/// A decimal that is surely on the other side of a number that may have lost digits on its way through JSON.
fn decimal_beyond(number: f64, precision: u8, scale: i8, side: Bound) -> Option<ScalarValue> {
    let units = number * 10_f64.powi(i32::from(scale));
    // Twice what the number and the product can be off by, and one unit for the fraction that is cut.
    let margin = units.abs() * f64::EPSILON * 2.0 + 1.0;
    let beyond = match side {
        Bound::Lower => units.floor() - margin.ceil(),
        Bound::Upper => units.ceil() + margin.ceil(),
    };
    // A float that is out of range becomes the nearest number that is in it.
    let beyond = beyond as i128;
    let most = 10_i128.checked_pow(u32::from(precision))? - 1;
    Some(ScalarValue::Decimal128(
        Some(beyond.clamp(-most, most)),
        precision,
        scale,
    ))
}

fn parse(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions {
        safe: true,
        ..Default::default()
    };
    let value = cast_with_options(&text, data_type, &options).ok()?;
    ScalarValue::try_from_array(&value, 0)
        .ok()
        .filter(|value| !value.is_null())
}

/// Whether the bounds of a column of this type are values that are in the file: others are cut or rounded.
fn is_sharp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        DataType::Decimal128(precision, _) => *precision <= SURE_DIGITS,
        _ => false,
    }
}

/// The statistics of a file for the source's columns, of which `hidden` rows are not read.
pub(super) fn file_statistics(
    file: &DataFile,
    hidden: u64,
    definition: &Definition,
    layout: &Layout,
    wanted: &[bool],
    partitions: &[ScalarValue],
) -> Statistics {
    let rows = file
        .records()
        .and_then(|rows| usize::try_from(rows.saturating_sub(hidden)).ok());
    let tight = hidden == 0 && file.statistics().get("tightBounds").and_then(Value::as_bool) != Some(false);
    let in_files = layout.file_schema().fields().len();
    let columns = layout
        .source_fields()
        .zip(wanted)
        .enumerate()
        .map(|(place, (field, wanted))| {
            if !wanted {
                return ColumnStatistics::new_unknown();
            }
            if let Some(value) = place.checked_sub(in_files).and_then(|place| partitions.get(place)) {
                return of_constant(value, rows);
            }
            let physical = definition.physical_name(field.name());
            let side = |side| match bound(file, physical, field.data_type(), side) {
                Some(value) if tight && is_sharp(field.data_type()) => Precision::Exact(value),
                Some(value) => Precision::Inexact(value),
                None => Precision::Absent,
            };
            let nulls = null_count(file, physical).and_then(|nulls| usize::try_from(nulls).ok());
            ColumnStatistics {
                null_count: match nulls {
                    Some(nulls) if tight => Precision::Exact(nulls),
                    Some(nulls) => Precision::Inexact(nulls),
                    None => Precision::Absent,
                },
                min_value: side(Bound::Lower),
                max_value: side(Bound::Upper),
                ..ColumnStatistics::new_unknown()
            }
        });
    Statistics {
        num_rows: rows.map_or(Precision::Absent, Precision::Exact),
        total_byte_size: usize::try_from(file.size()).map_or(Precision::Absent, Precision::Inexact),
        column_statistics: columns.collect(),
    }
}

fn of_constant(value: &ScalarValue, rows: Option<usize>) -> ColumnStatistics {
    let nulls = match (value.is_null(), rows) {
        (false, _) => Precision::Exact(0),
        (true, Some(rows)) => Precision::Exact(rows),
        (true, None) => Precision::Absent,
    };
    let value = match value {
        ScalarValue::Dictionary(..) => Precision::Absent,
        value if value.is_null() => Precision::Absent,
        value => Precision::Exact(value.clone()),
    };
    ColumnStatistics {
        null_count: nulls,
        min_value: value.clone(),
        max_value: value,
        ..ColumnStatistics::new_unknown()
    }
}

/// The statistics of several files together.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn total<'a>(
    files: impl Iterator<Item = &'a PartitionedFile>,
    schema: &Schema,
) -> datafusion::error::Result<Statistics> {
    let mut files = files.filter_map(|file| file.statistics.as_deref()).peekable();
    if files.peek().is_none() {
        let mut none = Statistics::new_unknown(schema);
        none.num_rows = Precision::Exact(0);
        return Ok(none);
    }
    Statistics::try_merge_iter(files, schema)
}
