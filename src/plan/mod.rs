//! Statement to logical plan. Planning reads; it never writes.

mod assign;
mod command;
mod constant;
mod insert;
mod insert_source;
mod prepared;
mod relations;
mod zeros;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::format::ExplainFormat;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{ExplainOption, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, Query, Statement as SqlStatement, TableFactor};
use futures::future::BoxFuture;
use posixlake_sql::{AsOf, Explain, Parsed, Privilege, Statement};

use crate::access::Touch;
use crate::catalog::{CATALOG, Lake, Point, TableId};
use crate::commands;
use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::session::GivenTables;
use crate::table::rows;

pub(crate) use command::{
    Command, Progress, Running, SinkCommand, SinkExec, command_plan, command_table, sink_plan, touches_of,
};
pub(crate) use insert::{lower as lower_insert, project};
pub(crate) use insert_source::exact_number;
pub(crate) use prepared::PreparedStatements;
pub(crate) use relations::Relations;
pub(crate) use zeros::ZerosOfLists;
#[cfg(test)]
pub(crate) use zeros::with_both_zeros;

/// Plans the statements of one session as of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    state: SessionState,
    lake: Arc<Lake>,
    prepared: Arc<PreparedStatements>,
    given: Arc<GivenTables>,
}

impl Planner {
    pub(crate) fn new(state: SessionState, lake: Arc<Lake>, prepared: Arc<PreparedStatements>) -> Self {
        Self {
            state,
            lake,
            prepared,
            given: Arc::default(),
        }
    }

    /// The same planner, whose statements read these tables by name before the lake's.
    pub(crate) fn with_given(mut self, given: Arc<GivenTables>) -> Self {
        self.given = given;
        self
    }

    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    pub(crate) fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    pub(crate) fn prepared(&self) -> &Arc<PreparedStatements> {
        &self.prepared
    }

    /// The plan of a statement.
    ///
    /// # Errors
    /// A missing table, column or version; an unsupported clause; types that do not fit.
    pub(crate) async fn plan(&self, parsed: &Parsed) -> Result<LogicalPlan> {
        self.lake.access().refresh().await;
        self.statement(&parsed.statement).await
    }

    /// Every plan of a statement comes from here, and leaves checked against the rights of the session's user.
    async fn statement(&self, statement: &Statement) -> Result<LogicalPlan> {
        let plan = self.unchecked(statement).await?;
        self.lake.access().check_plan(&plan)?;
        Ok(plan)
    }

    async fn unchecked(&self, statement: &Statement) -> Result<LogicalPlan> {
        match statement {
            Statement::Native(native) => self.native(native.as_ref()).await,
            Statement::Explain(explain) => self.explain(explain).await,
            Statement::Insert(insert) => insert::plan(self, insert, statement.to_string()).await,
            other => commands::plan(self, other).await,
        }
    }

    /// A query of DataFusion's, with time travel and file functions resolved.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub(crate) async fn query(&self, query: &Query) -> Result<LogicalPlan> {
        let statement = SqlStatement::Query(Box::new(query.clone()));
        self.native(&NativeStatement::Statement(Box::new(statement))).await
    }

    /// A relation of a `FROM` clause, all its columns.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub(crate) async fn relation(&self, relation: &TableFactor) -> Result<LogicalPlan> {
        let mut parsed = posixlake_sql::parse(&format!("SELECT * FROM {relation}"))?;
        match parsed.pop().map(|parsed| parsed.statement) {
            Some(Statement::Native(native)) => self.native(native.as_ref()).await,
            _ => Err(Error::invalid(format!("'{relation}' is not a relation"))),
        }
    }

    /// A query in which the table `name` stands for these rows.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub(crate) async fn query_over(
        &self,
        query: &NativeStatement,
        name: &str,
        rows: Arc<dyn TableProvider>,
    ) -> Result<LogicalPlan> {
        let relations = Relations::resolve(self, query).await?.with(name, rows);
        self.with_relations(query.clone(), relations).await
    }

    /// The same planner, whose joins sort and spill where others would hold one side in memory. What each sort keeps for its
    /// merge, and the batches, of which a merge holds two of each run, are as small as the memory pool asks for; smaller
    /// ones cost time, since a sort in memory looks at each of its batches for every one that it gives.
    pub(crate) fn spilling(&self) -> Self {
        let mut planner = self.clone();
        let pool = match self.state.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            _ => usize::MAX,
        };
        let options = planner.state.config_mut().options_mut();
        options.optimizer.prefer_hash_join = false;
        options.optimizer.repartition_joins = true;
        // DataFusion joins by hash wherever there is one partition.
        options.execution.target_partitions = options.execution.target_partitions.max(2);
        let reserved = options.execution.sort_spill_reservation_bytes;
        options.execution.sort_spill_reservation_bytes = reserved.min((pool / 64).max(1 << 20));
        let rows = options.execution.batch_size.get();
        if let Ok(rows) = ConfigNonZeroUsize::try_new(rows.min((pool >> 15).max(1024))) {
            options.execution.batch_size = rows;
        }
        planner
    }

    async fn with_relations(&self, statement: NativeStatement, relations: Relations) -> Result<LogicalPlan> {
        let mut state = self.state.clone();
        state.register_relation_planner(Arc::new(relations))?;
        let planned = state.statement_to_plan(statement).await;
        let plan = planned.map_err(|error| self.with_near_names(error.into()))?;
        // Plans that a command makes while it runs are checked here.
        self.lake.access().check_plan(&plan)?;
        Ok(plan)
    }

    /// Boxed, since statements hold others (EXPLAIN, EXECUTE) and changes of rows are planned again while they run.
    fn native<'a>(&'a self, statement: &'a NativeStatement) -> BoxFuture<'a, Result<LogicalPlan>> {
        Box::pin(async move {
            if let NativeStatement::Statement(sql) = statement {
                match sql.as_ref() {
                    SqlStatement::Execute { .. } => {
                        let bound = self.prepared.bind(sql)?;
                        return self.statement(&bound).await;
                    }
                    SqlStatement::Deallocate { name, .. } => return commands::deallocate(self, &name.value),
                    _ => {
                        if let Some(plan) = commands::plan_native(self, sql).await? {
                            return Ok(plan);
                        }
                    }
                }
            }
            let mut statement = statement.clone();
            relations::complete_from_first(&mut statement);
            let relations = Relations::resolve(self, &statement).await?;
            self.with_relations(statement, relations).await
        })
    }

    /// Says which table was probably meant, where DataFusion only says that there is none.
    fn with_near_names(&self, error: Error) -> Error {
        let missing = error
            .message()
            .strip_prefix("table '")
            .and_then(|rest| rest.strip_suffix("' not found"));
        let mut parts = missing.unwrap_or_default().splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(CATALOG), Some(schema), Some(name)) => match self.lake.locate(schema, name) {
                Ok(url) => self.lake.missing(&TableId {
                    schema: schema.to_string(),
                    name: name.to_string(),
                    url,
                }),
                Err(error) => error,
            },
            _ => error,
        }
    }

    async fn explain(&self, explain: &Explain) -> Result<LogicalPlan> {
        let plan = Box::pin(self.statement(&explain.statement)).await?;
        if matches!(plan, LogicalPlan::Statement(_) | LogicalPlan::Ddl(_)) {
            return explain_session_change(&plan, explain.analyze);
        }
        let format = match &explain.format {
            Some(format) => format.to_lowercase().parse::<ExplainFormat>()?,
            // The tree has no room for metrics.
            None if explain.analyze => ExplainFormat::Indent,
            None => self.state.config().options().explain.format.clone(),
        };
        if explain.analyze && explain.format.is_some() && explain.verbose {
            return Err(Error::unsupported(
                "EXPLAIN ANALYZE VERBOSE has one format; leave FORMAT out",
            ));
        }
        let options = ExplainOption::default()
            .with_analyze(explain.analyze)
            .with_verbose(explain.verbose)
            .with_format(format);
        Ok(LogicalPlanBuilder::from(plan).explain_option_format(options)?.build()?)
    }

    /// The table that a statement is about, in its latest state.
    ///
    /// # Errors
    /// Where there is none, or where the name is a view's.
    pub(crate) async fn table(&self, name: &ObjectName) -> Result<(TableId, Snapshot)> {
        let id = self.lake.resolve(name)?;
        if self.lake.registered(&id.schema, &id.name).is_some() {
            return Err(Error::invalid(format!(
                "{} is a view or a registered table, not a table of the lake",
                id.display()
            )));
        }
        let table = self.lake.open_table(&id).await?;
        Ok((id, table))
    }

    /// The table that a statement shows something of.
    ///
    /// # Errors
    /// As [`Planner::table`]; where its rows may not be seen.
    pub(crate) async fn shown_table(&self, name: &ObjectName) -> Result<(TableId, Snapshot)> {
        let found = self.table(name).await?;
        self.check_read(&found.0)?;
        Ok(found)
    }

    /// Whether the rows of a table may be read.
    ///
    /// # Errors
    /// Where they may not.
    pub(crate) fn check_read(&self, id: &TableId) -> Result<()> {
        self.lake
            .access()
            .check(&[Touch::Table(id.url.clone(), Privilege::Select)])
    }

    /// The value of an expression without columns.
    ///
    /// # Errors
    /// Where it has columns, parameters or subqueries.
    pub(crate) fn constant(&self, expr: &SqlExpr) -> Result<ScalarValue> {
        constant::evaluate(&self.state, expr)
    }

    /// The point that an `AS OF` names.
    ///
    /// # Errors
    /// Where its expression is not a constant time.
    pub(crate) fn point(&self, as_of: &AsOf) -> Result<Point> {
        match as_of {
            AsOf::Version(version) => Ok(Point::Version(*version)),
            AsOf::Timestamp(expr) => Ok(Point::Timestamp(constant::evaluate_time(&self.state, expr)?)),
        }
    }
}

/// What EXPLAIN shows of `SET`, `CREATE VIEW` and their like, which only change the session: DataFusion has no physical
/// plan for them.
fn explain_session_change(plan: &LogicalPlan, analyze: bool) -> Result<LogicalPlan> {
    let text = plan.display_indent().to_string();
    if analyze {
        return Err(Error::unsupported(format!(
            "EXPLAIN ANALYZE runs what it explains, and nothing is to be measured in {text}; leave ANALYZE out"
        )));
    }
    let row = ["logical_plan".to_string(), text].map(Some);
    let batch = commands::text_rows(["plan_type", "plan"], &[row])?;
    commands::read("explain", rows(batch)?, None)
}
