//! Backups: `BACKUP`, `VERIFY BACKUP` and `RESTORE … FROM`.
//!
//! A backup is a folder: manifests, one for each run, and below `tables` the files of each table under the names that its log
//! has for them. A run copies what the runs before it did not, and writes its manifest last: what no manifest names is not
//! part of the backup.

mod bring;
mod chain;
mod copy;
mod journal;
mod manifest;
mod pinned;
mod restore;
mod take;
mod verify;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, PutMode, PutOptions};
use posixlake_sql::{Backup, Privilege, VerifyBackup, quote_identifier};
use url::Url;
use uuid::Uuid;

use crate::access::Touch;
use crate::catalog::{DEFAULT_SCHEMA, Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Outline;
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::folder_url;
use chain::{Chain, Table};
use journal::Journal;
use manifest::{Head, Manifest};
use take::{Taken, Taking};

pub(super) use restore::plan as plan_restore;

/// Plans `BACKUP`.
///
/// # Errors
/// Where there is no such table, or the location is none.
pub(super) async fn plan(planner: &Planner, backup: &Backup, statement: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let location = folder_url(&backup.location, None)?;
    let table = match &backup.table {
        Some(name) => Some(planner.table(name).await?.0),
        None => None,
    };
    let source = match (&table, lake.root()) {
        (Some(table), _) => table.url.clone(),
        (None, Some(root)) => root.clone(),
        (None, None) => return Err(Error::not_found("the session has no lake; open one with --lake")),
    };
    if location.as_str().starts_with(source.as_str()) {
        return Err(Error::invalid(format!(
            "'{location}' lies inside of what is to be backed up, '{source}'; a backup lies elsewhere"
        )));
    }
    let command = BackupCommand {
        lake: lake.clone(),
        location,
        table,
        incremental: backup.incremental,
        statement,
    };
    command_plan("backup", Arc::new(command))
}

/// Plans `VERIFY BACKUP`.
///
/// # Errors
/// Where the location is none.
pub(super) fn plan_verify(planner: &Planner, verify: &VerifyBackup, statement: String) -> Result<LogicalPlan> {
    let command = VerifyCommand {
        lake: planner.lake().clone(),
        location: folder_url(&verify.location, None)?,
        statement,
    };
    command_plan("verify_backup", Arc::new(command))
}

/// The name of a table as a user would write it.
fn display(schema: &str, name: &str) -> String {
    match schema {
        DEFAULT_SCHEMA => quote_identifier(name),
        schema => format!("{}.{}", quote_identifier(schema), quote_identifier(name)),
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(Debug)]
struct BackupCommand {
    lake: Arc<Lake>,
    location: Url,
    /// None for the whole lake.
    table: Option<TableId>,
    incremental: bool,
    statement: String,
}

impl BackupCommand {
    /// # Errors
    /// Where the location has a backup that this one cannot add to.
    fn check_chain(&self, chain: Option<&Chain>) -> Result<()> {
        let Some(chain) = chain else { return Ok(()) };
        if !self.incremental {
            return Err(Error::already_exists(format!(
                "there is a backup at '{}' already; INCREMENTAL adds to it, and a new one wants another place",
                self.location
            )));
        }
        let last = chain.last().map(|run| &run.manifest);
        let is_of_lake = last.is_some_and(|last| last.head.lake);
        let head = last.and_then(|last| last.tables.first()).map(|table| &table.head);
        match (&self.table, head) {
            (None, _) if is_of_lake => Ok(()),
            (None, _) => Err(Error::invalid(format!(
                "the backup at '{}' is of one table; that of the lake wants another place",
                self.location
            ))),
            (Some(_), _) if is_of_lake => Err(Error::invalid(format!(
                "the backup at '{}' is of a lake: BACKUP LAKE adds to it, and that of one table wants another place",
                self.location
            ))),
            (Some(id), Some(head)) if (&id.schema, &id.name) != (&head.schema, &head.name) => {
                Err(Error::invalid(format!(
                    "the backup at '{}' is of table {}, not of {}",
                    self.location,
                    display(&head.schema, &head.name),
                    id.display()
                )))
            }
            _ => Ok(()),
        }
    }

    /// The state of a table in the backup that this run continues; none where it begins anew.
    async fn earlier(&self, id: &TableId, tables: &[Table]) -> Result<Option<Table>> {
        let mut of_name = tables
            .iter()
            .filter(|table| (&table.head.schema, &table.head.name) == (&id.schema, &id.name));
        let Some(earlier) = of_name.next() else { return Ok(None) };
        if self.table.is_none() {
            let table = self.lake.open_table(id).await?;
            let outline = Outline::read(table.store().as_ref(), table.version()).await?;
            if !take::is_continued(&table, &outline, earlier).await? {
                return Ok(None);
            }
        }
        Ok(Some(earlier.clone()))
    }

    async fn take(&self, running: &Running) -> Result<(u64, Vec<Taken>)> {
        let stores = self.lake.stores();
        let chain = Chain::open(stores, &self.location).await?;
        self.check_chain(chain.as_ref())?;
        let store = stores.folder(&self.location)?;
        let before = chain.as_ref().and_then(Chain::last);
        let head = Head::new(
            before.map_or_else(|| Uuid::new_v4().to_string(), |run| run.manifest.head.id.clone()),
            before.map_or(1, |run| run.manifest.head.number + 1),
            before.map(|run| run.checksum.clone()),
            self.table.is_none(),
        );
        let number = head.number;
        let tables = match &self.table {
            Some(table) => vec![table.clone()],
            None => self.lake.tables().await?,
        };
        let known = chain.as_ref().map(Chain::last_tables).transpose()?.unwrap_or_default();
        let mut journal = Journal::open(store.clone(), number).await?;
        let taking = Taking {
            lake: self.lake.clone(),
            store: store.clone(),
            number,
            progress: running.progress.clone(),
        };
        let mut taken = Vec::new();
        for id in &tables {
            let earlier = self.earlier(id, &known).await?;
            taken.push(taking.table(id, earlier.as_ref(), &mut journal).await?);
        }
        let parts: Vec<_> = taken.iter().map(|taken| taken.part.clone()).collect();
        let is_new = parts.iter().any(|part| !part.files.is_empty()) || parts.len() != known.len();
        if is_new || before.is_none() {
            let manifest = Manifest { head, tables: parts };
            self.write(store.as_ref(), &manifest).await?;
        }
        if journal.untidy {
            self.tidy(&store).await?;
        }
        journal.close().await;
        let number = if is_new { number } else { number - 1 };
        Ok((number.max(1), taken))
    }

    /// Writes the manifest, which makes the run part of the backup.
    async fn write(&self, store: &dyn ObjectStore, manifest: &Manifest) -> Result<()> {
        let path = manifest::path(manifest.head.number);
        let options = PutOptions::from(PutMode::Create);
        match store.put_opts(&path, manifest.encode()?.into(), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "another backup to '{}' ended first; one at a time can add to a backup: VERIFY BACKUP says whether it is whole",
                    self.location
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what an interrupted attempt has copied and no manifest names.
    async fn tidy(&self, store: &Arc<dyn ObjectStore>) -> Result<()> {
        let chain = Chain::existing(self.lake.stores(), &self.location).await?;
        let mut named: HashSet<String> = HashSet::new();
        for table in chain.all_tables()? {
            named.extend(table.files.keys().map(|path| format!("{}/{path}", table.head.folder)));
        }
        let listed = store.list(Some(&object_store::path::Path::from("tables")));
        let unnamed = listed.try_filter(move |meta| std::future::ready(!named.contains(meta.location.as_ref())));
        let paths: Vec<_> = unnamed.map_ok(|meta| meta.location).try_collect().await?;
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        Ok(store
            .delete_stream(paths)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?)
    }
}

#[async_trait]
impl Command for BackupCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        // The location takes a right to the whole lake, which holds for all of its tables.
        let mut touches = vec![Touch::Files(self.location.to_string())];
        touches.extend(
            self.table
                .iter()
                .map(|id| Touch::Table(id.url.clone(), Privilege::Select)),
        );
        touches
    }

    fn schema(&self) -> SchemaRef {
        let int = |name| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            Field::new("table", DataType::Utf8, false),
            int("backup_number"),
            int("version"),
            int("num_files"),
            int("num_bytes"),
            int("num_copied_files"),
            int("num_copied_bytes"),
            Field::new("restorable_versions", DataType::Utf8, false),
        ]))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let (run, taken) = self.take(&running).await?;
        let heads = || taken.iter().map(|taken| &taken.part.head);
        let ints = |value: &dyn Fn(&Taken) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                taken.iter().map(|taken| number(value(taken))),
            ))
        };
        let names = heads().map(|head| display(&head.schema, &head.name));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(names)),
            ints(&|_| run),
            ints(&|taken| taken.part.head.version),
            ints(&|taken| taken.part.files.len() as u64),
            ints(&|taken| taken.part.files.iter().map(|file| file.size).sum()),
            ints(&|taken| taken.copied.0),
            ints(&|taken| taken.copied.1),
            Arc::new(StringArray::from_iter_values(
                heads().map(|head| head.restorable.to_string()),
            )),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

#[derive(Debug)]
struct VerifyCommand {
    lake: Arc<Lake>,
    location: Url,
    statement: String,
}

#[async_trait]
impl Command for VerifyCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Files(self.location.to_string())]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("table", DataType::Utf8, true),
            Field::new("path", DataType::Utf8, true),
            Field::new("status", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, false),
        ]))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let found = verify::verify(self.lake.stores(), &self.location, &running.progress).await?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(
                found
                    .iter()
                    .map(|finding| finding.table.as_deref())
                    .collect::<StringArray>(),
            ),
            Arc::new(
                found
                    .iter()
                    .map(|finding| finding.path.as_deref())
                    .collect::<StringArray>(),
            ),
            Arc::new(StringArray::from_iter_values(
                found.iter().map(|finding| finding.status),
            )),
            Arc::new(StringArray::from_iter_values(
                found.iter().map(|finding| &finding.detail),
            )),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn verdict(&self, rows: &RecordBatch) -> Result<()> {
        let statuses = rows
            .column_by_name("status")
            .and_then(|column| column.as_string_opt::<i32>());
        verify::verdict(self.location.as_str(), statuses.into_iter().flatten().flatten())
    }
}
