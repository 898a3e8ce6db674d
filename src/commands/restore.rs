//! `RESTORE`: a table goes back to an older version, as a new version.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::{Action, Add};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use posixlake_sql::{AsOf, Privilege, Restore};
use serde_json::json;

use crate::access::Touch;
use crate::catalog::{Lake, Point, TableId};
use crate::dml::with_retries;
use crate::error::{Error, Result};
use crate::log::{Commit, Mode, Snapshot, check_writable, commit, remove};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::evolution::edited;
use crate::table::{Definition, data_path, live_files, protocol_for};

/// Plans `RESTORE`.
///
/// # Errors
/// Where there is no such table or version.
pub(super) async fn plan(planner: &Planner, restore: &Restore, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&restore.table).await?;
    check_writable(&table, &id.display())?;
    let version = planner
        .lake()
        .version_at(&table, &id.display(), planner.point(&restore.as_of)?)
        .await?;
    let given = match &restore.as_of {
        AsOf::Version(_) => ("version", version.to_string()),
        AsOf::Timestamp(time) => ("timestamp", time.to_string()),
    };
    command_plan(
        "restore",
        Arc::new(RestoreCommand {
            lake: planner.lake().clone(),
            id,
            version,
            given,
            statement,
        }),
    )
}

#[derive(Debug)]
struct RestoreCommand {
    lake: Arc<Lake>,
    id: TableId,
    version: u64,
    /// How history says what was asked for.
    given: (&'static str, String),
    statement: String,
}

/// What a restore does, in the order of the result's columns.
pub(super) struct Outcome([i64; 6]);

const COLUMNS: [&str; 6] = [
    "table_size_after_restore",
    "num_of_files_after_restore",
    "num_removed_files",
    "num_restored_files",
    "removed_files_size",
    "restored_files_size",
];

const METRICS: [&str; 6] = [
    "tableSizeAfterRestore",
    "numOfFilesAfterRestore",
    "numRemovedFiles",
    "numRestoredFiles",
    "removedFilesSize",
    "restoredFilesSize",
];

impl RestoreCommand {
    async fn restore(&self, table: Snapshot, running: &Running) -> Result<(Outcome, Option<u64>)> {
        let target = self.lake.open_at(&self.id, Point::Version(self.version)).await?;
        let (key, value) = &self.given;
        let going_back = GoingBack {
            id: &self.id,
            parameters: BTreeMap::from([(key.to_string(), value.clone())]),
            statement: &self.statement,
        };
        going_back.commit(&table, &target, running).await
    }
}

/// A table's return to what it was, or to what a backup of it holds.
pub(super) struct GoingBack<'a> {
    pub(super) id: &'a TableId,
    /// The operation's parameters, as history shows them.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) statement: &'a str,
}

impl GoingBack<'_> {
    /// Commits the state of `target` as the table's next version; none where that is what stands.
    ///
    /// # Errors
    /// Where a file that is to come back is not in the table's folder, or another writer was first.
    pub(super) async fn commit(
        &self,
        table: &Snapshot,
        target: &Snapshot,
        running: &Running,
    ) -> Result<(Outcome, Option<u64>)> {
        let (now, then) = (live_files(table), live_files(target));
        let now_keys: HashSet<_> = now.iter().map(|file| file.key()).collect();
        let then_keys: HashSet<_> = then.iter().map(|file| file.key()).collect();
        let restored: Vec<&Add> = then
            .iter()
            .filter(|file| !now_keys.contains(&file.key()))
            .map(|file| &file.add)
            .collect();
        let removed: Vec<&Add> = now
            .iter()
            .filter(|file| !then_keys.contains(&file.key()))
            .map(|file| &file.add)
            .collect();
        let sum = |adds: &[&Add]| adds.iter().map(|add| add.size).sum::<i64>();
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let outcome = Outcome([
            then.iter().map(|file| file.add.size).sum(),
            count(then.len()),
            count(removed.len()),
            count(restored.len()),
            sum(&removed),
            sum(&restored),
        ]);
        let mut actions = definition(table, target)?;
        if actions.is_empty() && restored.is_empty() && removed.is_empty() {
            return Ok((outcome, None));
        }
        if !removed.is_empty() && Definition::of(table)?.is_on("delta.appendOnly") {
            return Err(Error::invalid(format!(
                "table {} is append-only (delta.appendOnly): its rows cannot be taken away",
                self.id.display()
            )));
        }
        self.check_files(table, target.version(), &restored, running).await?;
        let again = |add: &&Add| {
            Action::Add(Add {
                data_change: true,
                ..(*add).clone()
            })
        };
        actions.extend(restored.iter().map(again));
        actions.extend(removed.iter().map(|add| Action::Remove(remove(add, true))));
        let metrics = METRICS
            .iter()
            .zip(outcome.0)
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let commit_of = Commit {
            operation: "RESTORE",
            parameters: self.parameters.clone(),
            metrics: metrics.collect(),
            actions,
            read_version: Some(table.version()),
            mode: Mode::Exclusive,
            statement: Some(self.statement.to_string()),
        };
        let version = commit(table.log_store().as_ref(), commit_of).await?;
        Ok((outcome, Some(version)))
    }

    /// # Errors
    /// Where a file of the old version is gone.
    async fn check_files(&self, table: &Snapshot, version: u64, adds: &[&Add], running: &Running) -> Result<()> {
        let store = table.store();
        let relative: Vec<String> = adds
            .iter()
            .map(|add| add.path.clone())
            .filter(|path| url::Url::parse(path).is_err())
            .collect();
        futures::stream::iter(relative)
            .map(|path| {
                let store = store.clone();
                async move { exists(store.as_ref(), &path).await.map(|there| (!there).then_some(path)) }
            })
            .buffered(16)
            .try_for_each(|missing| {
                running.progress.files.add(1);
                std::future::ready(match missing {
                    None => Ok(()),
                    Some(path) => Err(Error::not_found(format!(
                        "table {} cannot be restored to version {version}: its file {path} is gone (VACUUM deletes files \
                         after delta.deletedFileRetentionDuration)",
                        self.id.display()
                    ))),
                })
            })
            .await
    }
}

/// The metadata of the old version where it differs from today's, with a protocol that is no less than today's.
fn definition(table: &Snapshot, target: &Snapshot) -> Result<Vec<Action>> {
    let (today, old) = (Definition::of(table)?, Definition::of(target)?);
    let same = today.metadata();
    let identity = [("id", json!(same.id())), ("createdTime", json!(same.created_time()))];
    let mut metadata = edited(old.metadata(), identity)?;
    // Column ids are never given twice, not even after going back.
    const MOST: &str = "delta.columnMapping.maxColumnId";
    if let Some(most) = today.property(MOST) {
        let mut configuration = old.configuration().clone();
        configuration.insert(MOST.to_string(), most.to_string());
        metadata = edited(&metadata, [("configuration", json!(configuration))])?;
    }
    if metadata == *today.metadata() {
        return Ok(Vec::new());
    }
    let protocol = protocol_for(old.schema(), old.configuration(), Some(today.protocol()))?;
    let mut actions = Vec::new();
    if protocol != *today.protocol() {
        actions.push(Action::Protocol(protocol));
    }
    actions.push(Action::Metadata(metadata));
    Ok(actions)
}

/// Whether a data file is there, by the path that the log has.
///
/// # Errors
/// Where the store does not say.
pub(super) async fn exists(store: &dyn ObjectStore, path: &str) -> Result<bool> {
    match store.head(&data_path(path)).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[async_trait]
impl Command for RestoreCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            COLUMNS.map(|name| Field::new(name, DataType::Int64, false)).to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let outcome = with_retries(&self.lake, &self.id, |table| self.restore(table, &running)).await?;
        let columns = outcome
            .0
            .iter()
            .map(|value| Arc::new(Int64Array::from(vec![*value])) as ArrayRef);
        Ok(RecordBatch::try_new(self.schema(), columns.collect())?)
    }
}
