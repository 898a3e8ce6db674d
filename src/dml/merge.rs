//! `MERGE`.

use std::collections::{BTreeMap, HashMap};

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, TableFactor};
use posixlake_sql::{Merge, MergeAction, MergeClause, MergeKind, quote_identifier};
use serde_json::json;

use super::change::{Answer, Story};
use super::lower::{self, Change, DELETED, INSERTED, Lowered, Subject, UPDATED, action};
use super::names::{column_named, target_name};
use super::template::{Template, column, quoted};
use crate::error::{Error, Result};
use crate::plan::Planner;
use crate::table::{Definition, FILE, evolve};

/// The column that says that there is a source row.
const HERE: &str = "__here";

/// Plans `MERGE`.
///
/// # Errors
/// Where the table, the source or a column is not there, or an expression does not fit.
pub(crate) async fn plan(planner: &Planner, merge: &Merge, text: String) -> Result<LogicalPlan> {
    let (id, _) = planner.table(&merge.table).await?;
    let clauses: Vec<String> = merge.clauses.iter().map(describe).collect();
    let description = format!("MERGE into {} on {} [{}]", id.display(), merge.on, clauses.join(", "));
    let of_kind = |kind: MergeKind| {
        let clauses = merge.clauses.iter().filter(|clause| clause.kind == kind);
        let shown: Vec<_> = clauses
            .map(|clause| match &clause.predicate {
                Some(predicate) => {
                    json!({ "predicate": predicate.to_string(), "actionType": action_type(clause) })
                }
                None => json!({ "actionType": action_type(clause) }),
            })
            .collect();
        json!(shown).to_string()
    };
    let story = Story {
        operation: "MERGE",
        parameters: BTreeMap::from([
            ("predicate".to_string(), json!([merge.on.to_string()]).to_string()),
            ("matchedPredicates".to_string(), of_kind(MergeKind::Matched)),
            ("notMatchedPredicates".to_string(), of_kind(MergeKind::NotMatched)),
            (
                "notMatchedBySourcePredicates".to_string(),
                of_kind(MergeKind::NotMatchedBySource),
            ),
        ]),
        statement: text,
    };
    let change = Change::Merge(merge.clone());
    lower::plan(planner, id, change, story, Answer::Merge, description).await
}

/// Whether a target row may be matched more than once, since all that can become of it is that it goes.
pub(super) fn only_deletes(merge: &Merge) -> bool {
    let mut matched = merge.clauses.iter().filter(|clause| clause.kind == MergeKind::Matched);
    matched.all(|clause| clause.predicate.is_none() && clause.action == MergeAction::Delete)
}

fn action_type(clause: &MergeClause) -> &'static str {
    match clause.action {
        MergeAction::Update(_) | MergeAction::UpdateAll => "update",
        MergeAction::Insert { .. } | MergeAction::InsertAll => "insert",
        MergeAction::Delete => "delete",
    }
}

fn describe(clause: &MergeClause) -> String {
    let kind = match clause.kind {
        MergeKind::Matched => "matched",
        MergeKind::NotMatched => "not matched",
        MergeKind::NotMatchedBySource => "not matched by source",
    };
    match &clause.predicate {
        Some(predicate) => format!("{kind} and {predicate}: {}", action_type(clause)),
        None => format!("{kind}: {}", action_type(clause)),
    }
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

/// A clause in the words of the frame.
struct Clause {
    /// When it applies.
    condition: String,
    action: i32,
    /// The column's values; absent where the clause deletes.
    values: Option<HashMap<String, String>>,
}

/// The rows of both sides that a clause applies to, with what they become. Each side is read once.
///
/// # Errors
/// As [`plan`].
pub(super) async fn lower(planner: &Planner, merge: &Merge) -> Result<Lowered> {
    let mut subject = Subject::open(planner, &merge.table, merge.alias.as_ref()).await?;
    let source = Source {
        name: source_name(&merge.source)?,
        columns: {
            let rows = planner.relation(&merge.source).await?;
            rows.schema().as_arrow().clone()
        },
    };
    if source.name == subject.alias {
        return Err(Error::invalid(format!(
            "the target and the source are both called {}; give one an alias",
            source.name
        )));
    }
    let takes_all = |clause: &MergeClause| matches!(clause.action, MergeAction::UpdateAll | MergeAction::InsertAll);
    if merge.schema_evolution && merge.clauses.iter().any(takes_all) {
        subject.evolution = evolve(&subject.definition, &source.columns)?;
        if let Some((metadata, protocol)) = &subject.evolution {
            subject.next = Definition::new(metadata.clone(), protocol.clone())?;
        }
    }
    let has = |kind: MergeKind| merge.clauses.iter().any(|clause| clause.kind == kind);
    let (inserts, by_source) = (has(MergeKind::NotMatched), has(MergeKind::NotMatchedBySource));
    let mut template = Template::default();
    let mut clauses = Vec::new();
    for clause in &merge.clauses {
        let resolver = Resolver {
            subject: &subject,
            source: &source,
            evolution: merge.schema_evolution,
        };
        clauses.push(resolver.clause(&mut template, clause, inserts, by_source)?);
    }
    let (target, on) = (subject.rows(), template.expression(&merge.on));
    let relation = template.relation(&merge.source);
    let relation = if by_source {
        format!(
            "(SELECT *, TRUE AS {} FROM {relation}) AS {}",
            quoted(HERE),
            quote_identifier(&source.name)
        )
    } else {
        relation
    };
    let join = match (inserts, by_source) {
        (false, false) => format!("{relation} JOIN {target}"),
        (true, false) => format!("{relation} LEFT JOIN {target}"),
        (false, true) => format!("{target} LEFT JOIN {relation}"),
        (true, true) => format!("{relation} FULL JOIN {target}"),
    };
    let mut columns = subject.leading(&choice(&clauses, |clause| action(clause.action)));
    let every_row_comes = clauses.iter().all(|clause| clause.values.is_some());
    let mut given = Vec::new();
    for field in subject
        .next
        .fields()
        .filter(|field| !subject.is_generated(field.name()))
    {
        let value = |clause: &Clause| match &clause.values {
            Some(values) => values.get(field.name()).cloned().unwrap_or_else(|| "NULL".to_string()),
            None => "NULL".to_string(),
        };
        let mut known: Vec<String> = clauses
            .iter()
            .filter(|clause| clause.values.is_some())
            .map(value)
            .collect();
        known.dedup();
        let value = match known.as_slice() {
            [] => "NULL".to_string(),
            // Whatever clause applies, the value is the same; a row that goes needs none. Anything but a column may fail for it.
            [one] if every_row_comes || is_column(one) => one.clone(),
            _ => choice(&clauses, value),
        };
        columns.push(format!("{value} AS \"__new_{}\"", given.len()));
        given.push(field.name().clone());
    }
    let frame = format!(
        "SELECT * FROM (SELECT {} FROM {join} ON {on}) AS __change WHERE {} IS NOT NULL",
        columns.join(", "),
        quoted("__action")
    );
    subject.plan(planner, template, &frame, Some(&given)).await
}

/// Whether an expression is a column's name, in quotes or not.
fn is_column(expression: &str) -> bool {
    expression.split('.').all(|part| {
        let bare = part.strip_prefix('"').and_then(|part| part.strip_suffix('"')).unwrap_or(part);
        bare.starts_with(|sign: char| sign.is_alphabetic() || sign == '_') && bare.chars().all(|sign| sign.is_alphanumeric() || sign == '_')
    }) && !expression.eq_ignore_ascii_case("NULL")
}

/// What the first clause that applies has.
fn choice(clauses: &[Clause], part: impl Fn(&Clause) -> String) -> String {
    match clauses {
        [only] if only.condition == "TRUE" => part(only),
        _ => {
            let branches: Vec<String> = clauses
                .iter()
                .map(|clause| format!("WHEN {} THEN {}", clause.condition, part(clause)))
                .collect();
            format!("CASE {} END", branches.join(" "))
        }
    }
}

struct Source {
    name: String,
    columns: arrow::datatypes::Schema,
}

impl Source {
    fn column(&self, name: &str) -> Option<String> {
        let mut fields = self.columns.fields().iter();
        let found = fields.find(|field| field.name().eq_ignore_ascii_case(name))?;
        Some(column(&self.name, found.name()))
    }
}

struct Resolver<'a> {
    subject: &'a Subject,
    source: &'a Source,
    evolution: bool,
}

impl Resolver<'_> {
    fn clause(&self, template: &mut Template, clause: &MergeClause, inserts: bool, by_source: bool) -> Result<Clause> {
        let in_target = format!("{} IS NOT NULL", self.subject.column(FILE));
        let in_source = format!("{} IS NOT NULL", column(&self.source.name, HERE));
        let mut conditions = match clause.kind {
            MergeKind::Matched => [inserts.then_some(in_target), by_source.then_some(in_source)],
            MergeKind::NotMatched => [Some(format!("{} IS NULL", self.subject.column(FILE))), None],
            MergeKind::NotMatchedBySource => [Some(format!("{} IS NULL", column(&self.source.name, HERE))), None],
        }
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
        conditions.extend(
            clause
                .predicate
                .as_ref()
                .map(|predicate| template.expression(predicate)),
        );
        if conditions.is_empty() {
            conditions.push("TRUE".to_string());
        }
        let (action, values) = match &clause.action {
            MergeAction::Delete => (DELETED, None),
            MergeAction::Update(set) => {
                let assigned = self.subject.assigned(set)?;
                let assigned = assigned
                    .iter()
                    .map(|(name, value)| (name.clone(), template.expression(value)));
                (UPDATED, Some(self.updated(assigned.collect())))
            }
            MergeAction::UpdateAll => (UPDATED, Some(self.updated(self.all_columns("UPDATE SET *")?))),
            MergeAction::InsertAll => (INSERTED, Some(self.all_columns("INSERT *")?)),
            MergeAction::Insert { columns, values } => (INSERTED, Some(self.inserted(template, columns, values)?)),
        };
        Ok(Clause {
            condition: conditions.join(" AND "),
            action,
            values,
        })
    }

    /// Assigned columns, and the others as they are.
    fn updated(&self, mut values: HashMap<String, String>) -> HashMap<String, String> {
        for field in self.subject.definition.fields() {
            values
                .entry(field.name().clone())
                .or_insert_with(|| self.subject.column(field.name()));
        }
        values
    }

    /// Every column of the target with the source's of the same name; with schema evolution, the source's others too.
    fn all_columns(&self, what: &str) -> Result<HashMap<String, String>> {
        let mut all = HashMap::new();
        for field in self.subject.next.fields() {
            let name = field.name();
            match self.source.column(name) {
                Some(value) => {
                    all.insert(name.clone(), value);
                }
                None if self.evolution || self.subject.is_generated(name) => {}
                None => {
                    return Err(Error::schema(format!(
                        "{what}: the source has no column {name}; name the columns, or say WITH SCHEMA EVOLUTION"
                    )));
                }
            }
        }
        Ok(all)
    }

    fn inserted(
        &self,
        template: &mut Template,
        columns: &[Ident],
        values: &[SqlExpr],
    ) -> Result<HashMap<String, String>> {
        let definition = &self.subject.definition;
        let names: Vec<String> = if columns.is_empty() {
            definition.fields().map(|field| field.name().clone()).collect()
        } else {
            let named = columns.iter().map(|ident| column_named(definition, ident));
            named.collect::<Result<_>>()?
        };
        if names.len() != values.len() {
            return Err(Error::schema(format!(
                "INSERT names {} columns and gives {} values",
                names.len(),
                values.len()
            )));
        }
        let mut inserted = HashMap::new();
        for (name, value) in names.into_iter().zip(values) {
            self.subject.check_given(&name, value)?;
            let value = template.expression(&self.subject.exact(&name, value)?);
            if inserted.insert(name.clone(), value).is_some() {
                return Err(Error::invalid(format!("INSERT names column {name} twice")));
            }
        }
        Ok(inserted)
    }
}
