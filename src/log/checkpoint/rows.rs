//! Actions as rows of a checkpoint (Delta protocol, "Checkpoint Schema").

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use deltalake_core::kernel::{Add, DomainMetadata, Metadata, Protocol, Remove, Transaction};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::Serialize;

use super::structs::Structs;
use crate::error::{Error, Result};
use crate::log::files::DataFile;

/// How many rows are encoded at once.
const BATCH: usize = 4096;

/// One row: one action.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    pub(super) protocol: Option<Cow<'a, Protocol>>,
    pub(super) meta_data: Option<Cow<'a, Metadata>>,
    pub(super) txn: Option<Cow<'a, Transaction>>,
    pub(super) domain_metadata: Option<Cow<'a, DomainMetadata>>,
    pub(super) checkpoint_metadata: Option<CheckpointMetadata>,
    pub(super) sidecar: Option<Sidecar>,
    pub(super) add: Option<Add>,
    pub(super) remove: Option<Cow<'a, Remove>>,
}

/// What marks a checkpoint of the second kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CheckpointMetadata {
    pub(super) version: u64,
}

/// A file with a share of the files.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sidecar {
    pub(super) path: String,
    pub(super) size_in_bytes: u64,
    pub(super) modification_time: i64,
}

/// A row about a file. There may be a million of them, and few are encoded at a time.
#[derive(Debug, Clone)]
pub(super) enum FileRow {
    Add(Arc<DataFile>),
    Remove(Arc<Remove>),
}

impl FileRow {
    fn row(&self, texts: bool) -> Row<'_> {
        match self {
            Self::Add(file) => Row {
                add: Some(Add {
                    data_change: false,
                    stats: file.add.stats.clone().filter(|_| texts),
                    ..file.add.clone()
                }),
                ..Row::default()
            },
            Self::Remove(remove) => Row {
                remove: Some(Cow::Borrowed(remove)),
                ..Row::default()
            },
        }
    }
}

/// How the statistics of files are kept.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    /// As JSON texts.
    pub(super) texts: bool,
    /// As values, with partition values as well.
    pub(super) structs: Option<Arc<Structs>>,
}

/// Which columns a file has beside those of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    V2,
    Sidecar,
}

/// A file of a checkpoint.
///
/// # Errors
/// Where an action does not fit its column.
pub(super) fn encode(kind: Kind, statistics: &Statistics, others: &[Row<'_>], files: &[FileRow]) -> Result<Vec<u8>> {
    let schema = schema(kind, statistics.texts);
    let written = match &statistics.structs {
        Some(structs) => structs.add_to(&schema),
        None => schema.clone(),
    };
    let options = ArrowWriterOptions::new()
        .with_properties(properties())
        .with_skip_arrow_metadata(true);
    let broken = |error: parquet::errors::ParquetError| Error::internal(format!("a checkpoint: {error}"));
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), written.clone(), options).map_err(broken)?;
    let mut write = |rows: &[Row<'_>], files: &[FileRow]| -> Result<()> {
        let mut batch = batch(&schema, rows)?;
        if let Some(structs) = &statistics.structs {
            batch = structs.fill(&written, &batch, files)?;
        }
        writer.write(&batch).map_err(broken)
    };
    for rows in others.chunks(BATCH) {
        write(rows, &[])?;
    }
    for files in files.chunks(BATCH) {
        let rows: Vec<Row<'_>> = files.iter().map(|file| file.row(statistics.texts)).collect();
        write(&rows, files)?;
    }
    writer.into_inner().map_err(broken)
}

fn batch(schema: &SchemaRef, rows: &[Row<'_>]) -> Result<RecordBatch> {
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(BATCH)
        .build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder
        .flush()?
        .unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(format!("posixlake version {}", env!("CARGO_PKG_VERSION")));
    // No two of them are the same, and nobody looks for one of them.
    for column in ["add.path", "add.stats", "remove.path"] {
        let path = ColumnPath::new(column.split('.').map(ToString::to_string).collect());
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    let texts = ColumnPath::new(vec!["add".to_string(), "stats".to_string()]);
    properties
        .set_column_statistics_enabled(texts, EnabledStatistics::None)
        .build()
}

fn schema(kind: Kind, texts: bool) -> SchemaRef {
    let mut columns = vec![];
    if kind != Kind::Sidecar {
        columns.extend([protocol(), metadata(), transaction(), domain()]);
    }
    if kind == Kind::V2 {
        columns.extend([checkpoint_metadata(), sidecar()]);
    }
    columns.extend([add(texts), remove()]);
    Arc::new(Schema::new(columns))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn int(name: &str) -> Field {
    Field::new(name, DataType::Int32, true)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn boolean(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

fn texts(name: &str) -> Field {
    Field::new_list(name, Field::new("element", DataType::Utf8, true), true)
}

fn text_map(name: &str) -> Field {
    let key = Field::new("key", DataType::Utf8, false);
    Field::new_map(name, "key_value", key, text("value"), false, true)
}

fn record(name: &str, fields: Vec<Field>) -> Field {
    Field::new_struct(name, fields, true)
}

fn protocol() -> Field {
    let fields = vec![
        int("minReaderVersion"),
        int("minWriterVersion"),
        texts("readerFeatures"),
        texts("writerFeatures"),
    ];
    record("protocol", fields)
}

fn metadata() -> Field {
    let fields = vec![
        text("id"),
        text("name"),
        text("description"),
        record("format", vec![text("provider"), text_map("options")]),
        text("schemaString"),
        texts("partitionColumns"),
        long("createdTime"),
        text_map("configuration"),
    ];
    record("metaData", fields)
}

fn transaction() -> Field {
    record("txn", vec![text("appId"), long("version"), long("lastUpdated")])
}

fn domain() -> Field {
    let fields = vec![text("domain"), text("configuration"), boolean("removed")];
    record("domainMetadata", fields)
}

fn checkpoint_metadata() -> Field {
    record("checkpointMetadata", vec![long("version"), text_map("tags")])
}

fn sidecar() -> Field {
    let fields = vec![
        text("path"),
        long("sizeInBytes"),
        long("modificationTime"),
        text_map("tags"),
    ];
    record("sidecar", fields)
}

fn deletion_vector() -> Field {
    let fields = vec![
        text("storageType"),
        text("pathOrInlineDv"),
        int("offset"),
        int("sizeInBytes"),
        long("cardinality"),
    ];
    record("deletionVector", fields)
}

fn add(texts: bool) -> Field {
    let mut fields = vec![
        text("path"),
        text_map("partitionValues"),
        long("size"),
        long("modificationTime"),
        boolean("dataChange"),
    ];
    fields.extend(texts.then(|| text("stats")));
    fields.extend([
        text_map("tags"),
        deletion_vector(),
        long("baseRowId"),
        long("defaultRowCommitVersion"),
        text("clusteringProvider"),
    ]);
    record("add", fields)
}

fn remove() -> Field {
    let fields = vec![
        text("path"),
        long("deletionTimestamp"),
        boolean("dataChange"),
        boolean("extendedFileMetadata"),
        text_map("partitionValues"),
        long("size"),
        deletion_vector(),
        long("baseRowId"),
        long("defaultRowCommitVersion"),
    ];
    record("remove", fields)
}
