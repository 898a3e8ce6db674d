//! Changed rows where they stood: a small file that is written anew keeps the order of its rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::execute_stream;
use deltalake_core::kernel::Add;
use futures::StreamExt;

use super::apply::Loss;
use super::collect::Replaced;
use super::write::{FileWriter, Written};
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::plan::Running;
use crate::table::{Definition, ROW, Rows, RowsTable, Selected};

/// The largest file, in bytes, whose changed rows stay where they stood: all its rows are in memory at once. In larger ones what did not change is copied as it
/// is, and changed rows come last.
pub(super) const IN_ORDER: u64 = 1 << 20;

/// The changed rows of a statement, by the file that they stood in.
pub(super) struct Replacements {
    rows: Option<RecordBatch>,
    /// For each file: the rows' numbers in it, and their numbers in `rows`.
    by_file: HashMap<String, Vec<(u64, u64)>>,
    /// Files whose rows are put where they stood; those of others come last.
    claimed: HashSet<String>,
    /// False where the statement gives the table other columns than those in which its rows stand.
    in_order: bool,
}

impl Replacements {
    /// `definition` is the table's before the statement.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn of(replaced: &[Replaced], definition: &Definition) -> Result<Self> {
        let Some(first) = replaced.first() else {
            return Ok(Self {
                rows: None,
                by_file: HashMap::new(),
                claimed: HashSet::new(),
                in_order: true,
            });
        };
        let schema = first.rows.schema();
        let rows = concat_batches(&schema, replaced.iter().map(|replaced| &replaced.rows))?;
        let mut by_file: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
        let places = replaced.iter().flat_map(|replaced| &replaced.places);
        for (number, (file, row)) in places.enumerate() {
            by_file.entry(file.clone()).or_default().push((*row, number as u64));
        }
        Ok(Self {
            rows: Some(rows),
            by_file,
            claimed: HashSet::new(),
            in_order: definition.arrow_schema()?.fields() == schema.fields(),
        })
    }

    /// Whether rows of the file changed, and are put where they stood.
    pub(super) fn claim(&mut self, file: &str, small: bool) -> bool {
        let claims = small && self.in_order && self.by_file.contains_key(file);
        if claims {
            self.claimed.insert(file.to_string());
        }
        claims
    }

    pub(super) fn are_of(&self, file: &str) -> bool {
        self.claimed.contains(file)
    }

    fn taken(&self, numbers: Vec<u64>) -> Result<Option<RecordBatch>> {
        let rows = self.rows.as_ref().filter(|_| !numbers.is_empty());
        rows.map(|rows| Ok(take_record_batch(rows, &UInt64Array::from(numbers))?))
            .transpose()
    }
}

/// Writes files anew.
pub(super) struct InPlace<'a> {
    pub(super) lake: &'a Arc<Lake>,
    pub(super) id: &'a TableId,
    pub(super) snapshot: &'a Snapshot,
    /// The table's after the statement.
    pub(super) definition: &'a Definition,
    pub(super) running: &'a Running,
}

impl InPlace<'_> {
    /// The file with its rows that stay and those that changed, in their order. Answers how many stayed.
    ///
    /// # Errors
    /// Where the file cannot be read, or the new one not written.
    pub(super) async fn write(&self, loss: &Loss, replacements: &Replacements) -> Result<Written> {
        let selected = Selected {
            file: loss.file.clone(),
            hidden: Some(Arc::new(loss.hidden.clone())),
        };
        let rows = Rows::new(
            self.lake.stores().clone(),
            self.snapshot.clone(),
            &self.id.display(),
            true,
        )?;
        let rows = RowsTable(rows.of_files(vec![selected]).in_order());
        let plan = rows.scan(&self.running.state(), None, &[], None).await?;
        let mut stream = execute_stream(plan, self.running.task.clone())?;
        let writer = FileWriter::new(self.definition, self.snapshot.store())?;
        let columns: Vec<usize> = (0..writer.schema().fields().len()).collect();
        let mut numbers: Vec<u64> = Vec::new();
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let places: Option<&ArrayRef> = batch.column_by_name(ROW);
            let places = cast(
                places.ok_or_else(|| Error::internal("rows without their places"))?,
                &DataType::UInt64,
            )?;
            numbers.extend(places.as_primitive::<UInt64Type>().values());
            let values = writer.conform(&batch.project(&columns)?)?;
            batches.push(RecordBatch::try_new(
                writer.schema().clone(),
                values.columns().to_vec(),
            )?);
        }
        let stayed = numbers.len() as u64;
        let changed = replacements
            .by_file
            .get(&loss.file.add.path)
            .cloned()
            .unwrap_or_default();
        numbers.extend(changed.iter().map(|(row, _)| row));
        if let Some(changed) = replacements.taken(changed.into_iter().map(|(_, number)| number).collect())? {
            batches.push(RecordBatch::try_new(
                writer.schema().clone(),
                changed.columns().to_vec(),
            )?);
        }
        let all = concat_batches(writer.schema(), &batches)?;
        let order = sort_to_indices(&UInt64Array::from(numbers), None, None)?;
        let mut adds = self.written(&writer, &take_record_batch(&all, &order)?).await?;
        for add in &mut adds {
            add.tags = loss.file.successor_tags();
        }
        Ok(Written { adds, rows: stayed })
    }

    /// The changed rows of other files, in files of their own.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(super) async fn write_others(&self, replacements: &Replacements) -> Result<Vec<Add>> {
        let others = replacements
            .by_file
            .iter()
            .filter(|(file, _)| !replacements.are_of(file));
        let mut numbers: Vec<u64> = others.flat_map(|(_, rows)| rows).map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        let Some(rows) = replacements.taken(numbers)? else {
            return Ok(Vec::new());
        };
        let writer = FileWriter::new(self.definition, self.snapshot.store())?;
        self.written(&writer, &rows).await
    }

    async fn written(&self, writer: &FileWriter, rows: &RecordBatch) -> Result<Vec<Add>> {
        let mut files = writer.open();
        files.write(&writer.to_physical(rows)?).await?;
        let adds = writer.finished(files.close().await?);
        self.running.progress.files.add(adds.len());
        let bytes = adds.iter().map(|add| usize::try_from(add.size).unwrap_or_default());
        self.running.progress.bytes.add(bytes.sum());
        Ok(adds)
    }
}
