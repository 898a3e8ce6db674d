//! A physical plan of the session within a plan of another DataFusion's: it runs with the session's memory, stores and settings.

use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, displayable,
};

/// What a plan of the session looks like from outside.
#[derive(Debug)]
pub(crate) struct LakeExec {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    /// Another DataFusion's EXPLAIN shows no more of a plan than its name.
    shown: String,
    properties: Arc<PlanProperties>,
}

impl LakeExec {
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, table: &str) -> Self {
        // By what columns rows are spread is told in expressions, which need not be the other's.
        let partitions = Partitioning::UnknownPartitioning(plan.output_partitioning().partition_count());
        let mut orders = EquivalenceProperties::new(plan.schema());
        if let Some(order) = plan.output_ordering() {
            orders.add_ordering(order.iter().cloned());
        }
        let properties = PlanProperties::new(orders, partitions, plan.pipeline_behavior(), plan.boundedness());
        Self {
            shown: shown(&plan, table),
            plan,
            context,
            properties: Arc::new(properties),
        }
    }
}

/// The scans of a plan, which say how many files they read and skip, or else its root.
fn shown(plan: &Arc<dyn ExecutionPlan>, table: &str) -> String {
    let mut scans = Vec::new();
    let _ = plan.apply(|node| {
        if node.name() == "LakeScanExec" {
            scans.push(displayable(node.as_ref()).one_line().to_string().trim().to_string());
            return Ok(TreeNodeRecursion::Jump);
        }
        if node.children().is_empty() {
            scans.push(node.name().to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    format!("LakeExec: {table}: {}", scans.join("; "))
}

impl DisplayAs for LakeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl ExecutionPlan for LakeExec {
    fn name(&self) -> &str {
        &self.shown
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.plan.execute(partition, self.context.clone())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.plan.metrics()
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(
            self.plan.as_ref(),
            &StatisticsArgs::new().with_partition(args.partition()),
        )
    }
}
