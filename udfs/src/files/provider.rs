//! Files as tables.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::error::Result;
use super::exec::{TextReader, TextScanExec};
use super::request::{FileFormat, FileScanRequest};
use super::resolve::{FoundFile, resolve_files};
use super::{csv, json, parquet};

/// A table over the files of `request`. Looks at the files (names, a sample of text, Parquet footers) and reads them at
/// each scan; a file that changed in between is an error there.
///
/// # Errors
/// A path with nothing behind it, files that do not fit together, options that do not fit the files, and what the
/// sample shows to be unreadable.
pub async fn open_files(state: &dyn Session, request: &FileScanRequest) -> Result<Arc<dyn TableProvider>> {
    let (format, files) = resolve_files(state, &request.paths, request.format).await?;
    let strings = if state.config_options().sql_parser.map_string_types_to_utf8view {
        DataType::Utf8View
    } else {
        DataType::Utf8
    };
    let reader: Arc<dyn TextReader> = match format {
        FileFormat::Csv => Arc::new(csv::plan(state, request, &files, &strings).await?),
        FileFormat::Json => Arc::new(json::plan(state, request, &files, &strings).await?),
        FileFormat::Parquet => return parquet::open(state, &files).await,
    };
    Ok(Arc::new(TextTable { reader, files }))
}

/// A table over `path` (a file, folder, pattern or URL) in the format that its extension says: `FROM 'x.csv'`.
///
/// # Errors
/// As [`open_files`], and an extension that says no format.
pub async fn open_path(state: &dyn Session, path: &str) -> Result<Arc<dyn TableProvider>> {
    open_files(state, &FileScanRequest::by_extension([path])).await
}

/// The files that a table is of, as a text for people; none for a table of another kind.
pub fn files_of(provider: &dyn TableProvider) -> Option<String> {
    let table = provider.downcast_ref::<TextTable>()?;
    let names: Vec<&str> = table.files.iter().map(|file| file.label.as_ref()).collect();
    Some(names.join(", "))
}

/// Text files as one table.
#[derive(Debug)]
struct TextTable {
    reader: Arc<dyn TextReader>,
    files: Vec<FoundFile>,
}

#[async_trait]
impl TableProvider for TextTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.reader.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema: SchemaRef = match projection {
            Some(projection) => Arc::new(Schema::project(self.reader.schema(), projection)?),
            None => Arc::clone(self.reader.schema()),
        };
        let partitions = state.config().target_partitions();
        Ok(Arc::new(TextScanExec::new(
            Arc::clone(&self.reader),
            &self.files,
            schema,
            limit,
            partitions,
        )))
    }
}
