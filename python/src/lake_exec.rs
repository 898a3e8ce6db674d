//! A physical plan of the session within a plan of another DataFusion's: it runs with the session's memory, stores and settings.

use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
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
    table: String,
    /// Another DataFusion's EXPLAIN shows no more of a plan than its name.
    shown: String,
    properties: Arc<PlanProperties>,
    /// Whether what the plan reads is the other's: it may then be changed by the other's optimizer, as it must.
    open: bool,
}

impl LakeExec {
    /// A plan that reads nothing of the other's.
    pub(crate) fn whole(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, table: &str) -> Self {
        Self::new(plan, context, table, false)
    }

    /// A plan whose inputs are the other's.
    pub(crate) fn over_children(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, table: &str) -> Self {
        Self::new(plan, context, table, true)
    }

    fn new(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, table: &str, open: bool) -> Self {
        // By what columns rows are spread is told in expressions, which need not be the other's.
        let partitions = Partitioning::UnknownPartitioning(plan.output_partitioning().partition_count());
        let mut orders = EquivalenceProperties::new(plan.schema());
        if let Some(order) = plan.output_ordering() {
            orders.add_ordering(order.iter().cloned());
        }
        let properties = PlanProperties::new(orders, partitions, plan.pipeline_behavior(), plan.boundedness());
        Self {
            shown: if open {
                format!("LakeInsert: {table}")
            } else {
                shown(&plan, table)
            },
            plan,
            context,
            table: table.to_string(),
            properties: Arc::new(properties),
            open,
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
        if self.open { self.plan.children() } else { Vec::new() }
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if !self.open {
            return Ok(self);
        }
        let plan = self
            .plan
            .clone()
            .replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?;
        Ok(Arc::new(Self::over_children(plan, self.context.clone(), &self.table)))
    }

    fn execute(&self, partition: usize, others: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.open {
            return crate::fed::execute(&self.plan, self.context.clone(), &others);
        }
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
