//! `VACUUM`: files that no version within the retention time needs are deleted.

mod unused;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::table::config::TablePropertiesExt;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use posixlake_sql::{Privilege, Vacuum, VacuumMode};

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{self, Commit, Snapshot, check_writable};
use crate::plan::{Command, Planner, Running, command_plan};
use unused::Needs;

/// The most hours that a retention can have: what fits into milliseconds with room to spare.
const MOST_HOURS: f64 = 1e9;

/// Plans `VACUUM`.
///
/// # Errors
/// Where there is no such table, or the retention is below the table's and the session does not allow that.
pub(super) async fn plan(planner: &Planner, vacuum: &Vacuum, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&vacuum.table).await?;
    check_writable(&table, &id.display())?;
    let checked = crate::session::checks_retention(planner.state().config().options());
    let command = VacuumCommand {
        lake: planner.lake().clone(),
        id,
        mode: vacuum.mode,
        retention: vacuum.retain_hours.map(hours).transpose()?,
        dry_run: vacuum.dry_run,
        checked,
        statement,
    };
    command.retention(&table)?;
    command_plan("vacuum", Arc::new(command))
}

fn hours(hours: f64) -> Result<Duration> {
    if (0.0..=MOST_HOURS).contains(&hours) {
        // In range, so nothing but the fraction of a millisecond is lost.
        Ok(Duration::milliseconds((hours * 3_600_000.0).round() as i64))
    } else {
        Err(Error::invalid(format!(
            "VACUUM … RETAIN {hours} HOURS: the hours are a number from 0 to {MOST_HOURS:.0}"
        )))
    }
}

#[derive(Debug)]
struct VacuumCommand {
    lake: Arc<Lake>,
    id: TableId,
    mode: VacuumMode,
    retention: Option<Duration>,
    dry_run: bool,
    checked: bool,
    statement: String,
}

impl VacuumCommand {
    /// The retention that applies, and the table's own.
    ///
    /// # Errors
    /// Where it is shorter than the table's and the session does not allow that.
    fn retention(&self, table: &Snapshot) -> Result<(Duration, Duration)> {
        let of_table = table.properties().deleted_file_retention_duration();
        let of_table = Duration::from_std(of_table).unwrap_or(Duration::MAX);
        let wanted = self.retention.unwrap_or(of_table);
        if self.checked && wanted < of_table {
            return Err(Error::invalid(format!(
                "VACUUM {} RETAIN {} HOURS is below the table's retention of {} hours: readers and writers that are under way, \
                 and time travel, may lose their files. If none can, SET posixlake.vacuum_retention_check = false, or set the \
                 table's delta.deletedFileRetentionDuration",
                self.id.display(),
                wanted.num_milliseconds() as f64 / 3_600_000.0,
                of_table.num_hours()
            )));
        }
        Ok((wanted, of_table))
    }

    /// The files to delete, in the order of their paths.
    async fn find(&self, table: &Snapshot, retention: Duration, running: &Running) -> Result<Vec<ObjectMeta>> {
        let cutoff = Utc::now()
            .checked_sub_signed(retention)
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let needs = Needs::of(table, cutoff).await?;
        let mut found = match self.mode {
            VacuumMode::Full => needs.all(&running.progress).await?,
            VacuumMode::Lite => needs.known(&running.progress).await?,
        };
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    async fn commit(
        &self,
        table: &Snapshot,
        operation: &'static str,
        parameters: BTreeMap<String, String>,
        metrics: BTreeMap<String, String>,
    ) -> Result<u64> {
        let commit = Commit {
            operation,
            parameters,
            metrics,
            actions: Vec::new(),
            read_version: Some(table.version()),
            mode: log::Mode::Append,
            statement: Some(self.statement.clone()),
        };
        log::commit(table.log_store().as_ref(), commit).await
    }

    /// Deletes the files between two commits that say so.
    async fn delete(
        &self,
        table: &Snapshot,
        files: &[ObjectMeta],
        retention: Duration,
        of_table: Duration,
        running: &Running,
    ) -> Result<()> {
        let store = table.store();
        let bytes = total(files);
        let entry = |name: &str, value: String| (name.to_string(), value);
        let begun = BTreeMap::from([
            entry("retentionCheckEnabled", self.checked.to_string()),
            entry("specifiedRetentionMillis", retention.num_milliseconds().to_string()),
            entry("defaultRetentionMillis", of_table.num_milliseconds().to_string()),
        ]);
        let planned = BTreeMap::from([
            entry("numFilesToDelete", files.len().to_string()),
            entry("sizeOfDataToDelete", bytes.to_string()),
        ]);
        let version = self.commit(table, "VACUUM START", begun, planned).await?;
        self.lake.after_commit(&self.id, version).await;
        let locations: Vec<_> = files.iter().map(|file| Ok(file.location.clone())).collect();
        let gone = |result| match result {
            // Someone else was faster.
            Err(object_store::Error::NotFound { .. }) => None,
            other => Some(other),
        };
        let deleted = store
            .delete_stream(futures::stream::iter(locations).boxed())
            .filter_map(|result| std::future::ready(gone(result)))
            .try_fold(0_usize, |count, _| {
                running.progress.files.add(1);
                std::future::ready(Ok(count + 1))
            })
            .await;
        running.progress.bytes.add(usize::try_from(bytes).unwrap_or_default());
        let status = if deleted.is_ok() { "COMPLETED" } else { "FAILED" };
        let ended = BTreeMap::from([entry("status", status.to_string())]);
        let done = BTreeMap::from([
            entry(
                "numDeletedFiles",
                deleted.as_ref().map_or(0, |count| *count).to_string(),
            ),
            entry("numVacuumedDirectories", "0".to_string()),
        ]);
        // Whatever others committed meanwhile, the end comes behind it: the files are gone.
        let table = self.lake.open_table(&self.id).await?;
        let version = self.commit(&table, "VACUUM END", ended, done).await?;
        self.lake.after_commit(&self.id, version).await;
        deleted.map(|_| ()).map_err(Error::from)
    }
}

#[async_trait]
impl Command for VacuumCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        let number = |name| Field::new(name, DataType::Int64, false);
        let path = Field::new("path", DataType::Utf8, false);
        Arc::new(Schema::new(if self.dry_run {
            let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            vec![
                path,
                number("size_in_bytes"),
                Field::new("modification_time", time, false),
            ]
        } else {
            vec![path, number("num_deleted_files"), number("deleted_bytes")]
        }))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let table = self.lake.open_table(&self.id).await?;
        check_writable(&table, &self.id.display())?;
        let (retention, of_table) = self.retention(&table)?;
        let files = self.find(&table, retention, &running).await?;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let columns: Vec<ArrayRef> = if self.dry_run {
            let sizes = files.iter().map(|file| number(file.size));
            let times = files.iter().map(|file| file.last_modified.timestamp_micros());
            vec![
                Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.location))),
                Arc::new(Int64Array::from_iter_values(sizes)),
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            ]
        } else {
            if !files.is_empty() {
                self.delete(&table, &files, retention, of_table, &running).await?;
            }
            vec![
                Arc::new(StringArray::from(vec![self.id.url.as_str()])),
                Arc::new(Int64Array::from(vec![number(files.len() as u64)])),
                Arc::new(Int64Array::from(vec![number(total(&files))])),
            ]
        };
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

fn total(files: &[ObjectMeta]) -> u64 {
    files.iter().map(|file| file.size).sum()
}
