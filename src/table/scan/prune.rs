//! Which files can hold a row that matches.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, UInt64Array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use super::Selected;
use super::layout::{Layout, PartitionValues};
use super::statistics::{Bound, bound, null_count};
use crate::table::Definition;

/// Conditions that rows must meet, ready to be held against files.
#[derive(Debug)]
pub(super) struct Pruner {
    /// On what the log says of a file.
    in_log: Option<Arc<dyn PhysicalExpr>>,
    /// On the values in a file, of which the log knows bounds.
    in_files: Option<PruningPredicate>,
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
            Some(filter) => {
                let schema = DFSchema::try_from(layout.schema().as_ref().clone())?;
                let predicate = state.create_physical_expr(filter, &schema)?;
                let builder = PruningPredicateBuilder::new().with_file_schema(layout.schema().clone());
                // Not every condition can be turned into one on statistics; then every file may match.
                builder
                    .try_build(predicate)
                    .ok()
                    .filter(|pruning| !pruning.always_true())
            }
            None => None,
        };
        Ok(Self { in_log, in_files })
    }

    /// For each file, whether it may hold rows that meet all conditions.
    ///
    /// # Errors
    /// Where a condition fails on what the log says.
    pub(super) fn keep(
        &self,
        layout: &Layout,
        definition: &Definition,
        files: &[Selected],
        partitions: &PartitionValues,
    ) -> Result<Vec<bool>> {
        let mut kept = vec![true; files.len()];
        if let Some(condition) = &self.in_log {
            let rows = log_rows(layout, files, partitions)?;
            let matches = condition.evaluate(&rows)?.into_array(rows.num_rows())?;
            if let Some(matches) = matches.as_boolean_opt() {
                for (place, kept) in kept.iter_mut().enumerate() {
                    *kept = matches.is_valid(place) && matches.value(place);
                }
            }
        }
        if let Some(pruning) = &self.in_files {
            let statistics = LogStatistics {
                layout,
                definition,
                files,
                partitions,
            };
            for (kept, may_match) in kept.iter_mut().zip(pruning.prune(&statistics)?) {
                *kept &= may_match;
            }
        }
        Ok(kept)
    }
}

/// What the log says of each file: its partition values, and its path where rows are to say it.
fn log_rows(layout: &Layout, files: &[Selected], partitions: &PartitionValues) -> Result<RecordBatch> {
    let mut columns = partitions.columns.clone();
    if layout.has_identity() {
        let paths = StringArray::from_iter_values(files.iter().map(|selected| &selected.file.add.path));
        columns.push(Arc::new(paths));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(layout.log_schema()),
        columns,
        &options,
    )?)
}

/// The statistics of files as DataFusion's pruning asks for them.
struct LogStatistics<'a> {
    layout: &'a Layout,
    definition: &'a Definition,
    files: &'a [Selected],
    partitions: &'a PartitionValues,
}

impl LogStatistics<'_> {
    fn bounds(&self, column: &Column, side: Bound) -> Option<ArrayRef> {
        let columns = self.layout.partition_columns();
        if let Some(place) = columns.iter().position(|name| *name == column.name) {
            return self.partitions.columns.get(place).cloned();
        }
        let field = self.layout.schema().field_with_name(&column.name).ok()?;
        let none = ScalarValue::try_from(field.data_type()).ok()?;
        let physical = self.definition.physical_name(&column.name);
        let values = self
            .files
            .iter()
            .map(|selected| bound(&selected.file, physical, field.data_type(), side).unwrap_or_else(|| none.clone()));
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Bound::Lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Bound::Upper)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if self.layout.partition_columns().contains(&column.name) {
            return None;
        }
        let physical = self.definition.physical_name(&column.name);
        let counts = self.files.iter().map(|selected| null_count(&selected.file, physical));
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts = self.files.iter().map(|selected| selected.file.records());
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
