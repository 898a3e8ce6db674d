//! `CREATE TABLE` with columns, or with the location of a table that stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::{Action, DataType, StructType};
use posixlake_sql::{CreateTable, Privilege};
use serde_json::json;

use super::blueprint::{Blueprint, fields};
use super::create_as;
use super::target::{NewName, nothing};
use crate::catalog::{Lake, TableId};
use crate::dml::with_retries;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, check_writable, commit};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;

/// Plans `CREATE TABLE`.
///
/// # Errors
/// Where the table stands already and neither `IF NOT EXISTS` nor `OR REPLACE` is said, or the definition makes no sense.
pub(super) async fn plan(planner: &Planner, request: &CreateTable, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let target = NewName::resolve(lake, &request.name, request.location.as_deref())?;
    target.check_not_hiding(lake).await?;
    let standing = lake.snapshots().latest(&target.id.url).await?;
    match &standing {
        None => target.check_free(lake).await?,
        Some(table) if request.or_replace => check_writable(table, &target.id.display())?,
        Some(_) => {}
    }
    if request.query.is_some() {
        return create_as::plan(planner, request, target, standing, text).await;
    }
    let blueprint = match request.columns.as_slice() {
        [] => None,
        columns => Some(Blueprint::new(&target.id.name, request, fields(columns)?)?),
    };
    let creation = Creation {
        lake: lake.clone(),
        target,
        blueprint,
        or_replace: request.or_replace,
        if_not_exists: request.if_not_exists,
        text,
    };
    creation.check(standing.as_ref())?;
    command_plan("create_table", Arc::new(creation))
}

#[derive(Debug)]
struct Creation {
    lake: Arc<Lake>,
    target: NewName,
    /// None where the table stands at its location and only gets a name.
    blueprint: Option<Blueprint>,
    or_replace: bool,
    if_not_exists: bool,
    text: String,
}

impl Creation {
    /// Whether the table can be made beside what stands.
    fn check(&self, standing: Option<&Snapshot>) -> Result<()> {
        match (standing, &self.blueprint) {
            (None, None) => Err(Error::not_found(format!(
                "no Delta table at '{}'; give the columns of a new table, or a query for its rows",
                self.target.id.url
            ))),
            (None, Some(blueprint)) => blueprint.actions(None).map(|_| ()),
            (Some(_), None) => Ok(()),
            (Some(table), Some(blueprint)) if self.or_replace => {
                blueprint.actions(Some(&Definition::of(table)?)).map(|_| ())
            }
            (Some(_), Some(_)) if self.if_not_exists => Ok(()),
            (Some(table), Some(blueprint)) if self.target.external => {
                check_same(blueprint, &Definition::of(table)?, &self.target.id.url)
            }
            (Some(_), Some(_)) => Err(Error::already_exists(format!(
                "table {} exists already",
                self.target.id.display()
            ))),
        }
    }

    async fn create(&self, blueprint: &Blueprint) -> Result<()> {
        let (metadata, protocol) = blueprint.actions(None)?;
        let first = Commit {
            operation: if self.or_replace {
                "CREATE OR REPLACE TABLE"
            } else {
                "CREATE TABLE"
            },
            parameters: parameters(blueprint, !self.target.external),
            metrics: BTreeMap::new(),
            actions: vec![Action::Protocol(protocol), Action::Metadata(metadata)],
            read_version: None,
            mode: Mode::Exclusive,
            statement: Some(self.text.clone()),
        };
        first_commit(&self.lake, &self.target.id, first, self.if_not_exists)
            .await
            .map(|_| ())
    }

    async fn replace(&self, blueprint: &Blueprint) -> Result<()> {
        with_retries(&self.lake, &self.target.id, |table| async move {
            let (metadata, protocol) = blueprint.actions(Some(&Definition::of(&table)?))?;
            let mut actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
            actions.extend(all_removed(&table)?);
            let version = commit(
                table.log_store().as_ref(),
                Commit {
                    operation: "CREATE OR REPLACE TABLE",
                    parameters: parameters(blueprint, !self.target.external),
                    metrics: BTreeMap::new(),
                    actions,
                    read_version: Some(table.version()),
                    mode: Mode::Exclusive,
                    statement: Some(self.text.clone()),
                },
            )
            .await?;
            Ok(((), Some(version)))
        })
        .await
    }
}

/// Commits a table's first version; false where another writer created the table first and `lenient` allows for it.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] where another writer was first; else as [`commit`].
pub(super) async fn first_commit(lake: &Arc<Lake>, id: &TableId, first: Commit, lenient: bool) -> Result<bool> {
    let log_store = lake.stores().log_store(&id.url)?;
    match commit(log_store.as_ref(), first).await {
        Ok(version) => {
            lake.snapshots().forget(&id.url);
            lake.after_commit(id, version).await;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Conflict && lenient => Ok(false),
        Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::already_exists(format!(
            "table {} exists already: another writer created it at this moment",
            id.display()
        ))
        .with_source(error)),
        Err(error) => Err(error),
    }
}

/// The removal of every file of a table.
///
/// # Errors
/// Where the table is append-only.
pub(super) fn all_removed(table: &Snapshot) -> Result<Vec<Action>> {
    let removed: Vec<Action> = table
        .files()
        .iter()
        .map(|file| Action::Remove(file.remove(true)))
        .collect();
    if !removed.is_empty() && Definition::of(table)?.is_on("delta.appendOnly") {
        return Err(Error::invalid(
            "the table is append-only (delta.appendOnly): it cannot be replaced; set the property to false first",
        ));
    }
    Ok(removed)
}

/// What history shows of a new table.
pub(super) fn parameters(blueprint: &Blueprint, managed: bool) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::from([
        ("isManaged".to_string(), managed.to_string()),
        (
            "partitionBy".to_string(),
            json!(blueprint.partition_columns).to_string(),
        ),
        ("properties".to_string(), json!(blueprint.configuration).to_string()),
    ]);
    parameters.extend(
        blueprint
            .comment
            .clone()
            .map(|comment| ("description".to_string(), comment)),
    );
    parameters
}

/// A table at a location must be as the statement says it is.
fn check_same(blueprint: &Blueprint, definition: &Definition, url: &url::Url) -> Result<()> {
    let differs = |what: &str, stands: String, said: String| {
        Err(Error::schema(format!(
            "the table at '{url}' has other {what} than the statement says: {stands}, not {said}; leave them out to take \
             the table as it is"
        )))
    };
    if shape(definition.schema()) != shape(&blueprint.schema) {
        return differs("columns", shape(definition.schema()), shape(&blueprint.schema));
    }
    if definition.partition_columns() != blueprint.partition_columns {
        let list = |names: &[String]| format!("({})", names.join(", "));
        return differs(
            "partition columns",
            list(definition.partition_columns()),
            list(&blueprint.partition_columns),
        );
    }
    for (key, value) in &blueprint.configuration {
        if definition.property(key) != Some(value) {
            let stands = definition
                .property(key)
                .map_or_else(|| "none".to_string(), |value| format!("'{value}'"));
            return differs(&format!("values of {key}"), stands, format!("'{value}'"));
        }
    }
    Ok(())
}

/// The columns with their types and nullability, as SQL.
fn shape(schema: &StructType) -> String {
    let columns = schema.fields().map(|field| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        let data_type: &DataType = field.data_type();
        let name = posixlake_sql::quote_identifier(field.name());
        format!("{name} {}{not_null}", crate::table::types::type_sql(data_type))
    });
    format!("({})", columns.collect::<Vec<_>>().join(", "))
}

#[async_trait]
impl Command for Creation {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let id = &self.target.id;
        let mut touches = vec![Touch::Table(id.url.clone(), Privilege::Modify)];
        if self.or_replace {
            touches.push(Touch::Table(id.url.clone(), Privilege::Delete));
        }
        touches
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let standing = self.lake.snapshots().latest(&self.target.id.url).await?;
        self.check(standing.as_ref())?;
        match (&self.blueprint, standing) {
            (Some(blueprint), None) => self.create(blueprint).await?,
            (Some(blueprint), Some(_)) if self.or_replace => self.replace(blueprint).await?,
            _ => {}
        }
        if self.target.external {
            self.lake.add_external(&self.target.id);
        }
        Ok(nothing())
    }
}
