//! `FSCK REPAIR TABLE`: files that are missing in storage are taken out of the table.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::Action;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use posixlake_sql::{Fsck, Privilege};
use url::Url;

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::dml::with_retries;
use crate::error::Result;
use crate::log::{Commit, DataFile, Mode, Snapshot, check_against_checksum, check_writable, commit};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::path_of;
use crate::table::{data_path, live_files};

/// Plans `FSCK REPAIR TABLE`.
///
/// # Errors
/// Where there is no such table.
pub(super) async fn plan(planner: &Planner, fsck: &Fsck, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&fsck.table).await?;
    if !fsck.dry_run {
        check_writable(&table, &id.display())?;
    }
    let command = FsckCommand {
        lake: planner.lake().clone(),
        id,
        dry_run: fsck.dry_run,
        statement,
    };
    command_plan("fsck", Arc::new(command))
}

#[derive(Debug)]
struct FsckCommand {
    lake: Arc<Lake>,
    id: TableId,
    dry_run: bool,
    statement: String,
}

impl FsckCommand {
    /// The files of the table that are not in storage: one listing for those in its folder, a look at each of those
    /// elsewhere.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corrupt`] where the version's checksum contradicts the log; where the store fails.
    async fn missing(&self, table: &Snapshot, running: &Running) -> Result<Vec<Arc<DataFile>>> {
        check_against_checksum(table).await?;
        let files = live_files(table);
        let store = table.store();
        let there: HashSet<Path> = store
            .list(None)
            .try_fold(HashSet::new(), |mut paths, meta| {
                paths.insert(meta.location);
                std::future::ready(Ok(paths))
            })
            .await?;
        let mut missing = Vec::new();
        for file in files {
            let found = match Url::parse(&file.add.path) {
                Ok(url) => {
                    let store = self.lake.stores().root(&url)?;
                    match store.head(&path_of(&url)?).await {
                        Ok(_) => true,
                        Err(object_store::Error::NotFound { .. }) => false,
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(_) => there.contains(&data_path(&file.add.path)),
            };
            running.progress.files.add(1);
            if !found {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    async fn repair(&self, table: Snapshot, running: &Running) -> Result<(Vec<Arc<DataFile>>, Option<u64>)> {
        let missing = self.missing(&table, running).await?;
        if missing.is_empty() {
            return Ok((missing, None));
        }
        let paths: Vec<&String> = missing.iter().map(|file| &file.add.path).collect();
        let commit_of = Commit {
            operation: "FSCK",
            parameters: BTreeMap::from([("dryRun".to_string(), "false".to_string())]),
            metrics: BTreeMap::from([
                ("numMissingFiles".to_string(), missing.len().to_string()),
                ("filesRemoved".to_string(), serde_json::json!(paths).to_string()),
            ]),
            actions: missing.iter().map(|file| Action::Remove(file.remove(true))).collect(),
            read_version: Some(table.version()),
            mode: Mode::Exclusive,
            statement: Some(self.statement.clone()),
        };
        let version = commit(table.log_store().as_ref(), commit_of).await?;
        Ok((missing, Some(version)))
    }
}

#[async_trait]
impl Command for FsckCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("dataFilePath", DataType::Utf8, false),
            Field::new("dataFileMissing", DataType::Boolean, false),
        ]))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let missing = if self.dry_run {
            let table = self.lake.open_table(&self.id).await?;
            self.missing(&table, &running).await?
        } else {
            with_retries(&self.lake, &self.id, |table| self.repair(table, &running)).await?
        };
        let paths = StringArray::from_iter_values(missing.iter().map(|file| &file.add.path));
        let flags = BooleanArray::from(vec![true; missing.len()]);
        Ok(RecordBatch::try_new(
            self.schema(),
            vec![Arc::new(paths), Arc::new(flags)],
        )?)
    }
}
