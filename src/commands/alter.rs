//! One way to change a table's definition: read, decide, check the rows that stand, commit; again where another writer was
//! first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::log::Snapshot;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake_core::kernel::{Action, Metadata, Protocol};

use crate::catalog::{Lake, TableId};
use crate::dml::logical_expression;
use crate::dml::with_retries;
use crate::error::{Error, Result};
use crate::log::{Commit, Mode, commit};
use crate::plan::Running;
use crate::table::{Definition, LakeTable};

/// The most columns of a row that a message shows.
const SHOWN_COLUMNS: usize = 6;

/// What a statement makes of a table's definition.
#[derive(Debug)]
pub(super) struct Altered {
    pub(super) metadata: Metadata,
    pub(super) protocol: Protocol,
    /// What history shows.
    pub(super) operation: &'static str,
    pub(super) parameters: BTreeMap<String, String>,
    /// What must hold for the rows that stand.
    pub(super) checks: Vec<RowCheck>,
}

/// Something that every row of a table must obey before a rule is made of it.
#[derive(Debug)]
pub(super) enum RowCheck {
    /// The column has a value.
    NotNull(String),
    /// The condition is true.
    Condition { name: String, text: String },
    /// No two rows have the same values in these columns.
    Unique(Vec<String>),
}

/// Commits what `change` makes of the latest definition; nothing is committed where it changes nothing. Where another writer
/// was first, everything is done again on the new state.
///
/// # Errors
/// The change's own; [`crate::ErrorKind::Constraint`] where a row breaks a check.
pub(super) async fn alter(
    lake: &Arc<Lake>,
    id: &TableId,
    statement: &str,
    running: &Running,
    change: impl Fn(&Definition) -> Result<Option<Altered>>,
) -> Result<()> {
    with_retries(lake, id, |table| {
        let change = &change;
        async move {
            let definition = Definition::of(&table)?;
            let Some(altered) = change(&definition)? else {
                return Ok(((), None));
            };
            for check in &altered.checks {
                check_rows(lake, id, &table, check, running).await?;
            }
            let mut actions = Vec::new();
            if altered.protocol != *definition.protocol() {
                actions.push(Action::Protocol(altered.protocol));
            }
            if altered.metadata != *definition.metadata() {
                actions.push(Action::Metadata(altered.metadata));
            }
            if actions.is_empty() {
                return Ok(((), None));
            }
            let next = Commit {
                operation: altered.operation,
                parameters: altered.parameters,
                metrics: BTreeMap::new(),
                actions,
                read_version: Some(table.version()),
                mode: Mode::Exclusive,
                statement: Some(statement.to_string()),
            };
            let version = commit(table.log_store().as_ref(), next).await?;
            Ok(((), Some(version)))
        }
    })
    .await
}

async fn check_rows(
    lake: &Arc<Lake>,
    id: &TableId,
    table: &Snapshot,
    check: &RowCheck,
    running: &Running,
) -> Result<()> {
    let provider = LakeTable::try_new(lake.clone(), id.clone(), table.clone(), true, false)?;
    let state = running.state();
    let rows = SessionContext::new_with_state(state.clone()).read_table(Arc::new(provider))?;
    let broken = match check {
        RowCheck::NotNull(column) => rows.filter(ident(column).is_null())?,
        RowCheck::Condition { text, .. } => {
            let condition = logical_expression(&state, text, rows.schema())?;
            rows.filter(Expr::IsNotTrue(Box::new(condition)))?
        }
        RowCheck::Unique(columns) => duplicates(rows, columns)?,
    };
    let found = broken.limit(0, Some(1))?.collect().await?;
    let Some(row) = found.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(());
    };
    let table = id.display();
    Err(Error::constraint(match check {
        RowCheck::NotNull(column) => {
            format!(
                "column {column} of table {table} cannot be NOT NULL: the row {} has none",
                show(row)
            )
        }
        RowCheck::Condition { name, text } => {
            format!(
                "the constraint {name} ({text}) does not hold for a row of table {table}: {}",
                show(row)
            )
        }
        RowCheck::Unique(_) => {
            format!(
                "the key of table {table} would not be unique: several rows have {}",
                show(row)
            )
        }
    }))
}

fn duplicates(rows: DataFrame, columns: &[String]) -> Result<DataFrame> {
    // A control sign, so that no column of the table is called so.
    const COUNT: &str = "\u{1}rows";
    let key: Vec<Expr> = columns.iter().map(ident).collect();
    let counted = rows.aggregate(key.clone(), vec![count(lit(1)).alias(COUNT)])?;
    Ok(counted.filter(ident(COUNT).gt(lit(1)))?.select(key)?)
}

fn show(row: &RecordBatch) -> String {
    let options = FormatOptions::default().with_null("NULL");
    let value = |column: &ArrayRef| match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter.value(0).to_string(),
        Err(_) => "…".to_string(),
    };
    let schema = row.schema();
    let columns = schema.fields().iter().zip(row.columns());
    let mut parts: Vec<String> = columns
        .take(SHOWN_COLUMNS)
        .map(|(field, column)| format!("{} = {}", field.name(), value(column)))
        .collect();
    if row.num_columns() > SHOWN_COLUMNS {
        parts.push("…".to_string());
    }
    format!("({})", parts.join(", "))
}
