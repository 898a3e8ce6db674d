//! `CREATE TABLE … AS query`: the definition and the rows in one commit.

use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use posixlake_sql::{CreateTable, Privilege};

use super::blueprint::Blueprint;
use super::target::NewName;
use crate::catalog::{Lake, reference};
use crate::dml::{InsertCommand, NewTable, Overwrite, count_batch, count_schema};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Planner, Running, SinkCommand, sink_plan};
use crate::table::types::column_of;
use crate::table::{Definition, to_arrow};

/// Plans `CREATE TABLE … AS query`.
///
/// # Errors
/// Where the table stands, the query's columns cannot be a table's, or columns are given beside the query.
pub(super) async fn plan(
    planner: &Planner,
    request: &CreateTable,
    target: NewName,
    standing: Option<Snapshot>,
    text: String,
) -> Result<LogicalPlan> {
    let Some(query) = &request.query else {
        return Err(Error::internal("CREATE TABLE AS without a query"));
    };
    if !request.columns.is_empty() {
        return Err(Error::invalid(
            "CREATE TABLE … AS takes its columns from the query; leave the column list out, and CAST in the query",
        ));
    }
    if standing.is_some() && !request.or_replace && !request.if_not_exists {
        return Err(Error::already_exists(format!(
            "table {} exists already",
            target.id.display()
        )));
    }
    let source = planner.query(query).await?;
    let columns = source
        .schema()
        .fields()
        .iter()
        .map(|field| column_of(field))
        .collect::<Result<Vec<_>>>()?;
    let blueprint = Blueprint::new(&target.id.name, request, columns)?;
    blueprint.actions(standing.as_ref().map(Definition::of).transpose()?.as_ref())?;
    let input = typed(source, &to_arrow(&blueprint.schema)?)?;
    let reference = reference(&target.id);
    let command = CreateAs {
        lake: planner.lake().clone(),
        replaced: standing.as_ref().map(Snapshot::version),
        target,
        blueprint,
        or_replace: request.or_replace,
        if_not_exists: request.if_not_exists,
        text,
    };
    sink_plan(reference, input, Arc::new(command))
}

/// The query's rows in the types that the table keeps.
fn typed(source: LogicalPlan, schema: &SchemaRef) -> Result<LogicalPlan> {
    let columns = source.schema().columns().into_iter().zip(schema.fields());
    let values = columns
        .map(|(column, field)| {
            let value = Expr::Column(column).cast_to(field.data_type(), source.schema().as_ref());
            Ok(value
                .map_err(|error| Error::schema(format!("column {}: {error}", field.name())))?
                .alias(field.name()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(source).project(values)?.build()?)
}

#[derive(Debug)]
struct CreateAs {
    lake: Arc<Lake>,
    target: NewName,
    /// The version that the query may have read of the table that is replaced.
    replaced: Option<u64>,
    blueprint: Blueprint,
    or_replace: bool,
    if_not_exists: bool,
    text: String,
}

#[async_trait]
impl SinkCommand for CreateAs {
    fn describe(&self) -> String {
        let how = if self.or_replace {
            "CREATE OR REPLACE TABLE"
        } else {
            "CREATE TABLE"
        };
        format!("{how} {}", self.target.id.display())
    }

    fn touches(&self) -> Vec<Touch> {
        let target = &self.target.id.url;
        let mut touches = vec![
            Touch::Table(target.clone(), Privilege::Modify),
            Touch::Table(target.clone(), Privilege::Insert),
        ];
        if self.or_replace {
            touches.push(Touch::Table(target.clone(), Privilege::Delete));
        }
        touches
    }

    fn schema(&self) -> SchemaRef {
        count_schema()
    }

    async fn run(&self, input: Arc<dyn ExecutionPlan>, running: Running) -> Result<RecordBatch> {
        let id = &self.target.id;
        let standing = self.lake.snapshots().latest(&id.url).await?;
        let current = standing.as_ref().map(Definition::of).transpose()?;
        let (metadata, protocol) = match (&current, self.or_replace) {
            (Some(_), false) if self.if_not_exists => return count_batch(0),
            (Some(_), false) => {
                return Err(Error::already_exists(format!("table {} exists already", id.display())));
            }
            (current, _) => self.blueprint.actions(current.as_ref())?,
        };
        if current.is_some() && standing.as_ref().map(Snapshot::version) != self.replaced {
            return Err(Error::conflict(format!(
                "table {} was changed after this statement was planned; nothing was changed: run the statement again",
                id.display()
            )));
        }
        let operation = if self.or_replace {
            "CREATE OR REPLACE TABLE AS SELECT"
        } else {
            "CREATE TABLE AS SELECT"
        };
        let new_table = NewTable {
            metadata,
            protocol,
            operation,
            replace: self.or_replace,
            if_not_exists: self.if_not_exists,
        };
        let insert = InsertCommand::new(
            self.lake.clone(),
            id.clone(),
            Overwrite::Nothing,
            Some(self.text.clone()),
        );
        let written = insert.creating(new_table).run(input, running).await;
        if written.is_err() && current.is_none() {
            remove_empty_folders(&id.url).await;
        }
        let count = written.map_err(|error| match error.kind() {
            ErrorKind::Conflict if current.is_none() => Error::already_exists(format!(
                "table {} exists already: another writer created it at this moment",
                id.display()
            ))
            .with_source(error),
            _ => error,
        })?;
        if current.is_none() {
            self.lake.snapshots().forget(&id.url);
        }
        if self.target.external {
            self.lake.add_external(id);
        }
        Ok(count)
    }
}

/// Takes away the folders that a failed statement made: an empty one would read as a schema. What holds a file stays.
async fn remove_empty_folders(url: &url::Url) {
    fn remove(folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path());
            }
        }
        // Fails where something is left in it, which is what is wanted.
        let _ = std::fs::remove_dir(folder);
    }
    if let ("file", Ok(folder)) = (url.scheme(), url.to_file_path()) {
        // Tidying up: the statement's own error is what matters.
        let _ = tokio::task::spawn_blocking(move || remove(&folder)).await;
    }
}
