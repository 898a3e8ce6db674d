//! From the rows of a plan to what a change consists of: places of rows that go, files of rows that come, change data.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use deltalake_core::datafile::writer::DeltaWriter;
use deltalake_core::kernel::Add;
use deltalake_core::logstore::LogStoreRef;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::change_data::{ChangeData, Kind};
use super::gather::gather;
use super::insert::discard;
use super::touched::{Touched, Twice};
use super::validate::Validator;
use super::write::FileWriter;
use crate::catalog::TableId;
use crate::error::{Error, Result};
use crate::plan::{Progress, Running};
use crate::table::Definition;

/// What becomes of a row, as the third column says it.
pub(super) const DELETE: i32 = 0;
pub(super) const UPDATE: i32 = 1;
pub(super) const INSERT: i32 = 2;

/// The columns before the values: file, row, what becomes of it.
const LEADING: usize = 3;
/// Which of them says what becomes of the row.
pub(super) const ACTION: usize = 2;

/// What all partitions came to.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) touched: Touched,
    /// Files that are being written; once they are closed, they are among the next two.
    open: Mutex<Vec<Open>>,
    /// Files with new rows, and with change data.
    pub(super) adds: Vec<Add>,
    pub(super) changes: Vec<Add>,
    pub(super) replaced: Vec<Replaced>,
    pub(super) deleted: u64,
    pub(super) updated: u64,
    pub(super) inserted: u64,
    pub(super) twice: Option<Twice>,
}

/// Rows that take the place of others in their file, where it is written anew.
pub(super) struct Replaced {
    /// File and row of each.
    pub(super) places: Vec<(String, u64)>,
    /// In the table's columns.
    pub(super) rows: RecordBatch,
}

/// How many changed rows of a partition are kept to be put where they stood; from there on they are written as they come.
const KEPT: usize = 10_000;

/// The files of a partition that are not closed yet.
pub(super) struct Open {
    reader: Arc<Reader>,
    files: DeltaWriter,
    changes: Option<DeltaWriter>,
}

/// How the input's columns are to be read.
struct Reader {
    writer: FileWriter,
    validator: Validator,
    change_data: Option<ChangeData>,
    /// The columns of the table; the input has as many old ones where there is change data, then as many new ones, or none.
    columns: usize,
    /// Whether a row may be named more than once: it goes once.
    once: bool,
    /// Whether changed rows can stay where they stood: where files are written anew, and the rows cannot move to another partition.
    in_place: bool,
}

/// Reads all partitions of the input, and writes the new rows that they bring.
///
/// # Errors
/// Where a row breaks a rule or does not fit, or the input fails: then nothing that was written stays.
pub(super) async fn collect(
    id: &TableId,
    definition: &Definition,
    log_store: &LogStoreRef,
    rule: Option<&str>,
    once: bool,
    input: Arc<dyn ExecutionPlan>,
    running: &Running,
) -> Result<Collected> {
    let store = log_store.object_store(None);
    let writer = FileWriter::new(definition, store.clone())?;
    let reader = Arc::new(Reader {
        validator: validator(id, definition, &writer, rule, running)?,
        change_data: ChangeData::of(definition, store)?,
        columns: writer.schema().fields().len(),
        once,
        in_place: !definition.is_on(super::apply::VECTORS) && definition.partition_columns().is_empty(),
        writer,
    });
    let mut tasks = JoinSet::new();
    for partition in 0..input.output_partitioning().partition_count() {
        let stream = input.execute(partition, running.task.clone())?;
        let (reader, progress) = (reader.clone(), running.progress.clone());
        tasks.spawn(reader.read(stream, progress));
    }
    let (parts, failure) = gather(tasks).await;
    let mut all = Collected::default();
    parts.into_iter().for_each(|part| all.merge(part));
    match failure {
        Some(error) => {
            all.discard(log_store).await;
            Err(error)
        }
        None => Ok(all),
    }
}

fn validator(
    id: &TableId,
    definition: &Definition,
    writer: &FileWriter,
    rule: Option<&str>,
    running: &Running,
) -> Result<Validator> {
    let mut validator = Validator::new(running, &id.display(), definition, writer.schema())?;
    if let Some(rule) = rule {
        validator.add_rule(running, &format!("REPLACE WHERE {rule}"), rule)?;
    }
    Ok(validator)
}

impl Collected {
    /// Closes the files with new rows, all at once.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn close(open: Vec<Open>, progress: &Progress) -> (Vec<Add>, Vec<Add>, Option<Error>) {
        let mut tasks = JoinSet::new();
        for open in open {
            tasks.spawn(open.close());
        }
        let (parts, failure) = gather(tasks).await;
        let (adds, changes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let adds = adds.concat();
        progress.files.add(adds.len());
        let bytes = adds.iter().map(|add| usize::try_from(add.size).unwrap_or_default());
        progress.bytes.add(bytes.sum());
        (adds, changes.concat(), failure)
    }

    /// The files that are still open.
    pub(super) fn take_open(&self) -> Vec<Open> {
        std::mem::take(&mut self.open.lock())
    }

    fn merge(&mut self, other: Self) {
        let twice = self.touched.merge(other.touched);
        self.open.get_mut().extend(other.open.into_inner());
        self.twice = self.twice.take().or(other.twice).or(twice);
        self.adds.extend(other.adds);
        self.changes.extend(other.changes);
        self.replaced.extend(other.replaced);
        self.deleted += other.deleted;
        self.updated += other.updated;
        self.inserted += other.inserted;
    }

    pub(super) fn affected(&self) -> u64 {
        self.deleted + self.updated + self.inserted
    }

    /// Removes the files, which no commit will refer to; what cannot be removed is left to VACUUM.
    pub(super) async fn discard(&self, log_store: &LogStoreRef) {
        for open in self.take_open() {
            open.abort().await;
        }
        discard(log_store, &self.adds).await;
        discard(log_store, &self.changes).await;
    }
}

impl Open {
    /// The actions of the files with new rows, and with change data.
    async fn close(self) -> Result<(Vec<Add>, Vec<Add>)> {
        let adds = self.reader.writer.finished(self.files.close().await?);
        let changes = match (&self.reader.change_data, self.changes) {
            (Some(data), Some(changes)) => data.placed(changes.close().await?),
            _ => Vec::new(),
        };
        Ok((adds, changes))
    }

    /// Gives up what was written so far; what cannot be removed is left to VACUUM.
    async fn abort(self) {
        let _ = self.files.abort().await;
        if let Some(changes) = self.changes {
            let _ = changes.abort().await;
        }
    }
}

impl Reader {
    async fn read(self: Arc<Self>, mut stream: SendableRecordBatchStream, progress: Progress) -> Result<Collected> {
        let mut files = self.writer.open();
        let mut changes = self.change_data.as_ref().map(|changes| changes.writer().open());
        let mut part = Collected::default();
        let outcome = async {
            while let Some(batch) = stream.next().await {
                let batch = match self.fresh(batch?, &mut part)? {
                    Some(batch) => batch,
                    None => break,
                };
                progress.rows.add(batch.num_rows());
                let actions = actions(&batch)?;
                let is = |wanted: i32| move |place: usize| actions.value(place) == wanted;
                let places = || 0..batch.num_rows();
                let inserted = places().filter(|place| is(INSERT)(*place)).count();
                let updated = places().filter(|place| is(UPDATE)(*place)).count();
                let deleted = batch.num_rows() - inserted - updated;
                part.inserted += inserted as u64;
                part.updated += updated as u64;
                part.deleted += deleted as u64;
                if let (Some(data), Some(files)) = (&self.change_data, &mut changes) {
                    for (kind, old, wanted) in [
                        (Kind::Delete, true, DELETE),
                        (Kind::UpdatePreimage, true, UPDATE),
                        (Kind::UpdatePostimage, false, UPDATE),
                        (Kind::Insert, false, INSERT),
                    ] {
                        let mask: BooleanArray = places().map(|place| Some(is(wanted)(place))).collect();
                        if mask.true_count() > 0 {
                            let rows = self.values(&batch, old)?;
                            let rows = filter_record_batch(&rows, &mask)?;
                            files.write(&data.rows(&rows, kind)?).await?;
                        }
                    }
                }
                if inserted + updated > 0 {
                    let rows = self.values(&batch, false)?;
                    let rows = if deleted == 0 {
                        rows
                    } else {
                        let mask: BooleanArray = places().map(|place| Some(!is(DELETE)(place))).collect();
                        filter_record_batch(&rows, &mask)?
                    };
                    let rows = self.writer.conform(&rows)?;
                    self.validator.check(&rows)?;
                    let rows = RecordBatch::try_new(self.writer.schema().clone(), rows.columns().to_vec())?;
                    let kept: usize = part.replaced.iter().map(|replaced| replaced.places.len()).sum();
                    let rows = if self.in_place && updated > 0 && kept + updated <= KEPT {
                        let coming = places().filter(|place| !is(DELETE)(*place));
                        let changed: BooleanArray = coming.map(|place| Some(is(UPDATE)(place))).collect();
                        part.replaced.push(Replaced {
                            places: row_places(&batch, places().filter(|place| is(UPDATE)(*place)))?,
                            rows: filter_record_batch(&rows, &changed)?,
                        });
                        filter_record_batch(&rows, &not(&changed)?)?
                    } else {
                        rows
                    };
                    if rows.num_rows() > 0 {
                        files.write(&self.writer.to_physical(&rows)?).await?;
                    }
                }
            }
            Ok::<_, Error>(())
        };
        let outcome = outcome.await;
        let open = Open {
            reader: self,
            files,
            changes,
        };
        if let Err(error) = outcome {
            // The statement's own error is what matters.
            open.abort().await;
            return Err(error);
        }
        part.open.get_mut().push(open);
        Ok(part)
    }

    /// Takes note of the places of a batch's rows, and returns the rows that were not named before; none where such a row
    /// ends the statement.
    fn fresh(&self, batch: RecordBatch, part: &mut Collected) -> Result<Option<RecordBatch>> {
        let actions = actions(&batch)?;
        let twice = part.touched.note(&batch, |place| actions.value(place) != INSERT)?;
        if twice.is_empty() {
            return Ok(Some(batch));
        }
        if !self.once {
            part.twice = twice.into_iter().next().map(|(_, row)| row);
            return Ok(None);
        }
        let mut fresh = vec![true; batch.num_rows()];
        for (place, _) in twice {
            if let Some(fresh) = fresh.get_mut(place) {
                *fresh = false;
            }
        }
        Ok(Some(filter_record_batch(&batch, &BooleanArray::from(fresh))?))
    }

    /// The table's columns of a batch: as they were, or as they become.
    fn values(&self, batch: &RecordBatch, old: bool) -> Result<RecordBatch> {
        let before = if self.change_data.is_some() { self.columns } else { 0 };
        let start = if old { LEADING } else { LEADING + before };
        let columns = batch
            .columns()
            .get(start..start + self.columns)
            .ok_or_else(|| Error::internal("a change has too few columns"))?;
        let fields: Vec<Field> = self
            .writer
            .schema()
            .fields()
            .iter()
            .zip(columns)
            .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
            .collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?)
    }
}

/// Where rows of a batch stand: file and row.
fn row_places(batch: &RecordBatch, rows: impl Iterator<Item = usize>) -> Result<Vec<(String, u64)>> {
    let column = |place: usize, data_type: &DataType| -> Result<ArrayRef> {
        let column = batch.columns().get(place);
        let column = column.ok_or_else(|| Error::internal("a change does not say where its rows are"))?;
        Ok(cast(column, data_type)?)
    };
    let (files, numbers) = (column(0, &DataType::Utf8)?, column(1, &DataType::UInt64)?);
    let (files, numbers) = (files.as_string::<i32>(), numbers.as_primitive::<UInt64Type>());
    Ok(rows
        .map(|row| (files.value(row).to_string(), numbers.value(row)))
        .collect())
}

fn actions(batch: &RecordBatch) -> Result<&Int32Array> {
    let column = batch.columns().get(ACTION);
    let actions = column.and_then(|column| column.as_primitive_opt::<Int32Type>());
    actions
        .filter(|actions| actions.null_count() == 0)
        .ok_or_else(|| Error::internal("a change does not say what becomes of its rows"))
}
