//! The session as the mount's engine.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use posixlake_nfs::lake::{At, Change, DataFile, Kind, Lake, LakeError, Result, Rows, Statement, TableName, Version};
use posixlake_sql::{Privilege, quote_identifier};

use crate::error::{Error, ErrorKind};
use crate::session::{Author, Session, TableVersion};

/// How long the list of tables is believed. The mount's own statements end it at once.
const LISTED: Duration = Duration::from_millis(500);
/// How many versions are kept.
const VERSIONS: usize = 256;

/// A session that serves a mount.
pub(super) struct SessionLake {
    session: Session,
    /// The same lake, read by one task at a time: in the order of the file.
    ordered: Session,
    tables: Mutex<Option<(Instant, Vec<TableName>)>>,
    versions: Mutex<VecDeque<Arc<Version>>>,
}

impl SessionLake {
    pub(super) fn new(session: Session) -> crate::error::Result<Self> {
        let ordered = session.with_settings(&[
            ("datafusion.execution.target_partitions", "1"),
            ("datafusion.optimizer.repartition_file_scans", "false"),
        ])?;
        Ok(Self {
            session,
            ordered,
            tables: Mutex::default(),
            versions: Mutex::default(),
        })
    }

    fn known(&self, name: &TableName, id: &str, number: u64) -> Option<Arc<Version>> {
        let versions = self.versions.lock();
        let is = |version: &&Arc<Version>| version.number == number && version.id == id && version.name == *name;
        versions.iter().find(is).cloned()
    }
}

fn refused(error: Error) -> LakeError {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::AlreadyExists => Kind::AlreadyExists,
        ErrorKind::Syntax | ErrorKind::Invalid | ErrorKind::Schema | ErrorKind::Constraint => Kind::Invalid,
        ErrorKind::Conflict => Kind::Conflict,
        ErrorKind::Permission => Kind::Permission,
        ErrorKind::Unsupported => Kind::Unsupported,
        ErrorKind::Storage => Kind::Storage,
        _ => Kind::Internal,
    };
    LakeError {
        kind,
        message: error.message().to_string(),
    }
}

fn privilege(change: Change) -> Privilege {
    match change {
        Change::Insert => Privilege::Insert,
        Change::Update => Privilege::Update,
        Change::Delete => Privilege::Delete,
    }
}

fn shown(name: &TableName, version: TableVersion) -> Version {
    let files = version.files.into_iter().map(|file| DataFile {
        path: file.path,
        vector: file.vector,
        rows: file.rows,
        hidden: file.hidden,
        size: file.size,
    });
    Version {
        name: name.clone(),
        id: version.id,
        number: version.number,
        time: version.time,
        schema: version.schema,
        key: version.key,
        files: files.collect(),
    }
}

async fn stream(session: &Session, sql: &str) -> crate::error::Result<Rows> {
    let rows = session.sql(sql).await?.execute_stream().await?;
    Ok(Rows {
        schema: rows.schema(),
        batches: rows.map(|batch| batch.map_err(|error| refused(error.into()))).boxed(),
    })
}

#[async_trait]
impl Lake for SessionLake {
    async fn tables(&self) -> Result<Vec<TableName>> {
        if let Some((when, tables)) = &*self.tables.lock()
            && when.elapsed() < LISTED
        {
            return Ok(tables.clone());
        }
        let listed = self.session.tables().await.map_err(refused)?;
        let tables: Vec<TableName> = listed
            .into_iter()
            .map(|(schema, table)| TableName { schema, table })
            .collect();
        *self.tables.lock() = Some((Instant::now(), tables.clone()));
        Ok(tables)
    }

    async fn check(&self, table: &TableName, changes: &[Change]) -> Result<()> {
        let privileges: Vec<Privilege> = changes.iter().map(|change| privilege(*change)).collect();
        let (schema, name) = (table.schema.as_deref(), table.table.as_str());
        self.session.check_any(schema, name, &privileges).await.map_err(refused)
    }

    async fn version(&self, table: &TableName, at: &At) -> Result<Arc<Version>> {
        let (schema, name) = (table.schema.as_deref(), table.table.as_str());
        let (id, latest) = self.session.latest_version(schema, name).await.map_err(refused)?;
        let at = match at {
            At::Latest => None,
            At::Version(number) => Some(format!("v{number}")),
            At::Time(time) => Some(time.clone()),
        };
        let number = match &at {
            None => Some(latest),
            Some(at) => at.strip_prefix('v').and_then(|number| number.parse().ok()),
        };
        if let Some(known) = number.and_then(|number| self.known(table, &id, number)) {
            return Ok(known);
        }
        let version = self
            .session
            .table_version(schema, name, at.as_deref())
            .await
            .map_err(refused)?;
        let version = Arc::new(shown(table, version));
        if let Some(known) = self.known(table, &version.id, version.number) {
            return Ok(known);
        }
        let mut versions = self.versions.lock();
        if versions.len() >= VERSIONS {
            versions.pop_front();
        }
        versions.push_back(version.clone());
        Ok(version)
    }

    async fn rows(
        &self,
        version: &Version,
        file: &DataFile,
        places: Range<u64>,
        columns: bool,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut wanted = vec!["_row".to_string()];
        if columns {
            wanted.extend(
                version
                    .schema
                    .fields()
                    .iter()
                    .map(|field| quote_identifier(field.name())),
            );
        }
        let mut table = quote_identifier(&format!("{}@v{}$rows", version.name.table, version.number));
        if let Some(schema) = &version.name.schema {
            table = format!("{}.{table}", quote_identifier(schema));
        }
        let sql = format!(
            "SELECT {} FROM {table} WHERE _file = '{}' AND _row >= {} AND _row < {}",
            wanted.join(", "),
            file.path.replace('\'', "''"),
            places.start,
            places.end.min(i64::MAX as u64),
        );
        Ok(stream(&self.ordered, &sql).await.map_err(refused)?.batches)
    }

    async fn bytes(&self, version: &Version, file: &DataFile, range: Range<u64>) -> Result<Bytes> {
        let name = &version.name;
        let bytes = self
            .session
            .file_bytes(name.schema.as_deref(), &name.table, &file.path, range);
        bytes.await.map_err(refused)
    }

    async fn run(&self, statement: Statement) -> Result<Rows> {
        let mut settings = Vec::new();
        let number;
        if let Some((application, version)) = &statement.transaction {
            number = version.to_string();
            settings.push(("posixlake.txn_app_id", application.as_str()));
            settings.push(("posixlake.txn_version", number.as_str()));
        }
        let author = statement.author;
        let mut session = self.session.with_settings(&settings).map_err(refused)?;
        if !author.client.is_empty() {
            let named = author.client.split(' ').next().unwrap_or_default();
            let user = self.session.user().or(author.user);
            session = session.speaking_for(&author.client).by(Author {
                user: user.unwrap_or_else(|| named.to_string()),
                remark: format!("through the mount, from {}", author.client),
            });
        }
        let rows = stream(&session, &statement.sql).await.map_err(refused);
        *self.tables.lock() = None;
        rows
    }
}
