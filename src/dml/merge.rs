//! `MERGE`, and what is one in other words: `UPDATE … FROM` and `DELETE … USING`.

use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, TableFactor, TableWithJoins};
use deltalake_core::DeltaTable;
use deltalake_core::operations::merge::MergeBuilder;
use posixlake_sql::{Delete, Merge, MergeAction, MergeClause, MergeKind, Update};

use super::delta::{commit_properties, data_frame, materialize, session_state, with_retries};
use super::expression::{
    Assignments, Scope, assignments, column_named, joined, key_hint, qualified, target_name, with_generated,
};
use super::{count_batch, count_schema};
use crate::catalog::{Lake, TableId, reference};
use crate::error::{Error, Result};
use crate::log::check_writable;
use crate::plan::{Planner, Running, SinkCommand, sink_plan};
use crate::table::Definition;

/// Plans `MERGE`.
///
/// # Errors
/// Where the table, the source or a column is not there, or an expression cannot be taken.
pub(crate) async fn plan(planner: &Planner, merge: &Merge, text: String) -> Result<LogicalPlan> {
    planned(planner, merge, text, Answer::Merge).await
}

/// Plans `UPDATE … FROM`: each row of the target is updated by the one source row that the condition pairs it with.
///
/// # Errors
/// As [`plan`]; where `FROM` names more than one relation.
pub(crate) async fn plan_update_from(planner: &Planner, update: &Update, text: String) -> Result<LogicalPlan> {
    let clause = MergeClause {
        kind: MergeKind::Matched,
        predicate: None,
        action: MergeAction::Update(update.assignments.clone()),
    };
    let merge = Merge {
        schema_evolution: false,
        table: update.table.clone(),
        alias: update.alias.clone(),
        source: only_relation("UPDATE … FROM", &update.from)?,
        on: condition("UPDATE … FROM", update.selection.as_ref())?,
        clauses: vec![clause],
    };
    planned(planner, &merge, text, Answer::Count).await
}

/// Plans `DELETE … USING`.
///
/// # Errors
/// As [`plan_update_from`].
pub(crate) async fn plan_delete_using(planner: &Planner, delete: &Delete, text: String) -> Result<LogicalPlan> {
    let clause = MergeClause {
        kind: MergeKind::Matched,
        predicate: None,
        action: MergeAction::Delete,
    };
    let merge = Merge {
        schema_evolution: false,
        table: delete.table.clone(),
        alias: delete.alias.clone(),
        source: only_relation("DELETE … USING", &delete.using)?,
        on: condition("DELETE … USING", delete.selection.as_ref())?,
        clauses: vec![clause],
    };
    planned(planner, &merge, text, Answer::Count).await
}

fn only_relation(statement: &str, relations: &[TableWithJoins]) -> Result<TableFactor> {
    match relations {
        [TableWithJoins { relation, joins }] if joins.is_empty() => Ok(relation.clone()),
        _ => Err(Error::unsupported(format!(
            "{statement} takes one relation; join them in a subquery: FROM (SELECT … FROM a JOIN b ON …) AS s"
        ))),
    }
}

fn condition(statement: &str, selection: Option<&SqlExpr>) -> Result<SqlExpr> {
    selection.cloned().ok_or_else(|| {
        Error::invalid(format!(
            "{statement} needs a WHERE that pairs its rows with the target's"
        ))
    })
}

/// What a statement answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Merge,
    Count,
}

/// A clause whose expressions are resolved.
#[derive(Debug, Clone)]
struct Clause {
    kind: MergeKind,
    predicate: Option<Expr>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Update(Assignments),
    Insert(Assignments),
    Delete,
}

async fn planned(planner: &Planner, merge: &Merge, text: String, answer: Answer) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&merge.table).await?;
    check_writable(&table, &id.display())?;
    let definition = Definition::of(&table)?;
    let target = target_name(merge.alias.as_ref(), &id.name);
    let source_name = source_name(&merge.source)?;
    let source = planner.relation(&merge.source).await?;
    let source_schema = qualified(source.schema().as_arrow(), &source_name)?;
    let target_schema = qualified(definition.arrow_schema()?.as_ref(), &target)?;
    let both = joined(&target_schema, &source_schema)?;
    let scope = |schema: &DFSchema| Scope {
        planner,
        statement: "MERGE",
        schema: schema.clone(),
    };
    let on = scope(&both).resolve(&merge.on)?;
    let resolver = Resolver {
        definition: &definition,
        target: &target,
        source: &source_name,
        source_schema: &source_schema,
        evolution: merge.schema_evolution,
        planner,
    };
    let mut clauses = Vec::new();
    for clause in &merge.clauses {
        let scope = match clause.kind {
            MergeKind::Matched => scope(&both),
            MergeKind::NotMatched => scope(&source_schema),
            MergeKind::NotMatchedBySource => scope(&target_schema),
        };
        clauses.push(resolver.clause(&scope, clause)?);
    }
    let command = MergeCommand {
        lake: planner.lake().clone(),
        id: id.clone(),
        target,
        source: source_name,
        on,
        clauses,
        evolution: merge.schema_evolution,
        statement: text,
        answer,
    };
    sink_plan(reference(&id), source, Arc::new(command))
}

fn source_name(source: &TableFactor) -> Result<String> {
    let (alias, name) = match source {
        TableFactor::Table { alias, name, .. } => (alias, name.0.last().and_then(|part| part.as_ident())),
        TableFactor::Derived { alias, .. } => (alias, None),
        other => {
            return Err(Error::unsupported(format!(
                "'{other}' as a source; use a table or a subquery"
            )));
        }
    };
    match (alias, name) {
        (Some(alias), _) => Ok(target_name(Some(&alias.name), "")),
        (None, Some(name)) => Ok(target_name(Some(name), "")),
        (None, None) => Err(Error::invalid("the source is a subquery without a name; add AS s")),
    }
}

struct Resolver<'a> {
    planner: &'a Planner,
    definition: &'a Definition,
    target: &'a str,
    source: &'a str,
    source_schema: &'a DFSchema,
    evolution: bool,
}

impl Resolver<'_> {
    fn clause(&self, scope: &Scope<'_>, clause: &MergeClause) -> Result<Clause> {
        let predicate = clause
            .predicate
            .as_ref()
            .map(|predicate| scope.resolve(predicate))
            .transpose()?;
        let action = match &clause.action {
            MergeAction::Delete => Action::Delete,
            MergeAction::Update(set) => Action::Update(assignments(scope, self.definition, self.target, set)?),
            MergeAction::UpdateAll => {
                let all = self.all_columns("UPDATE SET *")?;
                Action::Update(with_generated(self.planner, self.definition, self.target, all)?)
            }
            MergeAction::InsertAll => Action::Insert(self.all_columns("INSERT *")?),
            MergeAction::Insert { columns, values } => Action::Insert(self.insert(scope, columns, values)?),
        };
        Ok(Clause {
            kind: clause.kind,
            predicate,
            action,
        })
    }

    /// Every column of the target with the source's of the same name; with schema evolution, the source's others too.
    fn all_columns(&self, what: &str) -> Result<Assignments> {
        let generated: Vec<String> = self.definition.generated().into_iter().map(|(name, _)| name).collect();
        let mut all = Assignments::new();
        let in_source = |name: &str| {
            let fields = self.source_schema.fields();
            fields
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(name))
                .map(|field| field.name().clone())
        };
        let from_source = |name: String| Expr::Column(Column::new(Some(self.source), name));
        for field in self.definition.fields() {
            match in_source(field.name()) {
                Some(name) => all.push((field.name().clone(), from_source(name))),
                None if self.evolution || generated.contains(field.name()) => {}
                None => {
                    return Err(Error::schema(format!(
                        "{what}: the source has no column {}; name the columns, or say WITH SCHEMA EVOLUTION",
                        field.name()
                    )));
                }
            }
        }
        if self.evolution {
            for field in self.source_schema.fields() {
                let known = self
                    .definition
                    .fields()
                    .any(|own| own.name().eq_ignore_ascii_case(field.name()));
                if !known {
                    all.push((field.name().clone(), from_source(field.name().clone())));
                }
            }
        }
        Ok(all)
    }

    fn insert(&self, scope: &Scope<'_>, columns: &[Ident], values: &[SqlExpr]) -> Result<Assignments> {
        let names: Vec<String> = if columns.is_empty() {
            self.definition.fields().map(|field| field.name().clone()).collect()
        } else {
            columns
                .iter()
                .map(|ident| column_named(self.definition, ident))
                .collect::<Result<_>>()?
        };
        if names.len() != values.len() {
            return Err(Error::schema(format!(
                "INSERT names {} columns and gives {} values",
                names.len(),
                values.len()
            )));
        }
        let mut resolved = Assignments::new();
        for (name, value) in names.into_iter().zip(values) {
            if resolved.iter().any(|(known, _)| *known == name) {
                return Err(Error::invalid(format!("INSERT names column {name} twice")));
            }
            resolved.push((name, scope.resolve(value)?));
        }
        Ok(resolved)
    }
}

#[derive(Debug)]
struct MergeCommand {
    lake: Arc<Lake>,
    id: TableId,
    target: String,
    source: String,
    on: Expr,
    clauses: Vec<Clause>,
    evolution: bool,
    statement: String,
    answer: Answer,
}

fn merge_schema() -> SchemaRef {
    let names = [
        "num_affected_rows",
        "num_updated_rows",
        "num_deleted_rows",
        "num_inserted_rows",
    ];
    Arc::new(Schema::new(
        names.map(|name| Field::new(name, DataType::UInt64, false)).to_vec(),
    ))
}

impl MergeCommand {
    fn builder(&self, mut builder: MergeBuilder) -> Result<MergeBuilder> {
        for clause in &self.clauses {
            let predicate = clause.predicate.clone();
            let column = |name: &String| Column::new(Some(self.target.as_str()), name);
            builder = match (&clause.action, clause.kind) {
                (Action::Update(set), kind) => {
                    let build = |mut update: deltalake_core::operations::merge::UpdateBuilder| {
                        if let Some(predicate) = predicate {
                            update = update.predicate(predicate);
                        }
                        set.iter().fold(update, |update, (name, value)| {
                            update.update(column(name), value.clone())
                        })
                    };
                    match kind {
                        MergeKind::Matched => builder.when_matched_update(build)?,
                        _ => builder.when_not_matched_by_source_update(build)?,
                    }
                }
                (Action::Insert(values), _) => builder.when_not_matched_insert(|mut insert| {
                    if let Some(predicate) = predicate {
                        insert = insert.predicate(predicate);
                    }
                    values
                        .iter()
                        .fold(insert, |insert, (name, value)| insert.set(column(name), value.clone()))
                })?,
                (Action::Delete, kind) => {
                    let build = |delete: deltalake_core::operations::merge::DeleteBuilder| match predicate {
                        Some(predicate) => delete.predicate(predicate),
                        None => delete,
                    };
                    match kind {
                        MergeKind::Matched => builder.when_matched_delete(build)?,
                        _ => builder.when_not_matched_by_source_delete(build)?,
                    }
                }
            };
        }
        Ok(builder)
    }
}

#[async_trait]
impl SinkCommand for MergeCommand {
    fn describe(&self) -> String {
        let clauses: Vec<String> = self
            .clauses
            .iter()
            .map(|clause| {
                let kind = match clause.kind {
                    MergeKind::Matched => "matched",
                    MergeKind::NotMatched => "not matched",
                    MergeKind::NotMatchedBySource => "not matched by source",
                };
                let action = match clause.action {
                    Action::Update(_) => "update",
                    Action::Insert(_) => "insert",
                    Action::Delete => "delete",
                };
                match &clause.predicate {
                    Some(predicate) => format!("{kind} and {predicate}: {action}"),
                    None => format!("{kind}: {action}"),
                }
            })
            .collect();
        format!(
            "MERGE into {} on {} [{}]",
            self.id.display(),
            self.on,
            clauses.join(", ")
        )
    }

    fn schema(&self) -> SchemaRef {
        match self.answer {
            Answer::Merge => merge_schema(),
            Answer::Count => count_schema(),
        }
    }

    async fn run(&self, input: Arc<dyn ExecutionPlan>, running: Running) -> Result<RecordBatch> {
        let state = session_state(&running);
        let source = Arc::new(materialize(input, &running).await?);
        let metrics = with_retries(&self.lake, &self.id, |table: DeltaTable| {
            let key = Definition::of(&table)
                .map(|definition| key_hint(&definition))
                .unwrap_or_default();
            let builder = data_frame(&state, source.clone()).and_then(|source| {
                self.builder(
                    table
                        .merge(source, self.on.clone())
                        .with_source_alias(&self.source)
                        .with_target_alias(&self.target)
                        .with_merge_schema(self.evolution)
                        .with_session_state(Arc::new(state.clone()))
                        .with_commit_properties(commit_properties(Some(&self.statement))),
                )
            });
            async move {
                let (table, metrics) = builder?.await.map_err(|error| explain(error.into(), &key))?;
                Ok((metrics, table))
            }
        })
        .await?;
        let (updated, deleted, inserted) = (
            metrics.num_target_rows_updated as u64,
            metrics.num_target_rows_deleted as u64,
            metrics.num_target_rows_inserted as u64,
        );
        let affected = updated + deleted + inserted;
        running
            .progress
            .rows
            .add(usize::try_from(affected).unwrap_or(usize::MAX));
        match self.answer {
            Answer::Count => count_batch(affected),
            Answer::Merge => {
                let columns =
                    [affected, updated, deleted, inserted].map(|count| Arc::new(UInt64Array::from(vec![count])) as _);
                Ok(RecordBatch::try_new(merge_schema(), columns.to_vec())?)
            }
        }
    }
}

/// Says in the statement's words what the builder found.
fn explain(error: Error, key: &str) -> Error {
    let message = error.message().to_lowercase();
    if message.contains("multiple source rows")
        || message.contains("matched multiple")
        || message.contains("ambiguous merge")
    {
        return Error::constraint(format!(
            "more than one source row matches a row of the target{key}: {}; make the source's key unique",
            error.message()
        ))
        .with_source(error);
    }
    error
}
