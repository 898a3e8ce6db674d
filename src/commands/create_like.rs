//! `CREATE TABLE t LIKE s`: an empty table of the same shape, with the same partitioning, properties and rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::Utc;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::{Action, Metadata};
use posixlake_sql::{CreateTableLike, Privilege};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::create_table::first_commit;
use super::target::{NewName, nothing};
use crate::access::Touch;
use crate::catalog::Lake;
use crate::error::{Error, Result};
use crate::log::{Commit, Mode, check_writable};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;
use crate::table::evolution::edited;

/// Plans `CREATE TABLE … LIKE`.
///
/// # Errors
/// Where the model is not there or could not be written, or the new table stands already.
pub(super) async fn plan(planner: &Planner, request: &CreateTableLike, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let (source, table) = planner.table(&request.source).await?;
    check_writable(&table, &source.display())?;
    let target = NewName::resolve(lake, &request.name, request.location.as_deref())?;
    target.check_not_hiding(lake).await?;
    match lake.snapshots().latest(&target.id.url).await? {
        None => target.check_free(lake).await?,
        Some(_) if request.if_not_exists => {}
        Some(_) => {
            return Err(Error::already_exists(format!(
                "table {} exists already",
                target.id.display()
            )));
        }
    }
    let command = CreateLike {
        lake: lake.clone(),
        target,
        definition: Definition::of(&table)?,
        model: source.url.clone(),
        source: source.display(),
        if_not_exists: request.if_not_exists,
        text,
    };
    command_plan("create_table_like", Arc::new(command))
}

/// The metadata of another table of the same shape.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn of_another_table(metadata: &Metadata) -> Result<Metadata> {
    let identity = [
        ("id", json!(Uuid::new_v4().to_string())),
        ("name", json!(null)),
        ("createdTime", json!(Utc::now().timestamp_millis())),
    ];
    edited(metadata, identity)
}

#[derive(Debug)]
struct CreateLike {
    lake: Arc<Lake>,
    model: Url,
    target: NewName,
    definition: Definition,
    source: String,
    if_not_exists: bool,
    text: String,
}

#[async_trait]
impl Command for CreateLike {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![
            Touch::Table(self.model.clone(), Privilege::Select),
            Touch::Table(self.target.id.url.clone(), Privilege::Modify),
        ]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let parameters = BTreeMap::from([
            ("isManaged".to_string(), (!self.target.external).to_string()),
            (
                "partitionBy".to_string(),
                json!(self.definition.partition_columns()).to_string(),
            ),
            ("like".to_string(), self.source.clone()),
        ]);
        let first = Commit {
            operation: "CREATE TABLE",
            parameters,
            metrics: BTreeMap::new(),
            actions: vec![
                Action::Protocol(self.definition.protocol().clone()),
                Action::Metadata(of_another_table(self.definition.metadata())?),
            ],
            read_version: None,
            mode: Mode::Exclusive,
            statement: Some(self.text.clone()),
        };
        first_commit(&self.lake, &self.target.id, first, self.if_not_exists).await?;
        if self.target.external {
            self.lake.add_external(&self.target.id);
        }
        Ok(nothing())
    }
}
