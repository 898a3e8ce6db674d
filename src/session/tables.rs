//! What a front door that shows tables as files needs to know of them, beside what SQL answers.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;

use posixlake_sql::Privilege;

use super::{Session, SessionBuilder};
use crate::access::Touch;
use crate::catalog::{DEFAULT_SCHEMA, Point, SYSTEM_SCHEMA, TableId, TableName};
use crate::error::{Error, Result};
use crate::log::{Author, Snapshot, commit_path};
use crate::table::{Definition, data_path};

/// A data file of a version.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    /// As the log has it.
    pub(crate) path: String,
    /// What names its deletion vector, where it has one.
    pub(crate) vector: Option<String>,
    /// Rows in the file, hidden ones included.
    pub(crate) rows: u64,
    /// Rows that the deletion vector hides.
    pub(crate) hidden: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// A version of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableVersion {
    pub(crate) id: String,
    pub(crate) number: u64,
    /// When it was committed, in milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) schema: SchemaRef,
    pub(crate) key: Vec<String>,
    /// The oldest first.
    pub(crate) files: Vec<LiveFile>,
}

impl Session {
    /// The same session with some settings of its own, for one statement.
    ///
    /// # Errors
    /// A setting that there is not, or a value that it does not take.
    pub(crate) fn with_settings(&self, settings: &[(&str, &str)]) -> Result<Self> {
        let mut state = self.context.state();
        for (key, value) in settings {
            state.config_mut().options_mut().set(key, value)?;
        }
        Ok(Self {
            context: SessionContext::new_with_state(state),
            ..self.clone()
        })
    }

    /// The same session, whose commits are an author's.
    #[must_use]
    pub(crate) fn by(self, author: Author) -> Self {
        let mut state = self.context.state();
        state.config_mut().set_extension(Arc::new(author));
        Self {
            context: SessionContext::new_with_state(state),
            ..self
        }
    }

    /// Adds a table to the schema `system`, for all sessions of the lake.
    pub(crate) fn add_to_system(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.lake.register(SYSTEM_SCHEMA, name.to_string(), table);
    }

    /// The same session, speaking for a client.
    #[must_use]
    pub(crate) fn speaking_for(mut self, client: &str) -> Self {
        self.client = Some(client.into());
        self
    }

    /// A session on the same lake for another user, whom an admin's session vouches for.
    ///
    /// # Errors
    /// Where this session's user is no admin, there is no such user, or the lake has no users.
    pub(crate) async fn on_behalf_of(&self, builder: SessionBuilder, user: &str) -> Result<Self> {
        let credentials = self.lake.access().vouch(user)?;
        builder.credentials(Some(credentials)).build().await
    }

    /// The lake's tables as schema and name, the default schema as none.
    ///
    /// # Errors
    /// As the store's.
    pub(crate) async fn tables(&self) -> Result<Vec<(Option<String>, String)>> {
        self.lake.access().refresh().await;
        let lake = self.lake.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let mut tables = Vec::new();
            for schema in lake.schema_names().into_iter().filter(|schema| schema != SYSTEM_SCHEMA) {
                let shown = (schema != DEFAULT_SCHEMA).then(|| schema.clone());
                tables.extend(lake.table_names(&schema).into_iter().map(|name| (shown.clone(), name)));
            }
            tables
        });
        listed.await.map_err(|error| Error::internal(error.to_string()))
    }

    fn table_id(&self, schema: Option<&str>, name: &str) -> Result<TableId> {
        let schema = schema.unwrap_or(DEFAULT_SCHEMA);
        Ok(TableId {
            schema: schema.to_string(),
            name: name.to_string(),
            url: self.lake.locate(schema, name)?,
        })
    }

    /// Lets statements read the files of a local folder, whatever the user may read.
    ///
    /// # Errors
    /// Where there can be no such folder.
    pub(crate) fn lend(&self, folder: &Path) -> Result<()> {
        self.lake.access().lent().add(folder)
    }

    /// Whether the user has one of some privileges on a table.
    ///
    /// # Errors
    /// The refusal of the last, where the user has none.
    pub(crate) async fn check_any(&self, schema: Option<&str>, name: &str, privileges: &[Privilege]) -> Result<()> {
        let access = self.lake.access();
        access.refresh().await;
        let url = self.table_id(schema, name)?.url;
        let mut outcome = Ok(());
        for privilege in privileges {
            outcome = access.check(&[Touch::Table(url.clone(), *privilege)]);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// A table's id and the number of its latest version.
    ///
    /// # Errors
    /// Where the table is not there.
    pub(crate) async fn latest_version(&self, schema: Option<&str>, name: &str) -> Result<(String, u64)> {
        self.lake.access().refresh().await;
        let id = self.table_id(schema, name)?;
        self.lake
            .access()
            .check(&[Touch::Table(id.url.clone(), Privilege::Select)])?;
        let table = self.lake.open_table(&id).await?;
        Ok((table.metadata().id().to_string(), table.version()))
    }

    /// A table's version; a time is spelled as behind a table's name (`20261122`).
    ///
    /// # Errors
    /// Where the table or version is not there.
    pub(crate) async fn table_version(
        &self,
        schema: Option<&str>,
        name: &str,
        at: Option<&str>,
    ) -> Result<TableVersion> {
        let id = self.table_id(schema, name)?;
        let snapshot = match at {
            None => self.lake.open_table(&id).await?,
            Some(at) => self.lake.open_at(&id, point(name, at)?).await?,
        };
        let definition = Definition::of(&snapshot)?;
        let mut live: Vec<_> = snapshot.files().iter().collect();
        live.sort_by_cached_key(|file| file.position());
        let files: Vec<LiveFile> = live
            .iter()
            .map(|file| LiveFile {
                path: file.add.path.clone(),
                vector: file.add.deletion_vector.as_ref().map(|vector| {
                    let place = vector.offset.unwrap_or_default();
                    format!("{}{}@{place}", vector.storage_type, vector.path_or_inline_dv)
                }),
                rows: file.records().unwrap_or_default(),
                hidden: file.deleted(),
                size: file.size(),
            })
            .collect();
        Ok(TableVersion {
            id: snapshot.metadata().id().to_string(),
            number: snapshot.version(),
            time: commit_time(&snapshot).await?,
            schema: definition.arrow_schema()?,
            key: definition.primary_key(),
            files,
        })
    }

    /// Bytes of a table's file.
    ///
    /// # Errors
    /// As the store's.
    pub(crate) async fn file_bytes(
        &self,
        schema: Option<&str>,
        name: &str,
        path: &str,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let id = self.table_id(schema, name)?;
        let store = self.lake.stores().folder(&id.url)?;
        Ok(store.get_range(&data_path(path), range).await?)
    }
}

fn point(name: &str, at: &str) -> Result<Point> {
    TableName::parse(&format!("{name}@{at}"))?
        .at
        .ok_or_else(|| Error::not_found(format!("table {name} has no version '{at}'")))
}

/// When a version was committed: by its file, or where that is cleaned away, by the youngest data file.
async fn commit_time(snapshot: &Snapshot) -> Result<i64> {
    match snapshot.store().head(&commit_path(snapshot.version())).await {
        Ok(file) => Ok(file.last_modified.timestamp_millis()),
        Err(object_store::Error::NotFound { .. }) => {
            let times = snapshot.files().iter().map(|file| file.add.modification_time);
            Ok(times.max().unwrap_or_default())
        }
        Err(error) => Err(error.into()),
    }
}
