//! `DELETE` and `TRUNCATE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use deltalake_core::kernel::{Action, Transaction};
use posixlake_sql::{Delete, Privilege};
use serde_json::json;

use super::change::{Answer, Story};
use super::lower::{self, Change, DELETED, Lowered, Subject, action};
use super::retry::with_retries;
use super::template::Template;
use super::{count_batch, count_schema};
use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{Commit, Mode, Snapshot, check_writable, commit};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;

/// Plans `DELETE`.
///
/// # Errors
/// Where the table or a column is not there, or the condition does not fit.
pub(crate) async fn plan(planner: &Planner, delete: &Delete, text: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&delete.table).await?;
    let Some(condition) = &delete.selection else {
        if !delete.using.is_empty() {
            return Err(Error::invalid(
                "DELETE … USING needs a WHERE that pairs its rows with the target's",
            ));
        }
        return delete_all(planner, id, &table, text);
    };
    let description = format!("DELETE from {} where {condition}", id.display());
    let story = Story {
        operation: "DELETE",
        parameters: parameters(Some(&condition.to_string())),
        statement: text,
    };
    let change = Change::Delete(delete.clone());
    lower::plan(planner, id, change, story, Answer::Count, description).await
}

/// Plans `TRUNCATE TABLE`.
///
/// # Errors
/// Where the table is not there or cannot be written.
pub(crate) async fn plan_truncate(planner: &Planner, name: &ObjectName, text: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(name).await?;
    delete_all(planner, id, &table, text)
}

/// The rows that a `DELETE` is about. A row that several of `USING` pair with is one row.
///
/// # Errors
/// As [`plan`].
pub(super) async fn lower(planner: &Planner, delete: &Delete) -> Result<Lowered> {
    let subject = Subject::open(planner, &delete.table, delete.alias.as_ref()).await?;
    let mut template = Template::default();
    let condition = match &delete.selection {
        Some(condition) => template.expression(condition),
        None => "TRUE".to_string(),
    };
    let condition = match template.relations(&delete.using) {
        relations if relations.is_empty() => condition,
        relations => format!("EXISTS (SELECT 1 FROM {} WHERE {condition})", relations.join(", ")),
    };
    let frame = format!(
        "SELECT {} FROM {} WHERE {condition}",
        subject.leading(&action(DELETED)).join(", "),
        subject.rows()
    );
    subject.plan(planner, template, &frame, None).await
}

/// The rows that a condition picks, as a change that deletes them.
///
/// # Errors
/// As [`plan`].
pub(super) async fn lower_where(planner: &Planner, table: &TableId, condition: &str) -> Result<Lowered> {
    let delete = Delete {
        table: ObjectName::from(vec![
            Ident::with_quote('"', &table.schema),
            Ident::with_quote('"', &table.name),
        ]),
        alias: None,
        using: Vec::new(),
        selection: Some(posixlake_sql::parse_expression(condition)?),
    };
    lower(planner, &delete).await
}

fn parameters(condition: Option<&str>) -> BTreeMap<String, String> {
    let conditions: Vec<&str> = condition.into_iter().collect();
    BTreeMap::from([("predicate".to_string(), json!(conditions).to_string())])
}

fn delete_all(planner: &Planner, id: TableId, table: &Snapshot, statement: String) -> Result<LogicalPlan> {
    check_writable(table, &id.display())?;
    let command = DeleteAll {
        lake: planner.lake().clone(),
        id,
        statement,
    };
    command_plan("delete", Arc::new(command))
}

/// Takes all files away, without a look into them.
#[derive(Debug)]
struct DeleteAll {
    lake: Arc<Lake>,
    id: TableId,
    statement: String,
}

impl DeleteAll {
    async fn attempt(&self, table: Snapshot, transaction: Option<Transaction>) -> Result<(u64, Option<u64>)> {
        let files = table.files();
        if files.len() == 0 || transaction.as_ref().is_some_and(|transaction| table.has(transaction)) {
            return Ok((0, None));
        }
        if Definition::of(&table)?.is_on("delta.appendOnly") {
            return Err(Error::invalid(format!(
                "table {} is append-only (delta.appendOnly): its rows cannot be changed or deleted",
                self.id.display()
            )));
        }
        let rows = files.iter().map(|file| file.live_records()).sum::<Option<u64>>();
        let bytes: u64 = files.iter().map(|file| file.size()).sum();
        let counted = rows.map(|rows| ("numDeletedRows".to_string(), rows.to_string()));
        let metrics = [
            ("numRemovedFiles".to_string(), files.len().to_string()),
            ("numRemovedBytes".to_string(), bytes.to_string()),
            ("numAddedFiles".to_string(), "0".to_string()),
        ];
        let next = Commit {
            operation: "DELETE",
            parameters: parameters(None),
            metrics: metrics.into_iter().chain(counted).collect(),
            actions: files
                .iter()
                .map(|file| Action::Remove(file.remove(true)))
                .chain(transaction.map(Action::Txn))
                .collect(),
            read_version: Some(table.version()),
            mode: Mode::Exclusive,
            statement: Some(self.statement.clone()),
        };
        let version = commit(table.log_store().as_ref(), next).await?;
        Ok((rows.unwrap_or_default(), Some(version)))
    }
}

#[async_trait]
impl Command for DeleteAll {
    fn describe(&self) -> String {
        format!("DELETE from {}, all rows", self.id.display())
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Delete)]
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let count = with_retries(&self.lake, &self.id, |table| self.attempt(table, running.transaction())).await?;
        running.progress.rows.add(usize::try_from(count).unwrap_or(usize::MAX));
        count_batch(count)
    }
}
