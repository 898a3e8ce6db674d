//! Statements that are run again when another writer was first.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Snapshot, check_writable};

/// How often a statement is run on a new state of its table before it gives up.
pub(super) const ATTEMPTS: u32 = 20;

/// Runs a statement on the latest state of its table, again and again while other writers are first. It answers with its
/// result and the version that it committed, if it did.
///
/// # Errors
/// The statement's own; [`ErrorKind::Conflict`] where others were first every time.
pub(crate) async fn with_retries<T, F>(
    lake: &Arc<Lake>,
    id: &TableId,
    mut statement: impl FnMut(Snapshot) -> F,
) -> Result<T>
where
    F: Future<Output = Result<(T, Option<u64>)>>,
{
    let mut attempt = 0;
    loop {
        let table = lake.open_table(id).await?;
        check_writable(&table, &id.display())?;
        match statement(table).await {
            Ok((result, version)) => {
                if let Some(version) = version {
                    lake.after_commit(id, version).await;
                }
                return Ok(result);
            }
            Err(error) if error.kind() == ErrorKind::Conflict && attempt + 1 < ATTEMPTS => {
                attempt += 1;
                pause(attempt).await;
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Err(Error::conflict(format!(
                    "other writers changed table {} first, {ATTEMPTS} times; nothing was changed: run the statement again \
                     when the table is less busy",
                    id.display()
                ))
                .with_source(error));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits before another attempt, longer each time and never as long as others that wait.
pub(super) async fn pause(attempt: u32) {
    let limit = 5 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=limit))).await;
}
