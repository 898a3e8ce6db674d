//! Tables and statements of a session as tables for a DataFusion of another build. Whatever it asks for is planned and run by
//! the session: its optimizer, its memory, its object stores, on the threads of this library.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session as HostSession, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Statistics};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use posixlake::Session;
use posixlake::sql::Parsed;
use pyo3::prelude::*;

use crate::insert::{InsertExec, Target};
use crate::lake_exec::LakeExec;
use crate::runtime::handle;
use crate::session::{reads, single};

/// Rows of a session.
pub(crate) struct View {
    session: Session,
    /// What it is called in a plan.
    name: String,
    plan: LogicalPlan,
    schema: SchemaRef,
    /// Whether the plan may be part of another one; a statement that acts stays whole.
    composes: bool,
    stands_for: StandsFor,
    /// The table that INSERT goes to.
    table: Option<Arc<dyn TableProvider>>,
    keep: Option<Arc<Py<PyAny>>>,
}

/// What a read of a view is, for who watches the session and for its audit trail.
#[derive(Clone)]
enum StandsFor {
    /// A statement, planned with this state.
    Statement(Box<SessionState>),
    /// A query of the table.
    Table,
    /// Rows of a statement that has run.
    Rows,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("name", &self.name).finish_non_exhaustive()
    }
}

impl View {
    /// A statement.
    ///
    /// # Errors
    /// As the session's.
    pub(crate) async fn query(session: Session, sql: &str) -> posixlake::Result<Self> {
        let parsed = single(sql)?;
        let composes = reads(&parsed.statement);
        let (state, plan) = session.begin(&parsed).await?;
        if let LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) = plan {
            return Err(posixlake::Error::unsupported(
                "a statement that changes the session has no rows; run it by ctx.sql of posixlake.connect(…)",
            ));
        }
        let plan = if composes { names_apart(plan)? } else { plan };
        Ok(Self {
            name: "posixlake".to_string(),
            schema: Arc::new(plan.schema().as_arrow().clone()),
            session,
            plan,
            composes,
            stands_for: StandsFor::Statement(Box::new(state)),
            table: None,
            keep: None,
        })
    }

    /// A table of the session.
    ///
    /// # Errors
    /// Where it cannot be planned.
    pub(crate) fn table(session: Session, name: &str, table: Arc<dyn TableProvider>) -> Result<Self> {
        let schema = table.schema();
        let plan = LogicalPlanBuilder::scan(
            datafusion::common::TableReference::bare(name.to_string()),
            provider_as_source(table.clone()),
            None,
        )?;
        Ok(Self {
            session,
            name: name.to_string(),
            plan: names_apart(plan.build()?)?,
            schema,
            composes: true,
            stands_for: StandsFor::Table,
            table: Some(table),
            keep: None,
        })
    }

    /// Rows of a statement that has run.
    ///
    /// # Errors
    /// As [`View::table`].
    pub(crate) fn rows(session: Session, rows: Arc<dyn TableProvider>) -> Result<Self> {
        let view = Self::table(session, "result", rows)?;
        Ok(Self {
            stands_for: StandsFor::Rows,
            ..view
        })
    }

    /// The same, which keeps an object of Python's alive.
    pub(crate) fn keeping(mut self, keep: Option<Py<PyAny>>) -> Self {
        self.keep = keep.map(Arc::new);
        self
    }

    fn copy(&self) -> Self {
        Self {
            session: self.session.clone(),
            name: self.name.clone(),
            plan: self.plan.clone(),
            schema: self.schema.clone(),
            composes: self.composes,
            stands_for: self.stands_for.clone(),
            table: self.table.clone(),
            keep: None,
        }
    }

    async fn physical(
        self,
        columns: Option<Vec<usize>>,
        filters: Vec<Expr>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = match self.stands_for {
            StandsFor::Statement(state) => *state,
            StandsFor::Table => self.session.state_of(&reading(&self.name)?, &self.plan)?,
            StandsFor::Rows => self.session.context().state(),
        };
        let acts = !self.composes;
        let fields = self.schema.fields().clone();
        let name = |place: usize| {
            let field = fields.get(place);
            field
                .map(|field| field.name().clone())
                .ok_or_else(|| DataFusionError::Internal(format!("there is no column {place}")))
        };
        let plan = if acts {
            state.create_physical_plan(&self.plan).await?
        } else {
            let mut plan = LogicalPlanBuilder::from(self.plan);
            if let Some(condition) = conjunction(filters.into_iter().map(bare).collect::<Result<Vec<_>>>()?) {
                plan = plan.filter(condition)?;
            }
            if let Some(columns) = &columns {
                let columns = columns
                    .iter()
                    .map(|place| Ok(Expr::Column(Column::new_unqualified(name(*place)?))));
                plan = plan.project(columns.collect::<Result<Vec<_>>>()?)?;
            }
            if limit.is_some() {
                plan = plan.limit(0, limit)?;
            }
            state.create_physical_plan(&plan.build()?).await?
        };
        let plan: Arc<dyn ExecutionPlan> = match columns {
            Some(columns) if acts => {
                let columns = columns.iter().map(|place| {
                    let name = name(*place)?;
                    let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(&name, *place));
                    Ok((column, name))
                });
                Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, plan)?)
            }
            _ => plan,
        };
        Ok(Arc::new(LakeExec::new(plan, state.task_ctx(), &self.name)))
    }
}

/// What was found of a table. That it is denied is noted as of a statement that reads it.
///
/// # Errors
/// As it was found.
pub(crate) async fn noted<T>(session: &Session, table: &str, found: Result<T>) -> Result<T> {
    match found {
        Ok(found) => Ok(found),
        Err(error) => {
            let error = posixlake::Error::from(error);
            session.refused(&reading(table)?, &error).await;
            Err(error.into())
        }
    }
}

/// What a read of a table is as a statement.
fn reading(table: &str) -> posixlake::Result<Parsed> {
    single(&format!("SELECT * FROM {}", posixlake::sql::quote_identifier(table)))
}

/// The condition on columns by their names alone.
fn bare(condition: Expr) -> Result<Expr> {
    let condition = condition.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(condition.data)
}

/// The plan with one name a column, and no table's name before it: a column of a name that was there gets its table's.
fn names_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut taken = HashSet::new();
    let columns = plan.schema().iter().map(|(table, field)| {
        let column = Column::new(table.cloned(), field.name());
        let mut name = field.name().clone();
        if taken.contains(&name) {
            name = column.flat_name();
        }
        let mut count = 1;
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("{}:{count}", field.name());
        }
        Expr::Column(column).alias(name)
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Runs work of the session on this library's threads: whoever asks for it has a runtime of its own, or none.
pub(crate) async fn here<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let task = handle()?.spawn(work);
    task.await
        .map_err(|error| DataFusionError::Execution(format!("a task of posixlake broke off: {error}")))?
}

#[async_trait]
impl TableProvider for View {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        self.table.as_ref().map_or(TableType::View, |table| table.table_type())
    }

    async fn scan(
        &self,
        _: &dyn HostSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        here(self.copy().physical(projection.cloned(), filters.to_vec(), limit)).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = if self.composes {
            TableProviderFilterPushDown::Exact
        } else {
            TableProviderFilterPushDown::Unsupported
        };
        Ok(vec![support; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.as_ref().and_then(|table| table.statistics())
    }

    async fn insert_into(
        &self,
        _: &dyn HostSession,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(table) = self.table.clone() else {
            return Err(posixlake::Error::unsupported("the rows of a statement take no INSERT").into());
        };
        let target = Target {
            session: self.session.clone(),
            name: self.name.clone(),
            table,
            op,
        };
        Ok(Arc::new(InsertExec::new(target, input)))
    }
}
