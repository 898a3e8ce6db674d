//! Version checksum files (Delta protocol, "Version Checksum File"): what a version amounts to, said a second time.

use deltalake_core::kernel::{Metadata, Protocol};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};

use super::{FOLDER, Snapshot};
use crate::error::{Error, Result};
use crate::store::Unsynced;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    table_size_bytes: i64,
    num_files: i64,
    num_metadata: i64,
    num_protocol: i64,
    metadata: Metadata,
    protocol: Protocol,
}

impl Checksum {
    fn of(table: &Snapshot) -> Self {
        Self {
            table_size_bytes: table.files().iter().map(|file| file.add.size).sum(),
            num_files: i64::try_from(table.files().len()).unwrap_or(i64::MAX),
            num_metadata: 1,
            num_protocol: 1,
            metadata: table.metadata().clone(),
            protocol: table.protocol().clone(),
        }
    }
}

fn path(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}.crc"))
}

/// Writes the version's checksum, where it has none yet. It need not outlast a power cut: a version can do without.
///
/// # Errors
/// Where the store fails.
pub(super) async fn write(table: &Snapshot) -> Result<()> {
    let text = serde_json::to_vec(&Checksum::of(table)).map_err(|error| Error::internal(error.to_string()))?;
    let mut options = PutOptions::from(PutMode::Create);
    options.extensions.insert(Unsynced);
    match table
        .store()
        .put_opts(&path(table.version()), text.into(), options)
        .await
    {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Holds the version against its checksum, where it has one that can be read.
///
/// # Errors
/// [`crate::ErrorKind::Corrupt`] where they say different things; where the store fails.
pub(crate) async fn check(table: &Snapshot) -> Result<()> {
    let version = table.version();
    let bytes = match table.store().get(&path(version)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let said: Checksum = match serde_json::from_slice(&bytes) {
        Ok(said) => said,
        Err(error) => {
            tracing::warn!(version, %error, "a checksum file cannot be read");
            return Ok(());
        }
    };
    let found = Checksum::of(table);
    let number = |what: &str, said: i64, found: i64| {
        (said != found).then(|| format!("{found} {what} by the log and {said} by its checksum"))
    };
    let schemas = (said.metadata.schema_string(), found.metadata.schema_string());
    let difference = number("files", said.num_files, found.num_files)
        .or_else(|| number("bytes in files", said.table_size_bytes, found.table_size_bytes))
        .or_else(|| (schemas.0 != schemas.1).then(|| "other columns by the log than by its checksum".to_string()));
    match difference {
        None => Ok(()),
        Some(difference) => Err(Error::corrupt(format!(
            "the log of the table at '{}' was changed behind its writers' backs: version {version} has {difference}; restore \
             the log from a copy, or remove {} if the log is right",
            table.url(),
            path(version)
        ))),
    }
}
