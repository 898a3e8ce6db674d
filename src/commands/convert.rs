//! `CONVERT TO DELTA`: a folder of Parquet files becomes a table, in place. The files stay as they are; the log names them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::scalars::ScalarExt;
use deltalake_core::kernel::{Action, Add, DataType, StructField, StructType, new_metadata};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;
use posixlake_sql::{Convert, Privilege};
use serde_json::json;

use super::blueprint::fields;
use super::create_table::first_commit;
use super::target::nothing;
use crate::access::Touch;
use crate::catalog::{LOCATION_SCHEMA, Lake, TableId, has_log};
use crate::error::{Error, Result};
use crate::log::{Commit, Mode};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::folder_url;
use crate::table::evolution::check_names;
use crate::table::types::{column_of, structure, type_sql};
use crate::table::{Definition, FileStatistics, footer, protocol_for};

/// How many footers are read at a time.
const READS: usize = 32;
/// The folder name that stands for NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Plans `CONVERT TO DELTA`.
///
/// # Errors
/// Where no Parquet files lie there, a table does already, or folders and partition columns do not fit together.
pub(super) async fn plan(planner: &Planner, request: &Convert, text: String) -> Result<LogicalPlan> {
    let url = folder_url(&request.location, None)?;
    let mut partition = fields(&request.partitioned_by)?;
    for field in &mut partition {
        field.nullable = true;
        if !matches!(field.data_type(), DataType::Primitive(_)) || *field.data_type() == DataType::BINARY {
            return Err(Error::schema(format!(
                "PARTITIONED BY: column {} is {}; a table is partitioned by plain values",
                field.name(),
                type_sql(field.data_type())
            )));
        }
    }
    let id = TableId {
        schema: LOCATION_SCHEMA.to_string(),
        name: request.location.clone(),
        url,
    };
    let converting = Converting {
        lake: planner.lake().clone(),
        id,
        partition,
        statistics: request.statistics,
        text,
    };
    for file in converting.found().await? {
        converting.partition_values(&file.location)?;
    }
    command_plan("convert_to_delta", Arc::new(converting))
}

#[derive(Debug)]
struct Converting {
    lake: Arc<Lake>,
    id: TableId,
    partition: Vec<StructField>,
    statistics: bool,
    text: String,
}

/// A file with what its folders and its footer say.
struct Described {
    file: ObjectMeta,
    partition_values: HashMap<String, Option<String>>,
    columns: Vec<StructField>,
    footer: ParquetMetaData,
}

impl Converting {
    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        self.lake.stores().folder(&self.id.url)
    }

    /// The Parquet files below the folder, in order; what is hidden is none of the table's.
    async fn found(&self) -> Result<Vec<ObjectMeta>> {
        let store = self.store()?;
        if has_log(store.as_ref(), &Path::default()).await? {
            return Err(Error::already_exists(format!(
                "'{}' is a Delta table already",
                self.id.url
            )));
        }
        let visible = |file: &ObjectMeta| {
            let hidden = |name: &str| name.starts_with(['_', '.']) && !name.contains('=');
            file.location.as_ref().ends_with(".parquet") && !file.location.as_ref().split('/').any(hidden)
        };
        let listed: std::result::Result<Vec<ObjectMeta>, _> = store.list(None).try_collect().await;
        let mut files = match listed {
            Ok(files) => files,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        files.retain(visible);
        files.sort_by(|left, right| left.location.cmp(&right.location));
        match files.as_slice() {
            [] => Err(Error::not_found(format!(
                "no Parquet files (*.parquet) lie in '{}'",
                self.id.url
            ))),
            _ => Ok(files),
        }
    }

    /// The partition values that a file's folders say, as the log writes them.
    fn partition_values(&self, location: &Path) -> Result<HashMap<String, Option<String>>> {
        let parts: Vec<&str> = location.as_ref().split('/').collect();
        let folders = parts.split_last().map(|(_, folders)| folders).unwrap_or_default();
        let mut values = HashMap::new();
        for folder in folders {
            let Some((name, value)) = folder.split_once('=') else {
                return Err(Error::invalid(format!(
                    "the file '{location}' lies in the folder '{folder}', which is not named column=value"
                )));
            };
            let name = unescaped(name);
            let Some(field) = self
                .partition
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(&name))
            else {
                return Err(Error::invalid(format!(
                    "the folders of '{location}' have values of {name}; give its type: PARTITIONED BY ({name} TYPE)"
                )));
            };
            let value = partition_value(field, &unescaped(value), location)?;
            if values.insert(field.name().clone(), value).is_some() {
                return Err(Error::invalid(format!(
                    "the folders of '{location}' have two values of {name}"
                )));
            }
        }
        match self.partition.iter().find(|field| !values.contains_key(field.name())) {
            Some(field) => Err(Error::invalid(format!(
                "the folders of '{location}' have no value of the partition column {}",
                field.name()
            ))),
            None => Ok(values),
        }
    }

    async fn described(&self, store: Arc<dyn ObjectStore>, file: ObjectMeta) -> Result<Described> {
        let partition_values = self.partition_values(&file.location)?;
        let within = |error: Error| {
            Error::new(
                error.kind(),
                format!("the file '{}': {}", file.location, error.message()),
            )
            .with_source(error)
        };
        let footer = footer(store, file.location.clone(), file.size).await.map_err(within)?;
        let columns = columns(&footer).map_err(within)?;
        Ok(Described {
            partition_values,
            columns,
            footer,
            file,
        })
    }

    /// One schema for all files: the columns in the order in which they first come, then the partition's.
    fn merged(&self, files: &[Described]) -> Result<StructType> {
        let mut fields: Vec<StructField> = Vec::new();
        for described in files {
            for column in &described.columns {
                let known = fields
                    .iter()
                    .find(|field| field.name().eq_ignore_ascii_case(column.name()));
                match known {
                    None => fields.push(column.clone()),
                    Some(known) if known.data_type() == column.data_type() && known.name() == column.name() => {}
                    Some(known) => {
                        return Err(Error::schema(format!(
                            "the column {} is {} in the file '{}', and {} {} in files before it; the files of a table \
                             have the same names and types",
                            column.name(),
                            type_sql(column.data_type()),
                            described.file.location,
                            known.name(),
                            type_sql(known.data_type())
                        )));
                    }
                }
            }
        }
        for partition in &self.partition {
            if fields
                .iter()
                .any(|field| field.name().eq_ignore_ascii_case(partition.name()))
            {
                return Err(Error::schema(format!(
                    "the column {} is in the files and in the names of their folders; a table has it once",
                    partition.name()
                )));
            }
            fields.push(partition.clone());
        }
        let schema = structure(fields)?;
        check_names(&schema)?;
        Ok(schema)
    }
}

/// A folder's name as it was before it was escaped like a part of a URL.
fn unescaped(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = match (first, behind) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|code| u8::from_str_radix(code, 16).ok()),
            _ => None,
        };
        plain.push(code.unwrap_or(*first));
        rest = match (code, behind) {
            (Some(_), [_, _, behind @ ..]) => behind,
            _ => behind,
        };
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_string())
}

fn partition_value(field: &StructField, text: &str, location: &Path) -> Result<Option<String>> {
    if text == NULL_FOLDER || text.is_empty() {
        return Ok(None);
    }
    let DataType::Primitive(primitive) = field.data_type() else {
        return Err(Error::internal(format!("{} is no partition column", field.name())));
    };
    let value = primitive.parse_scalar(text).map_err(|error| {
        Error::invalid(format!(
            "the folders of '{location}' say {} = '{text}', which is not {}: {error}",
            field.name(),
            type_sql(field.data_type())
        ))
    })?;
    Ok(Some(value.serialize()))
}

/// The columns that a footer describes, as a table has them.
fn columns(footer: &ParquetMetaData) -> Result<Vec<StructField>> {
    let file = footer.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
        .map_err(|error| Error::corrupt(format!("the schema cannot be read: {error}")).with_source(error))?;
    // Times of this old type are instants, although the type does not say so.
    let descriptor = file.schema_descr();
    let instants: Vec<&str> = descriptor
        .columns()
        .iter()
        .filter(|column| column.physical_type() == PhysicalType::INT96)
        .filter_map(|column| column.path().parts().first().map(String::as_str))
        .collect();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        ArrowType::Timestamp(_, None) if instants.contains(&field.name().as_str()) => {
            let instant = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            column_of(&Field::new(field.name(), instant, true))
        }
        _ => column_of(field),
    });
    fields.collect()
}

#[async_trait]
impl Command for Converting {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Table(self.id.url.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, running: Running) -> Result<RecordBatch> {
        let store = self.store()?;
        let reads = self.found().await?.into_iter().map(|file| {
            let (store, running) = (store.clone(), &running);
            async move {
                let described = self.described(store, file).await?;
                running.progress.files.add(1);
                Ok::<_, Error>(described)
            }
        });
        let reads: Vec<_> = reads.collect();
        let files: Vec<Described> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        let schema = self.merged(&files)?;
        let names: Vec<String> = self.partition.iter().map(|field| field.name().clone()).collect();
        let none: [(String, String); 0] = [];
        let metadata = new_metadata(&schema, &names, none).map_err(DeltaTableError::from)?;
        let protocol = protocol_for(&schema, metadata.configuration(), None)?;
        let statistics = FileStatistics::of_definition(&Definition::new(metadata.clone(), protocol.clone())?)?;
        let count = files.len();
        let mut actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        for described in files {
            let stats = match self.statistics {
                true => statistics.describe(&described.footer, false)?.0,
                false => json!({ "numRecords": described.footer.file_metadata().num_rows() }).to_string(),
            };
            actions.push(Action::Add(Add {
                path: described.file.location.to_string(),
                size: i64::try_from(described.file.size).unwrap_or(i64::MAX),
                partition_values: described.partition_values,
                modification_time: described.file.last_modified.timestamp_millis(),
                data_change: true,
                stats: Some(stats),
                ..Add::default()
            }));
        }
        let first = Commit {
            operation: "CONVERT",
            parameters: BTreeMap::from([
                ("numFiles".to_string(), count.to_string()),
                ("partitionedBy".to_string(), json!(names).to_string()),
                ("collectStats".to_string(), self.statistics.to_string()),
            ]),
            metrics: BTreeMap::from([("numConvertedFiles".to_string(), count.to_string())]),
            actions,
            read_version: None,
            mode: Mode::Exclusive,
            statement: Some(self.text.clone()),
        };
        first_commit(&self.lake, &self.id, first, false).await?;
        Ok(nothing())
    }
}
