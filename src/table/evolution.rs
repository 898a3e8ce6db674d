//! Schema evolution: a table's schema with more columns than before.

use arrow::datatypes::Schema;
use delta_kernel::table_features::{ColumnMappingMode, assign_column_mapping_metadata};
use deltalake_core::kernel::{Metadata, Protocol, StructType};
use serde_json::{Value, json};

use super::types::{column_of, structure};
use super::{Definition, protocol_for};
use crate::error::{Error, Result};

/// The property that holds the highest column id that was ever given out.
pub(crate) const MAXIMUM_COLUMN_ID: &str = "delta.columnMapping.maxColumnId";

/// The table's next metadata and protocol where the rows have columns that it has not; none where it has them all. New
/// columns go to the end and are nullable: the rows that stand have none.
///
/// # Errors
/// Where a new column's type or name cannot be kept.
pub(crate) fn evolve(definition: &Definition, rows: &Schema) -> Result<Option<(Metadata, Protocol)>> {
    let known = |name: &str| definition.fields().any(|field| field.name().eq_ignore_ascii_case(name));
    let new = rows.fields().iter().filter(|field| !known(field.name()));
    let new = new.map(|field| column_of(field)).collect::<Result<Vec<_>>>()?;
    if new.is_empty() {
        return Ok(None);
    }
    let schema = structure(definition.fields().cloned().chain(new))?;
    with_schema(definition, &schema).map(Some)
}

/// The definition's metadata and protocol with another schema. Columns that are new to a table with column mapping get
/// their ids and physical names.
///
/// # Errors
/// Where a new column's name cannot be kept, or the schema asks for a feature that is not written.
pub(crate) fn with_schema(definition: &Definition, schema: &StructType) -> Result<(Metadata, Protocol)> {
    let mut configuration = definition.configuration().clone();
    let schema = if definition.mapping() == ColumnMappingMode::None {
        check_names(schema)?;
        schema.clone()
    } else {
        let (mapped, highest) = mapped(schema, definition.property(MAXIMUM_COLUMN_ID))?;
        configuration.insert(MAXIMUM_COLUMN_ID.to_string(), highest.to_string());
        mapped
    };
    let protocol = protocol_for(&schema, &configuration, Some(definition.protocol()))?;
    let metadata = edited(
        definition.metadata(),
        [
            ("schemaString", json!(schema_text(&schema)?)),
            ("configuration", json!(configuration)),
        ],
    )?;
    Ok((metadata, protocol))
}

/// The schema with an id and a physical name for every column that lacks them, and the highest id.
///
/// # Errors
/// Where the ids that stand make no sense.
pub(crate) fn mapped(schema: &StructType, highest: Option<&str>) -> Result<(StructType, i64)> {
    let mut highest = highest.and_then(|highest| highest.parse().ok()).unwrap_or_default();
    let mapped = assign_column_mapping_metadata(schema, &mut highest, false)
        .map_err(|error| Error::schema(format!("the columns cannot be mapped: {error}")).with_source(error))?;
    Ok((mapped, highest))
}

/// Metadata that differs from `metadata` in these members of its JSON alone.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn edited<'a>(metadata: &Metadata, members: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Metadata> {
    let broken = |error: serde_json::Error| Error::internal(format!("metadata cannot be made: {error}"));
    let mut value = serde_json::to_value(metadata).map_err(broken)?;
    if let Value::Object(object) = &mut value {
        object.extend(members.into_iter().map(|(key, value)| (key.to_string(), value)));
    }
    serde_json::from_value(value).map_err(broken)
}

/// A schema as the log writes it.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn schema_text(schema: &StructType) -> Result<String> {
    serde_json::to_string(schema).map_err(|error| Error::internal(format!("a schema cannot be written: {error}")))
}

/// Parquet readers take some signs in a column's name for their own, so a table without column mapping cannot have them
/// (Delta protocol, "Column Mapping").
///
/// # Errors
/// With the name and what to do.
pub(crate) fn check_names(schema: &StructType) -> Result<()> {
    let mut pending: Vec<&deltalake_core::kernel::StructField> = schema.fields().collect();
    while let Some(field) = pending.pop() {
        let name = field.name();
        if name.is_empty() {
            return Err(Error::schema("a column has an empty name"));
        }
        if let Some(sign) = name.chars().find(|sign| " ,;{}()\n\t=".contains(*sign)) {
            return Err(Error::schema(format!(
                "the column name '{name}' holds {sign:?}, which a Delta table takes only with column mapping: give the \
                 column another name (an alias in a query), or set TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
            )));
        }
        pending.extend(super::types::inner_fields(field.data_type()));
    }
    Ok(())
}
