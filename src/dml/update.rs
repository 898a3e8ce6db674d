//! `UPDATE`.

use std::collections::BTreeMap;

use datafusion::logical_expr::LogicalPlan;
use posixlake_sql::Update;

use super::change::{Answer, Story};
use super::lower::{self, Change, Lowered, Subject, UPDATED, action};
use super::template::Template;
use crate::error::{Error, Result};
use crate::plan::Planner;

/// Plans `UPDATE`.
///
/// # Errors
/// Where the table or a column is not there, or an expression does not fit.
pub(crate) async fn plan(planner: &Planner, update: &Update, text: String) -> Result<LogicalPlan> {
    let (id, _) = planner.table(&update.table).await?;
    if !update.from.is_empty() && update.selection.is_none() {
        return Err(Error::invalid(
            "UPDATE … FROM needs a WHERE that pairs its rows with the target's",
        ));
    }
    let set: Vec<String> = update
        .assignments
        .iter()
        .map(|assignment| {
            let path: Vec<String> = assignment.target.iter().map(ToString::to_string).collect();
            format!("{} = {}", path.join("."), assignment.value)
        })
        .collect();
    let condition = match &update.selection {
        Some(condition) => format!(" where {condition}"),
        None => ", all rows".to_string(),
    };
    let description = format!("UPDATE {} set {}{condition}", id.display(), set.join(", "));
    let predicate = update.selection.as_ref().map(ToString::to_string);
    let story = Story {
        operation: "UPDATE",
        parameters: predicate
            .map(|predicate| ("predicate".to_string(), predicate))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        statement: text,
    };
    let change = Change::Update(update.clone());
    lower::plan(planner, id, change, story, Answer::Count, description).await
}

/// The rows that an `UPDATE` is about, with what they become.
///
/// # Errors
/// As [`plan`].
pub(super) async fn lower(planner: &Planner, update: &Update) -> Result<Lowered> {
    let subject = Subject::open(planner, &update.table, update.alias.as_ref()).await?;
    let assigned = subject.assigned(&update.assignments)?;
    let mut template = Template::default();
    let mut columns = subject.leading(&action(UPDATED));
    let mut given = Vec::new();
    for field in subject.next.fields() {
        let name = field.name();
        if subject.is_generated(name) {
            continue;
        }
        let value = match assigned.get(name) {
            Some(value) => template.expression(value),
            None => subject.column(name),
        };
        columns.push(format!("{value} AS \"__new_{}\"", given.len()));
        given.push(name.clone());
    }
    let mut from = vec![subject.rows()];
    from.extend(template.relations(&update.from));
    let condition = match &update.selection {
        Some(condition) => format!(" WHERE {}", template.expression(condition)),
        None => String::new(),
    };
    let frame = format!("SELECT {} FROM {}{condition}", columns.join(", "), from.join(", "));
    subject.plan(planner, template, &frame, Some(&given)).await
}
