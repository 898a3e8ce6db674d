//! Rows to data files.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{StringArray, UInt64Array};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use delta_kernel::table_features::ColumnMappingMode;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::Add;
use deltalake_core::logstore::ObjectStoreRef;
use deltalake_core::operations::get_num_idx_cols_and_stats_columns;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::nan::Seen;
use crate::error::{Error, Result};
use crate::store::Deferring;
use crate::table::{Definition, relabel};

/// The size that a row group is closed at: an open one is in memory.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// The result of `INSERT`, `UPDATE` and `DELETE`.
pub(crate) fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

/// One row of [`count_schema`].
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn count_batch(count: u64) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(
        count_schema(),
        vec![Arc::new(UInt64Array::from(vec![count]))],
    )?)
}

/// Writes rows of a table's schema into new data files below its folder. Files that are written and then not committed
/// are orphans, which VACUUM removes.
pub(crate) struct FileWriter {
    schema: SchemaRef,
    physical: SchemaRef,
    config: WriterConfig,
    store: ObjectStoreRef,
    /// The places of partition columns that hold text.
    text_partitions: Vec<usize>,
    nan: Seen,
}

impl FileWriter {
    /// A writer for tables of this definition, into the folder that `store` has as its root.
    ///
    /// # Errors
    /// Where the schema cannot be written or a property makes no sense.
    pub(crate) fn new(definition: &Definition, store: ObjectStoreRef) -> Result<Self> {
        Self::closing_at(definition, store, definition.target_file_size())
    }

    /// A writer whose files become as large as their writer wants.
    ///
    /// # Errors
    /// As [`FileWriter::new`].
    pub(crate) fn unlimited(definition: &Definition, store: ObjectStoreRef) -> Result<Self> {
        Self::closing_at(definition, store, None)
    }

    fn closing_at(definition: &Definition, store: ObjectStoreRef, size: Option<NonZeroU64>) -> Result<Self> {
        let schema = definition.arrow_schema()?;
        let physical = definition.physical_schema()?;
        let partition_columns = definition
            .partition_columns()
            .iter()
            .map(|name| definition.physical_name(name).to_string())
            .collect();
        let configuration = definition
            .configuration()
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        let (indexed_columns, statistics_columns) = get_num_idx_cols_and_stats_columns(None, configuration);
        let statistics_columns = statistics_columns.map(|columns: Vec<String>| {
            columns
                .iter()
                .map(|name| definition.physical_name(name.trim()).to_string())
                .collect()
        });
        let config = WriterConfig::new(
            physical.clone(),
            partition_columns,
            Some(writer_properties(definition)?),
            size,
            None,
            indexed_columns,
            statistics_columns,
        )
        .with_random_prefix_length((definition.mapping() != ColumnMappingMode::None).then_some(2));
        let is_text = |field: &Field| *field.data_type() == DataType::Utf8;
        let is_partition = |field: &Field| definition.partition_columns().contains(field.name());
        let columns = schema.fields().iter().enumerate();
        let text_partitions = columns
            .filter(|(_, field)| is_text(field) && is_partition(field))
            .map(|(place, _)| place)
            .collect();
        Ok(Self {
            schema,
            physical,
            config,
            store: Arc::new(Deferring(store)),
            text_partitions,
            nan: Seen::default(),
        })
    }

    /// The schema that rows must have once they are conformed.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// [`conform`]s a batch to the table. An empty text as a partition value becomes NULL, which is what it stands for in the
    /// log (Delta protocol, "Partition Value Serialization").
    ///
    /// # Errors
    /// As [`conform`].
    pub(crate) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = conform(batch, &self.schema)?;
        if self.text_partitions.is_empty() {
            return Ok(batch);
        }
        let mut columns = batch.columns().to_vec();
        for place in &self.text_partitions {
            if let Some(column) = columns.get_mut(*place) {
                let empty = eq(column, &StringArray::new_scalar(""))?;
                *column = nullif(column, &empty)?;
            }
        }
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }

    /// An open set of files, one a partition value.
    pub(crate) fn open(&self) -> DeltaWriter {
        DeltaWriter::new(self.store.clone(), self.config.clone())
    }

    /// The actions of files that were written, as the log is to have them.
    pub(crate) fn finished(&self, adds: Vec<Add>) -> Vec<Add> {
        self.nan.without_bounds(adds)
    }

    /// The same rows with the names and field ids of data files.
    ///
    /// # Errors
    /// Where the batch does not have the table's schema.
    pub(crate) fn to_physical(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = self.renamed(batch)?;
        self.nan.note(&batch);
        Ok(batch)
    }

    fn renamed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if Arc::ptr_eq(&self.schema, &self.physical) {
            return Ok(batch.clone());
        }
        let columns = batch
            .columns()
            .iter()
            .zip(self.physical.fields())
            .map(|(column, field)| relabel(column, field.data_type()))
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.physical.clone(), columns)?)
    }
}

fn writer_properties(definition: &Definition) -> Result<WriterProperties> {
    let compression = match definition
        .property("delta.parquet.compression.codec")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        None | Some("snappy") => Compression::SNAPPY,
        Some("zstd") => Compression::ZSTD(ZstdLevel::default()),
        Some("lz4" | "lz4_raw") => Compression::LZ4_RAW,
        Some("gzip") => Compression::GZIP(Default::default()),
        Some("none" | "uncompressed") => Compression::UNCOMPRESSED,
        Some(other) => {
            return Err(Error::invalid(format!(
                "delta.parquet.compression.codec = '{other}' is not known; use snappy, zstd, lz4, gzip or none"
            )));
        }
    };
    // Without statistics in the footer of deeply nested columns nothing is lost: only leaves of structs are pruned by.
    let mut builder = WriterProperties::builder()
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("posixlake version {}", env!("CARGO_PKG_VERSION")));
    for field in definition.fields() {
        if matches!(field.data_type(), deltalake_core::kernel::DataType::Array(_)) {
            let path = ColumnPath::new(vec![field.physical_name(definition.mapping()).to_string()]);
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    Ok(builder.build())
}

/// The batch with the columns of `schema`, cast by position where types differ but say the same.
///
/// # Errors
/// Where a value does not fit its column: the message names the column.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::schema(format!(
            "the rows have {} columns, the table has {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let options = CastOptions {
        safe: false,
        ..Default::default()
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            cast_with_options(column, field.data_type(), &options)
                .map_err(|error| Error::schema(format!("column {}: {error}", field.name())).with_source(error))
        })
        .collect::<Result<Vec<_>>>()?;
    // NOT NULL is checked with the other rules, which can name the row.
    let nullable = Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ));
    Ok(RecordBatch::try_new(nullable, columns)?)
}

/// The files' actions with their row count.
pub(crate) struct Written {
    pub(crate) adds: Vec<Add>,
    pub(crate) rows: u64,
}
