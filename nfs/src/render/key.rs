//! Names of what is kept: hashes of all that decides its bytes.

use arrow::datatypes::{DataType, Field, Schema};

use super::text::{Format, RENDERER};
use crate::lake::{DataFile, Version};

/// A hash of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Hash128(pub(super) [u8; 16]);

impl Hash128 {
    /// What all rows of a chunk, hidden by nothing, are told by.
    pub(super) const ALL: Self = Self([0xff; 16]);

    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new("bytes");
        hasher.bytes(bytes);
        hasher.finish()
    }

    /// As hexadecimal digits.
    pub(super) fn name(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`name`](Self::name) wrote.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let mut hash = [0; 16];
        if name.len() != 32 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(name.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

/// Hashes parts, each with its length, so that no two lists of parts are the same bytes.
struct Hasher(blake3::Hasher);

impl Hasher {
    fn new(purpose: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.bytes(purpose.as_bytes());
        hasher
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn finish(&self) -> Hash128 {
        let mut hash = [0; 16];
        self.0.finalize_xof().fill(&mut hash);
        Hash128(hash)
    }
}

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
        None => Hash128::ALL,
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
