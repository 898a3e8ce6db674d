//! Files of which many rows are deleted are read whole, and their rows left out by their places. A row selection in so many
//! pieces costs the reader more than the rows: it is cut by file ranges, row groups and pages, column by column.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use super::places::check_hidden;
use crate::error::Error;

/// One hidden row in so many makes a mask cheaper than a selection.
const DENSE: u64 = 64;

/// Why a scan with masks cannot be sent to another session: the places of rows are columns that plans cannot carry.
pub(super) const STAYS: &str =
    "it leaves out many deleted rows by their places; OPTIMIZE or REORG takes these out of the files";

/// Whether so many hidden rows of so many are better left out by a mask.
pub(super) fn is_dense(hidden: u64, rows: u64) -> bool {
    hidden > rows / DENSE && hidden > 1000
}

/// The rows that are read, by the path that the log has of their file.
pub(super) type Masks = HashMap<String, BooleanBuffer>;

/// A mask of all `rows` but the hidden ones.
///
/// # Errors
/// Where a hidden row is not one of the file's.
pub(super) fn mask(hidden: &RoaringTreemap, rows: u64) -> crate::Result<BooleanBuffer> {
    let large = |_| Error::corrupt("a row number is too large");
    let count = usize::try_from(rows).map_err(large)?;
    check_hidden(hidden, rows)?;
    let mut mask = BooleanBufferBuilder::new(count);
    mask.append_n(count, true);
    for row in hidden {
        mask.set_bit(usize::try_from(row).map_err(large)?, false);
    }
    Ok(mask.finish())
}

/// Passes on the rows that masks leave, without the last two columns of its input, which say where each row lies.
#[derive(Debug)]
pub(super) struct MaskExec {
    input: Arc<dyn ExecutionPlan>,
    masks: Arc<Masks>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl MaskExec {
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, masks: Arc<Masks>) -> Result<Self> {
        let columns = input.schema().fields().len().saturating_sub(2);
        let schema = Arc::new(input.schema().project(&(0..columns).collect::<Vec<_>>())?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self {
            input,
            masks,
            schema,
            properties: Arc::new(properties),
        })
    }

    pub(super) fn input(&self) -> &dyn ExecutionPlan {
        self.input.as_ref()
    }

    fn on(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(input, self.masks.clone())?))
    }
}

/// The rows of a batch that the mask of its file leaves.
fn masked(batch: &RecordBatch, masks: &Masks, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().len();
    let misplaced = || DataFusionError::from(Error::internal("a batch of masked rows does not say where they lie"));
    let [file, row] = batch.columns().get(columns..).ok_or_else(misplaced)? else {
        return Err(misplaced());
    };
    let project = |batch: &RecordBatch| {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let kept = batch.columns().iter().take(columns).cloned().collect();
        RecordBatch::try_new_with_options(schema.clone(), kept, &options)
    };
    let file = file.as_dictionary_opt::<Int32Type>().ok_or_else(misplaced)?;
    let path = match file.keys().values().first() {
        None => return Ok(project(batch)?),
        Some(key) => {
            let paths = file.values().as_string_opt::<i32>().ok_or_else(misplaced)?;
            paths.value(usize::try_from(*key).map_err(|_| misplaced())?)
        }
    };
    let Some(mask) = masks.get(path) else {
        return Ok(project(batch)?);
    };
    let live = live(mask, row.as_primitive_opt::<Int64Type>().ok_or_else(misplaced)?)?;
    if live.count_set_bits() == live.len() {
        return Ok(project(batch)?);
    }
    Ok(filter_record_batch(&project(batch)?, &BooleanArray::new(live, None))?)
}

/// Which of these rows, in their order, a mask leaves.
fn live(mask: &BooleanBuffer, rows: &Int64Array) -> crate::Result<BooleanBuffer> {
    let place = |row: i64| {
        let place = usize::try_from(row).ok().filter(|place| *place < mask.len());
        place.ok_or_else(|| Error::corrupt(format!("a file has a row {row}, of {} that the log says", mask.len())))
    };
    let (Some(first), Some(last)) = (rows.values().first(), rows.values().last()) else {
        return Ok(BooleanBuffer::new_unset(0));
    };
    let (from, to) = (place(*first)?, place(*last)?);
    // Row numbers rise: so many of them between the first and the last are all of them.
    if to >= from && to - from + 1 == rows.len() {
        return Ok(mask.slice(from, rows.len()));
    }
    let mut live = BooleanBufferBuilder::new(rows.len());
    for row in rows.values() {
        live.append(mask.value(place(*row)?));
    }
    Ok(live.finish())
}

impl DisplayAs for MaskExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => write!(f, "files={}", self.masks.len()),
            _ => write!(f, "MaskExec: files={}", self.masks.len()),
        }
    }
}

impl ExecutionPlan for MaskExec {
    fn name(&self) -> &str {
        "MaskExec"
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

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => self.on(input),
            _ => Err(DataFusionError::Internal("a mask of rows has one child".to_string())),
        }
    }

    fn repartitioned(&self, partitions: usize, config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let input = self.input.repartitioned(partitions, config)?;
        input.map(|input| self.on(input)).transpose()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (masks, schema) = (self.masks.clone(), self.schema.clone());
        let rows = self.input.execute(partition, context)?;
        let rows = rows.and_then(move |batch| std::future::ready(masked(&batch, &masks, &schema)));
        let rows = rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows)))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// The input's: files say how many rows are read of them.
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let Some(input) = inputs.first() else {
            return Ok(Arc::new(Statistics::new_unknown(&self.schema)));
        };
        let mut statistics = input.as_ref().clone();
        statistics.column_statistics.truncate(self.schema.fields().len());
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        Ok(FilterDescription::new().with_child(ChildFilterDescription::from_child(&filters, &self.input)?))
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
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.on(inner)? },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: self.on(inner)? },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_left_out_wherever_they_lie() {
        let hidden = RoaringTreemap::from_iter([0, 3, 4, 9]);
        let mask = mask(&hidden, 10).unwrap();
        let left = |rows: Vec<i64>| live(&mask, &Int64Array::from(rows)).unwrap().iter().collect::<Vec<_>>();
        assert_eq!(left(vec![2, 3, 4, 5]), [true, false, false, true]);
        assert_eq!(left(vec![1, 4, 8, 9]), [true, false, true, false]);
        assert_eq!(left(vec![]), [] as [bool; 0]);
        assert!(live(&mask, &Int64Array::from(vec![10])).is_err());
        assert!(super::mask(&hidden, 9).is_err());
    }
}
