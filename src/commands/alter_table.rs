//! `ALTER TABLE`, and `COMMENT ON`: changes of a table's definition.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use posixlake_sql::{AlterOperation, AlterTable, CommentOn, Privilege};

use super::alter::{Altered, alter};
use super::target::nothing;
use super::{alter_columns, alter_properties, alter_rules, rename_table};
use crate::access::Touch;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::check_writable;
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::Definition;

/// Plans `ALTER TABLE`.
///
/// # Errors
/// Where the table is not there or cannot be written, or the change makes no sense or is not supported.
pub(super) async fn plan(planner: &Planner, request: &AlterTable, text: String) -> Result<LogicalPlan> {
    if let AlterOperation::RenameTo(new_name) = &request.operation {
        return rename_table::plan(planner, &request.name, new_name, text).await;
    }
    altering(planner, &request.name, Change::Alter(request.operation.clone()), text).await
}

/// Plans `COMMENT ON`.
///
/// # Errors
/// As [`plan`].
pub(super) async fn plan_comment(planner: &Planner, request: &CommentOn, text: String) -> Result<LogicalPlan> {
    let comment = request.comment.clone();
    let change = match &request.column {
        Some(column) => Change::ColumnComment {
            path: vec![column.clone()],
            comment,
        },
        None => Change::TableComment(comment),
    };
    altering(planner, &request.table, change, text).await
}

async fn altering(planner: &Planner, name: &ObjectName, change: Change, text: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(name).await?;
    check_writable(&table, &id.display())?;
    // What is wrong with the statement shows here already; the definition may be another one when it is run.
    change.apply(&Definition::of(&table)?)?;
    command_plan(
        "alter_table",
        Arc::new(Altering {
            lake: planner.lake().clone(),
            id,
            change,
            text,
        }),
    )
}

#[derive(Debug)]
enum Change {
    Alter(AlterOperation),
    TableComment(Option<String>),
    ColumnComment { path: Vec<Ident>, comment: Option<String> },
}

impl Change {
    fn apply(&self, definition: &Definition) -> Result<Option<Altered>> {
        let operation = match self {
            Change::Alter(operation) => operation,
            Change::TableComment(comment) => return alter_properties::set_comment(definition, comment.as_deref()),
            Change::ColumnComment { path, comment } => {
                return alter_columns::set_comment(definition, path, comment.as_deref());
            }
        };
        match operation {
            AlterOperation::AddColumns(columns) => alter_columns::add(definition, columns),
            AlterOperation::SetNotNull(path) => alter_columns::set_not_null(definition, path),
            AlterOperation::DropNotNull(path) => alter_columns::drop_not_null(definition, path),
            AlterOperation::SetColumnComment { column, comment } => {
                alter_columns::set_comment(definition, column, Some(comment))
            }
            AlterOperation::AddConstraint(check) => alter_rules::add_constraint(definition, check),
            AlterOperation::DropConstraint { name, if_exists } => {
                alter_rules::drop_constraint(definition, name, *if_exists)
            }
            AlterOperation::AddPrimaryKey(columns) => alter_rules::add_primary_key(definition, columns),
            AlterOperation::DropPrimaryKey => alter_rules::drop_primary_key(definition),
            AlterOperation::SetProperties(pairs) => alter_properties::set(definition, pairs),
            AlterOperation::UnsetProperties { keys, if_exists } => {
                alter_properties::unset(definition, keys, *if_exists)
            }
            AlterOperation::DropColumns(_) => Err(not_yet(
                "DROP COLUMN",
                "make the table anew with CREATE OR REPLACE TABLE t AS SELECT … the columns that stay",
            )),
            AlterOperation::RenameColumn { .. } => Err(not_yet(
                "RENAME COLUMN",
                "make the table anew with CREATE OR REPLACE TABLE t AS SELECT a AS b, …",
            )),
            AlterOperation::SetType { .. } => Err(not_yet(
                "ALTER COLUMN … TYPE",
                "make the table anew with CREATE OR REPLACE TABLE t AS SELECT CAST(c AS T) AS c, …",
            )),
            AlterOperation::SetDefault { .. } | AlterOperation::DropDefault(_) => {
                Err(not_yet("a column default", "give the value in INSERT"))
            }
            AlterOperation::ClusterBy(_) => Err(not_yet(
                "CLUSTER BY (liquid clustering)",
                "use OPTIMIZE t ZORDER BY (…)",
            )),
            AlterOperation::DropFeature { feature, .. } => Err(not_yet(
                &format!("DROP FEATURE {feature}"),
                "ALTER TABLE t SET TBLPROPERTIES can turn the feature's property off",
            )),
            AlterOperation::RenameTo(_) => Err(Error::internal("RENAME TO changes no definition")),
        }
    }
}

fn not_yet(what: &str, instead: &str) -> Error {
    Error::unsupported(format!("{what} is not supported yet; {instead}"))
}

#[derive(Debug)]
struct Altering {
    lake: Arc<Lake>,
    id: TableId,
    change: Change,
    text: String,
}

#[async_trait]
impl Command for Altering {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        alter(&self.lake, &self.id, &self.text, &running, |definition| {
            self.change.apply(definition)
        })
        .await?;
        Ok(nothing())
    }
}
