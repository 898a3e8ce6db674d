//! A table's definition as the statement that makes such a table.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use deltalake_core::kernel::{MetadataValue, StructField};
use posixlake_sql::{Check, Column, CreateTable, parse_expression};

use crate::error::{Error, Result};
use crate::table::types::type_name;
use crate::table::{COMMENT, CONSTRAINT_PREFIX, Definition, GENERATION, hidden_property, protocol_for};

/// The field metadata that holds a column's default.
const DEFAULT: &str = "CURRENT_DEFAULT";

/// The statement.
///
/// # Errors
/// Where a column has a type that SQL cannot spell, or an expression that cannot be read.
pub(super) fn create_table(name: &ObjectName, definition: &Definition) -> Result<CreateTable> {
    let mut create = CreateTable::named(name.clone());
    let key = definition.primary_key();
    create.columns = definition.fields().map(column).collect::<Result<_>>()?;
    create.primary_key = key.iter().map(ident).collect();
    create.partitioned_by = definition.partition_columns().iter().map(ident).collect();
    create.comment = definition.metadata().description().map(str::to_string);
    for (key, text) in sorted(definition) {
        if let Some(name) = key.strip_prefix(CONSTRAINT_PREFIX) {
            create.checks.push(Check {
                name: Some(ident(name)),
                expression: parse_expression(text)?,
            });
        } else if !hidden_property(key) {
            create.properties.push((key.clone(), text.clone()));
        }
    }
    create.properties.extend(protocol_properties(definition)?);
    create.properties.sort();
    Ok(create)
}

fn sorted(definition: &Definition) -> Vec<(&String, &String)> {
    let mut properties: Vec<_> = definition.configuration().iter().collect();
    properties.sort();
    properties
}

/// What of the protocol does not follow from the columns and properties.
fn protocol_properties(definition: &Definition) -> Result<Vec<(String, String)>> {
    let protocol = definition.protocol();
    let Ok(implied) = protocol_for(definition.schema(), definition.configuration(), None) else {
        return Ok(Vec::new());
    };
    if implied == *protocol {
        return Ok(Vec::new());
    }
    let mut properties = Vec::new();
    if implied.min_reader_version() < protocol.min_reader_version() {
        properties.push((
            "delta.minReaderVersion".to_string(),
            protocol.min_reader_version().to_string(),
        ));
    }
    if implied.min_writer_version() < protocol.min_writer_version() {
        properties.push((
            "delta.minWriterVersion".to_string(),
            protocol.min_writer_version().to_string(),
        ));
    }
    let known = implied.writer_features().unwrap_or_default();
    for feature in protocol.writer_features().unwrap_or_default() {
        if !known.contains(feature) {
            properties.push((format!("delta.feature.{feature}"), "supported".to_string()));
        }
    }
    Ok(properties)
}

fn column(field: &StructField) -> Result<Column> {
    let text = |key: &str| match field.metadata().get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let expression = |key: &str| text(key).map(|text| parse_expression(&text)).transpose();
    Ok(Column {
        name: ident(field.name()),
        data_type: type_name(field.data_type())
            .map_err(|error| Error::unsupported(format!("column {}: {}", field.name(), error.message())))?,
        nullable: field.is_nullable(),
        default: expression(DEFAULT)?,
        generated: expression(GENERATION)?,
        identity: None,
        comment: text(COMMENT),
    })
}

/// A name that reads back as exactly this one.
fn ident(name: impl AsRef<str>) -> Ident {
    Ident::with_quote('`', name.as_ref())
}
