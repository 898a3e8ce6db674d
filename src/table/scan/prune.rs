//! Which files can hold a row that matches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use super::bounds::Bounds;
use super::candidates::Candidates;
use super::layout::Layout;
use super::nan::unbounded;

/// Conditions that rows must meet, ready to be held against files.
#[derive(Debug)]
pub(super) struct Pruner {
    /// On what the log says of a file.
    in_log: Option<Arc<dyn PhysicalExpr>>,
    /// On the values in a file, of which the log knows bounds.
    in_files: Option<InFiles>,
}

#[derive(Debug)]
struct InFiles {
    pruning: PruningPredicate,
    /// The columns that the conditions are about.
    columns: Vec<String>,
    /// Those of them whose bounds say nothing, because NaN meets the conditions and is beyond every bound.
    unbounded: HashSet<String>,
}

impl Pruner {
    /// # Errors
    /// Where a filter does not fit the schema.
    pub(super) fn new(state: &dyn Session, filters: &[Expr], layout: &Layout) -> Result<Self> {
        let (in_log, in_files): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(|filter| layout.is_in_log(filter));
        let in_log = match conjunction(in_log) {
            Some(filter) => {
                let schema = DFSchema::try_from(layout.log_schema())?;
                Some(state.create_physical_expr(filter, &schema)?)
            }
            None => None,
        };
        let in_files = match conjunction(in_files) {
            Some(filter) => InFiles::new(state, filter, layout)?,
            None => None,
        };
        Ok(Self { in_log, in_files })
    }

    /// Whether files are chosen by more than what the log is sure of: then rows of those that are kept may not match.
    pub(super) fn is_exact(&self) -> bool {
        self.in_files.is_none()
    }

    /// For each file, whether it may hold rows that meet all conditions; none where all may.
    ///
    /// # Errors
    /// Where a condition fails on what the log says.
    pub(super) fn keep(&self, files: Candidates<'_>) -> Result<Option<Vec<bool>>> {
        let mut kept: Option<Vec<bool>> = None;
        if let Some(condition) = &self.in_log {
            let rows = log_rows(files)?;
            let matches = condition.evaluate(&rows)?.into_array(rows.num_rows())?;
            if let Some(matches) = matches.as_boolean_opt() {
                let is_true = |place| matches.is_valid(place) && matches.value(place);
                kept = Some((0..matches.len()).map(is_true).collect());
            }
        }
        if let Some(in_files) = &self.in_files {
            let may_match = in_files.pruning.prune(&LogStatistics::of(files, in_files)?)?;
            kept = Some(match kept {
                Some(kept) => kept.iter().zip(may_match).map(|(kept, may)| *kept && may).collect(),
                None => may_match,
            });
        }
        Ok(kept)
    }
}

impl InFiles {
    fn new(state: &dyn Session, filter: Expr, layout: &Layout) -> Result<Option<Self>> {
        let columns = filter.column_refs().into_iter().map(|column| column.name.clone());
        let columns = columns.collect();
        let schema = DFSchema::try_from(layout.schema().as_ref().clone())?;
        let predicate = state.create_physical_expr(filter, &schema)?;
        let conditions: Vec<_> = split_conjunction(&predicate).into_iter().cloned().collect();
        let unbounded = unbounded(&conditions, layout.schema());
        let builder = PruningPredicateBuilder::new().with_file_schema(layout.schema().clone());
        // Not every condition can be turned into one on statistics; then every file may match.
        let pruning = builder.try_build(predicate).ok();
        Ok(pruning.filter(|pruning| !pruning.always_true()).map(|pruning| Self {
            pruning,
            columns,
            unbounded,
        }))
    }
}

/// What the log says of each file: its partition values, and its path where rows are to say it.
fn log_rows(files: Candidates<'_>) -> Result<RecordBatch> {
    let mut columns = files.partitions()?;
    if files.layout().has_identity() {
        columns.push(files.paths()?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(files.layout().log_schema()),
        columns,
        &options,
    )?)
}

/// The statistics of files as DataFusion's pruning asks for them.
struct LogStatistics<'a> {
    files: Candidates<'a>,
    bounds: HashMap<String, Bounds>,
    partitions: HashMap<String, ArrayRef>,
    unbounded: &'a HashSet<String>,
}

impl<'a> LogStatistics<'a> {
    fn of(files: Candidates<'a>, conditions: &'a InFiles) -> Result<Self> {
        let mut partitions = HashMap::new();
        for name in files.layout().partition_columns() {
            if conditions.columns.contains(name) {
                let field = files.layout().schema().field_with_name(name)?;
                partitions.insert(name.clone(), files.partition(name, field.data_type())?);
            }
        }
        Ok(Self {
            bounds: files.bounds(conditions.columns.iter().map(String::as_str))?,
            files,
            partitions,
            unbounded: &conditions.unbounded,
        })
    }

    fn side(&self, column: &Column, side: impl Fn(&Bounds) -> &ArrayRef) -> Option<ArrayRef> {
        if let Some(values) = self.partitions.get(&column.name) {
            return Some(values.clone());
        }
        let bounds = self.bounds.get(&column.name);
        let bounds = bounds.filter(|_| !self.unbounded.contains(&column.name));
        bounds.map(|bounds| side(bounds).clone())
    }
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.side(column, |bounds| &bounds.lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.side(column, |bounds| &bounds.upper)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let bounds = self.bounds.get(&column.name)?;
        Some(Arc::new(bounds.nulls.clone()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let records: UInt64Array = self.files.records().ok()?;
        Some(Arc::new(records))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests;
