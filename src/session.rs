//! The one entry: text to statement, statement to plan, plan to rows.

use std::collections::HashMap;

use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use posixlake_sql::Parsed;

use crate::error::{Error, Result};

/// What a session is opened with.
#[derive(Debug, Clone, Default)]
pub struct SessionBuilder {
    location: Option<String>,
    options: HashMap<String, String>,
    memory_limit: Option<usize>,
}

impl SessionBuilder {
    /// The lake: a folder, or a URL such as `s3://bucket/prefix`. Without one, the session has no tables of its own.
    #[must_use]
    pub fn lake(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Settings of stores (`aws_region`, `azure_storage_account_name`, …), which win over the environment's.
    #[must_use]
    pub fn options(mut self, options: HashMap<String, String>) -> Self {
        self.options = options;
        self
    }

    /// The bytes that sorts, joins and aggregates may hold before they spill to disk.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Where the location is not one that can be read.
    pub async fn build(self) -> Result<Session> {
        Ok(Session { context: SessionContext::new() })
    }
}

/// A session on a lake. Clones share everything.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
}

impl Session {
    /// A builder with defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// The DataFusion context below: catalogs, functions, settings.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The statement's plan. Planning changes nothing, whatever the statement.
    ///
    /// # Errors
    /// A missing table or column, an unsupported clause, a wrong type.
    pub async fn plan(&self, statement: &Parsed) -> Result<LogicalPlan> {
        Err(Error::unsupported(format!("cannot plan {}", statement.text)))
    }

    /// The statement as a lazy DataFrame: effects happen when its rows are asked for.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub async fn execute(&self, statement: &Parsed) -> Result<DataFrame> {
        let plan = self.plan(statement).await?;
        Ok(self.context.execute_logical_plan(plan).await?)
    }

    /// Parses one statement and returns it as a lazy DataFrame.
    ///
    /// # Errors
    /// As [`Session::plan`], and where the text does not hold exactly one statement.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let mut statements = posixlake_sql::parse(sql)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.execute(&statement).await,
            (None, _) => Err(Error::invalid("no statement in the text")),
            (Some(_), false) => Err(Error::invalid("more than one statement in the text; run them one by one")),
        }
    }
}
