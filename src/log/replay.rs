//! From a log to the contents of a version.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::logstore::LogStoreRef;
use deltalake_core::{DeltaTable, DeltaTableError};

use super::files::{DataFile, Files};
use super::snapshot::Contents;
use crate::error::Result;

/// The contents of a version, the latest where none is named; `None` where no table stands.
///
/// # Errors
/// Where the store fails, the log cannot be read, or the version is not in it.
pub(super) async fn replay(log_store: &LogStoreRef, version: Option<u64>) -> Result<Option<Contents>> {
    let mut table = DeltaTable::new(log_store.clone());
    let loaded = match version {
        Some(version) => table.load_version(version).await,
        None => table.load().await,
    };
    match loaded {
        Ok(()) => {}
        Err(DeltaTableError::NotATable(_)) => return Ok(None),
        Err(error) => {
            return match table.verify_deltatable_existence().await {
                Ok(false) => Ok(None),
                _ => Err(error.into()),
            };
        }
    }
    let state = table.snapshot()?;
    let files = state
        .log_data()
        .iter()
        .map(|file| {
            #[expect(deprecated, reason = "the only public way to the action as it stands in the log")]
            let add = file.add_action();
            Arc::new(DataFile::new(add))
        })
        .collect();
    let transactions: HashMap<_, _> = HashMap::new();
    Ok(Some(Contents {
        version: table.version().unwrap_or_default(),
        protocol: state.protocol().clone(),
        metadata: state.metadata().clone(),
        files: Files::new(files),
        transactions: Arc::new(transactions),
        domains: Arc::default(),
    }))
}
