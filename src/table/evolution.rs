//! Schema evolution: a table's schema with the columns that new rows bring.

use arrow::datatypes::{DataType as ArrowType, Schema};
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::table_features::ColumnMappingMode;
use deltalake_core::kernel::{Metadata, MetadataExt, Protocol, StructField, StructType};

use super::{Definition, protocol_for};
use crate::error::{Error, Result};

/// The table's next metadata and protocol where the rows have columns that it has not; none where it has them all. New
/// columns go to the end and are nullable: the rows that stand have none.
///
/// # Errors
/// Where a new column's type cannot be kept, or the table's column mapping would have to be extended.
pub(crate) fn evolve(definition: &Definition, rows: &Schema) -> Result<Option<(Metadata, Protocol)>> {
    let known = |name: &str| definition.fields().any(|field| field.name().eq_ignore_ascii_case(name));
    let new: Vec<StructField> = rows
        .fields()
        .iter()
        .filter(|field| !known(field.name()))
        .map(|field| {
            let data_type = without_views(field.data_type());
            let plain = arrow::datatypes::Field::new(field.name(), data_type, true);
            StructField::try_from_arrow(&plain).map_err(|error| {
                Error::schema(format!("column {} cannot be added: {error}", field.name())).with_source(error)
            })
        })
        .collect::<Result<_>>()?;
    if new.is_empty() {
        return Ok(None);
    }
    if definition.mapping() != ColumnMappingMode::None {
        return Err(Error::unsupported("schema evolution of a table with column mapping is not supported yet"));
    }
    let schema = StructType::try_new(definition.fields().cloned().chain(new))
        .map_err(|error| Error::schema(error.to_string()))?;
    let metadata = definition.metadata().clone().with_schema(&schema).map_err(deltalake_core::DeltaTableError::from)?;
    let protocol = protocol_for(&schema, definition.configuration(), Some(definition.protocol()))?;
    Ok(Some((metadata, protocol)))
}

/// The type that a table keeps for a type of a query's.
pub(crate) fn without_views(data_type: &ArrowType) -> ArrowType {
    match data_type {
        ArrowType::Utf8View | ArrowType::LargeUtf8 => ArrowType::Utf8,
        ArrowType::BinaryView | ArrowType::LargeBinary => ArrowType::Binary,
        ArrowType::Dictionary(_, value) => without_views(value),
        ArrowType::Null => ArrowType::Utf8,
        other => other.clone(),
    }
}
