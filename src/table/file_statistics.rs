//! A data file's statistics for the log, from its footer (Delta protocol, "Per-file Statistics").

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, max, max_string, min, min_string, sum};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use delta_kernel::table_properties::DataSkippingNumIndexedCols;
use deltalake_core::operations::get_num_idx_cols_and_stats_columns;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::async_reader::MetadataFetch;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot};
use crate::table::Definition;

/// Longer texts say little about a file and make the log large.
const LONGEST_TEXT: usize = 256;

/// Which columns of a table have statistics.
pub(crate) struct FileStatistics {
    /// The names in data files, with their types.
    columns: Vec<(String, DataType)>,
}

impl FileStatistics {
    pub(crate) fn of(table: &Snapshot) -> Result<Self> {
        Self::of_definition(&Definition::of(table)?)
    }

    /// The columns of a definition that have statistics.
    ///
    /// # Errors
    /// Where the definition has no Arrow form.
    pub(crate) fn of_definition(definition: &Definition) -> Result<Self> {
        let configuration = definition
            .configuration()
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        let (indexed, named) = get_num_idx_cols_and_stats_columns(None, configuration);
        let named: Option<Vec<String>> = named;
        let limit = match indexed {
            DataSkippingNumIndexedCols::AllColumns => usize::MAX,
            DataSkippingNumIndexedCols::NumColumns(count) => usize::try_from(count).unwrap_or(usize::MAX),
        };
        let physical = definition.physical_schema()?;
        let fields = definition.fields().zip(physical.fields());
        let data: Vec<_> = fields
            .filter(|(field, _)| !definition.partition_columns().contains(field.name()))
            .collect();
        let columns = data
            .into_iter()
            .enumerate()
            .filter(|(position, (field, _))| match &named {
                Some(named) => named.iter().any(|name| name.trim().trim_matches('`') == field.name()),
                None => *position < limit,
            });
        let columns = columns.map(|(_, (_, physical))| (physical.name().clone(), physical.data_type().clone()));
        Ok(Self {
            columns: columns.filter(|(_, data_type)| has_bounds(data_type)).collect(),
        })
    }

    /// Whether the log says less of a file than its footer may.
    pub(crate) fn lacks(&self, file: &DataFile) -> bool {
        let statistics = file.statistics();
        let empty = |key: &str| !matches!(statistics.get(key), Some(Value::Object(values)) if !values.is_empty());
        file.records().is_none() || (!self.columns.is_empty() && empty("minValues") && empty("nullCount"))
    }

    /// The statistics of a file as the log has them, and its rows.
    ///
    /// # Errors
    /// Where the footer cannot be read.
    pub(crate) async fn read(
        &self,
        store: Arc<dyn ObjectStore>,
        path: Path,
        size: u64,
        has_deleted_rows: bool,
    ) -> Result<(String, u64)> {
        self.describe(&footer(store, path, size).await?, has_deleted_rows)
    }

    /// The statistics that a footer has, as the log has them, and the file's rows.
    ///
    /// # Errors
    /// Where the footer cannot be understood.
    pub(crate) fn describe(&self, footer: &ParquetMetaData, has_deleted_rows: bool) -> Result<(String, u64)> {
        let rows = footer.file_metadata().num_rows();
        let descriptor = footer.file_metadata().schema_descr();
        let schema =
            parquet_to_arrow_schema(descriptor, footer.file_metadata().key_value_metadata()).map_err(damaged)?;
        let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, data_type) in &self.columns {
            let Some(bounds) = Bounds::of(footer, &schema, name, data_type)? else {
                continue;
            };
            if let Some(value) = bounds.least {
                least.insert(name.clone(), value);
            }
            if let Some(value) = bounds.greatest {
                greatest.insert(name.clone(), value);
            }
            nulls.insert(name.clone(), json!(bounds.nulls));
        }
        let mut statistics =
            json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls });
        if let (true, Some(statistics)) = (has_deleted_rows, statistics.as_object_mut()) {
            // The footer also counts the rows that the deletion vector hides.
            statistics.insert("tightBounds".to_string(), json!(false));
        }
        Ok((statistics.to_string(), u64::try_from(rows).unwrap_or_default()))
    }
}

/// A Parquet file's footer.
///
/// # Errors
/// Where the store fails, or the file has none.
pub(crate) async fn footer(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Result<ParquetMetaData> {
    ParquetMetaDataReader::new()
        .load_and_finish(Fetch { store, path }, size)
        .await
        .map_err(damaged)
}

/// Parts of a file.
struct Fetch {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl MetadataFetch for Fetch {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let bytes = self.store.get_range(&self.path, range);
        bytes.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::corrupt(format!("the footer cannot be read: {error}")).with_source(error)
}

/// Types that files are skipped by.
fn has_bounds(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

struct Bounds {
    least: Option<Value>,
    greatest: Option<Value>,
    nulls: u64,
}

impl Bounds {
    /// What all row groups say of a column; none where one of them says nothing.
    fn of(footer: &ParquetMetaData, schema: &Schema, name: &str, data_type: &DataType) -> Result<Option<Self>> {
        let Ok(converter) = StatisticsConverter::try_new(name, schema, footer.file_metadata().schema_descr()) else {
            return Ok(None);
        };
        let Some(column) = converter.parquet_column_index() else {
            return Ok(None);
        };
        let groups = footer.row_groups();
        // The order of this type was never defined.
        if footer.file_metadata().schema_descr().column(column).physical_type() == Type::INT96 {
            return Ok(None);
        }
        let counts = converter
            .with_missing_null_counts_as_zero(false)
            .row_group_null_counts(groups)
            .map_err(damaged)?;
        if counts.null_count() > 0 {
            return Ok(None);
        }
        let nulls = sum(&counts).unwrap_or_default();
        let Ok(converter) = StatisticsConverter::try_new(name, schema, footer.file_metadata().schema_descr()) else {
            return Ok(None);
        };
        let least = cast(&converter.row_group_mins(groups).map_err(damaged)?, data_type)?;
        let greatest = cast(&converter.row_group_maxes(groups).map_err(damaged)?, data_type)?;
        let rows: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
        let known = |values: &ArrayRef| {
            let all_null = |group: usize| {
                rows.get(group)
                    .is_some_and(|rows| u64::try_from(*rows) == Ok(counts.value(group)))
            };
            (0..values.len()).all(|group| values.is_valid(group) || all_null(group))
        };
        Ok(Some(Self {
            least: known(&least).then(|| bound(&least, false)).flatten(),
            greatest: known(&greatest).then(|| bound(&greatest, true)).flatten(),
            nulls,
        }))
    }
}

/// The least or greatest value as the log writes it; none where there is none, or it has no place there.
fn bound(values: &ArrayRef, greatest: bool) -> Option<Value> {
    macro_rules! extreme {
        ($data_type:ty) => {{
            let values = values.as_primitive_opt::<$data_type>()?;
            if greatest { max(values) } else { min(values) }
        }};
    }
    match values.data_type() {
        DataType::Int8 => extreme!(Int8Type).map(|value| json!(value)),
        DataType::Int16 => extreme!(Int16Type).map(|value| json!(value)),
        DataType::Int32 => extreme!(Int32Type).map(|value| json!(value)),
        DataType::Int64 => extreme!(Int64Type).map(|value| json!(value)),
        DataType::Float32 => extreme!(Float32Type)
            .filter(|value| value.is_finite())
            .map(|value| json!(value)),
        DataType::Float64 => extreme!(Float64Type)
            .filter(|value| value.is_finite())
            .map(|value| json!(value)),
        DataType::Date32 => {
            let day = DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::try_days(extreme!(Date32Type)?.into())?)?;
            Some(json!(day.format("%Y-%m-%d").to_string()))
        }
        DataType::Decimal128(_, scale) => {
            let value = extreme!(Decimal128Type)?;
            // Beyond this, a JSON number would not be the value.
            (value.unsigned_abs() < 1 << 53).then(|| json!(value as f64 / 10_f64.powi((*scale).into())))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = extreme!(TimestampMicrosecondType)?;
            // The log has milliseconds: the bound is rounded away from the values.
            let millis = micros.div_euclid(1000) + i64::from(greatest && micros.rem_euclid(1000) != 0);
            let time = DateTime::from_timestamp_millis(millis)?;
            let suffix = if zone.is_some() { "Z" } else { "" };
            Some(json!(format!("{}{suffix}", time.format("%Y-%m-%dT%H:%M:%S%.3f"))))
        }
        DataType::Utf8 => {
            let values = values.as_string_opt::<i32>()?;
            let value = if greatest {
                max_string(values)
            } else {
                min_string(values)
            };
            value.filter(|text| text.len() <= LONGEST_TEXT).map(|text| json!(text))
        }
        _ => None,
    }
}
