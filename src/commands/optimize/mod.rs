//! `OPTIMIZE`: small files become large ones, or rows are sorted along several columns at once. Rows stay what they are.

mod bins;
mod curve;
mod report;
mod write;

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
use deltalake_core::kernel::Action;
use posixlake_sql::{Optimize, Privilege, Reorg};
use serde_json::json;

use super::rewrite::{Story, commit_unchanged_rows, discard, still_stand};
use super::show::did_you_mean;
use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::dml::logical_expression;
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot, check_writable};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::{Definition, live_files, partition_rows};
use bins::{Aim, Bin, Partition, bins};
use report::Report;
use write::{Rewritten, rewrite};

/// How often the files are chosen and written anew because others changed them.
const ATTEMPTS: u32 = 5;

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

    /// What the statement is after.
    fn aim(&self, definition: &Definition) -> Aim {
        match (self.purge, self.zorder.is_empty()) {
            (true, _) => Aim::Purge,
            (false, false) => Aim::Sort,
            (false, true) => Aim::Compact {
                keeps_deleted: definition.is_on("delta.enableDeletionVectors"),
            },
        }
    }

    fn story(&self, report: &Report) -> Story {
        let predicate: Vec<&String> = self.predicate.iter().collect();
        Story {
            operation: if self.purge { "REORG" } else { "OPTIMIZE" },
            parameters: BTreeMap::from([
                ("predicate".to_string(), json!(predicate).to_string()),
                ("zOrderBy".to_string(), json!(self.zorder).to_string()),
                ("auto".to_string(), "false".to_string()),
            ]),
            metrics: report.history(),
            statement: self.statement.clone(),
        }
    }

    /// One attempt, on the partitions that are left to do where `left` names them. It answers with the partitions whose
    /// files others changed meanwhile.
    async fn attempt(
        &self,
        table: &Snapshot,
        left: Option<&BTreeSet<Partition>>,
        report: &mut Report,
        running: &Running,
    ) -> Result<BTreeSet<Partition>> {
        let definition = Definition::of(table)?;
        let files = self.selected(&definition, live_files(table))?;
        if left.is_none() {
            report.considered = files.len();
        }
        let target = definition.target_file_size().map_or(u64::MAX, u64::from);
        let mut bins = bins(files, target, self.aim(&definition));
        bins.retain(|bin| left.is_none_or(|left| left.contains(&bin.partition)));
        if bins.is_empty() {
            return Ok(BTreeSet::new());
        }
        let made = rewrite(&self.lake, &self.id, table, &bins, &self.zorder, running).await?;
        self.commit(table, bins.into_iter().zip(made).collect(), report).await
    }

    /// Commits what was made of the bins whose files stand, and gives up the rest.
    async fn commit(
        &self,
        table: &Snapshot,
        mut made: Vec<(Bin, Rewritten)>,
        report: &mut Report,
    ) -> Result<BTreeSet<Partition>> {
        let mut lost = BTreeSet::new();
        while !made.is_empty() {
            let mut done = Report::default();
            let mut inputs: Vec<Arc<DataFile>> = Vec::new();
            let mut adds = Vec::new();
            for (bin, part) in &made {
                done.note(bin, &part.adds, part.batches);
                inputs.extend(bin.files.iter().cloned());
                adds.extend(part.adds.iter().cloned().map(Action::Add));
            }
            let removes = inputs.iter().map(|file| Action::Remove(file.remove(false)));
            let actions: Vec<Action> = removes.chain(adds).collect();
            let story = self.story(&done);
            let committed = commit_unchanged_rows(&self.lake, &self.id, table, &inputs, &actions, &story).await?;
            if committed.is_some() {
                report.absorb(done);
                break;
            }
            let now = self.lake.open_table(&self.id).await?;
            let lists: Vec<&[Arc<DataFile>]> = made.iter().map(|(bin, _)| bin.files.as_slice()).collect();
            let standing = still_stand(table, &now, &lists);
            // Where all stand and the commit was lost all the same, others are too busy for any of them.
            let none = standing.iter().all(|stands| *stands);
            let mut kept = Vec::new();
            for ((bin, part), stands) in made.into_iter().zip(standing) {
                if stands && !none {
                    kept.push((bin, part));
                } else {
                    discard(table, &part.adds).await;
                    lost.insert(bin.partition);
                }
            }
            made = kept;
        }
        Ok(lost)
    }
}

#[async_trait]
impl Command for OptimizeCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            ["path", "metrics"]
                .map(|name| Field::new(name, DataType::Utf8, false))
                .to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let mut report = Report::default();
        let mut left: Option<BTreeSet<Partition>> = None;
        for _ in 0..ATTEMPTS {
            let table = self.lake.open_table(&self.id).await?;
            check_writable(&table, &self.id.display())?;
            let lost = self.attempt(&table, left.as_ref(), &mut report, &running).await?;
            if lost.is_empty() {
                let path = StringArray::from(vec![self.id.url.as_str()]);
                let metrics = StringArray::from(vec![report.metrics().to_string()]);
                return Ok(RecordBatch::try_new(
                    self.schema(),
                    vec![Arc::new(path), Arc::new(metrics)],
                )?);
            }
            left = Some(lost);
        }
        Err(Error::conflict(format!(
            "other writers changed files of table {} while they were rewritten, {ATTEMPTS} times; these were left as they are: \
             run OPTIMIZE when the table is less busy, or with WHERE on partitions that are not written to",
            self.id.display()
        )))
    }
}
