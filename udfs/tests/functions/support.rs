//! A session, a folder of files, and rows as text.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use datafusion::prelude::{SessionConfig, SessionContext};
use posixlake_udfs::{FileError, FileFormat, FileScanRequest, open_files, open_path};

/// A folder that goes away with the value.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file; its path as text.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    }

    /// The text with this folder's name taken out.
    pub(crate) fn without(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

pub(crate) fn session() -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    posixlake_udfs::register(&context);
    context
}

pub(crate) fn csv<const N: usize>(path: &str, options: [(&str, &str); N]) -> FileScanRequest {
    request(FileFormat::Csv, path, options)
}

pub(crate) fn json<const N: usize>(path: &str, options: [(&str, &str); N]) -> FileScanRequest {
    request(FileFormat::Json, path, options)
}

fn request<const N: usize>(format: FileFormat, path: &str, options: [(&str, &str); N]) -> FileScanRequest {
    options
        .into_iter()
        .fold(FileScanRequest::new(format, [path]), |request, (name, value)| {
            request.with_option(name, &ScalarValue::from(value)).unwrap()
        })
}

/// The message of the file error that a query ended in.
fn message(error: &datafusion::error::DataFusionError) -> String {
    FileError::find(error).map_or_else(
        || format!("not a file error: {error}"),
        |error| error.message().to_string(),
    )
}

/// Runs `sql` over the files as table `t`.
pub(crate) async fn query(request: &FileScanRequest, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let context = session();
    let table = open_files(&context.state(), request)
        .await
        .map_err(|error| error.to_string())?;
    context.register_table("t", table).unwrap();
    let frame = context.sql(sql).await.map_err(|error| message(&error))?;
    frame.collect().await.map_err(|error| message(&error))
}

/// All rows of the files, as lines `a|b|c` below a line of `name TYPE`.
pub(crate) async fn rows(request: &FileScanRequest) -> Result<Vec<String>, String> {
    let context = session();
    let table = open_files(&context.state(), request)
        .await
        .map_err(|error| error.to_string())?;
    let columns: Vec<String> = table
        .schema()
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    context.register_table("t", table).unwrap();
    let batches = context
        .table("t")
        .await
        .unwrap()
        .collect()
        .await
        .map_err(|error| message(&error))?;
    let mut lines = vec![columns.join("|")];
    lines.extend(lines_of(&batches));
    Ok(lines)
}

/// Each row as `a|b|c`, NULL as `∅`.
pub(crate) fn lines_of(batches: &[RecordBatch]) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("∅");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect::<Vec<_>>()
                    .join("|"),
            );
        }
    }
    lines
}

/// The rows that SQL yields, in a session where the functions are registered.
pub(crate) async fn sql(text: &str) -> Result<Vec<String>, String> {
    let frame = session().sql(text).await.map_err(|error| message(&error))?;
    Ok(lines_of(&frame.collect().await.map_err(|error| message(&error))?))
}

/// The rows of a path that is opened by its extension.
pub(crate) async fn rows_of_path(path: &str) -> Result<Vec<String>, String> {
    let context = session();
    let table = open_path(&context.state(), path)
        .await
        .map_err(|error| error.to_string())?;
    let frame = context.read_table(table).unwrap();
    Ok(lines_of(&frame.collect().await.map_err(|error| message(&error))?))
}

/// What `EXPLAIN ANALYZE` says.
pub(crate) async fn analyzed(request: &FileScanRequest, query: &str) -> String {
    let context = session();
    let table = open_files(&context.state(), request).await.unwrap();
    context.register_table("t", table).unwrap();
    let frame = context.sql(&format!("EXPLAIN ANALYZE {query}")).await.unwrap();
    pretty_format_batches(&frame.collect().await.unwrap())
        .unwrap()
        .to_string()
}
