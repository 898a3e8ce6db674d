//! A change of rows as a command: the plan's rows say which rows go and which come, and one commit makes it so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::kernel::{Action, Metadata, Protocol};
use futures::future::BoxFuture;

use super::apply::{Applied, apply, undo};
use super::change_data;
use super::collect::{Collected, collect};
use super::retry::{ATTEMPTS, pause};
use super::target::{Target, show_row};
use super::{count_batch, count_schema};
use posixlake_sql::Privilege;

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, Snapshot, check_writable, commit, winners};
use crate::plan::{Running, SinkCommand};
use crate::table::Definition;

/// What a statement answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// How many rows it changed.
    Count,
    /// As `MERGE` does: how many rows it changed, and how.
    Merge,
    /// How many rows came, which all must meet the condition.
    Replaced { condition: String },
}

/// What history shows.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) operation: &'static str,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) statement: String,
}

/// The rows of a change, planned on one version of its table.
pub(super) struct Planned {
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) target: Target,
    /// The table's next metadata and protocol, where the statement changes them.
    pub(super) evolution: Option<(Metadata, Protocol)>,
    /// The settings that the plan was made for, where they are not the statement's.
    pub(super) task: Option<Arc<TaskContext>>,
}

/// Plans the statement again, on the table's latest version. `spilling` asks for a plan whose joins can spill to disk.
pub(super) type Again = Arc<dyn Fn(bool) -> BoxFuture<'static, Result<Planned>> + Send + Sync>;

/// A change of rows.
pub(super) struct ChangeCommand {
    pub(super) lake: Arc<Lake>,
    pub(super) id: TableId,
    /// What the input was planned on.
    pub(super) target: Target,
    /// The table's next metadata and protocol, where the statement changes them.
    pub(super) evolution: Option<(Metadata, Protocol)>,
    /// The rights to the table that the statement takes.
    pub(super) needs: Vec<Privilege>,
    pub(super) story: Story,
    pub(super) answer: Answer,
    /// Whether the input may name a row more than once: it goes once.
    pub(super) once: bool,
    pub(super) again: Again,
    pub(super) description: String,
}

impl fmt::Debug for ChangeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// How one attempt ended, where it did not fail.
#[derive(Debug, Default)]
struct Done {
    affected: u64,
    updated: u64,
    deleted: u64,
    inserted: u64,
}

impl ChangeCommand {
    async fn attempt(&self, planned: &Planned, running: &Running) -> Result<Done> {
        let started = Instant::now();
        let snapshot = planned.target.snapshot();
        check_writable(snapshot, &self.id.display())?;
        if running
            .transaction()
            .is_some_and(|transaction| snapshot.has(&transaction))
        {
            return Ok(Done::default());
        }
        let definition = match &planned.evolution {
            Some((metadata, protocol)) => Definition::new(metadata.clone(), protocol.clone())?,
            None => Definition::of(snapshot)?,
        };
        let log_store = snapshot.log_store();
        let mut collected = collect(
            &self.id,
            &definition,
            &log_store,
            self.rule(),
            self.once,
            planned.input.clone(),
            running,
        )
        .await?;
        let outcome = self
            .finish(&mut collected, &definition, planned, running, started)
            .await;
        if let Err(error) = outcome {
            // A store that failed may hold the commit all the same: what it refers to stays, and VACUUM removes what nothing does.
            if error.kind() != ErrorKind::Storage {
                collected.discard(&log_store).await;
            }
            return Err(error);
        }
        Ok(Done {
            affected: collected.affected(),
            updated: collected.updated,
            deleted: collected.deleted,
            inserted: collected.inserted,
        })
    }

    /// What all new rows must meet, beside the table's own rules.
    fn rule(&self) -> Option<&str> {
        match &self.answer {
            Answer::Replaced { condition } => Some(condition),
            _ => None,
        }
    }

    /// Commits what was collected, behind others where that changes nothing for either.
    async fn finish(
        &self,
        collected: &mut Collected,
        definition: &Definition,
        planned: &Planned,
        running: &Running,
        started: Instant,
    ) -> Result<()> {
        let target = &planned.target;
        if let Some(twice) = collected.twice.as_ref().filter(|_| !self.once) {
            let row = show_row(&self.lake, &self.id, target.snapshot(), definition, twice, running).await;
            return Err(Error::constraint(format!(
                "more than one source row matches the row {row} of table {}: make the source's key unique",
                self.id.display()
            )));
        }
        if collected.affected() == 0 && planned.evolution.is_none() {
            return Ok(());
        }
        if !collected.touched.0.is_empty() && definition.is_on("delta.appendOnly") {
            return Err(Error::invalid(format!(
                "table {} is append-only (delta.appendOnly): its rows cannot be changed or deleted",
                self.id.display()
            )));
        }
        let mut base = target.snapshot().clone();
        loop {
            // New rows and rows that go are in different files, which are synced at the same time.
            let open = collected.take_open();
            let ((adds, changes, failure), applied) = futures::join!(
                Collected::close(open, &running.progress),
                apply(
                    &self.lake,
                    &self.id,
                    &base,
                    &collected.touched,
                    (&collected.replaced, definition),
                    running
                )
            );
            collected.adds.extend(adds);
            collected.changes.extend(changes);
            let applied = applied?;
            if let Some(error) = failure {
                undo(&base, &applied).await;
                return Err(error);
            }
            match self.commit(collected, &applied, &base, planned, running, started).await {
                Ok(version) => {
                    self.lake.after_commit(&self.id, version).await;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    undo(&base, &applied).await;
                    let latest = self.lake.open_table(&self.id).await?;
                    if !still_holds(planned, &base, &latest).await? {
                        return Err(error);
                    }
                    base = latest;
                }
                // Whether the commit stands may not be known: its files stay.
                Err(error) => return Err(error),
            }
        }
    }

    async fn commit(
        &self,
        collected: &Collected,
        applied: &Applied,
        base: &Snapshot,
        planned: &Planned,
        running: &Running,
        started: Instant,
    ) -> Result<u64> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some((metadata, protocol)) = &planned.evolution {
            if protocol != base.protocol() {
                actions.push(Action::Protocol(protocol.clone()));
            }
            actions.push(Action::Metadata(metadata.clone()));
        }
        actions.extend(applied.actions.iter().cloned());
        actions.extend(collected.adds.iter().cloned().map(Action::Add));
        actions.extend(collected.changes.iter().map(change_data::action));
        actions.extend(running.transaction().map(Action::Txn));
        let next = Commit {
            operation: self.story.operation,
            parameters: self.story.parameters.clone(),
            metrics: self.metrics(collected, applied, started),
            actions,
            read_version: Some(base.version()),
            mode: Mode::Exclusive,
            statement: Some(self.story.statement.clone()),
        };
        commit(base.log_store().as_ref(), next).await
    }

    /// The metrics that Spark writes for the operation.
    fn metrics(&self, collected: &Collected, applied: &Applied, started: Instant) -> BTreeMap<String, String> {
        let did = &applied.metrics;
        let added = collected.adds.len() + applied.files.len();
        let mut metrics: Vec<(&str, u64)> = vec![
            (
                "executionTimeMs",
                u64::try_from(started.elapsed().as_millis()).unwrap_or_default(),
            ),
            ("numAddedChangeFiles", collected.changes.len() as u64),
        ];
        match &self.answer {
            Answer::Merge => metrics.extend([
                ("numTargetRowsInserted", collected.inserted),
                ("numTargetRowsUpdated", collected.updated),
                ("numTargetRowsDeleted", collected.deleted),
                ("numTargetRowsCopied", did.copied_rows),
                (
                    "numOutputRows",
                    collected.inserted + collected.updated + did.copied_rows,
                ),
                ("numTargetFilesAdded", added as u64),
                ("numTargetFilesRemoved", did.removed_files as u64),
                ("numTargetBytesRemoved", did.removed_bytes),
                ("numTargetDeletionVectorsAdded", did.vectors_added as u64),
                ("numTargetDeletionVectorsUpdated", did.vectors_updated as u64),
                ("numTargetDeletionVectorsRemoved", did.vectors_removed as u64),
            ]),
            Answer::Replaced { .. } => metrics.extend([
                ("numFiles", added as u64),
                ("numOutputRows", collected.inserted),
                ("numRemovedFiles", did.removed_files as u64),
                ("numRemovedBytes", did.removed_bytes),
                ("numDeletedRows", collected.deleted),
                ("numCopiedRows", did.copied_rows),
            ]),
            Answer::Count => metrics.extend([
                ("numAddedFiles", added as u64),
                ("numRemovedFiles", did.removed_files as u64),
                ("numRemovedBytes", did.removed_bytes),
                ("numCopiedRows", did.copied_rows),
                ("numDeletionVectorsAdded", did.vectors_added as u64),
                ("numDeletionVectorsUpdated", did.vectors_updated as u64),
                ("numDeletionVectorsRemoved", did.vectors_removed as u64),
                if self.story.operation == "DELETE" {
                    ("numDeletedRows", collected.deleted)
                } else {
                    ("numUpdatedRows", collected.updated)
                },
            ]),
        }
        let text = |(name, value): (&str, u64)| (name.to_string(), value.to_string());
        metrics.into_iter().map(text).collect()
    }

    fn answer(&self, done: &Done) -> Result<RecordBatch> {
        match self.answer {
            Answer::Count => count_batch(done.affected),
            Answer::Replaced { .. } => count_batch(done.inserted),
            Answer::Merge => {
                let columns = [done.affected, done.updated, done.deleted, done.inserted]
                    .map(|count| Arc::new(UInt64Array::from(vec![count])) as _);
                Ok(RecordBatch::try_new(merge_schema(), columns.to_vec())?)
            }
        }
    }
}

/// Whether what was read of `base` is what would be read now: then only the places of the rows matter, which
/// [`apply`] looks after.
async fn still_holds(planned: &Planned, base: &Snapshot, latest: &Snapshot) -> Result<bool> {
    if base.metadata() != latest.metadata() || base.protocol() != latest.protocol() || planned.evolution.is_some() {
        return Ok(false);
    }
    let lenient = base
        .property("delta.isolationLevel")
        .is_some_and(|level| level.eq_ignore_ascii_case("WriteSerializable"));
    for winner in winners(base, latest).await? {
        // Whatever else it did, it may be this very change.
        if !winner.transactions.is_empty() {
            return Ok(false);
        }
        // Under WriteSerializable, rows that others only appended may count as having come after.
        if lenient && winner.is_blind_append() {
            continue;
        }
        if planned.target.may_have_read(&winner).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn merge_schema() -> SchemaRef {
    let names = [
        "num_affected_rows",
        "num_updated_rows",
        "num_deleted_rows",
        "num_inserted_rows",
    ];
    Arc::new(Schema::new(
        names.map(|name| Field::new(name, DataType::UInt64, false)).to_vec(),
    ))
}

#[async_trait]
impl SinkCommand for ChangeCommand {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let evolution = self.evolution.as_ref().map(|_| Privilege::Modify);
        let needs = self.needs.iter().copied().chain(evolution);
        needs
            .map(|privilege| Touch::Table(self.id.url.clone(), privilege))
            .collect()
    }

    fn schema(&self) -> SchemaRef {
        match self.answer {
            Answer::Merge => merge_schema(),
            Answer::Count | Answer::Replaced { .. } => count_schema(),
        }
    }

    async fn run(&self, input: Arc<dyn ExecutionPlan>, mut running: Running) -> Result<RecordBatch> {
        let mut planned = Planned {
            input,
            target: self.target.clone(),
            evolution: self.evolution.clone(),
            task: None,
        };
        let mut lost = 0;
        let mut spilling = false;
        loop {
            match self.attempt(&planned, &running).await {
                Ok(done) => return self.answer(&done),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    lost += 1;
                    if lost >= ATTEMPTS {
                        return Err(Error::conflict(format!(
                            "other writers changed what this statement reads of table {} first, {lost} times; nothing was \
                             changed: run the statement again when the table is less busy",
                            self.id.display()
                        ))
                        .with_source(error));
                    }
                    pause(lost).await;
                }
                // A join that holds one side in memory gives way to one that sorts both, and spills.
                Err(error) if error.is_out_of_memory() && !spilling => spilling = true,
                Err(error) => return Err(error),
            }
            planned = (self.again)(spilling).await?;
            if let Some(task) = planned.task.take() {
                running.task = task;
            }
        }
    }
}
