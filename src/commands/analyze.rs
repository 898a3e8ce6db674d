//! `ANALYZE TABLE … COMPUTE STATISTICS`: files without statistics get them, from their Parquet footers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::ObjectName;
use deltalake_core::kernel::{Action, Add};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::rewrite::{Story, commit_unchanged_rows};
use posixlake_sql::Privilege;

use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot, check_writable};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::path_of;
use crate::table::{FileStatistics, data_path, live_files};

/// How often the files are looked at again because others changed them.
const ATTEMPTS: u32 = 5;

/// Plans `ANALYZE TABLE`.
///
/// # Errors
/// Where there is no such table.
pub(super) async fn plan(planner: &Planner, name: &ObjectName, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(name).await?;
    check_writable(&table, &id.display())?;
    command_plan(
        "analyze",
        Arc::new(AnalyzeCommand {
            lake: planner.lake().clone(),
            id,
            statement,
        }),
    )
}

#[derive(Debug)]
struct AnalyzeCommand {
    lake: Arc<Lake>,
    id: TableId,
    statement: String,
}

/// The files that got statistics, all files, and the rows in the former.
type Outcome = [usize; 3];

impl AnalyzeCommand {
    async fn attempt(&self, table: &Snapshot, running: &Running) -> Result<Option<Outcome>> {
        let statistics = FileStatistics::of(table)?;
        let files = live_files(table);
        let all = files.len();
        let lacking: Vec<Arc<DataFile>> = files.into_iter().filter(|file| statistics.lacks(file)).collect();
        let analyzed: Vec<(Add, u64)> = futures::stream::iter(lacking.clone())
            .map(|file| {
                let statistics = &statistics;
                async move {
                    let (store, path) = self.place(table, &file.add)?;
                    let size = u64::try_from(file.add.size).unwrap_or_default();
                    let (text, rows) =
                        statistics
                            .read(store, path, size, file.deleted() > 0)
                            .await
                            .map_err(|error| {
                                Error::new(error.kind(), format!("file {}: {}", file.add.path, error.message()))
                                    .with_source(error)
                            })?;
                    running.progress.files.add(1);
                    Ok::<_, Error>((
                        Add {
                            stats: Some(text),
                            data_change: false,
                            ..file.add.clone()
                        },
                        rows,
                    ))
                }
            })
            .buffered(16)
            .try_collect()
            .await?;
        let rows: u64 = analyzed.iter().map(|(_, rows)| rows).sum();
        let outcome = [analyzed.len(), all, usize::try_from(rows).unwrap_or(usize::MAX)];
        if analyzed.is_empty() {
            return Ok(Some(outcome));
        }
        let story = Story {
            operation: "COMPUTE STATISTICS",
            parameters: BTreeMap::new(),
            metrics: BTreeMap::from([("numFilesAnalyzed".to_string(), analyzed.len().to_string())]),
            statement: self.statement.clone(),
        };
        let actions: Vec<Action> = analyzed.into_iter().map(|(add, _)| Action::Add(add)).collect();
        let committed = commit_unchanged_rows(&self.lake, &self.id, table, &lacking, &actions, &story).await?;
        Ok(committed.map(|_| outcome))
    }

    /// The store that a data file is in, and where.
    fn place(&self, table: &Snapshot, add: &Add) -> Result<(Arc<dyn ObjectStore>, Path)> {
        match Url::parse(&add.path) {
            Ok(url) => Ok((self.lake.stores().root(&url)?, path_of(&url)?)),
            Err(_) => Ok((table.log_store().object_store(None), data_path(&add.path))),
        }
    }
}

#[async_trait]
impl Command for AnalyzeCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        let names = ["num_files_analyzed", "num_files", "num_rows_analyzed"];
        Arc::new(Schema::new(
            names.map(|name| Field::new(name, DataType::Int64, false)).to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        for _ in 0..ATTEMPTS {
            let table = self.lake.open_table(&self.id).await?;
            check_writable(&table, &self.id.display())?;
            if let Some(outcome) = self.attempt(&table, &running).await? {
                let column = |value: usize| -> ArrayRef {
                    Arc::new(Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)]))
                };
                return Ok(RecordBatch::try_new(self.schema(), outcome.map(column).to_vec())?);
            }
        }
        Err(Error::conflict(format!(
            "other writers changed the files of table {} while they were looked at, {ATTEMPTS} times; nothing was changed: \
             run the statement again",
            self.id.display()
        )))
    }
}
