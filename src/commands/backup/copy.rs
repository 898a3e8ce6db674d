//! Files from store to store, with their checksums.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use super::manifest::{Entry, checksum};
use crate::error::{Error, Result};

/// How many files are on their way at a time.
pub(super) const COPIES: usize = 8;
/// How many parts of one file are on their way at a time.
const PARTS: usize = 2;
/// Files up to this size go in one piece.
const SMALL: u64 = 8 << 20;

/// Copies a file, and returns its size and checksum; none where there is no such file. Where its checksum is known, one
/// that differs is not written.
///
/// # Errors
/// Where a store fails; [`crate::ErrorKind::Corrupt`] where the file is not what it should be.
pub(super) async fn copy(
    from: &dyn ObjectStore,
    source: &Path,
    to: &dyn ObjectStore,
    target: &Path,
    expected: Option<&Entry>,
) -> Result<Option<Entry>> {
    let found = match from.get(source).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let entry = |size: u64, checksum: String| Entry {
        path: source.to_string(),
        size,
        checksum,
        time: None,
    };
    if found.meta.size <= SMALL {
        let bytes = found.bytes().await?;
        let entry = entry(bytes.len() as u64, checksum(&bytes));
        check(&entry, expected)?;
        to.put(target, bytes.into()).await?;
        return Ok(Some(entry));
    }
    let mut bytes = found.into_stream();
    let mut upload = WriteMultipart::new(to.put_multipart(target).await?);
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    let copied: Result<Entry> = async {
        while let Some(chunk) = bytes.try_next().await? {
            hasher.update(&chunk);
            size += chunk.len() as u64;
            upload.wait_for_capacity(PARTS).await?;
            upload.put(chunk);
        }
        let entry = entry(size, hasher.finalize().to_hex().to_string());
        check(&entry, expected)?;
        Ok(entry)
    }
    .await;
    match copied {
        Ok(entry) => {
            upload.finish().await?;
            Ok(Some(entry))
        }
        Err(error) => {
            // What was uploaded is given up; the copy's own error is what matters.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

/// The size and checksum of a file; none where there is no such file.
///
/// # Errors
/// Where the store fails.
pub(super) async fn measure(store: &dyn ObjectStore, path: &Path) -> Result<Option<Entry>> {
    let mut bytes = match store.get(path).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    while let Some(chunk) = bytes.try_next().await? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok(Some(Entry {
        path: path.to_string(),
        size,
        checksum: hasher.finalize().to_hex().to_string(),
        time: None,
    }))
}

/// Holds a file against what it should be.
///
/// # Errors
/// [`crate::ErrorKind::Corrupt`] where it is something else.
pub(super) fn check(found: &Entry, expected: Option<&Entry>) -> Result<()> {
    match expected {
        Some(expected) if found.size != expected.size => Err(Error::corrupt(format!(
            "{} has {} bytes where the manifest says {}",
            expected.path, found.size, expected.size
        ))),
        Some(expected) if found.checksum != expected.checksum => Err(Error::corrupt(format!(
            "{} is damaged: its checksum does not fit",
            expected.path
        ))),
        _ => Ok(()),
    }
}
