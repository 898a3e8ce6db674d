//! What a table is apart from its rows: schema, partitioning, properties, rules.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::log::Snapshot;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::table_features::ColumnMappingMode;
use deltalake_core::kernel::{Metadata, MetadataValue, Protocol, StructField, StructType, StructTypeExt};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The property that names a table's key columns, separated by commas.
pub(crate) const PRIMARY_KEY: &str = "posixlake.primaryKey";
/// The prefix of properties that hold CHECK constraints.
pub(crate) const CONSTRAINT_PREFIX: &str = "delta.constraints.";
/// The field metadata that holds a generated column's expression.
pub(crate) const GENERATION: &str = "delta.generationExpression";
/// The field metadata that holds a column's comment.
pub(crate) const COMMENT: &str = "comment";

/// A data file's size where the table does not say.
const TARGET_FILE_SIZE: u64 = 128 << 20;

/// A rule that every row must obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The constraint's name, or the column of an invariant.
    pub(crate) name: String,
    /// The SQL expression that must be true.
    pub(crate) expression: String,
}

/// Metadata and protocol of one version of a table.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    metadata: Metadata,
    protocol: Protocol,
    schema: StructType,
}

impl Definition {
    /// A definition from its two actions.
    ///
    /// # Errors
    /// Where the metadata's schema cannot be read.
    pub(crate) fn new(metadata: Metadata, protocol: Protocol) -> Result<Self> {
        let schema = metadata.parse_schema().map_err(|error| {
            Error::corrupt(format!("the table's schema cannot be read: {error}")).with_source(error)
        })?;
        Ok(Self {
            metadata,
            protocol,
            schema,
        })
    }

    /// The definition of the version that is loaded.
    ///
    /// # Errors
    /// As [`Definition::new`].
    pub(crate) fn of(table: &Snapshot) -> Result<Self> {
        Self::new(table.metadata().clone(), table.protocol().clone())
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The schema as Delta keeps it.
    pub(crate) fn schema(&self) -> &StructType {
        &self.schema
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &StructField> {
        self.schema.fields()
    }

    pub(crate) fn partition_columns(&self) -> &[String] {
        self.metadata.partition_columns()
    }

    pub(crate) fn configuration(&self) -> &HashMap<String, String> {
        self.metadata.configuration()
    }

    pub(crate) fn property(&self, key: &str) -> Option<&str> {
        self.configuration().get(key).map(String::as_str)
    }

    /// Whether a boolean property is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.property(key)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The columns that `posixlake.primaryKey` names.
    pub(crate) fn primary_key(&self) -> Vec<String> {
        let names = self.property(PRIMARY_KEY).unwrap_or_default().split(',');
        names
            .map(|name| name.trim().to_string())
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The Arrow schema of the table's rows, with the names that users see.
    ///
    /// # Errors
    /// Where a type has no Arrow counterpart.
    pub(crate) fn arrow_schema(&self) -> Result<SchemaRef> {
        to_arrow(&self.schema)
    }

    /// How columns are named in data files.
    pub(crate) fn mapping(&self) -> ColumnMappingMode {
        match self.property("delta.columnMapping.mode") {
            Some("name") => ColumnMappingMode::Name,
            Some("id") => ColumnMappingMode::Id,
            _ => ColumnMappingMode::None,
        }
    }

    /// The Arrow schema of the table's rows with the names and field ids that data files have.
    ///
    /// # Errors
    /// Where a column lacks its physical name.
    pub(crate) fn physical_schema(&self) -> Result<SchemaRef> {
        match self.mapping() {
            ColumnMappingMode::None => self.arrow_schema(),
            mode => {
                let physical = self
                    .schema
                    .make_physical(mode)
                    .map_err(|error| Error::corrupt(format!("the column mapping cannot be read: {error}")))?;
                Ok(Arc::new(with_parquet_ids(to_arrow(&physical)?.as_ref())))
            }
        }
    }

    /// The name that a column has in data files and partition values.
    pub(crate) fn physical_name<'a>(&'a self, column: &'a str) -> &'a str {
        match self.schema.field(column) {
            Some(field) => field.physical_name(self.mapping()),
            None => column,
        }
    }

    /// CHECK constraints in order of their names, then invariants.
    ///
    /// # Errors
    /// Where an invariant cannot be read.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>> {
        let checks: BTreeMap<_, _> = self
            .configuration()
            .iter()
            .filter_map(|(key, expression)| Some((key.strip_prefix(CONSTRAINT_PREFIX)?, expression)))
            .collect();
        let mut rules: Vec<Rule> = checks
            .into_iter()
            .map(|(name, expression)| Rule {
                name: name.to_string(),
                expression: expression.clone(),
            })
            .collect();
        for invariant in self
            .schema
            .get_invariants()
            .map_err(|error| Error::corrupt(error.to_string()))?
        {
            rules.push(Rule {
                name: invariant.field_name,
                expression: invariant.invariant_sql,
            });
        }
        Ok(rules)
    }

    /// Generated columns with their expressions, in schema order.
    pub(crate) fn generated(&self) -> Vec<(String, String)> {
        self.fields()
            .filter_map(|field| match field.metadata().get(GENERATION) {
                Some(MetadataValue::String(expression)) => Some((field.name().clone(), expression.clone())),
                _ => None,
            })
            .collect()
    }

    /// The definition with more columns behind its own, each with its type as Delta spells it, and whether it is a partition
    /// column.
    ///
    /// # Errors
    /// Where the table has a column of the same name.
    pub(crate) fn with_columns(&self, columns: &[(&str, &str, bool)]) -> Result<Self> {
        let broken = |error: serde_json::Error| Error::internal(error.to_string());
        let mut schema = serde_json::to_value(&self.schema).map_err(broken)?;
        let mut metadata = serde_json::to_value(&self.metadata).map_err(broken)?;
        for (place, (name, data_type, is_partition)) in columns.iter().enumerate() {
            if self.schema.field(name).is_some() {
                return Err(Error::unsupported(format!(
                    "the table has a column {name}, which is what a column of its changes is called"
                )));
            }
            let mapped = match self.mapping() {
                ColumnMappingMode::None => json!({}),
                // Ids that tables give to their own columns grow from 1 on.
                _ => json!({
                    "delta.columnMapping.id": i32::MAX - i32::try_from(place).unwrap_or_default(),
                    "delta.columnMapping.physicalName": name
                }),
            };
            if let Some(fields) = schema.get_mut("fields").and_then(Value::as_array_mut) {
                fields.push(json!({ "name": name, "type": data_type, "nullable": true, "metadata": mapped }));
            }
            if let Some(names) = metadata.get_mut("partitionColumns").and_then(Value::as_array_mut)
                && *is_partition
            {
                names.push(json!(name));
            }
        }
        let metadata = serde_json::from_value(metadata).map_err(broken)?;
        self.with_schema(&schema, &metadata)
    }

    /// The definition without NOT NULL on its columns.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(crate) fn nullable(&self) -> Result<Self> {
        let broken = |error: serde_json::Error| Error::internal(error.to_string());
        let mut schema = serde_json::to_value(&self.schema).map_err(broken)?;
        for field in schema
            .get_mut("fields")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(nullable) = field.get_mut("nullable") {
                *nullable = json!(true);
            }
        }
        self.with_schema(&schema, &self.metadata)
    }

    fn with_schema(&self, schema: &Value, metadata: &Metadata) -> Result<Self> {
        let broken = |error: serde_json::Error| Error::internal(error.to_string());
        let mut metadata = serde_json::to_value(metadata).map_err(broken)?;
        if let Some(text) = metadata.get_mut("schemaString") {
            *text = json!(schema.to_string());
        }
        Self::new(serde_json::from_value(metadata).map_err(broken)?, self.protocol.clone())
    }

    /// The size that a data file is closed at, in bytes.
    pub(crate) fn target_file_size(&self) -> Option<NonZeroU64> {
        let configured = self.property("delta.targetFileSize").and_then(parse_bytes);
        NonZeroU64::new(configured.unwrap_or(TARGET_FILE_SIZE))
    }
}

/// A number of bytes as properties spell it: `1048576`, `100mb`.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits)?.trim();
    let factor = match unit.trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

pub(crate) fn to_arrow(schema: &StructType) -> Result<SchemaRef> {
    let schema: Schema = schema
        .try_into_arrow()
        .map_err(|error| Error::schema(format!("the schema has no Arrow form: {error}")))?;
    Ok(Arc::new(schema))
}

/// Parquet writers take field ids from this metadata key.
const PARQUET_FIELD_ID: &str = "PARQUET:field_id";

fn with_parquet_ids(schema: &Schema) -> Schema {
    Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| with_parquet_id(field))
            .collect::<Fields>(),
    )
}

fn with_parquet_id(field: &Field) -> Field {
    let id = ["delta.columnMapping.id", "parquet.field.id", PARQUET_FIELD_ID]
        .iter()
        .find_map(|key| field.metadata().get(*key).cloned());
    let metadata = id
        .map(|id| HashMap::from([(PARQUET_FIELD_ID.to_string(), id)]))
        .unwrap_or_default();
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| with_parquet_id(field)).collect()),
        DataType::List(item) => DataType::List(Arc::new(with_parquet_id(item))),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(with_parquet_id(entries)), *sorted),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
}
