//! Statistics of files as DataFusion understands them.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use serde_json::Value;

use super::bounds::{Bounds, SURE_DIGITS};
use super::candidates::Candidates;
use super::layout::Layout;
use crate::error::Result;
use crate::log::DataFile;

/// Whether the bounds of a column of this type are values that are in the file: others are cut or rounded.
fn is_sharp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        DataType::Decimal128(precision, _) => *precision <= SURE_DIGITS,
        _ => false,
    }
}

/// What is known of the columns that a scan reads, of a list of files.
pub(super) struct FileStatistics<'a> {
    layout: &'a Layout,
    bounds: HashMap<String, Bounds>,
    wanted: Vec<bool>,
}

impl<'a> FileStatistics<'a> {
    /// Of the source's columns that are `wanted`.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn of(files: Candidates<'a>, wanted: Vec<bool>) -> Result<Self> {
        let layout = files.layout();
        let names = layout.source_fields().zip(&wanted);
        let names = names
            .filter(|(_, wanted)| **wanted)
            .map(|(field, _)| field.name().as_str());
        Ok(Self {
            layout,
            bounds: files.bounds(names)?,
            wanted,
        })
    }

    /// The statistics of the file at a place of the list for the source's columns, of which `hidden` rows are not read.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn of_file(
        &self,
        place: usize,
        file: &DataFile,
        hidden: u64,
        partitions: &[ScalarValue],
    ) -> Result<Statistics> {
        let rows = file
            .records()
            .and_then(|rows| usize::try_from(rows.saturating_sub(hidden)).ok());
        let is_tight = || file.statistics().get("tightBounds").and_then(Value::as_bool) != Some(false);
        let said_loose = file.add.stats.as_ref().is_some_and(|text| text.contains("tightBounds"));
        let tight = hidden == 0 && (!said_loose || is_tight());
        let in_files = self.layout.file_schema().fields().len();
        let mut columns = Vec::with_capacity(self.wanted.len());
        for (at, (field, wanted)) in self.layout.source_fields().zip(&self.wanted).enumerate() {
            let partition = at.checked_sub(in_files).and_then(|at| partitions.get(at));
            let column = match (wanted, partition, self.bounds.get(field.name())) {
                (true, Some(value), _) => of_constant(value, rows),
                (true, None, Some(bounds)) => of_bounds(bounds, place, tight, is_sharp(field.data_type()))?,
                _ => ColumnStatistics::new_unknown(),
            };
            let width = field.data_type().primitive_width();
            let bytes = width.and_then(|width| rows?.checked_mul(width));
            columns.push(column.with_byte_size(bytes.map_or(Precision::Absent, Precision::Exact)));
        }
        Ok(Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            // A file's size says little of the columns that are read of it, decoded; DataFusion weighs such an input by its
            // rows, and computes what columns of fixed width take.
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        })
    }
}

fn of_bounds(bounds: &Bounds, place: usize, tight: bool, sharp: bool) -> Result<ColumnStatistics> {
    use arrow::array::Array;
    let side = |values| -> Result<Precision<ScalarValue>> {
        let value = ScalarValue::try_from_array(values, place)?;
        Ok(match value {
            value if value.is_null() => Precision::Absent,
            value if tight && sharp => Precision::Exact(value),
            value => Precision::Inexact(value),
        })
    };
    let nulls = bounds.nulls.is_valid(place).then(|| bounds.nulls.value(place));
    Ok(ColumnStatistics {
        null_count: match nulls.and_then(|nulls| usize::try_from(nulls).ok()) {
            Some(nulls) if tight => Precision::Exact(nulls),
            Some(nulls) => Precision::Inexact(nulls),
            None => Precision::Absent,
        },
        min_value: side(&bounds.lower)?,
        max_value: side(&bounds.upper)?,
        ..ColumnStatistics::new_unknown()
    })
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
