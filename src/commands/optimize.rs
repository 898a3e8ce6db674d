//! `OPTIMIZE`: small files become large ones, or rows are sorted along several columns at once. Rows stay what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::ToDFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Ident;
use deltalake_core::kernel::{Action, Add};
use posixlake_sql::{Optimize, Reorg};
use serde_json::{Value, json};

use super::rewrite::{Bin, Story, commit_unchanged_rows, discard, rewrite};
use super::show::did_you_mean;
use crate::catalog::{Lake, TableId};
use crate::dml::logical_expression;
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot, check_writable};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::{Definition, live_files, partition_rows};

/// How often the files are chosen and written anew because others changed them.
const ATTEMPTS: u32 = 5;
/// The share of deleted rows from which on a file is rewritten even alone.
const DELETED_SHARE: f64 = 0.05;

/// Plans `REORG TABLE … APPLY (PURGE)`: files that hide rows are written anew without them.
///
/// # Errors
/// As [`plan`].
pub(super) async fn plan_purge(planner: &Planner, reorg: &Reorg, statement: String) -> Result<LogicalPlan> {
    let optimize = Optimize {
        table: reorg.table.clone(),
        selection: reorg.selection.clone(),
        zorder: Vec::new(),
    };
    planned(planner, &optimize, statement, true).await
}

/// Plans `OPTIMIZE`.
///
/// # Errors
/// Where there is no such table or column, or the predicate is not over partition columns.
pub(super) async fn plan(planner: &Planner, optimize: &Optimize, statement: String) -> Result<LogicalPlan> {
    planned(planner, optimize, statement, false).await
}

async fn planned(planner: &Planner, optimize: &Optimize, statement: String, purge: bool) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&optimize.table).await?;
    check_writable(&table, &id.display())?;
    let definition = Definition::of(&table)?;
    let command = OptimizeCommand {
        lake: planner.lake().clone(),
        zorder: zorder_columns(&id, &definition, &optimize.zorder)?,
        predicate: optimize.selection.as_ref().map(ToString::to_string),
        state: planner.state().clone(),
        statement,
        purge,
        id,
    };
    command.selected(&definition, live_files(&table))?;
    command_plan("optimize", Arc::new(command))
}

fn zorder_columns(id: &TableId, definition: &Definition, columns: &[Ident]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for ident in columns {
        let same = |name: &str| match ident.quote_style {
            Some(_) => name == ident.value,
            None => name.eq_ignore_ascii_case(&ident.value),
        };
        let Some(field) = definition.fields().find(|field| same(field.name())) else {
            let known = definition.fields().map(|field| field.name().as_str());
            let near = did_you_mean(&ident.value, known);
            return Err(Error::not_found(format!(
                "table {} has no column {ident}{near}",
                id.display()
            )));
        };
        if definition.partition_columns().contains(field.name()) {
            return Err(Error::invalid(format!(
                "ZORDER BY {ident}: it is a partition column, by which rows lie apart already; leave it out"
            )));
        }
        if names.contains(field.name()) {
            return Err(Error::invalid(format!("ZORDER BY names {ident} twice")));
        }
        names.push(field.name().clone());
    }
    Ok(names)
}

/// Partition values by column, in the columns' order.
type Partition = Vec<(String, Option<String>)>;

struct OptimizeCommand {
    lake: Arc<Lake>,
    id: TableId,
    predicate: Option<String>,
    zorder: Vec<String>,
    state: SessionState,
    statement: String,
    /// Only files that hide rows are written anew, and all of them.
    purge: bool,
}

impl std::fmt::Debug for OptimizeCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.statement)
    }
}

impl OptimizeCommand {
    /// The files in the partitions that the predicate names.
    ///
    /// # Errors
    /// Where the predicate is not over partition columns.
    fn selected(&self, definition: &Definition, files: Vec<Arc<DataFile>>) -> Result<Vec<Arc<DataFile>>> {
        let Some(predicate) = &self.predicate else {
            return Ok(files);
        };
        let schema = definition.arrow_schema()?;
        let whole = logical_expression(&self.state, predicate, &schema.as_ref().clone().to_dfschema()?)?;
        let partitions = definition.partition_columns();
        let others: BTreeSet<String> = whole
            .column_refs()
            .iter()
            .map(|column| column.name.clone())
            .filter(|name| !partitions.contains(name))
            .collect();
        if !others.is_empty() {
            let known = match partitions {
                [] => "the table has none".to_string(),
                columns => format!("they are: {}", columns.join(", ")),
            };
            return Err(Error::invalid(format!(
                "OPTIMIZE {} WHERE takes conditions on partition columns ({known}); {} is none of them",
                self.id.display(),
                others.into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
        let rows = partition_rows(definition, files.iter().map(|file| &file.add))?;
        let columns = rows.schema().as_ref().clone().to_dfschema()?;
        let condition = logical_expression(&self.state, predicate, &columns)?;
        let kept = self
            .state
            .create_physical_expr(condition, &columns)?
            .evaluate(&rows)?
            .into_array(rows.num_rows())?;
        let Some(kept) = kept.as_boolean_opt() else {
            return Err(Error::invalid(format!(
                "OPTIMIZE … WHERE {predicate} is not a condition"
            )));
        };
        let wanted = |row: usize| kept.is_valid(row) && kept.value(row);
        Ok(files
            .into_iter()
            .enumerate()
            .filter(|(row, _)| wanted(*row))
            .map(|(_, file)| file)
            .collect())
    }

    /// Which files are written together.
    fn bins(&self, definition: &Definition, files: Vec<Arc<DataFile>>) -> Vec<Bin> {
        let mut partitions: BTreeMap<Partition, Vec<Arc<DataFile>>> = BTreeMap::new();
        for file in files {
            let mut key: Vec<_> = file.add.partition_values.clone().into_iter().collect();
            key.sort();
            partitions.entry(key).or_default().push(file);
        }
        let target = definition.target_file_size().map_or(u64::MAX, u64::from);
        let keeps_deleted = definition.is_on("delta.enableDeletionVectors");
        let mut bins = Vec::new();
        for mut files in partitions.into_values() {
            files.sort_by(|a, b| (a.add.modification_time, &a.add.path).cmp(&(b.add.modification_time, &b.add.path)));
            if self.purge {
                files.retain(|file| file.deleted() > 0);
                bins.extend(compaction(files, target, false));
            } else if self.zorder.is_empty() {
                bins.extend(compaction(files, target, keeps_deleted));
            } else {
                bins.push(Bin(files));
            }
        }
        bins
    }

    fn story(&self, rewritten: &[&Arc<DataFile>], adds: &[Add]) -> Story {
        let predicate: Vec<&String> = self.predicate.iter().collect();
        let removed: Vec<i64> = rewritten.iter().map(|file| file.add.size).collect();
        let added: Vec<i64> = adds.iter().map(|add| add.size).collect();
        let deleted: u64 = rewritten.iter().filter(|file| file.deleted() > 0).count() as u64;
        Story {
            operation: if self.purge { "REORG" } else { "OPTIMIZE" },
            parameters: BTreeMap::from([
                ("predicate".to_string(), json!(predicate).to_string()),
                ("zOrderBy".to_string(), json!(self.zorder).to_string()),
                ("auto".to_string(), "false".to_string()),
            ]),
            metrics: BTreeMap::from(
                [
                    ("numRemovedFiles", removed.len().to_string()),
                    ("numRemovedBytes", removed.iter().sum::<i64>().to_string()),
                    ("numAddedFiles", added.len().to_string()),
                    ("numAddedBytes", added.iter().sum::<i64>().to_string()),
                    (
                        "minFileSize",
                        added.iter().min().copied().unwrap_or_default().to_string(),
                    ),
                    (
                        "maxFileSize",
                        added.iter().max().copied().unwrap_or_default().to_string(),
                    ),
                    ("numDeletionVectorsRemoved", deleted.to_string()),
                ]
                .map(|(name, value)| (name.to_string(), value)),
            ),
            statement: self.statement.clone(),
        }
    }

    /// One attempt; none where others changed the files meanwhile.
    async fn attempt(&self, table: &Snapshot, running: &Running) -> Result<Option<Value>> {
        let definition = Definition::of(table)?;
        let files = self.selected(&definition, live_files(table))?;
        let considered = files.len();
        let bins = self.bins(&definition, files);
        let rewritten: Vec<&Arc<DataFile>> = bins.iter().flat_map(|bin| &bin.0).collect();
        if rewritten.is_empty() {
            return Ok(Some(metrics(&[], &[], 0, considered)));
        }
        let made = rewrite(&self.lake, &self.id, table, &bins, &self.zorder, running).await?;
        let mut actions: Vec<Action> = rewritten
            .iter()
            .map(|file| Action::Remove(file.remove(false)))
            .collect();
        actions.extend(made.adds.iter().cloned().map(Action::Add));
        let inputs: Vec<Arc<DataFile>> = rewritten.iter().map(|file| (*file).clone()).collect();
        let story = self.story(&rewritten, &made.adds);
        match commit_unchanged_rows(&self.lake, &self.id, table, &inputs, &actions, &story).await? {
            Some(_) => Ok(Some(metrics(&rewritten, &made.adds, made.batches, considered))),
            None => {
                discard(table, &made.adds).await;
                Ok(None)
            }
        }
    }
}

/// Neighbours in time whose rows fit into one file of the target size, and files with many deleted rows: with any, in a
/// table that has deletion vectors no longer. Other files of the target size are left alone.
fn compaction(files: Vec<Arc<DataFile>>, target: u64, keeps_deleted: bool) -> Vec<Bin> {
    let size = |file: &Arc<DataFile>| u64::try_from(file.add.size).unwrap_or_default();
    let hollow = |file: &Arc<DataFile>| match file.records() {
        Some(records) if records > 0 && keeps_deleted => file.deleted() as f64 / records as f64 > DELETED_SHARE,
        _ => file.deleted() > 0,
    };
    let mut bins: Vec<Bin> = Vec::new();
    let mut open: Vec<Arc<DataFile>> = Vec::new();
    let mut filled: u64 = 0;
    for file in files.into_iter().filter(|file| size(file) < target || hollow(file)) {
        if !open.is_empty() && filled.saturating_add(size(&file)) > target {
            bins.push(Bin(std::mem::take(&mut open)));
            filled = 0;
        }
        filled = filled.saturating_add(size(&file));
        open.push(file);
    }
    bins.push(Bin(open));
    bins.retain(|bin| bin.0.len() > 1 || bin.0.iter().any(hollow));
    bins
}

/// The result's metrics, named as Databricks names them.
fn metrics(removed: &[&Arc<DataFile>], added: &[Add], batches: u64, considered: usize) -> Value {
    fn summary(sizes: &[i64]) -> Value {
        let total: i64 = sizes.iter().sum();
        json!({
            "min": sizes.iter().min().copied().unwrap_or_default(),
            "max": sizes.iter().max().copied().unwrap_or_default(),
            "avg": if sizes.is_empty() { 0.0 } else { total as f64 / sizes.len() as f64 },
            "totalFiles": sizes.len(),
            "totalSize": total,
        })
    }
    let partitions: BTreeSet<Vec<_>> = removed
        .iter()
        .map(|file| {
            file.add
                .partition_values
                .iter()
                .collect::<BTreeMap<_, _>>()
                .into_iter()
                .collect()
        })
        .collect();
    json!({
        "numFilesAdded": added.len(),
        "numFilesRemoved": removed.len(),
        "filesAdded": summary(&added.iter().map(|add| add.size).collect::<Vec<_>>()),
        "filesRemoved": summary(&removed.iter().map(|file| file.add.size).collect::<Vec<_>>()),
        "partitionsOptimized": partitions.len(),
        "numBatches": batches,
        "totalConsideredFiles": considered,
        "totalFilesSkipped": considered - removed.len(),
    })
}

#[async_trait]
impl Command for OptimizeCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            ["path", "metrics"]
                .map(|name| Field::new(name, DataType::Utf8, false))
                .to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        for _ in 0..ATTEMPTS {
            let table = self.lake.open_table(&self.id).await?;
            check_writable(&table, &self.id.display())?;
            if let Some(metrics) = self.attempt(&table, &running).await? {
                let path = StringArray::from(vec![self.id.url.as_str()]);
                let metrics = StringArray::from(vec![metrics.to_string()]);
                return Ok(RecordBatch::try_new(
                    self.schema(),
                    vec![Arc::new(path), Arc::new(metrics)],
                )?);
            }
        }
        Err(Error::conflict(format!(
            "other writers changed the files of table {} while they were rewritten, {ATTEMPTS} times; nothing was changed: \
             run OPTIMIZE when the table is less busy, or with WHERE on partitions that are not written to",
            self.id.display()
        )))
    }
}
