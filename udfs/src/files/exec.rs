//! The scan of text files: chunks cut in one task a partition, decoded in tasks beside it, handed on in order.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DataFusionResult, Statistics, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::error::{FileError, Result};
use super::resolve::FoundFile;

/// What one scan wants of every file.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The columns, by name.
    pub(crate) schema: SchemaRef,
    pub(crate) batch_rows: usize,
    /// Bytes read from the store.
    pub(crate) scanned: Count,
}

/// The decoding of one chunk.
pub(crate) type Job = Box<dyn FnOnce() -> Result<Vec<RecordBatch>> + Send>;

/// A format of text files, and a table in it.
pub(crate) trait TextReader: fmt::Debug + Send + Sync {
    fn format_name(&self) -> &'static str;

    /// The columns of the table.
    fn schema(&self) -> &SchemaRef;

    /// The chunks of `file`, each as the work to be done on it.
    fn jobs(
        self: Arc<Self>,
        store: Arc<dyn ObjectStore>,
        file: FoundFile,
        scan: Arc<Scan>,
    ) -> BoxStream<'static, Result<Job>>;
}

/// Reads groups of files, one group a partition; a partition's rows come in the order of its files.
#[derive(Debug)]
pub(crate) struct TextScanExec {
    reader: Arc<dyn TextReader>,
    groups: Vec<Vec<FoundFile>>,
    schema: SchemaRef,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TextScanExec {
    pub(crate) fn new(
        reader: Arc<dyn TextReader>,
        files: &[FoundFile],
        schema: SchemaRef,
        limit: Option<usize>,
        partitions: usize,
    ) -> Self {
        let groups = group(files, partitions);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self {
            reader,
            groups,
            schema,
            limit,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn with_limit(&self, limit: Option<usize>) -> Self {
        Self {
            reader: Arc::clone(&self.reader),
            groups: self.groups.clone(),
            schema: Arc::clone(&self.schema),
            limit,
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn bytes(&self, partition: Option<usize>) -> u64 {
        let size = |group: &Vec<FoundFile>| group.iter().map(|file| file.meta.size).sum::<u64>();
        match partition {
            Some(partition) => self.groups.get(partition).map_or(0, size),
            None => self.groups.iter().map(size).sum(),
        }
    }
}

/// Runs of `files` of about the same number of bytes, at most `partitions` of them.
fn group(files: &[FoundFile], partitions: usize) -> Vec<Vec<FoundFile>> {
    let total: u64 = files.iter().map(|file| file.meta.size.max(1)).sum();
    let target = total.div_ceil(partitions.max(1) as u64);
    let mut groups: Vec<Vec<FoundFile>> = Vec::new();
    let (mut group, mut before) = (Vec::new(), 0u64);
    for file in files {
        let full = before >= target * (groups.len() as u64 + 1);
        if full && !group.is_empty() {
            groups.push(std::mem::take(&mut group));
        }
        before += file.meta.size.max(1);
        group.push(file.clone());
    }
    groups.push(group);
    groups
}

impl DisplayAs for TextScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let files: Vec<&FoundFile> = self.groups.iter().flatten().collect();
        let names: Vec<&str> = files.iter().take(SHOWN).map(|file| file.label.as_ref()).collect();
        let more = if files.len() > SHOWN { ", …" } else { "" };
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let separator = if matches!(format, DisplayFormatType::TreeRender) {
            "\n"
        } else {
            ", "
        };
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "TextScanExec: ")?;
        }
        write!(
            f,
            "format={}{separator}files={} [{}{more}]{separator}projection=[{}]",
            self.reader.format_name(),
            files.len(),
            names.join(", "),
            columns.join(", ")
        )?;
        match self.limit {
            Some(limit) => write!(f, "{separator}limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for TextScanExec {
    fn name(&self) -> &'static str {
        "TextScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("TextScanExec has no children")
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let Some(files) = self.groups.get(partition).cloned() else {
            return internal_err!("TextScanExec has no partition {partition}");
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let scan = Arc::new(Scan {
            schema: Arc::clone(&self.schema),
            batch_rows: context.session_config().batch_size().max(1),
            scanned: MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition),
        });
        let opened = MetricBuilder::new(&self.metrics).counter("files_opened", partition);
        // The partitions share the cores: together they work on little more chunks than these can.
        let ahead = context
            .session_config()
            .target_partitions()
            .div_ceil(self.groups.len().max(1))
            + 1;
        let jobs = jobs(Arc::clone(&self.reader), files, scan, Arc::clone(&context), opened);
        let limit = self.limit;

        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), ahead);
        let output = builder.tx();
        let metrics = baseline.clone();
        let mut decoded = jobs
            .map(move |job| decode(job, metrics.clone()))
            .buffered(ahead)
            .boxed();
        builder.spawn(async move {
            let mut left = limit.unwrap_or(usize::MAX);
            while let Some(batches) = decoded.next().await {
                for batch in batches? {
                    let rows = batch.num_rows().min(left);
                    let batch = batch.slice(0, rows).record_output(&baseline);
                    left -= rows;
                    if output.send(Ok(batch)).await.is_err() || left == 0 {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        let bytes = usize::try_from(self.bytes(args.partition())).unwrap_or(usize::MAX);
        let unknown = Statistics::new_unknown(&self.schema);
        Ok(Arc::new(Statistics {
            total_byte_size: Precision::Inexact(bytes),
            ..unknown
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(self.with_limit(limit)))
    }
}

/// The work on all chunks of `files`, in order.
fn jobs(
    reader: Arc<dyn TextReader>,
    files: Vec<FoundFile>,
    scan: Arc<Scan>,
    context: Arc<TaskContext>,
    opened: Count,
) -> BoxStream<'static, Result<Job>> {
    stream::iter(files)
        .map(move |file| {
            let store = context
                .runtime_env()
                .object_store(&file.store)
                .map_err(|error| FileError::storage(format!("{file}: {error}")))?;
            opened.add(1);
            Ok(Arc::clone(&reader).jobs(store, file, Arc::clone(&scan)))
        })
        .try_flatten()
        .boxed()
}

/// Decodes in a task of its own, begun at once.
fn decode(
    job: Result<Job>,
    metrics: BaselineMetrics,
) -> impl Future<Output = DataFusionResult<Vec<RecordBatch>>> + Send {
    let task = job.map(|job| {
        SpawnedTask::spawn(async move {
            let _timer = metrics.elapsed_compute().timer();
            job()
        })
    });
    async move {
        match task?.join_unwind().await {
            Ok(batches) => Ok(batches?),
            Err(error) => Err(DataFusionError::ExecutionJoin(Box::new(error))),
        }
    }
}
