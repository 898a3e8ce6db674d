//! Parquet files: DataFusion's own reader over the files found.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use url::Url;

use super::error::{FileError, Result};
use super::resolve::FoundFile;

/// A table over `files`, which are united by column name: a column that a file does not have is NULL there, and one that
/// has different types in two files is an error.
pub(crate) async fn open(state: &dyn Session, files: &[FoundFile]) -> Result<Arc<dyn TableProvider>> {
    let format = ParquetFormat::default()
        .with_options(state.default_table_options().parquet)
        .with_force_view_types(state.config_options().execution.parquet.schema_force_view_types);
    let mut merged: Option<(Schema, &FoundFile)> = None;
    for file in files {
        let schema = schema_of(state, &format, file).await?;
        merged = Some(match merged {
            None => (schema.as_ref().clone(), file),
            Some((known, first)) => {
                check_types(&known, first, &schema, file)?;
                let both = Schema::try_merge([known, schema.as_ref().clone()])
                    .map_err(|error| FileError::schema(format!("{first} and {file} do not fit together: {error}")))?;
                (both, first)
            }
        });
    }
    let (mut schema, first) = merged.ok_or_else(|| FileError::invalid("no file to read"))?;
    if files.len() > 1 {
        // A file that does not have a column has NULL there, whatever the others promise.
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        schema = Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>());
    }
    let failed = |error: datafusion::error::DataFusionError| FileError::data(format!("{first}: {error}"));
    let urls = files.iter().map(listing_url).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(format)).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(Arc::new(schema));
    Ok(Arc::new(ListingTable::try_new(config).map_err(failed)?))
}

async fn schema_of(state: &dyn Session, format: &ParquetFormat, file: &FoundFile) -> Result<SchemaRef> {
    let store = file.open(state)?;
    format
        .infer_schema(state, &store, std::slice::from_ref(&file.meta))
        .await
        .map_err(|error| {
            FileError::data(format!(
                "{file}: not a readable Parquet file: {}",
                error.strip_backtrace()
            ))
        })
}

fn check_types(known: &Schema, first: &FoundFile, schema: &Schema, file: &FoundFile) -> Result<()> {
    for field in schema.fields() {
        if let Ok(other) = known.field_with_name(field.name())
            && other.data_type() != field.data_type()
        {
            return Err(FileError::schema(format!(
                "{file}: column {} is {}, and {} in {first} or a file after it; read them apart and CAST one",
                field.name(),
                super::types::type_name(field.data_type()),
                super::types::type_name(other.data_type()),
            )));
        }
    }
    Ok(())
}

/// The file alone: built from parts, so that no character of its name is taken for a pattern.
fn listing_url(file: &FoundFile) -> Result<ListingTableUrl> {
    let invalid = |error: String| FileError::invalid(format!("{file}: {error}"));
    let mut url = Url::parse(file.store.as_str()).map_err(|error| invalid(error.to_string()))?;
    url.path_segments_mut()
        .map_err(|()| invalid("the store's URL has no path".into()))?
        .clear()
        .extend(file.meta.location.parts().map(|part| part.as_ref().to_string()));
    let parsed = ListingTableUrl::try_new(url, None).map_err(|error| invalid(error.to_string()))?;
    if *parsed.prefix() != file.meta.location {
        return Err(invalid(
            "the name has characters that a Parquet path cannot have".into(),
        ));
    }
    Ok(parsed)
}
