//! The node that says what a scan of a table is about: the table, its version, and how many of its files are read.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use url::Url;

use super::nan::unbounded;

/// Files and bytes of a version, and those of them that a scan has to look at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    files: usize,
    bytes: u64,
    kept_files: usize,
    kept_bytes: u64,
}

impl Totals {
    pub(super) fn of(files: usize, bytes: u64) -> Self {
        Self {
            files,
            bytes,
            ..Self::default()
        }
    }

    pub(super) fn keep(&mut self, sizes: impl Iterator<Item = u64>) {
        for size in sizes {
            self.kept_files += 1;
            self.kept_bytes += size;
        }
    }
}

/// Passes on the rows of the plan that reads the files.
#[derive(Debug, Clone)]
pub(super) struct LakeScanExec {
    input: Arc<dyn ExecutionPlan>,
    table: Url,
    version: u64,
    totals: Totals,
}

impl LakeScanExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, table: Url, version: u64, totals: Totals) -> Self {
        Self {
            input,
            table,
            version,
            totals,
        }
    }

    fn on(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, ..self.clone() })
    }

    /// A counter of the plan that reads the files.
    fn counted(&self, name: &str) -> usize {
        let metrics = self.input.metrics().unwrap_or_default();
        metrics.sum_by_name(name).map_or(0, |value| value.as_usize())
    }

    /// Files that were left out while others were read: what a join or a sort found out told so.
    fn skipped_while_running(&self) -> usize {
        let metrics = self.input.metrics().unwrap_or_default();
        let skipped = metrics.sum_by_name("files_ranges_pruned_statistics");
        match skipped {
            Some(MetricValue::PruningMetrics { pruning_metrics, .. }) => pruning_metrics.pruned(),
            _ => 0,
        }
    }
}

impl DisplayAs for LakeScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { files, kept_files, .. } = self.totals;
        let name = self
            .table
            .path_segments()
            .and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
        let what = format!(
            "table={}, version={}, files={kept_files}/{files}",
            name.unwrap_or_default(),
            self.version
        );
        match format {
            DisplayFormatType::TreeRender => write!(f, "{what}"),
            _ => write!(f, "LakeScanExec: {what}"),
        }
    }
}

impl ExecutionPlan for LakeScanExec {
    fn name(&self) -> &str {
        "LakeScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(self.on(input)),
            _ => Err(DataFusionError::Internal("a scan of a table has one child".to_string())),
        }
    }

    fn repartitioned(&self, partitions: usize, config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let input = self.input.repartitioned(partitions, config)?;
        Ok(input.map(|input| self.on(input)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let Totals {
            files,
            bytes,
            kept_files,
            kept_bytes,
        } = self.totals;
        let skipped = self.skipped_while_running().min(kept_files);
        let mut metrics = MetricsSet::new();
        let mut push = |name: &'static str, value: usize| {
            let count = Count::new();
            count.add(value);
            let name = name.into();
            metrics.push(Arc::new(Metric::new(MetricValue::Count { name, count }, None)));
        };
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        push("files_total", files);
        push("files_skipped", files - kept_files + skipped);
        push("files_read", kept_files - skipped);
        push("bytes_total", size(bytes));
        push("bytes_skipped", size(bytes - kept_bytes.min(bytes)));
        push("bytes_read", self.counted("bytes_scanned"));
        Some(metrics)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let unknown = || Arc::new(Statistics::new_unknown(&self.schema()));
        Ok(inputs.first().cloned().unwrap_or_else(unknown))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let input = self.input.try_swapping_with_projection(projection)?;
        Ok(input.map(|input| self.on(input)))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        // The reader leaves out row groups by their bounds, which hold where no NaN can meet the conditions.
        let schema = self.input.schema();
        let unbounded = unbounded(&filters, &schema);
        let bounded = schema.fields().iter().enumerate();
        let bounded = bounded.filter(|(_, field)| !unbounded.contains(field.name()));
        let allowed = bounded.map(|(place, _)| place).collect();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&filters, allowed, &self.input)?;
        Ok(FilterDescription::new().with_child(child))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        Ok(match self.input.try_pushdown_sort(order)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.on(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: self.on(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }
}
