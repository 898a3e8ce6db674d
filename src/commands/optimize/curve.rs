//! Rows along a Z-order curve: what is near in several columns at once lies near each other.
//!
//! A value's place in its column is its rank among a sample of the bin's rows, so that all columns have the same share in
//! the curve, whatever their types and however their values are spread. The curve's key is a number of 64 bits at most.
//! Streams take a range of keys each, sort it, and spill where memory ends.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::SplitPoint;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr, RangePartitioning, ScalarFunctionExpr,
};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use tokio::task::JoinSet;

use super::bins::Bin;
use crate::dml::gather;
use crate::error::{Error, Result};
use crate::table::{Rows, RowsTable, Selected};

/// The rows of a sample, about, and the files that it is taken from at most.
const SAMPLE_ROWS: u64 = 1 << 17;
const SAMPLE_FILES: usize = 256;
/// The bits of a column's rank: more would tell apart what lies in one page of a file anyway.
const RANK_BITS: usize = 12;

/// The rows of a bin in the order of the curve through some columns, as so many streams, each of which has a range of it.
///
/// # Errors
/// Where a column's values have no order, or the files cannot be read.
pub(super) async fn plan(
    state: &SessionState,
    rows: Rows,
    bin: &Bin,
    columns: &[String],
    streams: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema().clone();
    let places: Vec<usize> = columns
        .iter()
        .map(|name| Ok(schema.index_of(name)?))
        .collect::<Result<_>>()?;
    let sample = sample(state, &rows, bin, &places).await?;
    let curve = Arc::new(Curve::of(&sample)?);
    let split = split_points(&curve, &sample, streams)?;

    let config = state.config().options().clone();
    let scan = RowsTable(rows).scan(state, None, &[], None).await?;
    let scan = scan
        .repartitioned(state.config().target_partitions(), &config)?
        .unwrap_or(scan);
    let column = |(place, field): (usize, &Arc<Field>)| -> (Arc<dyn PhysicalExpr>, String) {
        (Arc::new(Column::new(field.name(), place)), field.name().clone())
    };
    let all: Vec<(Arc<dyn PhysicalExpr>, String)> = schema.fields().iter().enumerate().map(column).collect();
    let arguments = places
        .iter()
        .filter_map(|place| all.get(*place))
        .map(|(expr, _)| expr.clone());
    let types = places.iter().map(|place| schema.field(*place).data_type().clone());
    let evaluate = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(Arc::new(curve.keys(&arrays)?) as ArrayRef))
    };
    let function = create_udf(
        "zorder_rank",
        types.collect(),
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(evaluate),
    );
    let field = Arc::new(Field::new("key", DataType::UInt64, false));
    let key = ScalarFunctionExpr::new("zorder_rank", Arc::new(function), arguments.collect(), field, config);
    let mut name = "key".to_string();
    while schema.column_with_name(&name).is_some() {
        name.push('_');
    }
    let mut keyed = all.clone();
    keyed.push((Arc::new(key), name.clone()));
    let mut plan: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(keyed, scan)?);

    let ascending = |expr: Arc<dyn PhysicalExpr>| -> Result<LexOrdering> {
        LexOrdering::new([PhysicalSortExpr::new_default(expr)]).ok_or_else(|| Error::internal("an order of no columns"))
    };
    let key: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name, schema.fields().len()));
    let range = ascending(key.clone())?;
    // Along one column, rows are sorted by its values, not only by their ranks.
    let order = match places.as_slice() {
        [place] => {
            let options = arrow::compute::SortOptions {
                descending: false,
                nulls_first: true,
            };
            let expr = Arc::new(Column::new(schema.field(*place).name(), *place));
            LexOrdering::new([PhysicalSortExpr::new(expr, options)])
                .ok_or_else(|| Error::internal("an order of no columns"))?
        }
        _ => range.clone(),
    };
    if !split.is_empty() {
        let ranges = Partitioning::Range(RangePartitioning::try_new(range, split)?);
        plan = Arc::new(RepartitionExec::try_new(plan, ranges)?);
    } else if plan.output_partitioning().partition_count() > 1 {
        plan = Arc::new(CoalescePartitionsExec::new(plan));
    }
    plan = Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true));
    Ok(Arc::new(ProjectionExec::try_new(all, plan)?))
}

/// Rows of a bin that stand for all of them, with some columns of theirs.
async fn sample(state: &SessionState, rows: &Rows, bin: &Bin, places: &[usize]) -> Result<RecordBatch> {
    let step = bin.files.len().div_ceil(SAMPLE_FILES).max(1);
    let files: Vec<Selected> = bin
        .files
        .iter()
        .step_by(step)
        .map(|file| Selected {
            file: file.clone(),
            hidden: None,
        })
        .collect();
    let known: Option<u64> = files.iter().map(|selected| selected.file.live_records()).sum();
    let stride = known.map_or(16, |rows| rows.div_ceil(SAMPLE_ROWS)).max(1);
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    let rows = rows.clone().of_files(files);
    let schema = Arc::new(rows.schema().project(places)?);
    let plan = RowsTable(rows).scan(state, Some(&places.to_vec()), &[], None).await?;
    let task: Arc<TaskContext> = state.task_ctx();
    let mut tasks = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, task.clone())?;
        tasks.spawn(async move {
            let mut kept = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                // One of each so many rows, whichever: rows may come in a rhythm of their own.
                let picked = (0..batch.num_rows()).step_by(stride).map(|start| {
                    let end = (start + stride).min(batch.num_rows());
                    rand::random_range(start..end) as u64
                });
                kept.push(take_record_batch(&batch, &picked.collect::<UInt64Array>())?);
            }
            Ok::<_, Error>(kept)
        });
    }
    match gather(tasks).await {
        (_, Some(error)) => Err(error),
        (parts, None) => Ok(concat_batches(&schema, parts.iter().flatten())?),
    }
}

/// Where streams end, as keys: each gets about as many rows of the sample as any other.
fn split_points(curve: &Curve, sample: &RecordBatch, streams: usize) -> Result<Vec<SplitPoint>> {
    let mut keys = curve.keys(sample.columns())?.values().to_vec();
    keys.sort_unstable();
    let ends = (1..streams).filter_map(|stream| keys.get(keys.len() * stream / streams).copied());
    let mut ends: Vec<u64> = ends.collect();
    ends.dedup();
    let point = |key: u64| SplitPoint::new(vec![ScalarValue::UInt64(Some(key))]);
    Ok(ends.into_iter().map(point).collect())
}

/// The curve through some columns of a bin.
#[derive(Debug)]
struct Curve {
    columns: Vec<Ranks>,
    /// How many bits of a key each column has.
    bits: usize,
}

impl Curve {
    fn of(sample: &RecordBatch) -> Result<Self> {
        let bits = (64 / sample.num_columns().max(1)).clamp(1, RANK_BITS);
        let ranks = sample.columns().iter().map(|column| Ranks::of(column, bits));
        Ok(Self {
            columns: ranks.collect::<Result<_>>()?,
            bits,
        })
    }

    /// The place of each row on the curve: the bits of the columns' ranks by turns, the highest first.
    fn keys(&self, columns: &[ArrayRef]) -> datafusion::error::Result<UInt64Array> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut keys = vec![0_u64; rows];
        let count = columns.len();
        for (number, (ranks, column)) in self.columns.iter().zip(columns).enumerate() {
            let places: Vec<usize> = (0..self.bits)
                .map(|bit| bit * count + (count - 1 - number))
                .filter(|place| *place < 64)
                .collect();
            ranks.each(column, |row, rank| {
                let spread = places.iter().enumerate();
                let bits = spread.fold(0, |bits, (bit, place)| bits | (((rank >> bit) & 1) << place));
                if let Some(key) = keys.get_mut(row) {
                    *key |= bits;
                }
            })?;
        }
        Ok(UInt64Array::from(keys))
    }
}

/// The values of a column that divide the others into parts of about the same number.
#[derive(Debug)]
enum Ranks {
    /// Values whose sort keys are short, as numbers that sort alike.
    Short(Vec<u128>),
    Long(Vec<Box<[u8]>>),
}

impl Ranks {
    fn of(sample: &ArrayRef, bits: usize) -> Result<Self> {
        let rows = sort_keys(sample)?;
        let mut keys: Vec<&[u8]> = rows.iter().map(|row| row.data()).collect();
        keys.sort_unstable();
        let parts = 1_usize << bits;
        let dividers = (1..parts).filter_map(|part| keys.get(keys.len() * part / parts).copied());
        Ok(if is_short(sample.data_type()) {
            Self::Short(dividers.map(number).collect())
        } else {
            Self::Long(dividers.map(Box::from).collect())
        })
    }

    /// Calls with each row and its rank.
    fn each(&self, column: &ArrayRef, mut with: impl FnMut(usize, u64)) -> datafusion::error::Result<()> {
        let rows = sort_keys(column)?;
        for (place, row) in rows.iter().enumerate() {
            let rank = match self {
                Self::Short(dividers) => {
                    let key = number(row.data());
                    dividers.partition_point(|divider| *divider <= key)
                }
                Self::Long(dividers) => dividers.partition_point(|divider| divider.as_ref() <= row.data()),
            };
            with(place, rank as u64);
        }
        Ok(())
    }
}

fn sort_keys(column: &ArrayRef) -> datafusion::error::Result<arrow::row::Rows> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(column))?)
}

/// Whether the first bytes of a sort key tell values apart.
fn is_short(data_type: &DataType) -> bool {
    data_type.is_primitive() || *data_type == DataType::Boolean
}

/// The first bytes of a sort key as a number that sorts alike.
fn number(key: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};

    use super::*;

    #[test]
    fn columns_of_all_kinds_have_the_same_share() {
        let small: ArrayRef = Arc::new((0..1024).map(|value| value % 32).collect::<Int32Array>());
        let texts = (0..1024).map(|value| Some(format!("a long beginning that all share {:03}", value / 32)));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let sample = RecordBatch::try_from_iter([("small", small), ("texts", texts)]).unwrap();
        let curve = Curve::of(&sample).unwrap();
        let keys = curve.keys(sample.columns()).unwrap();
        let mut rows: Vec<usize> = (0..1024).collect();
        rows.sort_by_key(|row| keys.value(*row));
        // A quarter of the curve is a square of half of each column's values.
        for quarter in rows.chunks(256) {
            let small = quarter.iter().map(|row| row % 32);
            let text = quarter.iter().map(|row| row / 32);
            assert_eq!(small.clone().max().unwrap() - small.min().unwrap(), 15);
            assert_eq!(text.clone().max().unwrap() - text.min().unwrap(), 15);
        }
    }

    #[test]
    fn null_comes_first_and_order_stays() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-3), Some(100)]));
        let sample = RecordBatch::try_from_iter([("values", values)]).unwrap();
        let keys = Curve::of(&sample).unwrap().keys(sample.columns()).unwrap();
        let keys = keys.values();
        assert!(keys[1] < keys[2] && keys[2] < keys[0] && keys[0] < keys[3]);
    }
}
