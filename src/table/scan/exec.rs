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
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use url::Url;

use super::masked::MaskExec;
use super::nan::unbounded;
use super::record::{Counts, Run, ScanLog};

/// Files and bytes of a version, and those of them that a scan has to look at.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    files: usize,
    bytes: u64,
    kept_files: usize,
    kept_bytes: u64,
    hidden_rows: u64,
    skipped_rows: u64,
}

impl Totals {
    pub(super) fn of(files: usize, bytes: u64) -> Self {
        Self {
            files,
            bytes,
            ..Self::default()
        }
    }

    /// Takes note of a file that is read but for some of its rows.
    pub(super) fn keep(&mut self, bytes: u64, hidden: u64, skipped: u64) {
        self.kept_files += 1;
        self.kept_bytes += bytes;
        self.hidden_rows += hidden;
        self.skipped_rows += skipped;
    }

    /// What became of the files, by the counters of the plan that reads them.
    fn counts(&self, input: &dyn ExecutionPlan) -> Counts {
        let reader = input.downcast_ref::<MaskExec>().map_or(input, MaskExec::input);
        let metrics = reader.metrics().unwrap_or_default();
        let read = metrics.sum_by_name("bytes_scanned").map_or(0, |value| value.as_usize());
        // Files that were left out while others were read: what a join or a sort found out told so.
        let skipped = match metrics.sum_by_name("files_ranges_pruned_statistics") {
            Some(MetricValue::PruningMetrics { pruning_metrics, .. }) => pruning_metrics.pruned(),
            _ => 0,
        };
        let skipped = skipped.min(self.kept_files);
        Counts {
            files_total: self.files as u64,
            files_skipped: (self.files - self.kept_files + skipped) as u64,
            files_read: (self.kept_files - skipped) as u64,
            bytes_total: self.bytes,
            bytes_skipped: self.bytes - self.kept_bytes.min(self.bytes),
            bytes_read: read as u64,
            rows_deleted: self.hidden_rows,
            rows_skipped: self.skipped_rows,
        }
    }
}

/// Passes on the rows of the plan that reads the files.
#[derive(Debug)]
pub(super) struct LakeScanExec {
    input: Arc<dyn ExecutionPlan>,
    about: Arc<About>,
    run: Mutex<Option<Arc<Run>>>,
}

/// What a scan is about.
#[derive(Debug)]
pub(super) struct About {
    pub(super) table: Url,
    pub(super) version: u64,
    pub(super) totals: Totals,
    /// Why the scan cannot be sent to another session, where it cannot.
    pub(super) bound: Option<&'static str>,
}

impl LakeScanExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, about: Arc<About>) -> Self {
        Self {
            input,
            about,
            run: Mutex::default(),
        }
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    fn on(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, self.about.clone()))
    }

    /// The run that a partition is part of.
    fn run(&self, log: Arc<ScanLog>) -> Arc<Run> {
        let mut run = self.run.lock();
        match run.as_ref().filter(|run| !run.is_over()) {
            Some(run) => run.clone(),
            None => {
                let (input, about) = (self.input.clone(), self.about.clone());
                let partitions = self.input.output_partitioning().partition_count();
                let counts = move || about.totals.counts(input.as_ref());
                let new = Run::new(
                    log,
                    self.about.table.to_string(),
                    self.about.version,
                    partitions,
                    counts,
                );
                run.insert(Arc::new(new)).clone()
            }
        }
    }
}

impl DisplayAs for LakeScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { files, kept_files, .. } = self.about.totals;
        let name = self
            .about
            .table
            .path_segments()
            .and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
        let what = format!(
            "table={}, version={}, files={kept_files}/{files}",
            name.unwrap_or_default(),
            self.about.version
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
        // It does, but a sort that is pushed below would hand its dynamic filter to the reader past this node, which knows
        // where NaN lies outside of the bounds.
        vec![false]
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
        let rows = self.input.execute(partition, context.clone())?;
        Ok(match context.session_config().get_extension::<ScanLog>() {
            Some(log) => self.run(log).counted(rows),
            None => rows,
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let counts = self.about.totals.counts(self.input.as_ref());
        let mut metrics = MetricsSet::new();
        for (name, value) in counts.named() {
            let count = Count::new();
            count.add(usize::try_from(value).unwrap_or(usize::MAX));
            let name = name.into();
            metrics.push(Arc::new(Metric::new(MetricValue::Count { name, count }, None)));
        }
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
