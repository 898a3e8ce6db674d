//! Rows of bins into new files: several bins at once, as many as cores and memory allow.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::Add;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bins::Bin;
use super::curve;
use crate::catalog::{Lake, TableId};
use crate::commands::rewrite::discard;
use crate::dml::{FileWriter, ahead, gather};
use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::plan::{Progress, Running};
use crate::table::{Definition, Rows, RowsTable, Selected};

/// The memory that a stream of rows on its way into a file is reckoned with: the file's open row group, and what was read
/// ahead; a sort spills what is more.
const STREAM_BYTES: usize = 96 << 20;

/// What became of a bin.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) adds: Vec<Add>,
    pub(super) batches: u64,
    rows: u64,
}

/// How the work is spread.
#[derive(Debug, Clone, Copy)]
struct Width {
    /// How many bins are under way at once.
    bins: usize,
    /// How many streams each of them may have.
    streams: usize,
}

impl Width {
    fn of(running: &Running, bins: usize) -> Self {
        let cores = running.task.session_config().target_partitions().max(1);
        let by_memory = match running.task.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => (bytes / STREAM_BYTES).max(1),
            _ => usize::MAX,
        };
        let all = cores.min(by_memory);
        let at_once = bins.clamp(1, all);
        Self {
            bins: at_once,
            streams: (all / at_once).max(1),
        }
    }
}

/// What writing a bin needs.
#[derive(Clone)]
struct Work {
    writer: Arc<FileWriter>,
    rows: Rows,
    zorder: Arc<Vec<String>>,
    target: u64,
    progress: Progress,
    streams: usize,
}

/// Writes the rows of every bin into new files, and tells what became of each.
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
) -> Result<Vec<Rewritten>> {
    let definition = Definition::of(table)?;
    let width = Width::of(running, bins.len());
    // Where rows are counted, they tell where a file ends; its bytes would leave a rest behind some of them.
    let counted = bins.iter().all(|bin| bin.rows().is_some());
    let writer = match counted {
        true => FileWriter::unlimited(&definition, table.store())?,
        false => FileWriter::new(&definition, table.store())?,
    };
    let work = Work {
        writer: Arc::new(writer),
        rows: Rows::new(lake.stores().clone(), table.clone(), &id.display(), false)?,
        zorder: Arc::new(zorder.to_vec()),
        target: definition.target_file_size().map_or(u64::MAX, u64::from),
        progress: running.progress.clone(),
        streams: width.streams,
    };
    let session = Arc::new(session(running, width.streams));
    let places = Arc::new(Semaphore::new(width.bins));
    let mut tasks = JoinSet::new();
    for (number, bin) in bins.iter().enumerate() {
        let (work, bin, session, places) = (work.clone(), bin.clone(), session.clone(), places.clone());
        tasks.spawn(async move {
            let _place = places
                .acquire()
                .await
                .map_err(|error| Error::internal(error.to_string()))?;
            let plan = work.plan(&session, &bin).await?;
            let written = work.write(plan, session.task_ctx(), &bin).await?;
            Ok((number, written))
        });
    }
    let (mut parts, failure) = gather(tasks).await;
    if let Some(error) = failure {
        for (_, part) in parts {
            discard(table, &part.adds).await;
        }
        return Err(error);
    }
    parts.sort_by_key(|(number, _)| *number);
    let all: Vec<Rewritten> = parts.into_iter().map(|(_, part)| part).collect();
    for (bin, part) in bins.iter().zip(&all) {
        if let Some(expected) = bin.rows().filter(|expected| *expected != part.rows) {
            for part in &all {
                discard(table, &part.adds).await;
            }
            return Err(Error::corrupt(format!(
                "{} rows were read where the log says {expected}; nothing was changed: ANALYZE TABLE or FSCK REPAIR TABLE \
                 may tell more",
                part.rows
            )));
        }
    }
    Ok(all)
}

/// A session whose plans have so many streams.
fn session(running: &Running, streams: usize) -> SessionContext {
    let state = running.state();
    let config = state.config().clone().with_target_partitions(streams);
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .build();
    SessionContext::new_with_state(state)
}

impl Work {
    /// The rows of a bin: in the order of its files, or along a curve.
    async fn plan(&self, session: &SessionContext, bin: &Bin) -> Result<Arc<dyn ExecutionPlan>> {
        let selected = |file: &Arc<_>| Selected {
            file: Arc::clone(file),
            hidden: None,
        };
        let rows = self.rows.clone().of_files(bin.files.iter().map(selected).collect());
        let state = session.state();
        if self.zorder.is_empty() {
            return Ok(RowsTable(rows.in_order()).scan(&state, None, &[], None).await?);
        }
        let streams = self.streams.min(self.files_of(bin));
        curve::plan(&state, rows, bin, &self.zorder, streams).await
    }

    /// About how many files a bin becomes.
    fn files_of(&self, bin: &Bin) -> usize {
        usize::try_from(bin.bytes().div_ceil(self.target.max(1))).map_or(usize::MAX, |files| files.max(1))
    }

    async fn write(&self, plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>, bin: &Bin) -> Result<Rewritten> {
        let streams = plan.output_partitioning().partition_count();
        let full = bin.rows().map(|rows| {
            let files = self.files_of(bin).next_multiple_of(streams) as u64;
            // A little more, since streams are not quite alike: rather that than a file of the rest.
            (rows + rows / 16).div_ceil(files).max(1)
        });
        let mut tasks = JoinSet::new();
        for stream in 0..streams {
            let rows = ahead(plan.execute(stream, task.clone())?);
            let work = self.clone();
            tasks.spawn(async move { work.write_stream(rows, full).await });
        }
        let (parts, failure) = gather(tasks).await;
        let mut all = Rewritten::default();
        for part in parts {
            all.adds.extend(part.adds);
            all.batches += part.batches;
            all.rows += part.rows;
        }
        match failure {
            None => Ok(all),
            Some(error) => {
                discard(self.rows.snapshot(), &all.adds).await;
                Err(error)
            }
        }
    }

    /// Writes a stream into files of so many rows, the last of which may have fewer.
    async fn write_stream(&self, mut stream: SendableRecordBatchStream, full: Option<u64>) -> Result<Rewritten> {
        let full = full.unwrap_or(u64::MAX);
        let mut done = Rewritten::default();
        let mut closing: Option<SpawnedTask<Result<Vec<Add>>>> = None;
        let mut files = self.writer.open();
        let mut filled = 0;
        let outcome = async {
            while let Some(batch) = stream.next().await {
                let batch = self.writer.conform(&batch?)?;
                let batch = RecordBatch::try_new(self.writer.schema().clone(), batch.columns().to_vec())?;
                let mut batch = self.writer.to_physical(&batch)?;
                done.batches += 1;
                done.rows += batch.num_rows() as u64;
                self.progress.rows.add(batch.num_rows());
                while batch.num_rows() > 0 {
                    let room = usize::try_from(full - filled).unwrap_or(usize::MAX);
                    let part = batch.slice(0, room.min(batch.num_rows()));
                    batch = batch.slice(part.num_rows(), batch.num_rows() - part.num_rows());
                    files.write(&part).await?;
                    filled += part.num_rows() as u64;
                    if filled == full {
                        let whole = std::mem::replace(&mut files, self.writer.open());
                        filled = 0;
                        if let Some(before) = closing.replace(SpawnedTask::spawn(async { Ok(whole.close().await?) })) {
                            done.adds.extend(joined(before).await?);
                        }
                    }
                }
            }
            Ok::<_, Error>(())
        };
        let outcome = outcome.await;
        let before = match closing {
            Some(closing) => joined(closing).await,
            None => Ok(Vec::new()),
        };
        let outcome = outcome.and_then(|()| before.map(|adds| done.adds.extend(adds)));
        if let Err(error) = outcome {
            // What was uploaded so far is given up; the statement's own error is what matters.
            let _ = files.abort().await;
            discard(self.rows.snapshot(), &done.adds).await;
            return Err(error);
        }
        done.adds.extend(files.close().await?);
        for add in &mut done.adds {
            add.data_change = false;
            self.progress.bytes.add(usize::try_from(add.size).unwrap_or_default());
        }
        self.progress.files.add(done.adds.len());
        Ok(done)
    }
}

async fn joined(task: SpawnedTask<Result<Vec<Add>>>) -> Result<Vec<Add>> {
    task.await
        .map_err(|error| Error::internal(format!("a writer stopped: {error}")))?
}
