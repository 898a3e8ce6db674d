//! INSERT of another DataFusion's rows into a table of a session, as a statement of the session.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, collect};
use futures::TryStreamExt;
use posixlake::Session;
use posixlake::sql::quote_identifier;

use crate::fed::feed;
use crate::session::single;
use crate::view::here;

/// What the rows go to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) session: Session,
    pub(crate) name: String,
    pub(crate) table: Arc<dyn TableProvider>,
    pub(crate) op: InsertOp,
}

impl Target {
    /// Inserts, with the session's rights, memory and stores.
    async fn insert(self, rows: StreamingTable) -> Result<Vec<RecordBatch>> {
        let rows = LogicalPlanBuilder::scan("input", provider_as_source(Arc::new(rows)), None)?.build()?;
        let name = TableReference::bare(self.name.clone());
        let plan = LogicalPlanBuilder::insert_into(rows, name, provider_as_source(self.table), self.op)?.build()?;
        let verb = match self.op {
            InsertOp::Overwrite => "OVERWRITE",
            InsertOp::Append | InsertOp::Replace => "INTO",
        };
        let statement = single(&format!(
            "INSERT {verb} {} SELECT * FROM input",
            quote_identifier(&self.name)
        ))?;
        let state = self.session.state_of(&statement, &plan)?;
        let plan = state.create_physical_plan(&plan).await?;
        collect(plan, state.task_ctx()).await
    }
}

/// Takes the rows of its input, and gives their number.
pub(crate) struct InsertExec {
    target: Target,
    input: Arc<dyn ExecutionPlan>,
    /// Another DataFusion's EXPLAIN shows no more of a plan than its name.
    shown: String,
    properties: Arc<PlanProperties>,
}

impl InsertExec {
    pub(crate) fn new(target: Target, input: Arc<dyn ExecutionPlan>) -> Self {
        let schema = Schema::new(vec![Field::new("count", DataType::UInt64, false)]);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            shown: format!("LakeInsert: {}", target.name),
            target,
            input,
            properties: Arc::new(properties),
        }
    }
}

impl std::fmt::Debug for InsertExec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl DisplayAs for InsertExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl ExecutionPlan for InsertExec {
    fn name(&self) -> &str {
        &self.shown
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(self.target.clone(), input))),
            Err(_) => Err(DataFusionError::Internal("an INSERT has one input".to_string())),
        }
    }

    fn execute(&self, _: usize, others: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (partitions, feeding) = feed(&self.input, &others)?;
        let rows = StreamingTable::try_new(self.input.schema(), partitions)?;
        let inserted = here(self.target.clone().insert(rows));
        let both = async move {
            let (inserted, ()) = futures::join!(inserted, feeding);
            inserted
        };
        let counts = futures::stream::once(both)
            .map_ok(|batches| futures::stream::iter(batches.into_iter().map(Ok::<_, DataFusionError>)))
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counts)))
    }
}
