//! `ALTER TABLE … RENAME TO`: a table's name is its folder's.
//!
//! On a local disk the folder is renamed, at once and durably; the history goes with it, and nothing is committed. Object
//! stores cannot rename a folder, which is [`rename_objects`](super::rename_objects)' affair. A name that lives in the session is just replaced.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::drop_table::sync_parent;
use super::rename_objects::move_objects;
use super::target::{NewName, is_external, local_folder, names, nothing};
use posixlake_sql::Privilege;

use crate::access::Touch;
use crate::catalog::{LOCATION_SCHEMA, Lake, TableId};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::plan::{Command, Planner, Running, command_plan};

/// Plans `RENAME TO`.
///
/// # Errors
/// Where the table is not there, the new name is taken, or the store cannot rename.
pub(super) async fn plan(planner: &Planner, from: &ObjectName, to: &ObjectName, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let (id, _) = planner.table(from).await?;
    let refuse = |reason: &str| {
        Err(Error::unsupported(format!(
            "table {} cannot be renamed: {reason}",
            id.display()
        )))
    };
    if id.schema == LOCATION_SCHEMA {
        return refuse("it is named by its location; rename the folder");
    }
    if names(to)?.0 == LOCATION_SCHEMA {
        return refuse("a location is not a name; use CREATE TABLE … CLONE to copy the table there");
    }
    let external = is_external(lake, &id);
    if !external && lake.root() == Some(&id.url) {
        return refuse("the lake is itself this table");
    }
    let target = NewName::resolve(lake, to, None)?;
    let renaming = Renaming {
        lake: lake.clone(),
        from: id,
        to: target.id,
        external,
        text,
    };
    renaming.check().await?;
    command_plan("rename_table", Arc::new(renaming))
}

#[derive(Debug)]
struct Renaming {
    lake: Arc<Lake>,
    from: TableId,
    to: TableId,
    external: bool,
    text: String,
}

impl Renaming {
    async fn check(&self) -> Result<()> {
        let taken = match self.to.url.to_file_path() {
            Ok(folder) => folder.symlink_metadata().is_ok(),
            Err(()) => self.lake.snapshots().latest(&self.to.url).await?.is_some(),
        };
        if taken {
            return Err(Error::already_exists(format!(
                "{} exists already, at '{}'; give the table another name",
                self.to.display(),
                self.to.url
            )));
        }
        NewName {
            id: self.to.clone(),
            external: false,
        }
        .check_free(&self.lake)
        .await
    }
}

#[async_trait]
impl Command for Renaming {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let mut touches = vec![Touch::Table(self.from.url.clone(), Privilege::Modify)];
        if !self.external {
            touches.push(Touch::Table(self.to.url.clone(), Privilege::Modify));
        }
        touches
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        self.check().await?;
        if self.external {
            self.lake.remove_external(&self.from.schema, &self.from.name);
            self.lake.add_external(&TableId {
                url: self.from.url.clone(),
                ..self.to.clone()
            });
            return Ok(nothing());
        }
        self.lake.background().leave(&self.from.url).await;
        if self.from.url.scheme() != "file" {
            move_objects(&self.lake, &self.from, &self.to, &self.text, &running).await?;
            self.lake.snapshots().forget(&self.from.url);
            self.lake.snapshots().forget(&self.to.url);
            return Ok(nothing());
        }
        let (from, to) = (local_folder(&self.from)?, local_folder(&self.to)?);
        let work = move || -> std::io::Result<()> {
            failpoint::at("rename.begin")?;
            if let Some(parent) = to.parent().filter(|parent| !parent.is_dir()) {
                std::fs::create_dir_all(parent)?;
                sync_parent(parent)?;
            }
            failpoint::at("rename.foldered")?;
            std::fs::rename(&from, &to)?;
            // From here on it has the new name.
            let _ = failpoint::at("rename.named");
            sync_parent(&to)?;
            let _ = failpoint::at("rename.done");
            sync_parent(&from)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| Error::internal(format!("RENAME TO stopped: {error}")))?;
        done.map_err(|error| {
            Error::storage(format!(
                "the folder of table {} cannot be renamed: {error}",
                self.from.display()
            ))
            .with_source(error)
        })?;
        self.lake.snapshots().forget(&self.from.url);
        self.lake.snapshots().forget(&self.to.url);
        Ok(nothing())
    }
}
