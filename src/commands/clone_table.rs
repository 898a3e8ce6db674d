//! `CREATE TABLE … CLONE`: a table with the rows of a version of another. A shallow clone refers to the other table's files,
//! and breaks when VACUUM removes them there; a plain one has its own. What rewrites files (DELETE, UPDATE, MERGE, OPTIMIZE)
//! is refused on those that lie in another table.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::{Action, Add, Metadata, Protocol};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use posixlake_sql::{CloneTable, Privilege};
use serde_json::json;

use super::clone_files::{CopiedFile, Source};
use super::create_like::of_another_table;
use super::create_table::{all_removed, first_commit};
use super::properties::{self, MAPPING_MODE, is_of_protocol};
use super::target::NewName;
use crate::catalog::{Lake, TableId};
use crate::dml::with_retries;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, check_writable, commit};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::path_of;
use crate::table::evolution::edited;
use crate::table::{Definition, PRIMARY_KEY, protocol_for};

/// How many files are copied at a time.
const COPIES: usize = 16;

/// Plans `CREATE TABLE … CLONE`.
///
/// # Errors
/// Where the source or its version is not there, or the new table stands and is neither to be kept nor replaced.
pub(super) async fn plan(planner: &Planner, request: &CloneTable, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let (source, latest) = planner.table(&request.source).await?;
    let table = match &request.as_of {
        Some(as_of) => lake.open_at(&source, planner.point(as_of)?).await?,
        None => latest,
    };
    check_writable(&table, &source.display())?;
    let target = NewName::resolve(lake, &request.name, request.location.as_deref())?;
    if target.id.url == source.url {
        return Err(Error::invalid(format!(
            "{} cannot be a clone of itself; RESTORE TABLE brings a past version back",
            source.display()
        )));
    }
    target.check_not_hiding(lake).await?;
    let standing = lake.snapshots().latest(&target.id.url).await?;
    match &standing {
        None => target.check_free(lake).await?,
        Some(_) if request.if_not_exists => {}
        Some(table) if request.or_replace => check_writable(table, &target.id.display())?,
        Some(_) => {
            return Err(Error::already_exists(format!(
                "table {} exists already",
                target.id.display()
            )));
        }
    }
    let cloning = Cloning {
        lake: lake.clone(),
        source,
        table,
        target,
        shallow: request.shallow,
        or_replace: request.or_replace,
        if_not_exists: request.if_not_exists,
        properties: checked_properties(&request.properties)?,
        text,
    };
    cloning.actions(standing.as_ref())?;
    command_plan("clone_table", Arc::new(cloning))
}

fn checked_properties(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let properties = properties::checked(pairs)?;
    match [MAPPING_MODE, PRIMARY_KEY]
        .into_iter()
        .find(|key| properties.contains_key(*key))
    {
        Some(key) => Err(Error::invalid(format!(
            "a clone has the {key} of its source; leave the property out"
        ))),
        None => Ok(properties),
    }
}

#[derive(Debug)]
struct Cloning {
    lake: Arc<Lake>,
    source: TableId,
    table: Snapshot,
    target: NewName,
    shallow: bool,
    or_replace: bool,
    if_not_exists: bool,
    properties: BTreeMap<String, String>,
    text: String,
}

impl Cloning {
    /// The clone's metadata and protocol: the source's; where it replaces a table, it stays that table, and its protocol is
    /// never lowered.
    fn actions(&self, standing: Option<&Snapshot>) -> Result<(Metadata, Protocol)> {
        let source = Definition::of(&self.table)?;
        let current = standing.map(Definition::of).transpose()?;
        let mut all = source.configuration().clone();
        all.extend(self.properties.clone());
        let mut wanted = all.clone();
        wanted.insert(
            "delta.minReaderVersion".to_string(),
            source.protocol().min_reader_version().to_string(),
        );
        wanted.insert(
            "delta.minWriterVersion".to_string(),
            source.protocol().min_writer_version().to_string(),
        );
        for feature in source.protocol().writer_features().unwrap_or_default() {
            wanted.insert(format!("delta.feature.{feature}"), "supported".to_string());
        }
        let protocol = protocol_for(source.schema(), &wanted, current.as_ref().map(Definition::protocol))?;
        all.retain(|key, _| !is_of_protocol(key));
        let mut metadata = edited(&of_another_table(source.metadata())?, [("configuration", json!(all))])?;
        if let Some(current) = &current {
            let same = current.metadata();
            metadata = edited(
                &metadata,
                [("id", json!(same.id())), ("createdTime", json!(same.created_time()))],
            )?;
        }
        Ok((metadata, protocol))
    }

    /// The source's files as the clone refers to them; copied where it has its own.
    async fn files(&self, running: &Running) -> Result<Vec<CopiedFile>> {
        let source = Source::new(&self.lake, &self.source.url)?;
        let adds: Vec<Add> = self.table.files().iter().map(|file| file.add.clone()).collect();
        if self.shallow {
            return adds.into_iter().map(|add| source.referred(add)).collect();
        }
        let to = self.lake.stores().root(&self.target.id.url)?;
        let folder = path_of(&self.target.id.url)?;
        let copies: Vec<_> = adds
            .into_iter()
            .map(|add| {
                let copy = source.copied(add, to.clone(), folder.clone());
                async move {
                    let copied = copy.await?;
                    running.progress.files.add(1);
                    running
                        .progress
                        .bytes
                        .add(usize::try_from(copied.add.size).unwrap_or_default());
                    Ok::<_, Error>(copied)
                }
            })
            .collect();
        futures::stream::iter(copies)
            .buffer_unordered(COPIES)
            .try_collect()
            .await
    }

    /// Takes away copies that nothing will refer to; what cannot be removed is left to VACUUM.
    async fn discard(&self, files: &[CopiedFile]) {
        if let (false, Ok(store)) = (self.shallow, self.lake.stores().root(&self.target.id.url)) {
            for path in files.iter().flat_map(|file| &file.written) {
                let _ = store.delete(path).await;
            }
        }
    }

    fn commit(&self, actions: Vec<Action>, counts: &Counts, read_version: Option<u64>) -> Commit {
        let text = |pairs: &[(&str, String)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_string(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        Commit {
            operation: "CLONE",
            parameters: text(&[
                ("source", self.source.url.to_string()),
                ("sourceVersion", self.table.version().to_string()),
                ("isShallow", self.shallow.to_string()),
                ("properties", json!(self.properties).to_string()),
            ]),
            metrics: text(&[
                ("sourceTableSize", counts.source_bytes.to_string()),
                ("sourceNumOfFiles", counts.source_files.to_string()),
                ("numRemovedFiles", counts.removed_files.to_string()),
                ("removedFilesSize", counts.removed_bytes.to_string()),
                ("numCopiedFiles", counts.copied_files.to_string()),
                ("copiedFilesSize", counts.copied_bytes.to_string()),
            ]),
            actions,
            read_version,
            mode: Mode::Exclusive,
            statement: Some(self.text.clone()),
        }
    }

    async fn first(&self, files: &[CopiedFile]) -> Result<Counts> {
        let (metadata, protocol) = self.actions(None)?;
        let mut actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        actions.extend(files.iter().map(|file| Action::Add(file.add.clone())));
        let counts = Counts::new(files, self.shallow, &[]);
        let first = self.commit(actions, &counts, None);
        let done = first_commit(&self.lake, &self.target.id, first, self.if_not_exists).await?;
        if !done {
            self.discard(files).await;
        }
        Ok(if done { counts } else { Counts::default() })
    }

    async fn replace(&self, files: &[CopiedFile]) -> Result<Counts> {
        with_retries(&self.lake, &self.target.id, |table| async move {
            let (metadata, protocol) = self.actions(Some(&table))?;
            let mut actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
            let removed = all_removed(&table)?;
            // A file that the table refers to already stays: an action that removes it beside one that adds it has no meaning.
            let standing: HashSet<&str> = removed.iter().filter_map(path_of_removed).collect();
            let kept: HashSet<&str> = files
                .iter()
                .map(|file| file.add.path.as_str())
                .filter(|path| standing.contains(path))
                .collect();
            let added = files.iter().filter(|file| !kept.contains(file.add.path.as_str()));
            let added: Vec<Action> = added.map(|file| Action::Add(file.add.clone())).collect();
            let removed: Vec<Action> = removed
                .iter()
                .filter(|action| path_of_removed(action).is_some_and(|path| !kept.contains(path)))
                .cloned()
                .collect();
            let counts = Counts::new(files, self.shallow, &removed);
            actions.extend(removed);
            actions.extend(added);
            let version = commit(
                table.log_store().as_ref(),
                self.commit(actions, &counts, Some(table.version())),
            )
            .await?;
            Ok((counts, Some(version)))
        })
        .await
    }
}

fn path_of_removed(action: &Action) -> Option<&str> {
    match action {
        Action::Remove(remove) => Some(&remove.path),
        _ => None,
    }
}

/// What a clone moved, as Delta counts it.
#[derive(Debug, Default)]
struct Counts {
    source_bytes: i64,
    source_files: i64,
    removed_files: i64,
    copied_files: i64,
    removed_bytes: i64,
    copied_bytes: i64,
}

impl Counts {
    fn new(files: &[CopiedFile], shallow: bool, removed: &[Action]) -> Self {
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let source_bytes = files.iter().map(|file| file.add.size).sum();
        let sizes = removed.iter().map(|action| match action {
            Action::Remove(remove) => remove.size.unwrap_or_default(),
            _ => 0,
        });
        Self {
            source_bytes,
            source_files: count(files.len()),
            removed_files: count(removed.len()),
            removed_bytes: sizes.sum(),
            copied_files: if shallow { 0 } else { count(files.len()) },
            copied_bytes: if shallow { 0 } else { source_bytes },
        }
    }

    fn batch(&self, schema: SchemaRef) -> Result<RecordBatch> {
        let values = [
            self.source_bytes,
            self.source_files,
            self.removed_files,
            self.copied_files,
            self.removed_bytes,
            self.copied_bytes,
        ];
        let columns = values
            .into_iter()
            .map(|value| Arc::new(Int64Array::from(vec![value])) as _)
            .collect();
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

#[async_trait]
impl Command for Cloning {
    fn describe(&self) -> String {
        self.text.clone()
    }

    /// As Delta in Spark returns it.
    fn touches(&self) -> Vec<Touch> {
        let target = &self.target.id.url;
        let mut touches = vec![
            Touch::Table(self.source.url.clone(), Privilege::Select),
            Touch::Table(target.clone(), Privilege::Modify),
            Touch::Table(target.clone(), Privilege::Insert),
        ];
        if self.or_replace {
            touches.push(Touch::Table(target.clone(), Privilege::Delete));
        }
        touches
    }

    fn schema(&self) -> SchemaRef {
        let names = [
            "source_table_size",
            "source_num_of_files",
            "num_removed_files",
            "num_copied_files",
            "removed_files_size",
            "copied_files_size",
        ];
        Arc::new(Schema::new(
            names.map(|name| Field::new(name, DataType::Int64, false)).to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let standing = self.lake.snapshots().latest(&self.target.id.url).await?;
        if let (Some(_), false) = (&standing, self.or_replace) {
            if self.if_not_exists {
                return Counts::default().batch(self.schema());
            }
            return Err(Error::already_exists(format!(
                "table {} exists already",
                self.target.id.display()
            )));
        }
        let files = self.files(&running).await?;
        let done = match standing {
            None => self.first(&files).await,
            Some(_) => self.replace(&files).await,
        };
        let counts = match done {
            Ok(counts) => counts,
            Err(error) => {
                // A commit whose fate is unknown may refer to the copies.
                if error.kind() != ErrorKind::Storage {
                    self.discard(&files).await;
                }
                return Err(error);
            }
        };
        if self.target.external {
            self.lake.add_external(&self.target.id);
        }
        counts.batch(self.schema())
    }
}
