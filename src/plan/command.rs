//! Commands as plans: a leaf command is a table scan, a command with an input is an insert into a sink. Both are stock plan
//! nodes, so they work lazily, in EXPLAIN and in any `SessionContext`; effects happen in `execute` alone.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, TableType, WriteOp};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use deltalake_core::kernel::Transaction;
use futures::TryStreamExt;

use crate::access::Touch;
use crate::log::Author;

/// What a command runs with.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The task of the plan: memory pool, settings, runtime.
    pub(crate) task: Arc<TaskContext>,
    /// Counters that show progress while the command runs, and its work in EXPLAIN ANALYZE.
    pub(crate) progress: Progress,
}

impl Running {
    fn new(task: Arc<TaskContext>, metrics: &ExecutionPlanMetricsSet) -> Self {
        Self {
            task,
            progress: Progress::new(metrics),
        }
    }

    /// The application transaction that the session's changes are part of.
    pub(crate) fn transaction(&self) -> Option<Transaction> {
        crate::session::transaction(self.task.session_config().options())
    }

    /// Whose changes the session's are.
    fn author(&self) -> Option<Arc<Author>> {
        self.task.session_config().get_extension()
    }

    /// A session state on the task's settings and runtime, for plans that a command makes while it runs.
    pub(crate) fn state(&self) -> SessionState {
        SessionStateBuilder::new()
            .with_config(self.task.session_config().clone())
            .with_runtime_env(self.task.runtime_env())
            .with_default_features()
            .build()
    }
}

/// Counters of rows, files and bytes that a command has worked through.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) rows: Count,
    pub(crate) files: Count,
    pub(crate) bytes: Count,
}

impl Progress {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        Self {
            rows: MetricBuilder::new(metrics).output_rows(0),
            files: MetricBuilder::new(metrics).counter("files", 0),
            bytes: MetricBuilder::new(metrics).counter("bytes", 0),
        }
    }
}

/// A command without an input query.
#[async_trait]
pub(crate) trait Command: fmt::Debug + Send + Sync + 'static {
    /// What `EXPLAIN` prints: the command with its parameters, in one line.
    fn describe(&self) -> String;

    /// What it reads and changes, beside what its input reads, with the right that each takes. There is no default: a
    /// command that said nothing would be open to everybody.
    fn touches(&self) -> Vec<Touch>;

    /// The result's columns.
    fn schema(&self) -> SchemaRef;

    /// Does the work, once, and returns the result's rows.
    async fn run(&self, running: Running) -> crate::Result<RecordBatch>;

    /// What is left to say once the rows are told.
    ///
    /// # Errors
    /// Where the rows amount to a failure, which is theirs to explain.
    fn verdict(&self, _rows: &RecordBatch) -> crate::Result<()> {
        Ok(())
    }
}

/// A command that takes the rows of an input query.
#[async_trait]
pub(crate) trait SinkCommand: fmt::Debug + Send + Sync + 'static {
    /// As [`Command::describe`].
    fn describe(&self) -> String;

    /// As [`Command::touches`].
    fn touches(&self) -> Vec<Touch>;

    /// As [`Command::schema`].
    fn schema(&self) -> SchemaRef;

    /// Does the work, once: reads all partitions of `input`.
    async fn run(&self, input: Arc<dyn ExecutionPlan>, running: Running) -> crate::Result<RecordBatch>;
}

/// The plan of a leaf command.
///
/// # Errors
/// None that a command could cause.
pub(crate) fn command_plan(name: &str, command: Arc<dyn Command>) -> crate::Result<LogicalPlan> {
    let source = provider_as_source(command_table(command));
    Ok(LogicalPlanBuilder::scan(TableReference::bare(name), source, None)?.build()?)
}

/// A table whose rows are what a command answers with.
pub(crate) fn command_table(command: Arc<dyn Command>) -> Arc<dyn TableProvider> {
    Arc::new(CommandTable { command })
}

/// The plan of a command with an input.
///
/// # Errors
/// None that a command could cause.
pub(crate) fn sink_plan(
    table: TableReference,
    input: LogicalPlan,
    command: Arc<dyn SinkCommand>,
) -> crate::Result<LogicalPlan> {
    let output_schema = Arc::new(DFSchema::try_from(command.schema())?);
    let schema = Arc::clone(input.schema().inner());
    Ok(LogicalPlan::Dml(DmlStatement {
        table_name: table,
        target: provider_as_source(Arc::new(SinkTable { schema, command })),
        op: WriteOp::Insert(InsertOp::Append),
        input: Arc::new(input),
        output_schema,
    }))
}

/// What a command that stands in a plan touches; none for other tables.
pub(crate) fn touches_of(provider: &dyn TableProvider) -> Option<Vec<Touch>> {
    if let Some(table) = provider.downcast_ref::<CommandTable>() {
        return Some(table.command.touches());
    }
    provider
        .downcast_ref::<SinkTable>()
        .map(|table| table.command.touches())
}

#[derive(Debug)]
struct CommandTable {
    command: Arc<dyn Command>,
}

#[async_trait]
impl TableProvider for CommandTable {
    fn schema(&self) -> SchemaRef {
        self.command.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = match projection {
            Some(columns) if columns.iter().copied().ne(0..self.command.schema().fields().len()) => {
                Some(columns.clone())
            }
            _ => None,
        };
        Ok(Arc::new(CommandExec::new(self.command.clone(), projection)?))
    }
}

#[derive(Debug)]
struct SinkTable {
    schema: SchemaRef,
    command: Arc<dyn SinkCommand>,
}

#[async_trait]
impl TableProvider for SinkTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Plan(format!(
            "{} cannot be read",
            self.command.describe()
        )))
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        _op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SinkExec::new(input, self.command.clone())))
    }
}

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    let properties = PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    );
    // A command waits on stores and tasks of its own; it needs no operator around it that makes it yield.
    Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative))
}

/// A plan node's line; the tree writes the node's name by itself.
fn display(name: &str, what: &str, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match format {
        DisplayFormatType::TreeRender => write!(f, "{what}"),
        _ => write!(f, "{name}: {what}"),
    }
}

fn only_partition(name: &str, partition: usize) -> Result<()> {
    if partition == 0 {
        Ok(())
    } else {
        Err(DataFusionError::Internal(format!(
            "{name} has one partition; partition {partition} was asked for"
        )))
    }
}

/// Runs a leaf command.
#[derive(Debug)]
struct CommandExec {
    command: Arc<dyn Command>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CommandExec {
    fn new(command: Arc<dyn Command>, projection: Option<Vec<usize>>) -> Result<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(command.schema().project(columns)?),
            None => command.schema(),
        };
        Ok(Self {
            command,
            projection,
            properties: properties(schema),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for CommandExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display("CommandExec", &self.command.describe(), format, f)
    }
}

impl ExecutionPlan for CommandExec {
    fn name(&self) -> &str {
        "CommandExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        only_partition("a command", partition)?;
        let command = self.command.clone();
        let projection = self.projection.clone();
        let running = Running::new(context, &self.metrics);
        let work = async move {
            let batch = Author::commits(running.author(), command.run(running)).await?;
            let verdict = command.verdict(&batch);
            let batch = match projection {
                Some(columns) => batch.project(&columns)?,
                None => batch,
            };
            let last = verdict.err().map(|error| Err(error.into()));
            Ok::<_, DataFusionError>(futures::stream::iter(std::iter::once(Ok(batch)).chain(last)))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            futures::stream::once(work).try_flatten(),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Runs a command on the rows of its child, all partitions of them.
///
/// It asks for no distribution of its input, since that would not cross FFI: it drains every partition itself.
#[derive(Debug)]
pub(crate) struct SinkExec {
    input: Arc<dyn ExecutionPlan>,
    command: Arc<dyn SinkCommand>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SinkExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, command: Arc<dyn SinkCommand>) -> Self {
        let properties = properties(command.schema());
        Self {
            input,
            command,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for SinkExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display("SinkExec", &self.command.describe(), format, f)
    }
}

impl ExecutionPlan for SinkExec {
    fn name(&self) -> &str {
        "SinkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, self.command.clone()))),
            Err(children) => Err(DataFusionError::Internal(format!(
                "a sink has one child; {} were given",
                children.len()
            ))),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        only_partition("a sink", partition)?;
        let command = self.command.clone();
        let input = self.input.clone();
        let running = Running::new(context, &self.metrics);
        let work = async move { Ok(Author::commits(running.author(), command.run(input, running)).await?) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            futures::stream::once(work),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
