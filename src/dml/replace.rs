//! `INSERT INTO … REPLACE WHERE`: the rows that a condition picks go, the query's come, and must meet the condition too.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use posixlake_sql::Insert;
use serde_json::json;

use super::change::{Answer, Story};
use super::delete::lower_where;
use super::lower::{self, Change, INSERTED, Lowered};
use crate::catalog::TableId;
use crate::error::Result;
use crate::plan::{Planner, lower_insert};

/// What is replaced by what.
#[derive(Debug, Clone)]
pub(super) struct Replace {
    pub(super) id: TableId,
    pub(super) condition: String,
    /// The statement whose query gives the new rows.
    pub(super) insert: Insert,
}

/// Plans a replacement of the rows that meet a condition by those of an `INSERT`.
///
/// # Errors
/// Where the table is not there, or the condition does not fit.
pub(crate) async fn plan_replace(
    planner: &Planner,
    id: TableId,
    insert: Insert,
    condition: String,
    text: String,
) -> Result<LogicalPlan> {
    let description = format!("INSERT into {}, replacing rows where {condition}", id.display());
    let story = Story {
        operation: "WRITE",
        parameters: BTreeMap::from([
            ("mode".to_string(), "Overwrite".to_string()),
            ("predicate".to_string(), json!([condition]).to_string()),
        ]),
        statement: text,
    };
    let change = Change::Replace(Replace {
        id: id.clone(),
        condition: condition.clone(),
        insert,
    });
    lower::plan(planner, id, change, story, Answer::Replaced { condition }, description).await
}

/// The rows that go, and those that come.
///
/// # Errors
/// As [`plan_replace`].
pub(super) async fn lower(planner: &Planner, replace: &Replace) -> Result<Lowered> {
    let lowered = lower_where(planner, &replace.id, &replace.condition).await?;
    let rows = lower_insert(planner, &replace.insert).await?.rows;
    let going = lowered.plan.schema().columns();
    let coming = rows.schema().clone();
    let null = |data_type| -> Result<Expr> { Ok(lit(ScalarValue::try_from(data_type)?)) };
    let mut old: Vec<Expr> = going.iter().cloned().map(Expr::Column).collect();
    for field in coming.fields() {
        old.push(null(field.data_type())?.alias(format!("__new_{}", field.name())));
    }
    let mut new = Vec::new();
    for (place, field) in lowered.plan.schema().fields().iter().enumerate() {
        let value = if place == super::collect::ACTION {
            lit(INSERTED)
        } else {
            null(field.data_type())?
        };
        new.push(value.alias(field.name()));
    }
    for (column, field) in coming.columns().into_iter().zip(coming.fields()) {
        new.push(Expr::Column(column).alias(format!("__new_{}", field.name())));
    }
    let old = LogicalPlanBuilder::from(lowered.plan).project(old)?;
    let new = LogicalPlanBuilder::from(rows).project(new)?.build()?;
    let plan = old.union(new)?.build()?;
    Ok(Lowered {
        target: lowered.target.noting(&plan)?,
        plan,
        evolution: None,
    })
}
