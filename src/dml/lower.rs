//! From `DELETE`, `UPDATE` and `MERGE` to the plan whose rows are the change: each says where the row lies, what becomes of
//! it, how it was (where change data is kept), and how it becomes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident};
use deltalake_core::kernel::{Metadata, Protocol};
use posixlake_sql::{Assignment, Delete, Merge, MergeAction, Privilege, Update};

use super::change::{Again, Answer, ChangeCommand, Planned, Story};
use super::change_data::keeps_changes;
use super::collect;
use super::names::{column_named, target_name};
use super::replace::Replace;
use super::target::Target;
use super::template::{Template, column, quoted, target};
use super::{delete, merge, replace, update};
use crate::catalog::{TableId, reference};
use crate::error::{Error, Result};
use crate::log::check_writable;
use crate::plan::{Planner, exact_number, project, sink_plan};
use crate::table::{Definition, FILE, ROW};

/// A statement that changes rows.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Delete(Delete),
    Update(Update),
    Merge(Merge),
    Replace(Replace),
}

/// The plan of a change on one version of its table.
pub(super) struct Lowered {
    pub(super) plan: LogicalPlan,
    pub(super) target: Target,
    pub(super) evolution: Option<(Metadata, Protocol)>,
}

/// The table of a statement while its plan is made.
pub(super) struct Subject {
    pub(super) id: TableId,
    /// The name that the statement gives to the table's rows.
    pub(super) alias: String,
    pub(super) definition: Definition,
    pub(super) target: Target,
    /// The definition that the rows are written with.
    pub(super) next: Definition,
    pub(super) evolution: Option<(Metadata, Protocol)>,
}

impl Subject {
    /// # Errors
    /// Where the table is not there, or cannot be read or written.
    pub(super) async fn open(
        planner: &Planner,
        table: &datafusion::sql::sqlparser::ast::ObjectName,
        alias: Option<&Ident>,
    ) -> Result<Self> {
        let (id, snapshot) = planner.table(table).await?;
        check_writable(&snapshot, &id.display())?;
        let definition = Definition::of(&snapshot)?;
        Ok(Self {
            alias: target_name(alias, &id.name),
            target: Target::new(planner.lake(), &id, &snapshot)?,
            next: definition.clone(),
            evolution: None,
            definition,
            id,
        })
    }

    /// The relation of the rows, under the statement's name for them.
    pub(super) fn rows(&self) -> String {
        target(&self.alias)
    }

    pub(super) fn column(&self, name: &str) -> String {
        column(&self.alias, name)
    }

    /// The columns that every change begins with: where the row lies, what becomes of it, and how it was.
    pub(super) fn leading(&self, action: &str) -> Vec<String> {
        let mut columns = vec![
            self.column(FILE),
            self.column(ROW),
            format!("{action} AS {}", quoted("__action")),
        ];
        if keeps_changes(&self.next) {
            for (place, field) in self.next.fields().enumerate() {
                let known = self.definition.fields().any(|own| own.name() == field.name());
                let old = if known {
                    self.column(field.name())
                } else {
                    "NULL".to_string()
                };
                columns.push(format!("{old} AS {}", quoted(&format!("__old_{place}"))));
            }
        }
        columns
    }

    /// How many columns [`Subject::leading`] has.
    pub(super) fn beside(&self) -> usize {
        self.leading("").len()
    }

    /// The values that assignments set, by column.
    ///
    /// # Errors
    /// Where a column is not there, is assigned twice, is nested, or is generated.
    pub(super) fn assigned(&self, set: &[Assignment]) -> Result<HashMap<String, SqlExpr>> {
        let mut values = HashMap::new();
        for assignment in set {
            let name = self.assigned_column(&assignment.target)?;
            self.check_given(&name, &assignment.value)?;
            let value = self.exact(&name, &assignment.value)?;
            if values.insert(name.clone(), value).is_some() {
                return Err(Error::invalid(format!("column {name} is assigned twice")));
            }
        }
        Ok(values)
    }

    /// A value for a column: a number keeps the digits that it is written with.
    ///
    /// # Errors
    /// Where the schema has no Arrow form.
    pub(super) fn exact(&self, column: &str, value: &SqlExpr) -> Result<SqlExpr> {
        let schema = self.next.arrow_schema()?;
        let field = schema.field_with_name(column)?;
        Ok(exact_number(value, field.data_type()))
    }

    fn assigned_column(&self, path: &[Ident]) -> Result<String> {
        match path {
            [qualifier, column] if qualifier.value.eq_ignore_ascii_case(&self.alias) => {
                column_named(&self.definition, column)
            }
            [column] => column_named(&self.definition, column),
            _ => {
                let path: Vec<String> = path.iter().map(ToString::to_string).collect();
                Err(Error::unsupported(format!(
                    "SET {} = …: only whole columns of the target can be assigned; build the struct anew",
                    path.join(".")
                )))
            }
        }
    }

    /// # Errors
    /// Where a statement gives a value to a column that has its own, or asks for a default.
    pub(super) fn check_given(&self, column: &str, value: &SqlExpr) -> Result<()> {
        if self.is_generated(column) {
            return Err(Error::invalid(format!(
                "column {column} is generated: it follows from the others"
            )));
        }
        let is_default = matches!(value, SqlExpr::Identifier(ident)
            if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"));
        if is_default {
            return Err(Error::unsupported(format!(
                "{column} = DEFAULT: column defaults are not supported yet"
            )));
        }
        Ok(())
    }

    pub(super) fn is_generated(&self, column: &str) -> bool {
        self.next.generated().iter().any(|(name, _)| name == column)
    }

    /// The change's plan: the frame's rows in the table's types, generated columns computed. Behind the leading columns,
    /// the frame has a value for each of `given`.
    ///
    /// # Errors
    /// As [`Template::plan`].
    pub(super) async fn plan(
        self,
        planner: &Planner,
        template: Template,
        frame: &str,
        given: Option<&[String]>,
    ) -> Result<Lowered> {
        let rows = template.plan(planner, frame, self.target.provider()).await?;
        let target = self.target.clone().noting(&rows)?;
        let plan = match given {
            None => rows,
            Some(given) => {
                let beside = self.beside();
                let places = given
                    .iter()
                    .enumerate()
                    .map(|(place, name)| (name.clone(), place + beside));
                project(
                    planner,
                    &self.id,
                    &self.next,
                    rows,
                    places.collect(),
                    &BTreeMap::new(),
                    beside,
                )?
            }
        };
        Ok(Lowered {
            plan,
            target,
            evolution: self.evolution,
        })
    }
}

/// What becomes of a row, as a frame says it.
pub(super) fn action(action: i32) -> String {
    format!("CAST({action} AS INT)")
}

impl Change {
    async fn lower(&self, planner: &Planner) -> Result<Lowered> {
        match self {
            Self::Delete(delete) => delete::lower(planner, delete).await,
            Self::Update(update) => update::lower(planner, update).await,
            Self::Merge(merge) => merge::lower(planner, merge).await,
            Self::Replace(replace) => replace::lower(planner, replace).await,
        }
    }

    /// The rights to the table that it takes: whoever chooses rows by their values must be allowed to see these.
    fn needs(&self) -> Vec<Privilege> {
        match self {
            Self::Delete(_) => vec![Privilege::Select, Privilege::Delete],
            Self::Update(_) => vec![Privilege::Select, Privilege::Update],
            Self::Replace(_) => vec![Privilege::Select, Privilege::Insert, Privilege::Delete],
            Self::Merge(merge) => {
                let actions = merge.clauses.iter().map(|clause| match clause.action {
                    MergeAction::UpdateAll | MergeAction::Update(_) => Privilege::Update,
                    MergeAction::Delete => Privilege::Delete,
                    MergeAction::InsertAll | MergeAction::Insert { .. } => Privilege::Insert,
                });
                std::iter::once(Privilege::Select).chain(actions).collect()
            }
        }
    }
}

/// Plans a change.
///
/// # Errors
/// Where a table, column or relation is not there, or an expression does not fit.
pub(super) async fn plan(
    planner: &Planner,
    id: TableId,
    change: Change,
    story: Story,
    answer: Answer,
    description: String,
) -> Result<LogicalPlan> {
    let lowered = change.lower(planner).await?;
    let change = Arc::new(change);
    let again: Again = {
        let (planner, change) = (planner.clone(), change.clone());
        Arc::new(move |spilling| {
            let planner = if spilling { planner.spilling() } else { planner.clone() };
            let change = change.clone();
            Box::pin(async move {
                let lowered = change.lower(&planner).await?;
                Ok(Planned {
                    input: planner.state().create_physical_plan(&lowered.plan).await?,
                    target: lowered.target,
                    evolution: lowered.evolution,
                    task: spilling.then(|| planner.state().task_ctx()),
                })
            })
        })
    };
    let once = matches!(&*change, Change::Merge(merge) if merge::only_deletes(merge));
    let command = ChangeCommand {
        lake: planner.lake().clone(),
        id: id.clone(),
        target: lowered.target,
        evolution: lowered.evolution,
        needs: change.needs(),
        story,
        answer,
        once,
        again,
        description,
    };
    sink_plan(reference(&id), lowered.plan, Arc::new(command))
}

/// The action of each kind.
pub(super) const DELETED: i32 = collect::DELETE;
pub(super) const UPDATED: i32 = collect::UPDATE;
pub(super) const INSERTED: i32 = collect::INSERT;
