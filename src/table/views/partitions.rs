//! `t$partitions`: one row a partition, its columns typed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::{CastOptions, SortColumn, cast_with_options, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use deltalake_core::kernel::Add;

use crate::error::{Error, Result};
use crate::log::DataFile;
use crate::table::Definition;

/// A partition column's values in files, one row a file.
///
/// # Errors
/// Where a value is not of the type.
pub(crate) fn partition_column<'a>(
    definition: &Definition,
    name: &str,
    data_type: &DataType,
    files: impl Iterator<Item = &'a Add>,
) -> Result<ArrayRef> {
    let physical = definition.physical_name(name);
    // The protocol has the empty text stand for NULL.
    let texts = files.map(|add| {
        let value = add.partition_values.get(physical)?.as_deref();
        value.filter(|text| !text.is_empty())
    });
    let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
    let options = CastOptions {
        safe: false,
        ..Default::default()
    };
    cast_with_options(&texts, data_type, &options).map_err(|error| {
        Error::corrupt(format!(
            "a value of the partition column {name} cannot be read: {error}"
        ))
        .with_source(error)
    })
}

/// The partition values of files, one row a file, in the types of their columns.
///
/// # Errors
/// Where a value is not of its column's type.
pub(crate) fn partition_rows<'a>(
    definition: &Definition,
    files: impl Iterator<Item = &'a Add> + Clone,
) -> Result<RecordBatch> {
    let schema = definition.arrow_schema()?;
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for name in definition.partition_columns() {
        let field = schema.field_with_name(name)?;
        columns.push(partition_column(definition, name, field.data_type(), files.clone())?);
        fields.push(Field::new(name, field.data_type().clone(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(files.count()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}

/// One row a partition in the order of its values, with what is in it where `sizes` is true.
///
/// # Errors
/// As [`partition_rows`].
pub(crate) fn partitions(definition: &Definition, files: &[Arc<DataFile>], sizes: bool) -> Result<RecordBatch> {
    #[derive(Default)]
    struct Sum {
        files: i64,
        bytes: i64,
        records: Option<u64>,
    }
    let mut sums: BTreeMap<Vec<Option<String>>, (&Add, Sum)> = BTreeMap::new();
    for file in files {
        let value = |name: &String| {
            file.add
                .partition_values
                .get(definition.physical_name(name))
                .cloned()
                .flatten()
        };
        let key = definition.partition_columns().iter().map(value).collect();
        let (_, sum) = sums.entry(key).or_insert_with(|| {
            (
                &file.add,
                Sum {
                    records: Some(0),
                    ..Sum::default()
                },
            )
        });
        sum.files += 1;
        sum.bytes += file.add.size;
        sum.records = sum.records.zip(file.live_records()).map(|(sum, records)| sum + records);
    }
    let rows = partition_rows(definition, sums.values().map(|(add, _)| *add))?;
    let count = rows.num_rows();
    let mut fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut columns = rows.columns().to_vec();
    if sizes {
        let sums = || sums.values().map(|(_, sum)| sum);
        fields.push(Field::new("num_files", DataType::Int64, false));
        columns.push(Arc::new(sums().map(|sum| Some(sum.files)).collect::<Int64Array>()));
        fields.push(Field::new("size_in_bytes", DataType::Int64, false));
        columns.push(Arc::new(sums().map(|sum| Some(sum.bytes)).collect::<Int64Array>()));
        fields.push(Field::new("num_records", DataType::Int64, true));
        let records = sums().map(|sum| sum.records.and_then(|records| i64::try_from(records).ok()));
        columns.push(Arc::new(records.collect::<Int64Array>()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let all = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    if rows.num_columns() == 0 {
        return Ok(all);
    }
    let order: Vec<SortColumn> = rows
        .columns()
        .iter()
        .map(|values| SortColumn {
            values: values.clone(),
            options: None,
        })
        .collect();
    Ok(take_record_batch(&all, &lexsort_to_indices(&order, None)?)?)
}
