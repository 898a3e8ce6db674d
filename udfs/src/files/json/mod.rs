//! JSON: one object a line, one array of objects, or objects with white space between them.
//!
//! A field of an object is a column, nested ones are STRUCT and ARRAY. Columns and types are found in a sample; a field
//! that appears after it is an error where whole rows are read, since its values would be lost. Text stays text: DATE and
//! TIMESTAMP are read where `types` says so.

mod boundaries;
mod decode;
mod explain;
mod infer;

pub(crate) use decode::decode_values;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;

use super::chunk::{Chunks, Splitter};
use super::compression::Compression;
use super::error::{FileError, Result};
use super::exec::{Job, Scan, TextReader};
use super::request::{FILENAME, FileScanRequest};
use super::resolve::FoundFile;
use super::source::blocks;
use super::types::{type_name, with_strings};
use super::values::{ValueRules, is_readable};

use boundaries::JsonBoundaries;
use decode::decode;
use infer::Shape;

/// How files are read as one table.
#[derive(Debug)]
pub(crate) struct JsonTable {
    compression: Option<Compression>,
    rules: ValueRules,
    sampled_all: bool,
    chunk_bytes: Option<usize>,
    /// The columns in the files.
    columns: SchemaRef,
    /// These, and `filename` if it was asked for.
    schema: SchemaRef,
}

impl JsonTable {
    fn chunks(&self, store: Arc<dyn ObjectStore>, file: &FoundFile, scan: Option<&Scan>) -> Chunks<JsonBoundaries> {
        let compression = self
            .compression
            .unwrap_or_else(|| Compression::of_name(file.meta.location.as_ref()).0);
        let blocks = blocks(
            store,
            file,
            compression,
            self.chunk_bytes,
            scan.map(|scan| scan.scanned.clone()),
        );
        Chunks::new(blocks, Splitter::new(JsonBoundaries::new(), Arc::clone(&file.label), 0))
    }
}

impl TextReader for JsonTable {
    fn format_name(&self) -> &'static str {
        "json"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn jobs(
        self: Arc<Self>,
        store: Arc<dyn ObjectStore>,
        file: FoundFile,
        scan: Arc<Scan>,
    ) -> BoxStream<'static, Result<Job>> {
        let chunks = self.chunks(store, &file, Some(&scan));
        futures::stream::try_unfold(chunks, move |mut chunks| {
            let (table, label, scan) = (Arc::clone(&self), Arc::clone(&file.label), Arc::clone(&scan));
            async move {
                let Some(chunk) = chunks.next().await? else {
                    return Ok(None);
                };
                let job: Job = Box::new(move || decode(&table, &label, &scan, &chunk));
                Ok(Some((job, chunks)))
            }
        })
        .boxed()
    }
}

/// Works out how `files` are read as one table.
///
/// # Errors
/// Types that JSON does not have, files that cannot be read as JSON, fields that no column can hold.
pub(crate) async fn plan(
    state: &dyn Session,
    request: &FileScanRequest,
    files: &[FoundFile],
    strings: &DataType,
) -> Result<JsonTable> {
    let options = &request.options;
    let zone = state.config_options().execution.time_zone.as_deref();
    let mut table = JsonTable {
        compression: options.compression,
        rules: ValueRules::new(options.date_format.clone(), options.timestamp_format.clone(), zone)?,
        sampled_all: options.union_by_name || files.len() == 1,
        chunk_bytes: request.chunk_bytes,
        columns: Arc::new(Schema::empty()),
        schema: Arc::new(Schema::empty()),
    };
    let mut shape = Shape::Object(Vec::new());
    let sampled = if options.union_by_name {
        files
    } else {
        files.get(..1).unwrap_or_default()
    };
    for file in sampled {
        let (of_file, complete) = sample(state, request, file, &table).await?;
        shape.merge(of_file);
        table.sampled_all &= complete;
    }
    let label = files.first().map_or("", |file| file.label.as_ref());
    let fields = fields(request, &shape, label, strings)?;
    if fields.is_empty() {
        return Err(FileError::data(format!(
            "{label}: no rows to find columns in; name them: types => 'id BIGINT, name STRING'"
        )));
    }
    table.columns = Arc::new(Schema::new(fields.clone()));
    table.schema = if options.filename {
        if fields.iter().any(|field| field.name() == FILENAME) {
            return Err(FileError::schema(format!(
                "{label}: there is a column filename already; read it without filename => true"
            )));
        }
        let filename = Field::new(FILENAME, strings.clone(), false);
        Arc::new(Schema::new(fields.into_iter().chain([filename]).collect::<Vec<_>>()))
    } else {
        Arc::clone(&table.columns)
    };
    Ok(table)
}

/// The columns: those of the sample, each with the type that the request gives it or else the one found; then those that
/// only the request names.
fn fields(request: &FileScanRequest, shape: &Shape, label: &str, strings: &DataType) -> Result<Vec<Field>> {
    let types = &request.options.types;
    let declared = |name: &str| {
        types
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, data_type)| data_type.clone())
    };
    let mut columns: Vec<(String, DataType)> = Vec::new();
    if let Shape::Object(fields) = shape {
        for (name, shape) in fields {
            let expected = || request.expected_type(name).filter(is_readable);
            let data_type = match declared(name).or_else(expected) {
                Some(data_type) => data_type,
                None => shape
                    .data_type(name)
                    .map_err(|why| FileError::data(format!("{label}: {why}")))?,
            };
            columns.push((name.clone(), data_type));
        }
    }
    for (name, data_type) in types {
        if let Some(data_type) = data_type
            && !columns.iter().any(|(known, _)| known == name)
        {
            columns.push((name.clone(), data_type.clone()));
        }
    }
    if let Some((name, data_type)) = columns.iter().find(|(_, data_type)| !is_readable(data_type)) {
        return Err(FileError::invalid(format!(
            "{label}: column {name} cannot be read as {} from JSON",
            type_name(data_type)
        )));
    }
    Ok(columns
        .into_iter()
        .map(|(name, data_type)| Field::new(name, with_strings(&data_type, strings), true))
        .collect())
}

/// The shape of the first rows of a file, and whether these are all.
async fn sample(
    state: &dyn Session,
    request: &FileScanRequest,
    file: &FoundFile,
    table: &JsonTable,
) -> Result<(Shape, bool)> {
    let mut chunks = table.chunks(file.open(state)?, file, None);
    let mut left = request.options.sample().unwrap_or(usize::MAX);
    let mut shape = Shape::Object(Vec::new());
    while left > 0 {
        let Some(chunk) = chunks.next().await? else {
            return Ok((shape, true));
        };
        let mut values = serde_json::Deserializer::from_slice(&chunk.bytes).into_iter::<Shape>();
        loop {
            let before = values.byte_offset();
            match values.next() {
                _ if left == 0 => break,
                None => break,
                Some(Ok(row @ Shape::Object(_))) => {
                    shape.merge(row);
                    left -= 1;
                }
                Some(Ok(_)) => return Err(explain::not_an_object(&file.label, &chunk, before)),
                Some(Err(error)) => return Err(explain::syntax(&file.label, &chunk, &error)),
            }
        }
    }
    Ok((shape, false))
}
