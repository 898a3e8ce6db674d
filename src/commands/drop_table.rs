//! `DROP TABLE`.
//!
//! A table of the lake goes with its folder, history included. A crash on the way leaves the whole table or nothing that
//! can be read: on a local disk, the folder first gets a hidden name, at once; in an object store, where nothing can be
//! renamed, the checkpoints go first (the commits alone are still the table), then the commits from the oldest on (a log
//! without its beginning is no table), then the data. A table that lies elsewhere only loses its name in the session.

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::ObjectName;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use posixlake_sql::{DropTable, Privilege};
use uuid::Uuid;

use super::target::{is_external, local_folder, names, nothing};
use crate::access::Touch;
use crate::catalog::{LOCATION_SCHEMA, Lake, TableId, has_log};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::log::FOLDER;
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::path_of;

/// What the folder of a dropped table is called until its files are gone.
pub(super) const DROPPED: &str = ".dropped-";

/// Plans `DROP TABLE`.
///
/// # Errors
/// Where there is no such table and `IF EXISTS` is not said, or it is not one that can be dropped.
pub(super) async fn plan(planner: &Planner, request: &DropTable, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let (schema, name) = names(&request.name)?;
    let what = if lake.registered(&schema, &name).is_some() {
        What::Registered { schema, name }
    } else if schema == LOCATION_SCHEMA {
        return Err(Error::unsupported(format!(
            "{} names the table by its location, which may hold more than the lake knows; remove the folder itself",
            request.name
        )));
    } else {
        match lake.resolve(&request.name) {
            Ok(id) if is_external(lake, &id) => What::External(id),
            Ok(id) if lake.root() == Some(&id.url) => {
                return Err(Error::unsupported(format!(
                    "the lake '{}' is itself this table and cannot be dropped from inside; remove the folder, or empty \
                     the table with TRUNCATE TABLE {}",
                    id.url,
                    id.display()
                )));
            }
            Ok(id) if stands(lake, &id).await? => What::Table(id),
            Ok(_) if request.if_exists => What::Nothing,
            Ok(id) => return Err(lake.missing(&id)),
            Err(_) if request.if_exists => What::Nothing,
            Err(error) => return Err(error),
        }
    };
    command_plan(
        "drop_table",
        Arc::new(Dropping {
            lake: lake.clone(),
            what,
            if_exists: request.if_exists,
            text,
        }),
    )
}

/// Whether a log stands, readable or not: a damaged table can be dropped too.
async fn stands(lake: &Lake, id: &TableId) -> Result<bool> {
    has_log(lake.stores().folder(&id.url)?.as_ref(), &Path::default()).await
}

/// Looks whether `DROP VIEW` names views, before DataFusion drops them.
///
/// # Errors
/// Where a name is not one of a view.
pub(super) fn check_views(planner: &Planner, views: &[ObjectName]) -> Result<()> {
    let lake = planner.lake();
    for view in views {
        let (schema, name) = names(view)?;
        if lake.registered(&schema, &name).is_some() {
            continue;
        }
        return Err(if lake.table_names(&schema).contains(&name) {
            Error::invalid(format!("{view} is a table, not a view; write DROP TABLE {view}"))
        } else {
            Error::not_found(format!(
                "no view '{name}' in schema {schema}; a view lasts as long as the session that created it"
            ))
        });
    }
    Ok(())
}

#[derive(Debug)]
enum What {
    Nothing,
    /// A view, or a table of plain files.
    Registered {
        schema: String,
        name: String,
    },
    External(TableId),
    Table(TableId),
}

#[derive(Debug)]
struct Dropping {
    lake: Arc<Lake>,
    what: What,
    if_exists: bool,
    text: String,
}

#[async_trait]
impl Command for Dropping {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        match &self.what {
            What::Table(id) => vec![Touch::Table(id.url.clone(), Privilege::Modify)],
            // Names of the session alone.
            What::Nothing | What::Registered { .. } | What::External(_) => Vec::new(),
        }
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        match &self.what {
            What::Nothing => {}
            What::Registered { schema, name } => {
                self.lake.deregister(schema, name);
            }
            What::External(id) => {
                self.lake.remove_external(&id.schema, &id.name);
            }
            What::Table(id) => {
                if !stands(&self.lake, id).await? {
                    return if self.if_exists {
                        Ok(nothing())
                    } else {
                        Err(self.lake.missing(id))
                    };
                }
                self.lake.background().leave(&id.url).await;
                if id.url.scheme() == "file" {
                    drop_folder(id).await?;
                } else {
                    drop_objects(&self.lake, id, &running).await?;
                }
                self.lake.snapshots().forget(&id.url);
            }
        }
        Ok(nothing())
    }
}

async fn drop_folder(id: &TableId) -> Result<()> {
    let folder = local_folder(id)?;
    let hidden = folder.with_file_name(format!("{DROPPED}{}", Uuid::new_v4().simple()));
    let work = move || -> std::io::Result<()> {
        failpoint::at("drop.begin")?;
        std::fs::rename(&folder, &hidden)?;
        // From here on it is gone.
        let _ = failpoint::at("drop.hidden");
        sync_parent(&hidden)?;
        let _ = failpoint::at("drop.done");
        // The table is gone. What cannot be removed now is hidden, and nothing refers to it.
        if let Err(error) = std::fs::remove_dir_all(&hidden) {
            tracing::warn!(folder = %hidden.display(), %error, "files of a dropped table could not be removed");
        }
        Ok(())
    };
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Error::internal(format!("DROP TABLE stopped: {error}")))?;
    done.map_err(|error| {
        Error::storage(format!(
            "the folder of table {} cannot be removed: {error}",
            id.display()
        ))
        .with_source(error)
    })
}

/// Makes what was renamed in a folder last.
///
/// # Errors
/// Where the file system fails.
pub(super) fn sync_parent(path: &FilePath) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if cfg!(unix) => std::fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Deletes what lies in a table's folder, the commits behind the rest of the log and before the data.
///
/// # Errors
/// Where the store fails.
pub(super) async fn drop_objects(lake: &Lake, id: &TableId, running: &Running) -> Result<()> {
    let store = lake.stores().root(&id.url)?;
    let folder = path_of(&id.url)?;
    let mut log: Vec<Path> = store
        .list(Some(&folder.clone().join(FOLDER)))
        .map_ok(|file| file.location)
        .try_collect()
        .await?;
    log.sort_by_key(|path| {
        (
            path.as_ref().ends_with(".json")
                && !["checkpoint", "compacted"]
                    .iter()
                    .any(|kind| path.as_ref().contains(kind)),
            path.clone(),
        )
    });
    for path in log {
        store.delete(&path).await?;
        running.progress.files.add(1);
    }
    let rest = store.list(Some(&folder)).map_ok(|file| file.location).boxed();
    let removed = store.delete_stream(rest).inspect_ok(|_| running.progress.files.add(1));
    removed.try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}
