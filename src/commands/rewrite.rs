//! Files that are replaced by others of the same rows: the engine of `OPTIMIZE`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::{Expr, ident};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::{Action, Add};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::catalog::{Lake, TableId};
use crate::dml::{FileWriter, gather};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, DataFile, Mode, Snapshot, commit};
use crate::plan::{Progress, Running};
use crate::table::{Definition, Rows, RowsTable, Selected, data_path, live_files};

/// How often a commit is tried behind those of others.
const ATTEMPTS: u32 = 100;

/// Files of one partition whose rows are written anew, together.
#[derive(Debug)]
pub(super) struct Bin(pub(super) Vec<Arc<DataFile>>);

/// What a rewrite made.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) adds: Vec<Add>,
    pub(super) batches: u64,
}

/// Writes the rows of every bin into new files. Several bins are under way at once.
///
/// # Errors
/// Where files cannot be read or written, or not all rows came: then nothing that was written stays.
pub(super) async fn rewrite(
    lake: &Arc<Lake>,
    id: &TableId,
    table: &Snapshot,
    bins: &[Bin],
    zorder: &[String],
    running: &Running,
) -> Result<Rewritten> {
    let definition = Definition::of(table)?;
    let writer = Arc::new(FileWriter::new(&definition, table.store())?);
    let rows = Rows::new(lake.stores().clone(), table.clone(), &id.display(), false)?;
    let places = Arc::new(Semaphore::new(running.task.session_config().target_partitions().max(1)));
    let mut tasks = JoinSet::new();
    for bin in bins {
        let context = context(running);
        let files = bin.0.iter().cloned().map(|file| Selected { file, hidden: None });
        let scan = rows.clone().of_files(files.collect()).in_order();
        let expected: Option<u64> = bin.0.iter().map(|file| file.live_records()).sum();
        let (writer, progress, zorder) = (writer.clone(), running.progress.clone(), zorder.to_vec());
        let places = places.clone();
        tasks.spawn(async move {
            let _place = places
                .acquire()
                .await
                .map_err(|error| Error::internal(error.to_string()))?;
            let plan = plan(&context, scan, &zorder).await?;
            write(plan, &context, &writer, expected, &progress).await
        });
    }
    let (parts, failure) = gather(tasks).await;
    let mut all = Rewritten::default();
    for done in parts {
        all.adds.extend(done.adds);
        all.batches += done.batches;
    }
    match failure {
        None => Ok(all),
        Some(error) => {
            discard(table, &all.adds).await;
            Err(error)
        }
    }
}

/// A session in which a bin is read in order: one partition.
fn context(running: &Running) -> SessionContext {
    let state = running.state();
    let config = state.config().clone().with_target_partitions(1);
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .build();
    let context = SessionContext::new_with_state(state);
    posixlake_udfs::register(&context);
    context
}

async fn plan(context: &SessionContext, scan: Rows, zorder: &[String]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema().clone();
    let mut rows = context.read_table(Arc::new(RowsTable(scan)))?;
    if !zorder.is_empty() {
        let key = context.udf("zorder_key")?.call(zorder.iter().map(ident).collect());
        rows = rows.sort(vec![key.sort(true, true)])?;
        let columns: Vec<Expr> = schema.fields().iter().map(|field| ident(field.name())).collect();
        rows = rows.select(columns)?;
    }
    Ok(rows.create_physical_plan().await?)
}

async fn write(
    plan: Arc<dyn ExecutionPlan>,
    context: &SessionContext,
    writer: &FileWriter,
    expected: Option<u64>,
    progress: &Progress,
) -> Result<Rewritten> {
    let mut stream = execute_stream(plan, context.task_ctx())?;
    let mut files = writer.open();
    let mut rows = 0;
    let mut batches = 0;
    let outcome = async {
        while let Some(batch) = stream.next().await {
            let batch = writer.conform(&batch?)?;
            let batch = RecordBatch::try_new(writer.schema().clone(), batch.columns().to_vec())?;
            files.write(&writer.to_physical(&batch)?).await?;
            rows += batch.num_rows() as u64;
            batches += 1;
            progress.rows.add(batch.num_rows());
        }
        match expected {
            Some(expected) if expected != rows => Err(Error::corrupt(format!(
                "{rows} rows were read where the log says {expected}; nothing was changed: ANALYZE TABLE or FSCK REPAIR TABLE \
                 may tell more"
            ))),
            _ => Ok::<_, Error>(()),
        }
    };
    if let Err(error) = outcome.await {
        // What was uploaded so far is given up; the statement's own error is what matters.
        let _ = files.abort().await;
        return Err(error);
    }
    let mut adds = writer.finished(files.close().await?);
    for add in &mut adds {
        add.data_change = false;
        progress.bytes.add(usize::try_from(add.size).unwrap_or_default());
    }
    progress.files.add(adds.len());
    Ok(Rewritten { adds, batches })
}

/// Removes files that no commit will refer to; what cannot be removed is left to VACUUM.
pub(super) async fn discard(table: &Snapshot, adds: &[Add]) {
    let store = table.store();
    for add in adds {
        let _ = store.delete(&data_path(&add.path)).await;
    }
}

/// What a commit of this kind says in the history.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) operation: &'static str,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, String>,
    pub(super) statement: String,
}

/// Commits a change of files that keeps all rows. Others may commit before it as long as the files stand as they were
/// read, in a table of the same schema: the same rows then are where this commit says, whatever else came. None where
/// that is not so any more: nothing was committed.
///
/// # Errors
/// Where the store fails.
pub(super) async fn commit_unchanged_rows(
    lake: &Arc<Lake>,
    id: &TableId,
    table: &Snapshot,
    inputs: &[Arc<DataFile>],
    actions: &[Action],
    story: &Story,
) -> Result<Option<u64>> {
    let mut latest = table.clone();
    for attempt in 0..ATTEMPTS {
        let next = Commit {
            operation: story.operation,
            parameters: story.parameters.clone(),
            metrics: story.metrics.clone(),
            actions: actions.to_vec(),
            read_version: Some(latest.version()),
            mode: Mode::Exclusive,
            statement: Some(story.statement.clone()),
        };
        match commit(latest.log_store().as_ref(), next).await {
            Ok(version) => {
                lake.after_commit(id, version).await;
                return Ok(Some(version));
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let limit = 2 << attempt.min(6);
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..=limit))).await;
                latest = lake.open_table(id).await?;
                if !still_stand(table, &latest, inputs)? {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn still_stand(before: &Snapshot, now: &Snapshot, inputs: &[Arc<DataFile>]) -> Result<bool> {
    if before.metadata() != now.metadata() || before.protocol() != now.protocol() {
        return Ok(false);
    }
    let standing: std::collections::HashSet<_> = live_files(now).iter().map(|file| file.key()).collect();
    Ok(inputs.iter().all(|file| standing.contains(&file.key())))
}
