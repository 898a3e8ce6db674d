//! `RESTORE TABLE … FROM` and `RESTORE LAKE FROM`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::logical_expr::LogicalPlan;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use posixlake_sql::RestoreBackup;
use serde::{Deserialize, Serialize};
use url::Url;

use super::bring::{Bringing, Brought, commit_times, version_at};
use super::chain::{Chain, Table};
use super::{display, number};
use crate::access::Touch;
use crate::catalog::{Lake, Point, TableId, show_time};
use crate::commands::target::{NewName, names};
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::folder_url;

/// The file in a lake's folder that says that a restore of the whole is under way.
const MARKER: &str = ".restore.json";

/// Plans `RESTORE … FROM`.
///
/// # Errors
/// Where a name or the location is none, or the time is not a constant.
pub(in crate::commands) fn plan(planner: &Planner, restore: &RestoreBackup, statement: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let table = match &restore.table {
        None => None,
        Some(name) => Some((
            names(name)?,
            NewName::resolve(lake, restore.target.as_ref().unwrap_or(name), None)?,
        )),
    };
    let location = folder_url(&restore.location, None)?;
    let target = table.as_ref().map(|(_, target)| &target.id.url).or(lake.root());
    if target.is_some_and(|target| target.as_str().starts_with(location.as_str())) {
        return Err(Error::invalid(format!(
            "a table cannot be restored into the folder of its backup, '{location}'"
        )));
    }
    let command = RestoreCommand {
        lake: lake.clone(),
        location,
        table,
        point: restore.as_of.as_ref().map(|as_of| planner.point(as_of)).transpose()?,
        overwrite: restore.overwrite,
        statement,
    };
    command_plan("restore_backup", Arc::new(command))
}

#[derive(Debug)]
struct RestoreCommand {
    lake: Arc<Lake>,
    location: Url,
    /// Schema and name in the backup, and what the table will be; none for all tables.
    table: Option<((String, String), NewName)>,
    point: Option<Point>,
    overwrite: bool,
    statement: String,
}

/// A table of the backup, the version that is wanted of it, and where it comes to.
type Wanted = (Table, u64, NewName);

/// Which restore of a lake is under way.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Marker {
    backup: String,
    run: u64,
    tables: Vec<(String, u64)>,
}

impl RestoreCommand {
    /// The one table that is wanted.
    ///
    /// # Errors
    /// Where the backup has no such table or version.
    fn table(&self, chain: &Chain, (schema, name): &(String, String), target: &NewName) -> Result<Wanted> {
        let is_it = |table: &Table| (&table.head.schema, &table.head.name) == (schema, name);
        // A table that the lake has no more is in the runs before it was dropped.
        for manifest in chain.manifests().rev() {
            let tables = chain.tables(manifest.head.number)?;
            if let Some(table) = tables.into_iter().find(is_it) {
                let version = version_at(&table, self.point)?;
                return Ok((table, version, target.clone()));
            }
        }
        let tables = chain.last_tables()?;
        let there: Vec<String> = tables.iter().map(Table::display).collect();
        Err(Error::not_found(format!(
            "the backup at '{}' has no table {}; it has {}. RESTORE TABLE name AS new restores one under another name",
            self.location,
            display(schema, name),
            there.join(", ")
        )))
    }

    /// All tables, at the last run or at a time.
    ///
    /// # Errors
    /// Where the backup does not tell the lake's state at that time.
    fn tables(&self, chain: &Chain) -> Result<Vec<Wanted>> {
        let time = match self.point {
            None => None,
            Some(Point::Timestamp(time)) => Some(time),
            Some(Point::Version(_)) => {
                return Err(Error::invalid(
                    "the tables of a lake have versions of their own; name a time",
                ));
            }
        };
        let taken = |micros: i64| DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
        let mut runs = chain.manifests();
        let run = match time {
            None => runs.next_back(),
            Some(time) => runs.find(|manifest| taken(manifest.head.taken) >= time),
        };
        let Some(run) = run else {
            let last = chain.last().map_or(0, |run| run.manifest.head.taken);
            return Err(Error::not_found(format!(
                "the backup at '{}' tells of the lake up to {}",
                self.location,
                show_time(taken(last))
            )));
        };
        let mut wanted = Vec::new();
        for table in chain.tables(run.head.number)? {
            // A table that was made later has its first commit in the backup, and none before the time.
            let first = commit_times(&table).first().copied();
            if let (Some(time), Some((0, made))) = (time, first)
                && made > time
            {
                continue;
            }
            let version = version_at(&table, self.point)?;
            let id = TableId {
                schema: table.head.schema.clone(),
                name: table.head.name.clone(),
                url: self.lake.locate(&table.head.schema, &table.head.name)?,
            };
            wanted.push((table, version, NewName { id, external: false }));
        }
        Ok(wanted)
    }

    fn bringing<'a>(&'a self, backup: &'a str, (table, version, target): &'a Wanted) -> Bringing<'a> {
        Bringing {
            lake: &self.lake,
            from: &self.location,
            backup,
            table,
            version: *version,
            target,
            overwrite: self.overwrite,
            statement: &self.statement,
        }
    }

    async fn restore(&self, running: &Running) -> Result<Vec<Brought>> {
        let chain = Chain::existing(self.lake.stores(), &self.location).await?;
        let (id, run) = chain
            .last()
            .map(|run| (run.manifest.head.id.clone(), run.manifest.head.number))
            .unwrap_or_default();
        match &self.table {
            Some((name, target)) => {
                let wanted = self.table(&chain, name, target)?;
                Ok(vec![self.bringing(&id, &wanted).run(running).await?])
            }
            None => self.restore_all(id, run, &self.tables(&chain)?, running).await,
        }
    }

    /// Brings tables back one by one. One that was interrupted goes on where it was.
    async fn restore_all(
        &self,
        backup: String,
        run: u64,
        wanted: &[Wanted],
        running: &Running,
    ) -> Result<Vec<Brought>> {
        let Some(root) = self.lake.root() else {
            return Err(Error::not_found("the session has no lake; open one with --lake"));
        };
        let store = self.lake.stores().folder(root)?;
        let path = Path::from(MARKER);
        let marker = Marker {
            backup,
            run,
            tables: wanted
                .iter()
                .map(|(table, version, _)| (table.head.folder.clone(), *version))
                .collect(),
        };
        let goes_on = match store.get(&path).await {
            Ok(found) => serde_json::from_slice::<Marker>(&found.bytes().await?).is_ok_and(|found| found == marker),
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !goes_on {
            for each in wanted {
                if self.bringing(&marker.backup, each).is_in_the_way().await? {
                    return Err(Error::already_exists(format!(
                        "table {} exists already, and nothing was restored; OVERWRITE gives the tables that stand the state of \
                         the backup as their next version",
                        each.2.id.display()
                    )));
                }
            }
            let text = serde_json::to_vec(&marker).map_err(|error| Error::internal(error.to_string()))?;
            store.put(&path, text.into()).await?;
        }
        let mut brought = Vec::new();
        for each in wanted {
            let bringing = self.bringing(&marker.backup, each);
            if goes_on && bringing.is_in_the_way().await? {
                // It was restored before the interruption, and may have been written to since.
                brought.push(Brought {
                    table: each.2.id.display(),
                    version: self.lake.open_table(&each.2.id).await?.version(),
                    files: 0,
                    bytes: 0,
                });
                continue;
            }
            brought.push(bringing.run(running).await?);
        }
        store.delete(&path).await?;
        Ok(brought)
    }
}

#[async_trait]
impl Command for RestoreCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        // The location takes a right to the whole lake, which holds for all of its tables.
        vec![Touch::Files(self.location.to_string())]
    }

    fn schema(&self) -> SchemaRef {
        let int = |name| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            Field::new("table", DataType::Utf8, false),
            int("version"),
            int("num_files"),
            int("num_bytes"),
        ]))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let brought = self.restore(&running).await?;
        let ints = |value: &dyn Fn(&Brought) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                brought.iter().map(|brought| number(value(brought))),
            ))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(
                brought.iter().map(|brought| &brought.table),
            )),
            ints(&|brought| brought.version),
            ints(&|brought| brought.files),
            ints(&|brought| brought.bytes),
        ];
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}
