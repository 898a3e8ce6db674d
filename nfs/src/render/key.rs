//! Names of what is kept: hashes of all that decides its bytes.

use arrow::datatypes::{DataType, Field, Schema};
use posixlake_cache::{Hash128, Hasher};

use super::text::{Format, RENDERER};
use crate::lake::{DataFile, Version};

/// What all rows of a chunk, hidden by nothing, are told by.
pub(super) const ALL_ROWS: Hash128 = Hash128([0xff; 16]);

/// What tells the columns of a table: names, types, and where column mapping finds them in files.
pub(super) fn schema_key(schema: &Schema) -> Hash128 {
    let mut hasher = Hasher::new("schema");
    for field in schema.fields() {
        field_key(field, &mut hasher);
    }
    hasher.finish()
}

fn field_key(field: &Field, hasher: &mut Hasher) {
    hasher.bytes(field.name().as_bytes());
    let mut mapping: Vec<(&String, &String)> = field
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with("delta.columnMapping."))
        .collect();
    mapping.sort();
    hasher.number(mapping.len() as u64);
    for (key, value) in mapping {
        hasher.bytes(key.as_bytes());
        hasher.bytes(value.as_bytes());
    }
    let data_type = field.data_type();
    let inner: Vec<&Field> = match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => vec![item],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        // Text with metadata of inner fields in no order is not looked at: these types have none.
        _ => {
            hasher.bytes(data_type.to_string().as_bytes());
            return;
        }
    };
    let kind: &[u8] = match data_type {
        DataType::Struct(_) => b"struct",
        DataType::Map(_, _) => b"map",
        _ => b"list",
    };
    hasher.bytes(kind);
    hasher.number(inner.len() as u64);
    for field in inner {
        field_key(field, hasher);
    }
}

/// What tells the text of a data file without deletion vector.
pub(super) fn file_key(version: &Version, schema: Hash128, file: &DataFile, format: Format) -> Hash128 {
    let mut hasher = Hasher::new("file");
    hasher.number(u64::from(RENDERER));
    hasher.number(match format.stored() {
        Format::Csv => 1,
        Format::JsonLines | Format::Json => 2,
    });
    hasher.bytes(version.id.as_bytes());
    hasher.bytes(file.path.as_bytes());
    hasher.number(file.size);
    hasher.number(file.rows);
    hasher.bytes(&schema.0);
    hasher.finish()
}

/// What tells a deletion vector.
pub(super) fn vector_key(file: &DataFile) -> Hash128 {
    match &file.vector {
        None => ALL_ROWS,
        Some(name) => Hash128::of(name.as_bytes()),
    }
}

/// What tells the text of a chunk.
pub(super) fn chunk_key(file: Hash128, chunk: usize, places: Hash128) -> Hash128 {
    let mut hasher = Hasher::new("chunk");
    hasher.bytes(&file.0);
    hasher.number(chunk as u64);
    hasher.bytes(&places.0);
    hasher.finish()
}
