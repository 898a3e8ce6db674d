//! Statistics and partition values as values of their types (Delta protocol, "Checkpoints": `stats_parsed` and
//! `partitionValues_parsed`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::table_features::ColumnMappingMode;
use deltalake_core::kernel::{DataType as DeltaType, PrimitiveType, StructType};

use super::rows::FileRow;
use crate::error::{Error, Result};
use crate::log::Snapshot;

/// The types of a table's statistics and partition values.
#[derive(Debug)]
pub(super) struct Structs {
    statistics: Fields,
    partition: Fields,
}

impl Structs {
    /// # Errors
    /// Where the table's schema cannot be read.
    pub(super) fn of(table: &Snapshot) -> Result<Self> {
        let broken = |error: &dyn std::fmt::Display| Error::corrupt(format!("the table's schema: {error}"));
        let schema = table.metadata().parse_schema().map_err(|error| broken(&error))?;
        let mode = match table.property("delta.columnMapping.mode") {
            Some("name") => ColumnMappingMode::Name,
            Some("id") => ColumnMappingMode::Id,
            _ => ColumnMappingMode::None,
        };
        let partitions = table.metadata().partition_columns();
        let mut partition = Vec::new();
        for name in partitions {
            if let Some(field) = schema.field(name)
                && let Some(kind) = arrow_type(field.data_type())
            {
                partition.push(Field::new(field.physical_name(mode), kind, true));
            }
        }
        let bounds = tree(&schema, mode, partitions, &|kind| match kind {
            DeltaType::Primitive(PrimitiveType::Binary | PrimitiveType::Boolean) => None,
            DeltaType::Primitive(_) => arrow_type(kind),
            _ => None,
        });
        let nulls = tree(&schema, mode, partitions, &|_| Some(DataType::Int64));
        let mut statistics = vec![Field::new("numRecords", DataType::Int64, true)];
        for (name, fields) in [("minValues", &bounds), ("maxValues", &bounds), ("nullCount", &nulls)] {
            // A struct needs a field.
            if !fields.is_empty() {
                statistics.push(Field::new_struct(name, fields.clone(), true));
            }
        }
        statistics.push(Field::new("tightBounds", DataType::Boolean, true));
        Ok(Self {
            statistics: statistics.into(),
            partition: partition.into(),
        })
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::new_struct("stats_parsed", self.statistics.clone(), true)];
        if !self.partition.is_empty() {
            fields.push(Field::new_struct(
                "partitionValues_parsed",
                self.partition.clone(),
                true,
            ));
        }
        fields
    }

    /// The schema with these columns in `add`.
    pub(super) fn add_to(&self, schema: &SchemaRef) -> SchemaRef {
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Struct(fields) if field.name() == "add" => {
                let added = self.fields().into_iter().map(Arc::new);
                let fields: Fields = fields.iter().cloned().chain(added).collect();
                Arc::new(Field::new_struct("add", fields, true))
            }
            _ => field.clone(),
        });
        Arc::new(Schema::new(columns.collect::<Vec<_>>()))
    }

    /// The batch with these columns, from what the log says of the files; none of its rows is about one where there are
    /// none.
    ///
    /// # Errors
    /// None that a table could cause: what is not of its column's type is left out.
    pub(super) fn fill(&self, schema: &SchemaRef, batch: &RecordBatch, files: &[FileRow]) -> Result<RecordBatch> {
        let Some((add, mut fields)) = fields_of_add(batch) else {
            return Ok(batch.clone());
        };
        for field in self.fields() {
            let values: ArrayRef = match field.name().as_str() {
                _ if files.is_empty() => new_null_array(field.data_type(), batch.num_rows()),
                "stats_parsed" => Arc::new(self.statistics(files)?),
                _ => Arc::new(self.partitions(files)?),
            };
            fields.push((Arc::new(field), values));
        }
        let add: ArrayRef = Arc::new(with_fields(add, fields)?);
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "add" => Some(add.clone()),
            name => batch.column_by_name(name).cloned(),
        });
        Ok(RecordBatch::try_new(schema.clone(), columns.flatten().collect())?)
    }

    fn statistics(&self, files: &[FileRow]) -> Result<StructArray> {
        let schema = Arc::new(Schema::new(self.statistics.clone()));
        let texts: Vec<&str> = files.iter().map(|file| statistics_of(file).unwrap_or("{}")).collect();
        if let Ok(whole) = decode(&schema, &texts) {
            return Ok(whole.into());
        }
        // A value that its column's type does not have: of that file, only the rows are told.
        let mut parts = Vec::new();
        for (file, text) in files.iter().zip(texts) {
            let rows = match file {
                FileRow::Add(file) => file.records().map(|rows| format!(r#"{{"numRecords":{rows}}}"#)),
                FileRow::Remove(_) => None,
            };
            parts.push(match decode(&schema, &[text]) {
                Ok(one) => one,
                Err(_) => decode(&schema, &[rows.as_deref().unwrap_or("{}")])?,
            });
        }
        Ok(arrow::compute::concat_batches(&schema, &parts)?.into())
    }

    fn partitions(&self, files: &[FileRow]) -> Result<StructArray> {
        let mut columns = Vec::new();
        for field in &self.partition {
            let values = files.iter().map(|file| match file {
                FileRow::Add(file) => file.add.partition_values.get(field.name())?.as_deref(),
                FileRow::Remove(_) => None,
            });
            let texts = values.collect::<StringArray>();
            columns.push(
                cast(&texts, field.data_type()).unwrap_or_else(|_| new_null_array(field.data_type(), texts.len())),
            );
        }
        Ok(StructArray::try_new(self.partition.clone(), columns, None)?)
    }
}

fn statistics_of(file: &FileRow) -> Option<&str> {
    match file {
        FileRow::Add(file) => file.add.stats.as_deref(),
        FileRow::Remove(_) => None,
    }
}

fn decode(schema: &SchemaRef, texts: &[&str]) -> Result<RecordBatch> {
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(texts.len().max(1))
        .build_decoder()?;
    for text in texts {
        decoder.decode(text.as_bytes())?;
        decoder.decode(b"\n")?;
    }
    let batch = decoder.flush()?;
    batch
        .filter(|batch| batch.num_rows() == texts.len())
        .ok_or_else(|| Error::corrupt("statistics of a file are not one JSON value"))
}

fn arrow_type(kind: &DeltaType) -> Option<DataType> {
    kind.try_into_arrow().ok()
}

/// The columns of a schema that have a type for statistics, under their names in files.
fn tree(
    schema: &StructType,
    mode: ColumnMappingMode,
    left_out: &[String],
    leaf: &dyn Fn(&DeltaType) -> Option<DataType>,
) -> Vec<Field> {
    let fields = schema.fields().filter(|field| !left_out.contains(field.name()));
    fields
        .filter_map(|field| {
            let name = field.physical_name(mode);
            match field.data_type() {
                DeltaType::Struct(inner) => {
                    let fields = tree(inner, mode, &[], leaf);
                    (!fields.is_empty()).then(|| Field::new_struct(name, fields, true))
                }
                kind => leaf(kind).map(|kind| Field::new(name, kind, true)),
            }
        })
        .collect()
}

/// A batch of a checkpoint that has statistics as values alone, with these as texts.
///
/// # Errors
/// Where a value has no text.
pub(super) fn to_texts(batch: RecordBatch) -> Result<RecordBatch> {
    let Some((add, mut fields)) = fields_of_add(&batch) else {
        return Ok(batch);
    };
    let Some(place) = fields.iter().position(|(field, _)| field.name() == "stats_parsed") else {
        return Ok(batch);
    };
    let (_, values) = fields.remove(place);
    let Some(values) = values.as_struct_opt() else {
        return Ok(batch);
    };
    let mut lines = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut lines);
    // A row without statistics is an empty object then, which says the same.
    let bare = StructArray::try_new(values.fields().clone(), values.columns().to_vec(), None)?;
    writer.write(&RecordBatch::from(bare))?;
    writer.finish()?;
    let lines = std::str::from_utf8(&lines).map_err(|error| Error::internal(error.to_string()))?;
    let texts = lines.lines().map(|line| (line != "{}").then_some(line));
    let field = Arc::new(Field::new("stats", DataType::Utf8, true));
    fields.push((field, Arc::new(texts.collect::<StringArray>())));
    let changed: ArrayRef = Arc::new(with_fields(add, fields)?);
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let (fields, columns): (Vec<_>, Vec<_>) = columns
        .map(|(field, column)| match field.name().as_str() {
            "add" => (
                Arc::new(Field::new("add", changed.data_type().clone(), true)),
                changed.clone(),
            ),
            _ => (field.clone(), column.clone()),
        })
        .unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Columns with their fields.
type Columns = Vec<(FieldRef, ArrayRef)>;

/// The column `add`, and what it consists of; none where it is missing.
fn fields_of_add(batch: &RecordBatch) -> Option<(&StructArray, Columns)> {
    let add = batch.column_by_name("add")?.as_struct_opt()?;
    let fields = add.fields().iter().cloned().zip(add.columns().iter().cloned());
    Some((add, fields.collect()))
}

/// A struct column that consists of other fields.
fn with_fields(array: &StructArray, fields: Columns) -> Result<StructArray> {
    let (fields, columns): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let nulls = array.nulls().cloned();
    Ok(StructArray::try_new(Fields::from(fields), columns, nulls)?)
}
