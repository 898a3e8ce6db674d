//! `GENERATE symlink_format_manifest`: lists of a table's files, for engines that read files by such lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::Add;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use posixlake_sql::{Generate, Privilege};
use url::Url;

use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::table::{Definition, live_files};

/// The folder of the manifests, below the table's.
const FOLDER: &str = "_symlink_format_manifest";
/// What stands for NULL in the name of a partition's folder, as in Hive.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Plans `GENERATE`.
///
/// # Errors
/// Where there is no such table, or it has rows that such readers would see though they are deleted.
pub(super) async fn plan(planner: &Planner, generate: &Generate, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&generate.table).await?;
    let command = GenerateCommand {
        lake: planner.lake().clone(),
        id,
        statement,
    };
    command.manifests(&table)?;
    command_plan("generate", Arc::new(command))
}

#[derive(Debug)]
struct GenerateCommand {
    lake: Arc<Lake>,
    id: TableId,
    statement: String,
}

impl GenerateCommand {
    /// The manifests' paths, with the URLs of the files in each.
    ///
    /// # Errors
    /// Where a file has a deletion vector.
    fn manifests(&self, table: &Snapshot) -> Result<BTreeMap<Path, Vec<String>>> {
        let definition = Definition::of(table)?;
        let mut manifests: BTreeMap<Path, Vec<String>> = BTreeMap::new();
        if definition.partition_columns().is_empty() {
            manifests.insert(manifest(&definition, None), Vec::new());
        }
        for file in live_files(table) {
            if file.add.deletion_vector.is_some() {
                return Err(Error::unsupported(format!(
                    "table {0} has files with deletion vectors, which readers of manifests do not see: they would read rows \
                     that are deleted. Turn delta.enableDeletionVectors off and run OPTIMIZE {0} first",
                    self.id.display()
                )));
            }
            manifests
                .entry(manifest(&definition, Some(&file.add)))
                .or_default()
                .push(location(&self.id.url, &file.add)?);
        }
        Ok(manifests)
    }
}

/// Where the manifest of a file's partition lies.
fn manifest(definition: &Definition, add: Option<&Add>) -> Path {
    let mut path = Path::from(FOLDER);
    for column in definition.partition_columns() {
        let value = add.and_then(|add| {
            add.partition_values
                .get(definition.physical_name(column))
                .cloned()
                .flatten()
        });
        path = path.join(format!(
            "{column}={}",
            value.as_deref().filter(|value| !value.is_empty()).unwrap_or(NULL)
        ));
    }
    path.join("manifest")
}

/// The file's URL.
fn location(table: &Url, add: &Add) -> Result<String> {
    if Url::parse(&add.path).is_ok() {
        return Ok(add.path.clone());
    }
    let mut url = table.clone();
    url.path_segments_mut()
        .map_err(|()| Error::invalid(format!("'{table}' cannot hold files")))?
        .pop_if_empty()
        .extend(add.path.split('/'));
    Ok(url.to_string())
}

#[async_trait]
impl Command for GenerateCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("num_files", DataType::Int64, false),
        ]))
    }

    /// Writes the manifests, then removes those of partitions that are gone.
    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let table = self.lake.open_table(&self.id).await?;
        let manifests = self.manifests(&table)?;
        let store = table.log_store().object_store(None);
        for (path, files) in &manifests {
            let mut text = files.join("\n");
            text.push('\n');
            let text = if files.is_empty() { String::new() } else { text };
            store.put(path, text.into_bytes().into()).await?;
            running.progress.files.add(1);
        }
        let there: Vec<Path> = store
            .list(Some(&Path::from(FOLDER)))
            .map_ok(|meta| meta.location)
            .try_collect()
            .await?;
        for stale in there.iter().filter(|path| !manifests.contains_key(path)) {
            store.delete(stale).await?;
        }
        let paths = StringArray::from_iter_values(manifests.keys().map(AsRef::<str>::as_ref));
        let counts = manifests
            .values()
            .map(|files| i64::try_from(files.len()).ok())
            .collect::<Int64Array>();
        Ok(RecordBatch::try_new(
            self.schema(),
            vec![Arc::new(paths), Arc::new(counts)],
        )?)
    }
}
