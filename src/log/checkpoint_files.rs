//! Data files of a checkpoint, from its columns: tables have many, and a line of JSON for each would be written to be read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use deltalake_core::kernel::{Add, DeletionVectorDescriptor, StorageType};
use serde_json::json;

use super::files::DataFile;
use crate::error::{Error, Result};

/// Adds the files of a batch, and returns which rows it took them from. `texts` has the statistics of the same rows.
///
/// # Errors
/// Where a row lacks what every file has.
pub(super) fn read(rows: &RecordBatch, texts: &RecordBatch, files: &mut Vec<Arc<DataFile>>) -> Result<BooleanArray> {
    let (Some(adds), Some(texts)) = (structure(rows), structure(texts)) else {
        return Ok(BooleanArray::from(vec![false; rows.num_rows()]));
    };
    let columns = Columns::of(adds, texts)?;
    files.reserve(rows.num_rows());
    for row in (0..rows.num_rows()).filter(|row| adds.is_valid(*row)) {
        files.push(Arc::new(DataFile::new(columns.file(row)?)));
    }
    Ok((0..rows.num_rows()).map(|row| Some(adds.is_valid(row))).collect())
}

fn structure(batch: &RecordBatch) -> Option<&StructArray> {
    batch.column_by_name("add")?.as_struct_opt()
}

fn column(parent: &StructArray, name: &str, data_type: &DataType) -> Result<Option<ArrayRef>> {
    match parent.column_by_name(name) {
        Some(column) => Ok(Some(cast(column, data_type)?)),
        None => Ok(None),
    }
}

fn text(parent: &StructArray, name: &str) -> Result<Option<StringArray>> {
    Ok(column(parent, name, &DataType::Utf8)?.map(|column| column.as_string::<i32>().clone()))
}

fn number(parent: &StructArray, name: &str) -> Result<Option<Int64Array>> {
    Ok(column(parent, name, &DataType::Int64)?.map(|column| column.as_primitive::<Int64Type>().clone()))
}

fn needed<T>(found: Option<T>, name: &str) -> Result<T> {
    found.ok_or_else(|| Error::corrupt(format!("its files have no {name}")))
}

fn text_at(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_string())
}

fn number_at(column: Option<&Int64Array>, row: usize) -> Option<i64> {
    column
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

/// The parts of actions, a column each.
struct Columns {
    path: StringArray,
    statistics: Option<StringArray>,
    partition_values: Option<Texts>,
    size: Int64Array,
    modified: Int64Array,
    data_change: BooleanArray,
    tags: Option<Texts>,
    vector: Option<Vectors>,
    row_id: Option<Int64Array>,
    row_version: Option<Int64Array>,
    clustering: Option<StringArray>,
}

impl Columns {
    fn of(adds: &StructArray, texts: &StructArray) -> Result<Self> {
        let data_change = column(adds, "dataChange", &DataType::Boolean)?;
        let vector = adds
            .column_by_name("deletionVector")
            .and_then(|column| column.as_struct_opt());
        Ok(Self {
            path: needed(text(adds, "path")?, "path")?,
            statistics: text(texts, "stats")?,
            partition_values: Texts::of(adds, "partitionValues")?,
            size: needed(number(adds, "size")?, "size")?,
            modified: needed(number(adds, "modificationTime")?, "modificationTime")?,
            data_change: needed(data_change, "dataChange")?.as_boolean().clone(),
            tags: Texts::of(adds, "tags")?,
            vector: vector.map(Vectors::of).transpose()?,
            row_id: number(adds, "baseRowId")?,
            row_version: number(adds, "defaultRowCommitVersion")?,
            clustering: text(adds, "clusteringProvider")?,
        })
    }

    fn file(&self, row: usize) -> Result<Add> {
        let partition_values = self.partition_values.as_ref().and_then(|texts| texts.at(row));
        Ok(Add {
            path: decoded(&needed(text_at(&self.path, row), "path")?)?,
            partition_values: partition_values.unwrap_or_default(),
            size: needed(number_at(Some(&self.size), row), "size")?,
            modification_time: needed(number_at(Some(&self.modified), row), "modificationTime")?,
            data_change: self.data_change.is_valid(row) && self.data_change.value(row),
            stats: self.statistics.as_ref().and_then(|column| text_at(column, row)),
            tags: self.tags.as_ref().and_then(|texts| texts.at(row)),
            deletion_vector: match &self.vector {
                Some(vectors) => vectors.at(row)?,
                None => None,
            },
            base_row_id: number_at(self.row_id.as_ref(), row),
            default_row_commit_version: number_at(self.row_version.as_ref(), row),
            clustering_provider: self.clustering.as_ref().and_then(|column| text_at(column, row)),
        })
    }
}

/// A path as the log has it is a URI (Delta protocol, "Add File"): what is escaped in it is read as in a commit.
fn decoded(path: &str) -> Result<String> {
    if !path.contains('%') {
        return Ok(path.to_string());
    }
    let add = json!({ "path": path, "partitionValues": {}, "size": 0, "modificationTime": 0, "dataChange": false });
    let add: Add = serde_json::from_value(add)
        .map_err(|error| Error::corrupt(format!("the path '{path}' cannot be read: {error}")).with_source(error))?;
    Ok(add.path)
}

/// A column of texts by name.
struct Texts {
    maps: MapArray,
    keys: StringArray,
    values: StringArray,
}

impl Texts {
    fn of(parent: &StructArray, name: &str) -> Result<Option<Self>> {
        let Some(maps) = parent.column_by_name(name).and_then(|column| column.as_map_opt()) else {
            return Ok(None);
        };
        let (keys, values) = (
            cast(maps.keys(), &DataType::Utf8)?,
            cast(maps.values(), &DataType::Utf8)?,
        );
        Ok(Some(Self {
            keys: keys.as_string::<i32>().clone(),
            values: values.as_string::<i32>().clone(),
            maps: maps.clone(),
        }))
    }

    fn at(&self, row: usize) -> Option<HashMap<String, Option<String>>> {
        if self.maps.is_null(row) {
            return None;
        }
        let mut offsets = self.maps.value_offsets().iter().skip(row);
        let place = |offset: Option<&i32>| offset.and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        let (start, end) = (place(offsets.next()), place(offsets.next()));
        let entry = |place: usize| (self.keys.value(place).to_string(), text_at(&self.values, place));
        Some((start..end).map(entry).collect())
    }
}

/// A column of references to deletion vectors.
struct Vectors {
    all: StructArray,
    kind: StringArray,
    path: StringArray,
    offset: Option<Int32Array>,
    size: Int64Array,
    cardinality: Int64Array,
}

impl Vectors {
    fn of(all: &StructArray) -> Result<Self> {
        let offset = column(all, "offset", &DataType::Int32)?;
        Ok(Self {
            kind: needed(text(all, "storageType")?, "storageType")?,
            path: needed(text(all, "pathOrInlineDv")?, "pathOrInlineDv")?,
            offset: offset.map(|column| column.as_primitive::<Int32Type>().clone()),
            size: needed(number(all, "sizeInBytes")?, "sizeInBytes")?,
            cardinality: needed(number(all, "cardinality")?, "cardinality")?,
            all: all.clone(),
        })
    }

    fn at(&self, row: usize) -> Result<Option<DeletionVectorDescriptor>> {
        // Some writers have a structure without contents where there is no vector.
        if self.all.is_null(row) || self.kind.is_null(row) {
            return Ok(None);
        }
        let broken = |what: &str| Error::corrupt(format!("{what} of a deletion vector cannot be read"));
        let storage_type: StorageType = self.kind.value(row).parse().map_err(|_| broken("storageType"))?;
        let size = number_at(Some(&self.size), row).and_then(|size| i32::try_from(size).ok());
        let offset = self.offset.as_ref().filter(|offset| offset.is_valid(row));
        Ok(Some(DeletionVectorDescriptor {
            storage_type,
            path_or_inline_dv: text_at(&self.path, row).ok_or_else(|| broken("pathOrInlineDv"))?,
            offset: offset.map(|offset| offset.value(row)),
            size_in_bytes: size.ok_or_else(|| broken("sizeInBytes"))?,
            cardinality: number_at(Some(&self.cardinality), row).ok_or_else(|| broken("cardinality"))?,
        }))
    }
}
