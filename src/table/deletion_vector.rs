//! Deletion vectors: the rows of a file that are no more, without the file being written anew (Delta protocol, "Deletion
//! Vectors" and "Deletion Vector Format").

use std::sync::Arc;

use deltalake_core::kernel::{DeletionVectorDescriptor, StorageType};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;
use url::Url;
use uuid::Uuid;

use super::scan::place;
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot};
use crate::store::{Stores, put_for_commit};

/// What a file of vectors begins with.
const FORMAT: u8 = 1;
/// What a serialized vector begins with, in little endian.
const MAGIC: u32 = 1_681_511_377;
/// The characters of a UUID in base 85.
const UUID_LENGTH: usize = 20;

/// The rows that a file's deletion vector hides; none where it has none. Read once for all who share the file.
///
/// # Errors
/// Where the vector cannot be read.
pub(crate) async fn hidden_rows(
    stores: &Stores,
    snapshot: &Snapshot,
    file: &DataFile,
) -> Result<Option<Arc<RoaringTreemap>>> {
    let Some(vector) = &file.add.deletion_vector else {
        return Ok(None);
    };
    if let Some(hidden) = file.hidden.get() {
        return Ok(Some(hidden.clone()));
    }
    let rows = read(stores, snapshot.url(), vector).await.map_err(|error| {
        let message = format!("the deletion vector of file {}: {}", file.add.path, error.message());
        Error::new(error.kind(), message).with_source(error)
    })?;
    if rows.len() != file.deleted() {
        return Err(Error::corrupt(format!(
            "the deletion vector of file {} hides {} rows where the log says {}",
            file.add.path,
            rows.len(),
            file.deleted()
        )));
    }
    Ok(Some(file.hidden.get_or_init(|| Arc::new(rows)).clone()))
}

/// Whether all rows that a file's old vector hid are hidden by its new one. Where a vector cannot be read, that is not known.
pub(crate) async fn keeps_hidden(
    stores: &Stores,
    table: &Url,
    old: Option<&DeletionVectorDescriptor>,
    new: Option<&DeletionVectorDescriptor>,
) -> bool {
    let Some(old) = old else { return true };
    let Some(new) = new else { return false };
    match futures::join!(read(stores, table, old), read(stores, table, new)) {
        (Ok(old), Ok(new)) => old.is_subset(&new),
        _ => false,
    }
}

async fn read(stores: &Stores, table: &Url, vector: &DeletionVectorDescriptor) -> Result<RoaringTreemap> {
    let Some(path) = vector_file(vector)? else {
        let bytes = z85::decode(&vector.path_or_inline_dv)
            .map_err(|error| Error::corrupt(format!("it is not base 85: {error}")).with_source(error))?;
        return decode(&bytes);
    };
    let (store, path) = place(table, &path)?;
    let url = Url::parse(&store).map_err(|error| Error::internal(error.to_string()))?;
    let start = u64::try_from(vector.offset.unwrap_or(1)).map_err(|_| Error::corrupt("a negative offset"))?;
    let size = u64::try_from(vector.size_in_bytes).map_err(|_| Error::corrupt("a negative size"))?;
    // Its size, itself and its checksum.
    let bytes = stores.root(&url)?.get_range(&path, start..start + size + 8).await?;
    let cut = |error: std::array::TryFromSliceError| Error::corrupt(format!("it is cut off: {error}"));
    let short = || Error::corrupt("it is cut off");
    let (length, rest) = bytes.split_at_checked(4).ok_or_else(short)?;
    let (body, checksum) = rest
        .split_at_checked(usize::try_from(size).map_err(|_| short())?)
        .ok_or_else(short)?;
    let length = u32::from_be_bytes(length.try_into().map_err(cut)?);
    let checksum = u32::from_be_bytes(checksum.try_into().map_err(cut)?);
    if u64::from(length) != size {
        return Err(Error::corrupt(format!(
            "{path} says {length} bytes where the log says {size}"
        )));
    }
    if crc32fast::hash(body) != checksum {
        return Err(Error::corrupt(format!("{path} is damaged: its checksum does not fit")));
    }
    decode(body)
}

fn decode(bytes: &[u8]) -> Result<RoaringTreemap> {
    let (magic, bitmap) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| Error::corrupt("it is cut off"))?;
    if u32::from_le_bytes(*magic) != MAGIC {
        return Err(Error::corrupt("it is not in the portable format"));
    }
    RoaringTreemap::deserialize_from(bitmap)
        .map_err(|error| Error::corrupt(format!("it cannot be read: {error}")).with_source(error))
}

/// The path of the file that a vector is in, as the log has paths; none where it stands in the log itself.
///
/// # Errors
/// Where the descriptor makes no sense.
pub(crate) fn vector_file(vector: &DeletionVectorDescriptor) -> Result<Option<String>> {
    match vector.storage_type {
        StorageType::Inline => Ok(None),
        StorageType::AbsolutePath => Ok(Some(vector.path_or_inline_dv.clone())),
        StorageType::UuidRelativePath => {
            let text = &vector.path_or_inline_dv;
            let broken = || Error::corrupt(format!("'{text}' does not name a file of deletion vectors"));
            let at = text.len().checked_sub(UUID_LENGTH).ok_or_else(broken)?;
            let (prefix, uuid) = text.split_at_checked(at).ok_or_else(broken)?;
            let uuid = z85::decode(uuid).map_err(|error| broken().with_source(error))?;
            let uuid = Uuid::from_slice(&uuid).map_err(|error| broken().with_source(error))?;
            let folder = if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            };
            Ok(Some(format!("{folder}deletion_vector_{uuid}.bin")))
        }
    }
}

/// A file of new vectors, one behind the other.
#[derive(Debug)]
pub(crate) struct VectorFile {
    id: Uuid,
    bytes: Vec<u8>,
}

impl VectorFile {
    pub(crate) fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            bytes: vec![FORMAT],
        }
    }

    /// Adds a vector, and returns how the log refers to it once the file is written.
    ///
    /// # Errors
    /// Where the file becomes larger than descriptors can say.
    pub(crate) fn push(&mut self, rows: &RoaringTreemap) -> Result<DeletionVectorDescriptor> {
        let large = |_| Error::unsupported("more rows are deleted at once than one file of deletion vectors can hold");
        let start = self.bytes.len();
        let mut body = Vec::with_capacity(rows.serialized_size() + 4);
        body.extend(MAGIC.to_le_bytes());
        rows.serialize_into(&mut body)
            .map_err(|error| Error::internal(error.to_string()))?;
        let size = i32::try_from(body.len()).map_err(large)?;
        self.bytes.extend(size.to_be_bytes());
        self.bytes.extend(&body);
        self.bytes.extend(crc32fast::hash(&body).to_be_bytes());
        Ok(DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: z85::encode(self.id.as_bytes()),
            offset: Some(i32::try_from(start).map_err(large)?),
            size_in_bytes: size,
            cardinality: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        })
    }

    /// Writes the file below the table's folder, where it has any vector.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn write(self, store: &dyn ObjectStore) -> Result<()> {
        if self.bytes.len() > 1 {
            put_for_commit(store, &self.path(), self.bytes.clone().into()).await?;
        }
        Ok(())
    }

    /// Where the file lies below the table's folder.
    pub(crate) fn path(&self) -> Path {
        Path::from(format!("deletion_vector_{}.bin", self.id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors() -> impl Strategy<Value = Vec<RoaringTreemap>> {
        let row = prop_oneof![0..300_u64, 0..1_u64 << 34, Just(u64::from(u32::MAX)), Just(1_u64 << 32)];
        let scattered = prop::collection::vec(row, 0..200).prop_map(|rows| rows.into_iter().collect());
        let runs = (0..1_u64 << 33, 1..100_000_u64).prop_map(|(start, rows)| (start..start + rows).collect());
        prop::collection::vec(prop_oneof![scattered, runs], 1..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn vectors_come_back_as_they_were_written(vectors in vectors()) {
            let folder = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let stores = Stores::default();
            let table = Url::from_directory_path(folder.path()).unwrap();
            let mut file = VectorFile::new();
            let descriptors: Vec<_> = vectors.iter().map(|rows| file.push(rows).unwrap()).collect();
            runtime.block_on(async {
                file.write(stores.folder(&table).unwrap().as_ref()).await.unwrap();
                for (rows, descriptor) in vectors.iter().zip(&descriptors) {
                    assert_eq!(&read(&stores, &table, descriptor).await.unwrap(), rows);
                    assert_eq!(descriptor.cardinality, i64::try_from(rows.len()).unwrap());
                }
            });
        }
    }
}
