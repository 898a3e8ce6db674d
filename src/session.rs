//! The one entry: text to statement, statement to plan, plan to rows.

mod memory;
mod monitoring;
mod tables;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use deltalake_core::kernel::Transaction;
use posixlake_sql::Parsed;

use crate::access::{Access, AuditPlanner, Credentials, Door, Proof, Ticket, touched};
use crate::catalog::{CATALOG, DEFAULT_SCHEMA, Lake, LakeCatalog};
use crate::error::{Error, Result};
pub(crate) use crate::log::Author;
use crate::monitor::{MonitorPlanner, Watched};
use crate::plan::{Planner, PreparedStatements, Relations, ZerosOfLists};
use crate::store::{Stores, folder_url};
use crate::table::ScanCodec;
pub(crate) use memory::BalancedPool;
use memory::{ExchangesPass, merge_fan_in};
pub(crate) use tables::TableVersion;

/// What a session is opened with.
#[derive(Clone, Default)]
pub struct SessionBuilder {
    location: Option<String>,
    options: HashMap<String, String>,
    memory_limit: Option<usize>,
    config: Option<SessionConfig>,
    runtime: Option<RuntimeEnvBuilder>,
    credentials: Option<Credentials>,
    door: Door,
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

    /// DataFusion's settings to start from; the catalog's names and the information schema are posixlake's.
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// The runtime's parts to start from (memory pool, disk manager); the object stores are posixlake's.
    #[must_use]
    pub fn runtime(mut self, runtime: RuntimeEnvBuilder) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Who opens the session, for a lake that has users.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials {
            user: name.into(),
            proof: Proof::Password(password.into()),
        });
        self
    }

    /// Who opens the session, where somebody vouches for them.
    #[must_use]
    pub(crate) fn credentials(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// By which way statements come in, as the audit trail calls it.
    #[must_use]
    pub fn door(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Where the location is not one that can be read, or a setting is unknown;
    /// [`ErrorKind::Permission`](crate::ErrorKind::Permission) where the lake has users and lets this one not in.
    pub async fn build(self) -> Result<Session> {
        let stores = Arc::new(Stores::new(self.options)?);
        check_folder(self.location.as_deref())?;
        let lake = open(self.location.as_deref(), &stores, self.credentials, self.door).await?;
        lake.monitor().set_door(self.door.name());
        let registry = lake.stores().clone();
        let mut runtime = self.runtime.unwrap_or_default().with_object_store_registry(registry);
        if let Some(bytes) = self.memory_limit {
            runtime = runtime.with_memory_pool(Arc::new(BalancedPool::new(bytes)));
        }
        runtime.memory_pool = runtime.memory_pool.map(|pool| Arc::new(ExchangesPass(pool)) as _);
        let runtime = runtime.build_arc()?;
        if let MemoryLimit::Finite(bytes) = runtime.memory_pool.memory_limit() {
            runtime.disk_manager.set_max_spill_merge_fan_in(merge_fan_in(bytes));
        }
        let mut config = self
            .config
            .unwrap_or_default()
            .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true);
        if config.options().extensions.get::<LakeOptions>().is_none() {
            config.options_mut().extensions.insert(LakeOptions::default());
        }
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(AuditPlanner::new(Arc::new(MonitorPlanner))))
            .build();
        Session::on(SessionContext::new_with_state(state), lake)
    }
}

async fn open(
    location: Option<&str>,
    stores: &Arc<Stores>,
    credentials: Option<Credentials>,
    door: Door,
) -> Result<Arc<Lake>> {
    let root = location.map(|location| folder_url(location, None)).transpose()?;
    let access = Access::open(root.as_ref(), stores, credentials, door).await?;
    Ok(Arc::new(Lake::new(root, stores.clone(), access)))
}

/// Looks whether a local lake is a folder, or nothing yet.
///
/// # Errors
/// Where it is a file.
fn check_folder(location: Option<&str>) -> Result<()> {
    let Some(location) = location else { return Ok(()) };
    match crate::store::folder_url(location, None)?.to_file_path() {
        // Without its last slash, behind which the system finds nothing where a file is.
        Ok(path) if path.components().collect::<PathBuf>().is_file() => Err(Error::invalid(format!(
            "the lake '{location}' is a file; a lake is a folder of tables. A file is queried as FROM 'path', or \
             imported by CREATE TABLE t AS SELECT * FROM 'path'"
        ))),
        _ => Ok(()),
    }
}

/// A session on a lake. Clones share everything.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    lake: Arc<Lake>,
    prepared: Arc<PreparedStatements>,
    /// For whom a front door speaks, as the audit trail shows it.
    client: Option<Arc<str>>,
    given: Arc<GivenTables>,
}

/// Tables that a caller gave to a session's statements, by name.
pub(crate) type GivenTables = HashMap<String, Arc<dyn TableProvider>>;

impl Session {
    /// A builder with defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// Puts the lake and its functions into a context.
    fn on(context: SessionContext, lake: Arc<Lake>) -> Result<Self> {
        lake.set_state(context.state_weak_ref());
        let scans = lake.scans().clone();
        context.state_ref().write().config_mut().set_extension(scans);
        context.register_catalog(CATALOG, Arc::new(LakeCatalog::new(lake.clone())));
        context.add_optimizer_rule(Arc::new(ZerosOfLists));
        posixlake_udfs::register(&context);
        crate::table::register_functions(&context, &lake);
        // Whoever plans without a session's planner, in a dialect that parses AS OF, must not get the latest rows for it.
        context.register_relation_planner(Arc::new(Relations::default()))?;
        Ok(Self {
            context,
            lake,
            prepared: Arc::default(),
            client: None,
            given: Arc::default(),
        })
    }

    /// The same session, whose statements read these tables by name beside the lake's, and before those of the same name.
    #[must_use]
    pub fn with_tables(&self, tables: HashMap<String, Arc<dyn TableProvider>>) -> Self {
        Self {
            given: Arc::new(tables),
            ..self.clone()
        }
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
        Planner::new(self.context.state(), self.lake.clone(), self.prepared.clone())
            .with_given(self.given.clone())
            .plan(statement)
            .await
    }

    /// The statement as a lazy DataFrame: effects happen when its rows are asked for.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub async fn execute(&self, statement: &Parsed) -> Result<DataFrame> {
        let (state, plan) = self.begin(statement).await?;
        if !matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) {
            return Ok(DataFrame::new(state, plan));
        }
        let ticket = state.config().get_extension::<Ticket>();
        let watched = state.config().get_extension::<Watched>();
        drop(state);
        match self.context.execute_logical_plan(plan).await {
            Ok(frame) => {
                if let Some(ticket) = ticket {
                    ticket.done();
                }
                let (mut state, plan) = frame.into_parts();
                if let Some(watched) = watched {
                    state.config_mut().set_extension(watched);
                }
                Ok(DataFrame::new(state, plan))
            }
            Err(error) => {
                let error = Error::from(error);
                refused(ticket.as_deref(), &error).await;
                Err(error)
            }
        }
    }

    /// The statement's plan, and a state to run it with: what is planned with it is counted, can be cancelled, and stands in
    /// the audit trail as the statement, once for each time that it runs.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub async fn begin(&self, statement: &Parsed) -> Result<(SessionState, LogicalPlan)> {
        // Planning is part of the time that the trail shows.
        let ticket = self.ticket(statement);
        match self.plan(statement).await {
            Ok(plan) => Ok((self.state_with(ticket, statement, &plan)?, plan)),
            Err(error) => {
                refused(ticket.as_ref(), &error).await;
                Err(error)
            }
        }
    }

    /// Notes in the audit trail that a statement came to its end before it had a plan.
    pub async fn refused(&self, statement: &Parsed, error: &Error) {
        refused(self.ticket(statement).as_ref(), error).await;
    }

    /// A state to run a plan with, as the statement.
    ///
    /// # Errors
    /// Where the plan holds a command that does not say what it touches.
    pub fn state_of(&self, statement: &Parsed, plan: &LogicalPlan) -> Result<SessionState> {
        self.state_with(self.ticket(statement), statement, plan)
    }

    fn state_with(&self, ticket: Option<Ticket>, statement: &Parsed, plan: &LogicalPlan) -> Result<SessionState> {
        let mut state = self.context.state();
        if let Some(mut ticket) = ticket {
            ticket.touching(&self.lake, &touched(plan)?);
            state.config_mut().set_extension(Arc::new(ticket));
        }
        if self.lake.monitor().is_on() {
            let watched = Watched::new(self.lake.monitor().clone(), statement);
            state.config_mut().set_extension(Arc::new(watched));
        }
        Ok(state)
    }

    /// What the audit trail is to have of a statement; none where nobody asked for one.
    fn ticket(&self, statement: &Parsed) -> Option<Ticket> {
        let access = self.lake.access();
        let audit = access.audit();
        let state = self.context.state_ref();
        let state = state.read();
        let options = state.config_options().extensions.get::<LakeOptions>();
        let wanted = access.is_on() || options.is_some_and(|options| options.audit);
        if !wanted || !audit.has_home() {
            return None;
        }
        audit.keep(options.map_or(0, |options| options.audit_retention));
        Some(Ticket::new(
            audit,
            (access.user(), self.client.as_deref()),
            &statement.statement,
            &statement.text,
        ))
    }

    /// The user that the session is for, in a lake that has users.
    pub fn user(&self) -> Option<String> {
        self.lake.access().user()
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
            (Some(_), false) => Err(Error::invalid(
                "more than one statement in the text; run them one by one",
            )),
        }
    }

    /// Encodes physical plans that read the lake's tables (by `datafusion_proto`), and decodes those of other sessions of the
    /// same lake. A plan that changes something, and one whose rows say where they lie, stays where it was made.
    pub fn codec(&self) -> Arc<dyn PhysicalExtensionCodec> {
        Arc::new(ScanCodec::new(self.lake.clone()))
    }

    /// Waits for work behind the session's statements (checkpoints, log clean-up). A session that is dropped without it
    /// leaves such work to the next one.
    pub async fn close(&self) {
        self.lake.background().finish().await;
        self.lake.access().audit().close().await;
    }
}

/// Puts the lake at `location` into a context that stands: as catalog `lake`, with its functions. Statements of
/// posixlake's own run through the session that is returned; plain queries and INSERT also through the context.
///
/// # Errors
/// As [`SessionBuilder::build`]; a lake that has users takes [`install_as`].
pub async fn install(context: &SessionContext, location: &str, options: HashMap<String, String>) -> Result<Session> {
    install_for(context, location, options, None).await
}

/// As [`install`], for a lake that has users.
///
/// # Errors
/// As [`SessionBuilder::build`].
pub async fn install_as(
    context: &SessionContext,
    location: &str,
    options: HashMap<String, String>,
    user: &str,
    password: &str,
) -> Result<Session> {
    let credentials = Credentials {
        user: user.to_string(),
        proof: Proof::Password(password.to_string()),
    };
    install_for(context, location, options, Some(credentials)).await
}

async fn refused(ticket: Option<&Ticket>, error: &Error) {
    if let Some(ticket) = ticket {
        ticket.refused(error).await;
    }
}

async fn install_for(
    context: &SessionContext,
    location: &str,
    options: HashMap<String, String>,
    credentials: Option<Credentials>,
) -> Result<Session> {
    let stores = Arc::new(Stores::new(options)?);
    let lake = open(Some(location), &stores, credentials, Door::Library).await?;
    {
        let state = context.state_ref();
        let mut state = state.write();
        let planner = Arc::new(AuditPlanner::new(state.query_planner().clone()));
        *state = SessionStateBuilder::new_from_existing(state.clone())
            .with_query_planner(planner)
            .build();
        let config = state.config_mut();
        if config.options().extensions.get::<LakeOptions>().is_none() {
            config.options_mut().extensions.insert(LakeOptions::default());
        }
        config.options_mut().catalog.default_catalog = CATALOG.to_string();
        config.options_mut().catalog.default_schema = DEFAULT_SCHEMA.to_string();
        config.options_mut().catalog.information_schema = true;
    }
    Session::on(context.clone(), lake)
}

/// The settings `posixlake.…` of a session.
#[derive(Debug, Clone)]
struct LakeOptions {
    partition_overwrite_mode: String,
    retention_check: bool,
    txn_app_id: Option<String>,
    txn_version: Option<i64>,
    audit: bool,
    /// Days; 0 for ever.
    audit_retention: i64,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self {
            partition_overwrite_mode: "static".to_string(),
            retention_check: true,
            txn_app_id: None,
            txn_version: None,
            audit: false,
            audit_retention: 0,
        }
    }
}

impl ConfigExtension for LakeOptions {
    const PREFIX: &'static str = "posixlake";
}

impl ExtensionOptions for LakeOptions {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> datafusion::error::Result<()> {
        let refuse = |expected: &str| {
            Err(Error::invalid(format!("posixlake.{key} takes {expected}; '{value}' was given")).into())
        };
        match (key, value.to_ascii_lowercase().as_str()) {
            ("partition_overwrite_mode", mode @ ("static" | "dynamic")) => {
                self.partition_overwrite_mode = mode.to_string();
                Ok(())
            }
            ("partition_overwrite_mode", _) => refuse("static or dynamic"),
            ("vacuum_retention_check", "true") => {
                self.retention_check = true;
                Ok(())
            }
            ("vacuum_retention_check", "false") => {
                self.retention_check = false;
                Ok(())
            }
            ("vacuum_retention_check", _) => refuse("true or false"),
            ("audit", on @ ("true" | "false")) => {
                self.audit = on == "true";
                Ok(())
            }
            ("audit", _) => refuse("true or false"),
            ("audit_retention", value) => match value.trim_end_matches("days").trim_end_matches("day").trim().parse() {
                Ok(days @ 0..) => {
                    self.audit_retention = days;
                    Ok(())
                }
                _ => refuse("a number of days, such as '90 days', or 0 for ever"),
            },
            ("txn_app_id", _) => {
                self.txn_app_id = Some(value.to_string()).filter(|id| !id.is_empty());
                Ok(())
            }
            ("txn_version", "") => {
                self.txn_version = None;
                Ok(())
            }
            ("txn_version", number) => match number.parse() {
                Ok(version) => {
                    self.txn_version = Some(version);
                    Ok(())
                }
                Err(_) => refuse("a whole number"),
            },
            _ => Err(Error::not_found(format!(
                "no setting posixlake.{key}; there are posixlake.audit, posixlake.audit_retention, \
                 posixlake.partition_overwrite_mode, \
                 posixlake.txn_app_id, posixlake.txn_version and posixlake.vacuum_retention_check"
            ))
            .into()),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![
            ConfigEntry {
                key: "posixlake.partition_overwrite_mode".to_string(),
                value: Some(self.partition_overwrite_mode.clone()),
                description: "what INSERT OVERWRITE of a partitioned table replaces: the whole table (static), or the \
                              partitions that the new rows fall into (dynamic)",
            },
            ConfigEntry {
                key: "posixlake.vacuum_retention_check".to_string(),
                value: Some(self.retention_check.to_string()),
                description: "whether VACUUM refuses a retention below the table's",
            },
            ConfigEntry {
                key: "posixlake.audit".to_string(),
                value: Some(self.audit.to_string()),
                description: "whether statements are written down in system.audit, in a lake without users; in one with users \
                              they always are",
            },
            ConfigEntry {
                key: "posixlake.audit_retention".to_string(),
                value: Some(format!("{} days", self.audit_retention)),
                description: "how long rows of system.audit are kept; older ones are removed when this session writes to it; 0 \
                              keeps them for ever",
            },
            ConfigEntry {
                key: "posixlake.txn_app_id".to_string(),
                value: self.txn_app_id.clone(),
                description: "with txn_version: the application whose transaction the next changes are; a change whose version \
                              (or a later one) the table has already is skipped, so it can be said again without harm",
            },
            ConfigEntry {
                key: "posixlake.txn_version".to_string(),
                value: self.txn_version.map(|version| version.to_string()),
                description: "the transaction's number, which grows from one to the next",
            },
        ]
    }
}

/// Whether `INSERT OVERWRITE` replaces only the partitions that the new rows fall into.
pub(crate) fn overwrites_partitions(options: &ConfigOptions) -> bool {
    options
        .extensions
        .get::<LakeOptions>()
        .is_some_and(|options| options.partition_overwrite_mode == "dynamic")
}

/// The application transaction that the session's changes are part of.
pub(crate) fn transaction(options: &ConfigOptions) -> Option<Transaction> {
    let options = options.extensions.get::<LakeOptions>()?;
    let now = chrono::Utc::now().timestamp_millis();
    Some(Transaction::new_with_last_update(
        options.txn_app_id.as_ref()?,
        options.txn_version?,
        Some(now),
    ))
}

/// Whether `VACUUM` refuses a retention below the table's.
pub(crate) fn checks_retention(options: &ConfigOptions) -> bool {
    options
        .extensions
        .get::<LakeOptions>()
        .is_none_or(|options| options.retention_check)
}
