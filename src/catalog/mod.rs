//! The lake: folders of Delta tables as schemas and tables, read when named.

mod cache;
mod names;
mod providers;
mod session_views;
mod system;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, Weak};

use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::RwLock;
use url::Url;

pub(crate) use names::{Point, TableName, View, check_new_name};
pub(crate) use providers::LakeCatalog;
pub(crate) use system::SYSTEM_SCHEMA;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::log::{self, Background, Snapshot, history};
use crate::monitor::Monitor;
use crate::store::{Stores, folder_url, path_of};
use crate::table::ScanLog;
pub(crate) use cache::SnapshotCache;

/// The catalog that the lake is registered as.
pub(crate) const CATALOG: &str = "lake";
/// The schema of the tables right in the lake's folder.
pub(crate) const DEFAULT_SCHEMA: &str = "default";
/// The schema whose table names are locations.
pub(crate) const LOCATION_SCHEMA: &str = "delta";
/// The folder of posixlake's own tables, which no schema shows.
const OWN_SCHEMA: &str = "_posixlake";
/// The one table of a lake whose location is a table.
pub(crate) const ONLY_TABLE: &str = "data";

/// A folder of tables, and what a session knows about it.
#[derive(Debug)]
pub(crate) struct Lake {
    access: Arc<Access>,
    root: Option<Url>,
    single: bool,
    stores: Arc<Stores>,
    snapshots: SnapshotCache,
    /// Tables elsewhere that this session gave a name, by schema and name.
    external: RwLock<HashMap<(String, String), Url>>,
    /// Views and tables that were registered in this session, by schema and name.
    registered: RwLock<HashMap<(String, String), Arc<dyn TableProvider>>>,
    state: OnceLock<StateSource>,
    background: Background,
    scans: Arc<ScanLog>,
    monitor: Arc<Monitor>,
}

/// Where the session's state comes from. It is a closure because whoever holds a lake across an await must be shown to be
/// `Send`, and the compiler would look through every type of an SQL expression for it, seconds each time.
struct StateSource(Box<dyn Fn() -> Option<SessionState> + Send + Sync>);

impl std::fmt::Debug for StateSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateSource")
    }
}

/// A table that a statement names: what it is called and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableId {
    /// The schema.
    pub(crate) schema: String,
    /// The name, without suffixes.
    pub(crate) name: String,
    /// The folder.
    pub(crate) url: Url,
}

impl TableId {
    /// The name as a user would write it.
    pub(crate) fn display(&self) -> String {
        let quote = posixlake_sql::quote_identifier;
        match self.schema.as_str() {
            DEFAULT_SCHEMA => quote(&self.name),
            schema => format!("{}.{}", quote(schema), quote(&self.name)),
        }
    }
}

impl Lake {
    /// The lake in this folder, behind the rights of a session's user.
    pub(crate) fn new(root: Option<Url>, stores: Arc<Stores>, access: Arc<Access>) -> Self {
        let single = access.home().is_some_and(|home| home.single);
        let stores = Arc::new(stores.guarded(access.clone()));
        Self {
            access,
            root,
            single,
            snapshots: SnapshotCache::new(stores.clone()),
            stores,
            external: RwLock::default(),
            registered: RwLock::default(),
            state: OnceLock::new(),
            background: Background::default(),
            scans: Arc::default(),
            monitor: Arc::default(),
        }
    }

    /// Who the session is for, and what that allows.
    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// The stores of the session.
    pub(crate) fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// Snapshots of tables by location.
    pub(crate) fn snapshots(&self) -> &SnapshotCache {
        &self.snapshots
    }

    /// The work behind the session's statements.
    pub(crate) fn background(&self) -> &Background {
        &self.background
    }

    /// The last scans of the session.
    pub(crate) fn scans(&self) -> &Arc<ScanLog> {
        &self.scans
    }

    /// What the program around the session has put beside the tables that each session has of itself.
    fn system_tables(&self) -> BTreeMap<String, Arc<dyn TableProvider>> {
        let registered = self.registered.read();
        let own = registered.iter().filter(|((schema, _), _)| schema == SYSTEM_SCHEMA);
        own.map(|((_, name), table)| (name.clone(), table.clone())).collect()
    }

    /// What the session's statements do and have done.
    pub(crate) fn monitor(&self) -> &Arc<Monitor> {
        &self.monitor
    }

    /// Takes note of a version that a statement of this session committed. What it starts is not the statement's affair,
    /// and neither is its failure.
    pub(crate) async fn after_commit(&self, id: &TableId, version: u64) {
        self.monitor.committed();
        tracing::info!(table = %id.url, version, "committed");
        if let Ok(Some(table)) = self.snapshots.latest(&id.url).await {
            self.background.after_commit(&table, version);
        }
    }

    /// The lake's folder.
    pub(crate) fn root(&self) -> Option<&Url> {
        self.root.as_ref()
    }

    pub(crate) fn set_state(&self, state: Weak<RwLock<SessionState>>) {
        // A lake belongs to one session, which sets this once.
        let source = move || state.upgrade().map(|state| state.read().clone());
        let _ = self.state.set(StateSource(Box::new(source)));
    }

    /// The session's state as it is at this moment.
    ///
    /// # Errors
    /// Where the session is gone.
    pub(crate) fn session_state(&self) -> Result<SessionState> {
        let state = self.state.get().and_then(|source| (source.0)());
        state.ok_or_else(|| Error::new(crate::ErrorKind::Closed, "the session of this lake is closed"))
    }

    /// Where a table of this name lies, whether it exists or not.
    ///
    /// # Errors
    /// Where there is no lake, or the name does not fit into it.
    pub(crate) fn locate(&self, schema: &str, name: &str) -> Result<Url> {
        if schema == LOCATION_SCHEMA {
            return folder_url(name, None);
        }
        if schema == SYSTEM_SCHEMA {
            return Err(Error::invalid(format!(
                "the schema {SYSTEM_SCHEMA} is the session's own, which takes no tables and no statements that change them; a \
                 table in a folder of this name is reached by its location, as delta.`…/{SYSTEM_SCHEMA}/{name}`"
            )));
        }
        if let Some(url) = self.external.read().get(&(schema.to_string(), name.to_string())) {
            return Ok(url.clone());
        }
        let Some(root) = &self.root else {
            return Err(Error::not_found(format!(
                "no table '{name}': the session has no lake; open one with --lake, or name the table by location as \
                 delta.`{name}`"
            )));
        };
        if self.single {
            return if schema == DEFAULT_SCHEMA && name == ONLY_TABLE {
                Ok(root.clone())
            } else {
                Err(Error::not_found(format!(
                    "no table '{name}': the lake '{root}' is itself a table, which is called {ONLY_TABLE}"
                )))
            };
        }
        for part in [schema, name] {
            if part.contains('/') {
                return Err(Error::not_found(format!(
                    "'{part}' is neither a table nor a file with a name that tells its format; use read_csv('…'), \
                     read_json('…') or read_parquet('…') for files, and delta.`…` for a table elsewhere"
                )));
            }
            if part.is_empty() || part == "." || part == ".." {
                return Err(Error::not_found(format!(
                    "'{part}' cannot be the name of a table or schema"
                )));
            }
        }
        match schema {
            DEFAULT_SCHEMA => folder_url(name, Some(root)),
            schema => folder_url(&format!("{schema}/{name}"), Some(root)),
        }
    }

    /// The table that a statement names.
    ///
    /// # Errors
    /// As [`Lake::locate`]; where the name has a catalog that is not the lake; where it names a version or a view, which
    /// cannot be changed.
    pub(crate) fn resolve(&self, name: &ObjectName) -> Result<TableId> {
        let id = self.resolve_any(name)?;
        let parsed = TableName::parse(&id.name)?;
        if id.schema != LOCATION_SCHEMA && (parsed.at.is_some() || parsed.view.is_some()) {
            return Err(Error::invalid(format!(
                "'{}' is a past version or a view of table {}: name the table itself",
                id.name, parsed.base
            )));
        }
        Ok(id)
    }

    fn resolve_any(&self, name: &ObjectName) -> Result<TableId> {
        let parts: Vec<String> = name.0.iter().map(part_name).collect::<Result<_>>()?;
        let (schema, table) = match parts.as_slice() {
            [table] => (DEFAULT_SCHEMA, table),
            [schema, table] => (schema.as_str(), table),
            [catalog, schema, table] if catalog == CATALOG => (schema.as_str(), table),
            [catalog, _, _] => {
                return Err(Error::not_found(format!(
                    "no catalog '{catalog}'; the lake's is {CATALOG}"
                )));
            }
            _ => return Err(Error::invalid(format!("'{name}' has too many parts for a table name"))),
        };
        if table.is_empty() {
            return Err(Error::invalid("an empty table name"));
        }
        Ok(TableId {
            schema: schema.to_string(),
            name: table.clone(),
            url: self.locate(schema, table)?,
        })
    }

    /// The latest state of a table that must exist.
    ///
    /// # Errors
    /// Where it does not, with names that are near.
    pub(crate) async fn open_table(&self, id: &TableId) -> Result<Snapshot> {
        match self.snapshots.latest(&id.url).await? {
            Some(table) => Ok(table),
            None => Err(self.missing(id)),
        }
    }

    /// The error for a table that is not there.
    pub(crate) fn missing(&self, id: &TableId) -> Error {
        if id.schema == LOCATION_SCHEMA {
            return Error::not_found(format!("no Delta table at '{}'", id.url));
        }
        let names = self.table_names(&id.schema);
        if let Some((base, _)) = id.name.rsplit_once(['@', '$'])
            && names.iter().any(|name| name == base)
        {
            return Error::not_found(format!(
                "table {base} has no '{}': behind the name of a table stand a version (@v3), a time \
                 (@yyyyMMddHHmmssSSS), or a view: {}",
                id.name.strip_prefix(base).unwrap_or_default(),
                View::names()
                    .map(|name| format!("${name}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        let near = names
            .iter()
            .map(|name| (strsim::damerau_levenshtein(name, &id.name), name))
            .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
            .min();
        let hint = match near {
            Some((_, name)) => format!("; did you mean {}?", posixlake_sql::quote_identifier(name)),
            None if names.is_empty() => "; the schema has no tables".to_string(),
            None => "; SHOW TABLES lists them".to_string(),
        };
        Error::not_found(format!("no table '{}' in schema {}{hint}", id.name, id.schema))
    }

    /// The version that a point of a table's history stands for.
    ///
    /// # Errors
    /// Where the table has no such version, or the time is before its first or after its last commit.
    pub(crate) async fn version_at(&self, table: &Snapshot, name: &str, point: Point) -> Result<u64> {
        let latest = table.version();
        match point {
            Point::Version(version) if version <= latest => Ok(version),
            Point::Version(version) => Err(Error::not_found(format!(
                "table {name} has no version {version}; its latest is {latest}"
            ))),
            Point::Timestamp(time) => history::version_at(table, name, time).await,
        }
    }

    /// A table at a point of its history.
    ///
    /// # Errors
    /// As [`Lake::open_table`] and [`Lake::version_at`].
    pub(crate) async fn open_at(&self, id: &TableId, point: Point) -> Result<Snapshot> {
        let latest = self.open_table(id).await?;
        let version = self.version_at(&latest, &id.display(), point).await?;
        if latest.version() == version {
            return Ok(latest);
        }
        self.snapshots.at(&id.url, version).await.map_err(|error| {
            Error::new(
                error.kind(),
                format!(
                    "version {version} of table {} cannot be read any more: {}",
                    id.display(),
                    error.message()
                ),
            )
            .with_source(error)
        })
    }

    /// Whether a table of this name stands.
    pub(crate) fn exists_locally(&self, schema: &str, name: &str) -> bool {
        self.registered
            .read()
            .contains_key(&(schema.to_string(), name.to_string()))
    }

    /// Gives a table elsewhere a name in this session.
    pub(crate) fn add_external(&self, id: &TableId) {
        self.external
            .write()
            .insert((id.schema.clone(), id.name.clone()), id.url.clone());
    }

    /// Takes such a name away; false where there is none.
    pub(crate) fn remove_external(&self, schema: &str, name: &str) -> bool {
        self.external
            .write()
            .remove(&(schema.to_string(), name.to_string()))
            .is_some()
    }

    pub(crate) fn registered(&self, schema: &str, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.registered
            .read()
            .get(&(schema.to_string(), name.to_string()))
            .cloned()
    }

    pub(crate) fn register(
        &self,
        schema: &str,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Option<Arc<dyn TableProvider>> {
        self.registered.write().insert((schema.to_string(), name), table)
    }

    pub(crate) fn deregister(&self, schema: &str, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.registered.write().remove(&(schema.to_string(), name.to_string()))
    }

    /// The names of the schemas, `default` first. Blocks on the store.
    pub(crate) fn schema_names(&self) -> Vec<String> {
        let mut names = vec![DEFAULT_SCHEMA.to_string()];
        if let (Some(root), false) = (&self.root, self.single) {
            let folders = block_on(self.folders(DEFAULT_SCHEMA, root.clone())).unwrap_or_default();
            names.extend(
                folders
                    .into_iter()
                    .filter(|(name, is_table)| !is_table && name != SYSTEM_SCHEMA && self.access.sees_schema(name))
                    .map(|(name, _)| name),
            );
        }
        names.push(SYSTEM_SCHEMA.to_string());
        names
    }

    /// The names of a schema's tables and views, in order. Blocks on the store.
    pub(crate) fn table_names(&self, schema: &str) -> Vec<String> {
        if schema == SYSTEM_SCHEMA {
            return system::names(self);
        }
        let mut names: Vec<String> = match (&self.root, self.single) {
            (Some(_), true) if schema == DEFAULT_SCHEMA => vec![ONLY_TABLE.to_string()]
                .into_iter()
                .filter(|name| self.access.sees_table(schema, name))
                .collect(),
            (Some(root), false) if schema != LOCATION_SCHEMA => {
                let folder = match schema {
                    DEFAULT_SCHEMA => Ok(root.clone()),
                    schema => folder_url(schema, Some(root)),
                };
                let folders = folder
                    .and_then(|folder| block_on(self.folders(schema, folder)))
                    .unwrap_or_default();
                folders
                    .into_iter()
                    .filter(|(name, is_table)| *is_table && self.access.sees_table(schema, name))
                    .map(|(name, _)| name)
                    .collect()
            }
            _ => Vec::new(),
        };
        let of_schema = |key: &(String, String)| (key.0 == schema).then(|| key.1.clone());
        names.extend(self.external.read().keys().filter_map(of_schema));
        names.extend(self.registered.read().keys().filter_map(of_schema));
        names.sort();
        names.dedup();
        names
    }

    /// The tables in the lake's folder, those of posixlake itself included, by schema and name. Tables elsewhere that the
    /// session gave a name are not among them.
    ///
    /// # Errors
    /// Where there is no lake, or the store fails.
    pub(crate) async fn tables(&self) -> Result<Vec<TableId>> {
        let Some(root) = &self.root else {
            return Err(Error::not_found("the session has no lake; open one with --lake"));
        };
        if self.single {
            return Ok(vec![TableId {
                schema: DEFAULT_SCHEMA.to_string(),
                name: ONLY_TABLE.to_string(),
                url: root.clone(),
            }]);
        }
        let mut tables = Vec::new();
        // Users and their trail are no tables that a statement could read, or bring back over others.
        let mut schemas = match self.access.is_on() {
            true => Vec::new(),
            false => vec![OWN_SCHEMA.to_string()],
        };
        let id = |schema: &str, name: String, folder: &Url| {
            Ok::<_, Error>(TableId {
                schema: schema.to_string(),
                url: folder_url(&name, Some(folder))?,
                name,
            })
        };
        for (name, is_table) in self.folders(DEFAULT_SCHEMA, root.clone()).await? {
            match is_table {
                true => tables.push(id(DEFAULT_SCHEMA, name, root)?),
                false => schemas.push(name),
            }
        }
        for schema in schemas {
            let folder = folder_url(&schema, Some(root))?;
            for (name, is_table) in self.folders(&schema, folder.clone()).await? {
                if is_table {
                    tables.push(id(&schema, name, &folder)?);
                }
            }
        }
        Ok(tables)
    }

    /// The folders below a folder that are tables (true) or may be schemas (false).
    async fn folders(&self, schema: &str, url: Url) -> Result<Vec<(String, bool)>> {
        let prefix = path_of(&url)?;
        let store = self.stores.root(&url)?;
        let listed = match store.list_with_delimiter(Some(&prefix)).await {
            Ok(listed) => listed.common_prefixes,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let visible = listed.into_iter().filter_map(|path| {
            let name = path.filename()?.to_string();
            let visible = !name.starts_with(['_', '.']);
            // A folder of the lake may be a schema.
            let seen =
                self.access.sees_table(schema, &name) || (schema == DEFAULT_SCHEMA && self.access.sees_schema(&name));
            (visible && seen).then_some((path, name))
        });
        let checks: Vec<_> = visible
            .map(|(path, name)| is_table(store.clone(), path, name))
            .collect();
        futures::stream::iter(checks).buffered(32).try_collect().await
    }
}

async fn is_table(store: Arc<dyn ObjectStore>, folder: Path, name: String) -> Result<(String, bool)> {
    Ok((name, has_log(store.as_ref(), &folder).await?))
}

fn part_name(part: &ObjectNamePart) -> Result<String> {
    match part.as_ident() {
        Some(ident) if ident.quote_style.is_none() => Ok(ident.value.to_lowercase()),
        Some(ident) => Ok(ident.value.clone()),
        None => Err(Error::invalid(format!("'{part}' is not a name"))),
    }
}

/// The reference under which DataFusion finds a table.
pub(crate) fn reference(id: &TableId) -> TableReference {
    match id.schema.as_str() {
        DEFAULT_SCHEMA => TableReference::bare(id.name.clone()),
        schema => TableReference::partial(schema, id.name.clone()),
    }
}

/// Runs a listing for one of DataFusion's synchronous catalog calls, on a thread of its own: the caller may be a worker of
/// any runtime, or of none.
fn block_on<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(work),
                Err(error) => Err(Error::internal(format!("cannot start a runtime: {error}"))),
            }
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::internal("a listing of the lake panicked")))
    })
}

/// Whether a folder is a table's: whether there is a file in its log.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn has_log(store: &dyn ObjectStore, folder: &Path) -> Result<bool> {
    // Logs are long, and nearly all have one of these: only without them is there a listing.
    for file in [log::commit_path(0), log::hint_path()] {
        match store.head(&folder.parts().chain(file.parts()).collect()).await {
            Ok(_) => return Ok(true),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    has_any(store, &folder.clone().join(log::FOLDER)).await
}

/// Whether a folder holds a file. Hidden ones do not count: what a put that was cut off has left behind is no table.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn has_any(store: &dyn ObjectStore, prefix: &Path) -> Result<bool> {
    let is_visible = |meta: &ObjectMeta| {
        let name = meta.location.filename();
        std::future::ready(name.is_some_and(|name| !name.starts_with('.')))
    };
    match store.list(Some(prefix)).try_filter(is_visible).try_next().await {
        Ok(found) => Ok(found.is_some()),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The instant in the text of an error: ISO 8601, to the millisecond.
pub(crate) fn show_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}
