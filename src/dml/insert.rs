//! `INSERT` in all its forms, and every statement that makes a table out of a query: one writer for all of them.

use posixlake_sql::Privilege;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use deltalake_core::kernel::{Action, Add, Metadata, Protocol, Remove, Transaction};
use deltalake_core::logstore::LogStoreRef;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::task::JoinSet;

use super::gather::{ahead, gather};
use super::retry::{ATTEMPTS, pause};
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

/// Rows on their way into a table, planned on one version of it.
#[derive(Debug, Clone)]
pub(crate) struct Inserted {
    input: Arc<dyn ExecutionPlan>,
    how: How,
}

impl Inserted {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        overwrite: Overwrite,
        evolution: Option<(Metadata, Protocol)>,
        reads: Option<u64>,
    ) -> Self {
        let how = How {
            overwrite,
            evolution,
            reads,
        };
        Self { input, how }
    }
}

/// What the rows do to their table.
#[derive(Debug, Clone)]
struct How {
    overwrite: Overwrite,
    /// The table's next metadata and protocol, where schema evolution changes them.
    evolution: Option<(Metadata, Protocol)>,
    /// The version of the table that the rows were made from, where they were made from the table itself.
    reads: Option<u64>,
}

/// Plans the statement again, on the table's latest version.
pub(crate) type InsertAgain = Arc<dyn Fn() -> BoxFuture<'static, Result<Inserted>> + Send + Sync>;

/// Writes the rows of a query into a table, in one commit.
pub(crate) struct InsertCommand {
    lake: Arc<Lake>,
    id: TableId,
    how: How,
    new_table: Option<NewTable>,
    copied: Option<Copied>,
    again: Option<InsertAgain>,
    statement: Option<String>,
}

impl fmt::Debug for InsertCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
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
            how: How {
                overwrite,
                evolution: None,
                reads: None,
            },
            new_table: None,
            copied: None,
            again: None,
            statement,
        }
    }

    /// The statement can be planned again where another writer was first.
    pub(crate) fn repeatable(mut self, again: InsertAgain) -> Self {
        self.again = Some(again);
        self
    }

    /// The rows are made from the table itself, at this version: nobody may change it before they come.
    pub(crate) fn reading(mut self, version: Option<u64>) -> Self {
        self.how.reads = version;
        self
    }

    /// The rows make a new table, or replace one.
    pub(crate) fn creating(mut self, new_table: NewTable) -> Self {
        self.new_table = Some(new_table);
        self
    }

    /// The commit also changes the table's schema.
    pub(crate) fn evolving(mut self, metadata: Metadata, protocol: Protocol) -> Self {
        self.how.evolution = Some((metadata, protocol));
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

    async fn target(&self, how: &How) -> Result<Target> {
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
            (None, Some(table)) => match &how.evolution {
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

    fn removes(
        &self,
        overwrite: &Overwrite,
        table: &Snapshot,
        definition: &Definition,
        adds: &[Add],
    ) -> Result<Vec<Remove>> {
        if self.new_table.is_none() && *overwrite == Overwrite::Nothing {
            return Ok(Vec::new());
        }
        let partitions: HashSet<Vec<(String, Option<String>)>> = match overwrite {
            Overwrite::DynamicPartitions => adds.iter().map(|add| sorted(&add.partition_values)).collect(),
            _ => HashSet::new(),
        };
        let wanted = |values: &HashMap<String, Option<String>>| match overwrite {
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

    fn parameters(overwrite: &Overwrite, definition: &Definition) -> BTreeMap<String, String> {
        let mode = if *overwrite == Overwrite::Nothing {
            "Append"
        } else {
            "Overwrite"
        };
        let partition_by = serde_json::to_string(definition.partition_columns()).unwrap_or_default();
        let mut parameters = BTreeMap::from([
            ("mode".to_string(), mode.to_string()),
            ("partitionBy".to_string(), partition_by),
        ]);
        match overwrite {
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
        let how = match &self.how.overwrite {
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

    fn touches(&self) -> Vec<Touch> {
        let touch = |privilege| Touch::Table(self.id.url.clone(), privilege);
        let mut touches = vec![touch(Privilege::Insert)];
        if !matches!(self.how.overwrite, Overwrite::Nothing) {
            touches.push(touch(Privilege::Delete));
        }
        if self.how.evolution.is_some() || self.new_table.is_some() {
            touches.push(touch(Privilege::Modify));
        }
        touches
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, input: Arc<dyn ExecutionPlan>, running: Running) -> Result<RecordBatch> {
        let how = self.how.clone();
        let mut rows = Inserted { input, how };
        let mut lost = 0;
        loop {
            match (self.attempt(&rows, &running).await, &self.again) {
                (Err(error), Some(again)) if error.kind() == ErrorKind::Conflict => {
                    lost += 1;
                    if lost >= ATTEMPTS {
                        return Err(Error::conflict(format!(
                            "other writers changed table {} first, {lost} times; nothing was changed: run the statement again \
                             when the table is less busy",
                            self.id.display()
                        ))
                        .with_source(error));
                    }
                    pause(lost).await;
                    rows = again().await?;
                }
                (outcome, _) => return count_batch(outcome?),
            }
        }
    }
}

impl InsertCommand {
    /// Writes the rows and commits them, and tells how many they are.
    async fn attempt(&self, rows: &Inserted, running: &Running) -> Result<u64> {
        let how = &rows.how;
        let Target::Table(target) = self.target(how).await? else {
            return Ok(0);
        };
        let Standing {
            table,
            definition,
            log_store,
        } = *target;
        self.check_copied(table.as_ref())?;
        if stands(table.as_ref(), running) {
            return Ok(0);
        }
        if let (Some(read), Some(table)) = (how.reads, &table)
            && table.version() != read
        {
            return Err(Error::conflict(format!(
                "another writer changed table {} (version {}) after this statement read it (version {read}); nothing was \
                 changed: run the statement again",
                self.id.display(),
                table.version()
            )));
        }
        let written = write_input(&self.id, &definition, &log_store, rows.input.clone(), running).await?;
        let mut table = table;
        let mut lost = 0;
        loop {
            let committed = self.commit(how, table.as_ref(), &definition, &log_store, &written, running);
            match committed.await {
                Ok(()) => return Ok(written.rows),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    lost += 1;
                    let now = self.lake.snapshots().latest(&self.id.url).await?;
                    // The same transaction may have come by another way while this one was under way.
                    let done = stands(now.as_ref(), running);
                    if !done && lost < ATTEMPTS && self.may_follow(how, table.as_ref(), now.as_ref()) {
                        pause(lost).await;
                        table = now;
                        continue;
                    }
                    discard(&log_store, &written.adds).await;
                    return if done { Ok(0) } else { Err(error) };
                }
                Err(error) if error.kind() == ErrorKind::Storage => {
                    // Whether the commit stands may not be known: its files stay.
                    return Err(error);
                }
                Err(error) => {
                    discard(&log_store, &written.adds).await;
                    return Err(error);
                }
            }
        }
    }

    /// Whether rows that replace others, and were not made from the table, can come behind what others did to it: what
    /// they replace is another matter each time.
    fn may_follow(&self, how: &How, before: Option<&Snapshot>, now: Option<&Snapshot>) -> bool {
        let (Some(before), Some(now)) = (before, now) else {
            return false;
        };
        self.new_table.is_none()
            && self.copied.is_none()
            && how.reads.is_none()
            && how.evolution.is_none()
            && before.metadata() == now.metadata()
            && before.protocol() == now.protocol()
    }

    async fn commit(
        &self,
        how: &How,
        table: Option<&Snapshot>,
        definition: &Definition,
        log_store: &LogStoreRef,
        written: &Written,
        running: &Running,
    ) -> Result<()> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some(new) = &self.new_table {
            actions.push(Action::Protocol(new.protocol.clone()));
            actions.push(Action::Metadata(new.metadata.clone()));
        } else if let Some((metadata, protocol)) = &how.evolution {
            if Some(protocol) != table.map(Snapshot::protocol) {
                actions.push(Action::Protocol(protocol.clone()));
            }
            actions.push(Action::Metadata(metadata.clone()));
        }
        let copied = self.copied.iter().flat_map(|copied| &copied.files);
        actions.extend(copied.cloned().map(Action::Txn));
        let removes = match table {
            Some(table) => self.removes(&how.overwrite, table, definition, &written.adds)?,
            None => Vec::new(),
        };
        let bytes: i64 = written.adds.iter().map(|add| add.size).sum();
        let metrics = [
            ("numFiles", written.adds.len().to_string()),
            ("numOutputRows", written.rows.to_string()),
            ("numOutputBytes", bytes.to_string()),
            ("numRemovedFiles", removes.len().to_string()),
        ];
        actions.extend(removes.into_iter().map(Action::Remove));
        let nothing_to_do = written.adds.is_empty() && actions.is_empty();
        if nothing_to_do && how.overwrite == Overwrite::Nothing {
            return Ok(());
        }
        actions.extend(running.transaction().map(Action::Txn));
        actions.extend(written.adds.iter().cloned().map(Action::Add));
        let append = self.new_table.is_none()
            && how.evolution.is_none()
            && how.overwrite == Overwrite::Nothing
            && how.reads.is_none();
        let commit_of = Commit {
            operation: self.operation(),
            parameters: Self::parameters(&how.overwrite, definition),
            metrics: metrics.map(|(name, value)| (name.to_string(), value)).into(),
            actions,
            read_version: table.map(Snapshot::version),
            mode: if append { Mode::Append } else { Mode::Exclusive },
            statement: self.statement.clone(),
        };
        let version = commit(log_store.as_ref(), commit_of).await?;
        self.lake.after_commit(&self.id, version).await;
        Ok(())
    }
}

/// Whether the session's transaction stands in a table already.
fn stands(table: Option<&Snapshot>, running: &Running) -> bool {
    match (table, running.transaction()) {
        (Some(table), Some(transaction)) => table.has(&transaction),
        _ => false,
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
    let validator = Validator::new(running, &id.display(), definition, writer.schema())?;
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
