//! `INSERT` in all its forms, and every statement that makes a table out of a query: one writer for all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::log::Snapshot;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use deltalake_core::kernel::{Action, Add, Metadata, Protocol, Remove, Transaction};
use deltalake_core::logstore::LogStoreRef;
use futures::{SinkExt, StreamExt};
use tokio::task::JoinSet;

use super::gather::gather;
use super::validate::Validator;
use super::write::{FileWriter, Written, count_batch, count_schema};
use crate::catalog::{Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, check_writable, commit};
use crate::plan::{Progress, Running, SinkCommand};
use crate::table::Definition;

/// Which rows go when new ones come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Overwrite {
    /// None: append.
    Nothing,
    /// All.
    All,
    /// Those of the partitions that the new rows fall into.
    DynamicPartitions,
    /// Those of the partitions with these values, which the new rows all have.
    Partition(BTreeMap<String, Option<String>>),
}

/// The table that the rows make.
#[derive(Debug, Clone)]
pub(crate) struct NewTable {
    /// Its first (or, in a replacement, next) definition.
    pub(crate) metadata: Metadata,
    pub(crate) protocol: Protocol,
    /// `CREATE TABLE AS SELECT`, `CREATE OR REPLACE TABLE AS SELECT`, …: what history shows.
    pub(crate) operation: &'static str,
    /// Whether a table that stands is replaced, in the same commit.
    pub(crate) replace: bool,
    /// Whether a table that stands is left alone without an error.
    pub(crate) if_not_exists: bool,
}

/// Writes the rows of a query into a table, in one commit.
#[derive(Debug)]
pub(crate) struct InsertCommand {
    lake: Arc<Lake>,
    id: TableId,
    overwrite: Overwrite,
    new_table: Option<NewTable>,
    /// The table's next metadata and protocol, where schema evolution changes them.
    evolution: Option<(Metadata, Protocol)>,
    copied: Option<Copied>,
    /// The version of the table that the rows were made from, where they were made from the table itself.
    reads: Option<u64>,
    statement: Option<String>,
}

/// The files that the rows come from, as application transactions that no other commit has, up to a version.
#[derive(Debug)]
struct Copied {
    files: Vec<Transaction>,
    as_of: Option<u64>,
}

impl InsertCommand {
    pub(crate) fn new(lake: Arc<Lake>, id: TableId, overwrite: Overwrite, statement: Option<String>) -> Self {
        Self {
            lake,
            id,
            overwrite,
            new_table: None,
            evolution: None,
            copied: None,
            reads: None,
            statement,
        }
    }

    /// The rows are made from the table itself, at this version: nobody may change it before they come.
    pub(crate) fn reading(mut self, version: Option<u64>) -> Self {
        self.reads = version;
        self
    }

    /// The rows make a new table, or replace one.
    pub(crate) fn creating(mut self, new_table: NewTable) -> Self {
        self.new_table = Some(new_table);
        self
    }

    /// The commit also changes the table's schema.
    pub(crate) fn evolving(mut self, metadata: Metadata, protocol: Protocol) -> Self {
        self.evolution = Some((metadata, protocol));
        self
    }

    /// The rows come from files, which are to be loaded once: the commit carries an application transaction for each. At
    /// version `as_of` of the table, the log had none of them.
    pub(crate) fn copying(mut self, files: Vec<Transaction>, as_of: Option<u64>) -> Self {
        self.copied = Some(Copied { files, as_of });
        self
    }

    /// # Errors
    /// [`crate::ErrorKind::Conflict`] where another commit loaded one of the files meanwhile.
    fn check_copied(&self, table: Option<&Snapshot>) -> Result<()> {
        let (Some(copied), Some(table)) = (&self.copied, table) else {
            return Ok(());
        };
        if Some(table.version()) == copied.as_of {
            return Ok(());
        }
        for file in &copied.files {
            if table.transaction(&file.app_id).is_some() {
                return Err(Error::conflict(format!(
                    "another statement loaded {} first; nothing was changed",
                    file.app_id
                )));
            }
        }
        Ok(())
    }

    /// What history shows.
    fn operation(&self) -> &'static str {
        match (&self.new_table, &self.copied) {
            (Some(new), _) => new.operation,
            (None, Some(_)) => "COPY INTO",
            (None, None) => "WRITE",
        }
    }

    async fn target(&self) -> Result<Target> {
        let standing = self.lake.snapshots().latest(&self.id.url).await?;
        let definition = match (&self.new_table, &standing) {
            (Some(new), Some(_)) if !new.replace => {
                return if new.if_not_exists {
                    Ok(Target::Nothing)
                } else {
                    Err(Error::already_exists(format!(
                        "table {} exists already",
                        self.id.display()
                    )))
                };
            }
            (Some(new), _) => Definition::new(new.metadata.clone(), new.protocol.clone())?,
            (None, Some(table)) => match &self.evolution {
                Some((metadata, protocol)) => Definition::new(metadata.clone(), protocol.clone())?,
                None => Definition::of(table)?,
            },
            (None, None) => return Err(self.lake.missing(&self.id)),
        };
        if let Some(table) = &standing {
            check_writable(table, &self.id.display())?;
        }
        let log_store = match &standing {
            Some(table) => table.log_store(),
            None => self.lake.stores().log_store(&self.id.url)?,
        };
        Ok(Target::Table(Box::new(Standing {
            table: standing,
            definition,
            log_store,
        })))
    }

    fn removes(&self, table: &Snapshot, definition: &Definition, adds: &[Add]) -> Result<Vec<Remove>> {
        let partitions: HashSet<Vec<(String, Option<String>)>> = match &self.overwrite {
            Overwrite::DynamicPartitions => adds.iter().map(|add| sorted(&add.partition_values)).collect(),
            _ => HashSet::new(),
        };
        let wanted = |values: &HashMap<String, Option<String>>| match &self.overwrite {
            Overwrite::Nothing => self.new_table.is_some(),
            Overwrite::All => true,
            Overwrite::DynamicPartitions => partitions.contains(&sorted(values)),
            Overwrite::Partition(partition) => partition
                .iter()
                .all(|(column, value)| values.get(definition.physical_name(column)) == Some(value)),
        };
        let mut removes = Vec::new();
        for file in table.files().iter() {
            if wanted(&file.add.partition_values) {
                removes.push(file.remove(true));
            }
        }
        if !removes.is_empty() && definition.is_on("delta.appendOnly") {
            return Err(Error::invalid(format!(
                "table {} is append-only (delta.appendOnly): its rows cannot be replaced",
                self.id.display()
            )));
        }
        Ok(removes)
    }

    fn parameters(&self, definition: &Definition) -> BTreeMap<String, String> {
        let mode = if self.overwrite == Overwrite::Nothing {
            "Append"
        } else {
            "Overwrite"
        };
        let partition_by = serde_json::to_string(definition.partition_columns()).unwrap_or_default();
        let mut parameters = BTreeMap::from([
            ("mode".to_string(), mode.to_string()),
            ("partitionBy".to_string(), partition_by),
        ]);
        match &self.overwrite {
            Overwrite::DynamicPartitions => {
                parameters.insert("dynamicPartitionOverwrite".to_string(), "true".to_string());
            }
            Overwrite::Partition(partition) => {
                let predicate: Vec<String> = partition
                    .iter()
                    .map(|(column, value)| match value {
                        Some(value) => format!("{column} = '{}'", value.replace('\'', "''")),
                        None => format!("{column} IS NULL"),
                    })
                    .collect();
                parameters.insert("predicate".to_string(), predicate.join(" AND "));
            }
            Overwrite::Nothing | Overwrite::All => {}
        }
        parameters
    }
}

struct Standing {
    table: Option<Snapshot>,
    definition: Definition,
    log_store: LogStoreRef,
}

enum Target {
    /// `IF NOT EXISTS`, and it does.
    Nothing,
    Table(Box<Standing>),
}

fn sorted(values: &HashMap<String, Option<String>>) -> Vec<(String, Option<String>)> {
    let mut values: Vec<_> = values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    values.sort();
    values
}

#[async_trait]
impl SinkCommand for InsertCommand {
    fn describe(&self) -> String {
        let operation = self.new_table.as_ref().map_or("INSERT", |new| new.operation);
        let how = match &self.overwrite {
            Overwrite::Nothing => String::new(),
            Overwrite::All => ", replacing all rows".to_string(),
            Overwrite::DynamicPartitions => ", replacing the partitions of the new rows".to_string(),
            Overwrite::Partition(partition) => {
                let parts: Vec<String> = partition
                    .iter()
                    .map(|(column, value)| format!("{column}={}", value.as_deref().unwrap_or("NULL")))
                    .collect();
                format!(", replacing partition {}", parts.join("/"))
            }
        };
        format!("{operation} into {}{how}", self.id.display())
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, input: Arc<dyn ExecutionPlan>, running: Running) -> Result<RecordBatch> {
        let Target::Table(target) = self.target().await? else {
            return count_batch(0);
        };
        let Standing {
            table,
            definition,
            log_store,
        } = *target;
        self.check_copied(table.as_ref())?;
        let transaction = running.transaction();
        let stands = |table: &Snapshot| transaction.as_ref().is_some_and(|transaction| table.has(transaction));
        if table.as_ref().is_some_and(stands) {
            return count_batch(0);
        }
        if let (Some(read), Some(table)) = (self.reads, &table)
            && table.version() != read
        {
            return Err(Error::conflict(format!(
                "another writer changed table {} (version {}) after this statement read it (version {read}); nothing was \
                 changed: run the statement again",
                self.id.display(),
                table.version()
            )));
        }
        let written = write_input(&self.id, &definition, &log_store, input, &running).await?;
        let mut actions: Vec<Action> = Vec::new();
        if let Some(new) = &self.new_table {
            actions.push(Action::Protocol(new.protocol.clone()));
            actions.push(Action::Metadata(new.metadata.clone()));
        } else if let Some((metadata, protocol)) = &self.evolution {
            if Some(protocol) != table.as_ref().map(Snapshot::protocol) {
                actions.push(Action::Protocol(protocol.clone()));
            }
            actions.push(Action::Metadata(metadata.clone()));
        }
        actions.extend(
            self.copied
                .iter()
                .flat_map(|copied| &copied.files)
                .cloned()
                .map(Action::Txn),
        );
        let removes = match &table {
            Some(table) if self.new_table.is_some() || self.overwrite != Overwrite::Nothing => {
                self.removes(table, &definition, &written.adds)?
            }
            _ => Vec::new(),
        };
        let replaced = removes.len();
        actions.extend(removes.into_iter().map(Action::Remove));
        let metrics = BTreeMap::from([
            ("numFiles".to_string(), written.adds.len().to_string()),
            ("numOutputRows".to_string(), written.rows.to_string()),
            (
                "numOutputBytes".to_string(),
                written.adds.iter().map(|add| add.size).sum::<i64>().to_string(),
            ),
            ("numRemovedFiles".to_string(), replaced.to_string()),
        ]);
        let nothing_to_do = written.adds.is_empty() && actions.is_empty();
        actions.extend(transaction.clone().map(Action::Txn));
        if nothing_to_do && self.overwrite == Overwrite::Nothing {
            return count_batch(0);
        }
        let rows = written.rows;
        let files = written.adds.clone();
        actions.extend(written.adds.into_iter().map(Action::Add));
        let append = self.new_table.is_none()
            && self.evolution.is_none()
            && self.overwrite == Overwrite::Nothing
            && self.reads.is_none();
        let committed = commit(
            log_store.as_ref(),
            Commit {
                operation: self.operation(),
                parameters: self.parameters(&definition),
                metrics,
                actions,
                read_version: table.as_ref().map(Snapshot::version),
                mode: if append { Mode::Append } else { Mode::Exclusive },
                statement: self.statement.clone(),
            },
        )
        .await;
        match committed {
            Ok(version) => {
                self.lake.after_commit(&self.id, version).await;
                count_batch(rows)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                discard(&log_store, &files).await;
                // The same transaction may have come by another way while this one was under way.
                match self.lake.snapshots().latest(&self.id.url).await? {
                    Some(table) if stands(&table) => count_batch(0),
                    _ => Err(error),
                }
            }
            // Whether the commit stands may not be known: its files stay.
            Err(error) => Err(error),
        }
    }
}

/// Writes all partitions of a plan into new files of a table, checking every row.
///
/// # Errors
/// Where a row breaks a rule or does not fit, or the input fails: then no file is left open, and none is referred to.
pub(super) async fn write_input(
    id: &TableId,
    definition: &Definition,
    log_store: &LogStoreRef,
    input: Arc<dyn ExecutionPlan>,
    running: &Running,
) -> Result<Written> {
    let writer = Arc::new(FileWriter::new(definition, log_store.object_store(None))?);
    let validator = Validator::new(&running.state(), &id.display(), definition, writer.schema())?;
    write_partitions(writer, Some(Arc::new(validator)), log_store, input, running).await
}

/// As [`write_input`], for rows that were the table's already: they were checked when they came.
///
/// # Errors
/// As [`write_input`].
pub(super) async fn write_rows(
    definition: &Definition,
    log_store: &LogStoreRef,
    input: Arc<dyn ExecutionPlan>,
    running: &Running,
) -> Result<Written> {
    let writer = Arc::new(FileWriter::new(definition, log_store.object_store(None))?);
    write_partitions(writer, None, log_store, input, running).await
}

async fn write_partitions(
    writer: Arc<FileWriter>,
    validator: Option<Arc<Validator>>,
    log_store: &LogStoreRef,
    input: Arc<dyn ExecutionPlan>,
    running: &Running,
) -> Result<Written> {
    let mut tasks = JoinSet::new();
    for partition in 0..input.output_partitioning().partition_count() {
        let stream = input.execute(partition, running.task.clone())?;
        tasks.spawn(write_stream(
            ahead(stream),
            writer.clone(),
            validator.clone(),
            running.progress.clone(),
        ));
    }
    let (parts, first_error) = gather(tasks).await;
    let mut all = Written {
        adds: Vec::new(),
        rows: 0,
    };
    for written in parts {
        all.adds.extend(written.adds);
        all.rows += written.rows;
    }
    match first_error {
        Some(error) => {
            discard(log_store, &all.adds).await;
            Err(error)
        }
        None => Ok(all),
    }
}

/// Reads a stream in a task of its own, a few batches ahead: rows are read on one core while they are written on another.
fn ahead(mut stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (mut sender, receiver) = futures::channel::mpsc::channel(2);
    let reader = SpawnedTask::spawn(async move {
        while let Some(batch) = stream.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
    });
    // The task ends with the stream that it feeds.
    let batches = receiver.map(move |batch| {
        let _ = &reader;
        batch
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

async fn write_stream(
    mut stream: SendableRecordBatchStream,
    writer: Arc<FileWriter>,
    validator: Option<Arc<Validator>>,
    progress: Progress,
) -> Result<Written> {
    let mut files = writer.open();
    let mut rows = 0;
    loop {
        let step = async {
            let Some(batch) = stream.next().await else {
                return Ok(None);
            };
            let batch = writer.conform(&batch?)?;
            if let Some(validator) = &validator {
                validator.check(&batch)?;
            }
            let batch = RecordBatch::try_new(writer.schema().clone(), batch.columns().to_vec())?;
            files.write(&writer.to_physical(&batch)?).await?;
            Ok::<_, Error>(Some(batch.num_rows()))
        };
        match step.await {
            Ok(Some(count)) => {
                rows += count as u64;
                progress.rows.add(count);
            }
            Ok(None) => break,
            Err(error) => {
                // What was uploaded so far is given up; the statement's own error is what matters.
                let _ = files.abort().await;
                return Err(error);
            }
        }
    }
    let adds = writer.finished(files.close().await?);
    progress.files.add(adds.len());
    progress.bytes.add(
        adds.iter()
            .map(|add| usize::try_from(add.size).unwrap_or_default())
            .sum(),
    );
    Ok(Written { adds, rows })
}

/// Removes files that no commit will refer to; what cannot be removed is left to VACUUM.
pub(super) async fn discard(log_store: &LogStoreRef, adds: &[Add]) {
    use object_store::ObjectStoreExt;
    let store = log_store.object_store(None);
    for add in adds {
        let _ = store.delete(&crate::table::data_path(&add.path)).await;
    }
}
