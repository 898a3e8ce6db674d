//! `COPY INTO`: files are loaded into a table, each of them once, however often it is said.

mod options;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::access::Touch;
use crate::log::Snapshot;
use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::kernel::Transaction;
use posixlake_sql::{CopyInto, Privilege};
use posixlake_udfs::{FileFormat, FileScanRequest, FoundFile, open_files, resolve_files};

use crate::catalog::TableId;
use crate::dml::{InsertCommand, Overwrite};
use crate::error::{Error, ErrorKind, Result};
use crate::log::check_writable;
use crate::plan::{Command, Planner, Running, SinkCommand, command_plan, project};
use crate::table::{Definition, evolve};
use options::{CopyOptions, read_options};

/// How often the files are looked at again because another statement loaded some of them first.
const ATTEMPTS: u32 = 20;
/// The start of the application ids under which the log keeps what was loaded.
const LEDGER: &str = "posixlake.copy:";
/// The version of such an application transaction; there is only one.
const LOADED: i64 = 1;

/// Plans `COPY INTO`.
///
/// # Errors
/// Where there is no such table, or an option is not known.
pub(super) async fn plan(planner: &Planner, copy: &CopyInto, statement: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&copy.table).await?;
    check_writable(&table, &id.display())?;
    let format = match copy.format {
        posixlake_sql::FileFormat::Csv => FileFormat::Csv,
        posixlake_sql::FileFormat::Json => FileFormat::Json,
        posixlake_sql::FileFormat::Parquet => FileFormat::Parquet,
    };
    let options = CopyOptions::of(&copy.copy_options)?;
    let request = read_options(format, &copy.format_options)?;
    let paths = paths(copy)?;
    let touches: Vec<Touch> = paths.iter().cloned().map(Touch::Files).collect();
    planner.lake().access().check(&touches)?;
    let command = CopyCommand {
        planner: planner.clone(),
        id,
        format,
        paths,
        request,
        options,
        statement,
    };
    command_plan("copy_into", Arc::new(command))
}

/// The paths that the location, `FILES` and `PATTERN` say.
fn paths(copy: &CopyInto) -> Result<Vec<String>> {
    let below = |name: &str| {
        format!(
            "{}/{}",
            copy.location.trim_end_matches('/'),
            name.trim_start_matches('/')
        )
    };
    match (&copy.pattern, copy.files.as_slice()) {
        (Some(_), [_, ..]) => Err(Error::invalid("COPY INTO takes either FILES or PATTERN")),
        (Some(pattern), []) => Ok(vec![below(pattern)]),
        (None, []) => Ok(vec![copy.location.clone()]),
        (None, files) => Ok(files.iter().map(|file| below(file)).collect()),
    }
}

#[derive(Clone)]
struct CopyCommand {
    planner: Planner,
    id: TableId,
    format: FileFormat,
    paths: Vec<String>,
    /// The options of the reader, without paths.
    request: Vec<(String, String)>,
    options: CopyOptions,
    statement: String,
}

impl std::fmt::Debug for CopyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.statement)
    }
}

/// What tells whether a file is one that was loaded: where it is, and its content as far as the store tells it.
fn ledger_id(file: &FoundFile) -> String {
    let meta = &file.meta;
    let content = match &meta.e_tag {
        Some(tag) => tag.clone(),
        None => meta.last_modified.timestamp_millis().to_string(),
    };
    format!(
        "{LEDGER}{}{}:{}:{content}",
        file.store.as_str(),
        meta.location,
        meta.size
    )
}

/// What one `COPY INTO` did.
struct Outcome {
    inserted: u64,
    skipped: usize,
}

impl CopyCommand {
    async fn attempt(&self, running: &Running) -> Result<Outcome> {
        let state = self.planner.state();
        let (_, mut found) = resolve_files(state, &self.paths, Some(self.format)).await?;
        let mut seen = std::collections::HashSet::new();
        found.retain(|file| seen.insert(ledger_id(file)));
        let table = self.planner.lake().open_table(&self.id).await?;
        check_writable(&table, &self.id.display())?;
        let fresh = not_loaded(&table, &found);
        let pending = if self.options.force {
            found.clone()
        } else {
            fresh.clone()
        };
        let skipped = found.len() - pending.len();
        running.progress.files.add(found.len());
        if pending.is_empty() {
            return Ok(Outcome { inserted: 0, skipped });
        }
        let (plan, evolved) = self.rows(&table, &pending).await?;
        // What is read from here on is what was listed: a reader notices a file that changes while it is read.
        self.check_unchanged(&pending).await?;
        let now = chrono::Utc::now().timestamp_millis();
        let ledger = fresh
            .iter()
            .map(|file| Transaction::new_with_last_update(ledger_id(file), LOADED, Some(now)));
        let statement = Some(self.statement.clone());
        let mut insert = InsertCommand::new(
            self.planner.lake().clone(),
            self.id.clone(),
            Overwrite::Nothing,
            statement,
        )
        .copying(ledger.collect(), Some(table.version()));
        if let Some((metadata, protocol)) = evolved {
            insert = insert.evolving(metadata, protocol);
        }
        let batch = insert.run(plan, running.clone()).await?;
        let count = batch
            .columns()
            .first()
            .and_then(|column| column.as_primitive_opt::<UInt64Type>().cloned());
        Ok(Outcome {
            inserted: count
                .filter(|count| !count.is_empty())
                .map_or(0, |count| count.value(0)),
            skipped,
        })
    }

    /// The plan of the files' rows with the table's columns, and the table's next definition where it gets new ones.
    async fn rows(&self, table: &Snapshot, files: &[FoundFile]) -> Result<(Arc<dyn ExecutionPlan>, Evolved)> {
        let definition = Definition::of(table)?;
        let paths = files.iter().map(|file| file.label.to_string());
        let mut request = FileScanRequest::new(self.format, paths).with_expected_schema(definition.arrow_schema()?);
        for (name, value) in &self.request {
            request = request.with_option(name, &value.as_str().into())?;
        }
        let state = self.planner.state();
        let provider = open_files(state, &request).await?;
        let evolved = if self.options.merge_schema {
            evolve(&definition, &provider.schema())?
        } else {
            None
        };
        let target = match &evolved {
            Some((metadata, protocol)) => Definition::new(metadata.clone(), protocol.clone())?,
            None => definition,
        };
        let pairing = self.pair(&target, &provider.schema())?;
        let source = LogicalPlanBuilder::scan("files", provider_as_source(provider), None)?.build()?;
        let plan = project(&self.planner, &self.id, &target, source, pairing, &BTreeMap::new(), 0)?;
        Ok((state.create_physical_plan(&plan).await?, evolved))
    }

    /// For each column of the table that the files have, its position there.
    ///
    /// # Errors
    /// Where the files have a column that the table has not, or two for one.
    fn pair(&self, target: &Definition, files: &Schema) -> Result<HashMap<String, usize>> {
        let mut pairing = HashMap::new();
        let mut unknown = Vec::new();
        for (position, field) in files.fields().iter().enumerate() {
            let exact = target.fields().find(|column| column.name() == field.name());
            let found = exact.or_else(|| {
                target
                    .fields()
                    .find(|column| column.name().eq_ignore_ascii_case(field.name()))
            });
            match found {
                Some(column) => {
                    if let Some(other) = pairing.insert(column.name().clone(), position) {
                        return Err(Error::schema(format!(
                            "the files have two columns for {}: {} and {}",
                            column.name(),
                            files.field(other).name(),
                            field.name()
                        )));
                    }
                }
                None => unknown.push(field.name().clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(pairing);
        }
        let known: Vec<&str> = target.fields().map(|field| field.name().as_str()).collect();
        Err(Error::schema(format!(
            "the files have columns that table {} has not: {} (it has {}); COPY_OPTIONS ('mergeSchema' = 'true') adds them",
            self.id.display(),
            unknown.join(", "),
            known.join(", ")
        )))
    }

    /// # Errors
    /// [`ErrorKind::Conflict`] where files are not what they were.
    async fn check_unchanged(&self, files: &[FoundFile]) -> Result<()> {
        let labels: Vec<String> = files.iter().map(|file| file.label.to_string()).collect();
        let (_, again) = resolve_files(self.planner.state(), &labels, Some(self.format)).await?;
        if again.iter().map(ledger_id).eq(files.iter().map(ledger_id)) {
            Ok(())
        } else {
            Err(Error::conflict("the files changed while they were looked at"))
        }
    }
}

type Evolved = Option<(deltalake_core::kernel::Metadata, deltalake_core::kernel::Protocol)>;

/// The files that the table's log does not have as loaded.
fn not_loaded(table: &Snapshot, files: &[FoundFile]) -> Vec<FoundFile> {
    let new = files
        .iter()
        .filter(|file| table.transaction(&ledger_id(file)).is_none());
    new.cloned().collect()
}

#[async_trait]
impl Command for CopyCommand {
    fn describe(&self) -> String {
        self.statement.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let mut touches = vec![Touch::Table(self.id.url.clone(), Privilege::Insert)];
        if self.options.merge_schema {
            touches.push(Touch::Table(self.id.url.clone(), Privilege::Modify));
        }
        touches.extend(self.paths.iter().cloned().map(Touch::Files));
        touches
    }

    fn schema(&self) -> SchemaRef {
        let names = ["num_affected_rows", "num_inserted_rows", "num_skipped_files"];
        Arc::new(Schema::new(
            names.map(|name| Field::new(name, DataType::UInt64, false)).to_vec(),
        ))
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let mut attempt = 0;
        let outcome = loop {
            match self.attempt(&running).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt + 1 < ATTEMPTS => {
                    attempt += 1;
                    let limit = 5 << attempt.min(6);
                    tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(1..=limit))).await;
                }
                outcome => break outcome?,
            }
        };
        let values = [outcome.inserted, outcome.inserted, outcome.skipped as u64];
        let columns = values.map(|value| Arc::new(UInt64Array::from(vec![value])) as ArrayRef);
        Ok(RecordBatch::try_new(self.schema(), columns.to_vec())?)
    }
}
