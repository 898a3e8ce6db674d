//! The protocol that a table needs (Delta protocol, "Table Features" and "Requirements for Writers/Readers").

use std::collections::{BTreeSet, HashMap};

use deltalake_core::kernel::{DataType, PrimitiveType, Protocol, StructField, StructType};
use serde_json::json;

use super::definition::{CONSTRAINT_PREFIX, GENERATION};
use super::types::inner_fields;
use crate::error::{Error, Result};
use crate::log::FEATURES;

/// The protocol of a table with this schema and these properties; never less than `current`, which a table has already.
///
/// # Errors
/// Where a property asks for a feature that posixlake does not write, by its name.
pub(crate) fn protocol_for(
    schema: &StructType,
    configuration: &HashMap<String, String>,
    current: Option<&Protocol>,
) -> Result<Protocol> {
    let mut wanted = implied(schema, configuration);
    let (mut reader, mut writer) = match current {
        Some(current) => (current.min_reader_version(), current.min_writer_version()),
        None => (1, 2),
    };
    let version = |key: &str| configuration.get(key).and_then(|value| value.parse::<i32>().ok());
    reader = reader.max(version("delta.minReaderVersion").unwrap_or(reader));
    writer = writer.max(version("delta.minWriterVersion").unwrap_or(writer));
    if reader > 3 || writer > 7 {
        return Err(Error::unsupported(format!(
            "protocol versions {reader} (reader) and {writer} (writer) are unknown; the highest are 3 and 7"
        )));
    }
    for name in &wanted {
        match FEATURES.iter().find(|feature| feature.name == name) {
            Some(feature) if feature.written => {}
            _ => {
                return Err(Error::unsupported(format!(
                    "the table feature {name} is not supported for writing yet"
                )));
            }
        }
    }
    let of = |name: &str| FEATURES.iter().find(|feature| feature.name == name);
    let needs_list = writer >= 7
        || wanted
            .iter()
            .filter_map(|name| of(name))
            .any(|feature| feature.writer == 7);
    if !needs_list {
        let needed = wanted
            .iter()
            .filter_map(|name| of(name))
            .map(|feature| feature.writer)
            .max()
            .unwrap_or(2);
        let reads = wanted.iter().filter_map(|name| of(name)?.reader).max().unwrap_or(1);
        return protocol(reader.max(reads), writer.max(needed), None, None);
    }
    match current {
        Some(current) if current.min_writer_version() >= 7 => {
            wanted.extend(
                current
                    .writer_features()
                    .unwrap_or_default()
                    .iter()
                    .map(ToString::to_string),
            );
        }
        Some(current) => {
            let implied = FEATURES
                .iter()
                .filter(|feature| feature.writer <= current.min_writer_version());
            wanted.extend(implied.map(|feature| feature.name.to_string()));
        }
        None => {}
    }
    if let Some(features) = current.and_then(|current| current.reader_features()) {
        wanted.extend(features.iter().map(ToString::to_string));
    }
    let for_readers: BTreeSet<String> = wanted
        .iter()
        .filter(|name| of(name).is_some_and(|feature| feature.reader.is_some()))
        .cloned()
        .collect();
    let needs_reader_list = reader >= 3
        || for_readers
            .iter()
            .filter_map(|name| of(name)?.reader)
            .any(|reader| reader == 3);
    if needs_reader_list {
        protocol(3, 7, Some(for_readers), Some(wanted))
    } else {
        let reads = for_readers
            .iter()
            .filter_map(|name| of(name)?.reader)
            .max()
            .unwrap_or(1);
        protocol(reader.max(reads), 7, None, Some(wanted))
    }
}

fn implied(schema: &StructType, configuration: &HashMap<String, String>) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let mut want = |name: &str| {
        wanted.insert(name.to_string());
    };
    let is_on = |key: &str| {
        configuration
            .get(key)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    for (key, feature) in [
        ("delta.appendOnly", "appendOnly"),
        ("delta.enableChangeDataFeed", "changeDataFeed"),
        ("delta.enableDeletionVectors", "deletionVectors"),
        ("delta.enableInCommitTimestamps", "inCommitTimestamp"),
        ("delta.enableRowTracking", "rowTracking"),
        ("delta.enableIcebergCompatV1", "icebergCompatV1"),
        ("delta.enableIcebergCompatV2", "icebergCompatV2"),
        ("delta.enableTypeWidening", "typeWidening"),
    ] {
        if is_on(key) {
            want(feature);
        }
    }
    if configuration
        .get("delta.columnMapping.mode")
        .is_some_and(|mode| mode != "none")
    {
        want("columnMapping");
    }
    if configuration
        .get("delta.checkpointPolicy")
        .is_some_and(|policy| policy == "v2")
    {
        want("v2Checkpoint");
    }
    for key in configuration.keys() {
        if key.starts_with(CONSTRAINT_PREFIX) {
            want("checkConstraints");
        }
        if let Some(feature) = key.strip_prefix("delta.feature.") {
            want(feature);
        }
    }
    if schema.fields().any(|field| has_local_time(field.data_type())) {
        want("timestampNtz");
    }
    let mut fields: Vec<&StructField> = schema.fields().collect();
    while let Some(field) = fields.pop() {
        fields.extend(inner_fields(field.data_type()));
        let metadata = field.metadata();
        if metadata.contains_key(GENERATION) {
            want("generatedColumns");
        }
        // NOT NULL is a matter of the schema alone; an invariant is an expression.
        if metadata.contains_key("delta.invariants") {
            want("invariants");
        }
        if metadata.contains_key("CURRENT_DEFAULT") {
            want("allowColumnDefaults");
        }
        if metadata.keys().any(|key| key.starts_with("delta.identity.")) {
            want("identityColumns");
        }
    }
    wanted
}

/// Whether a type holds times without a zone, at whatever depth.
fn has_local_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Primitive(primitive) => *primitive == PrimitiveType::TimestampNtz,
        DataType::Array(array) => has_local_time(array.element_type()),
        DataType::Map(map) => has_local_time(map.key_type()) || has_local_time(map.value_type()),
        DataType::Struct(fields) => fields.fields().any(|field| has_local_time(field.data_type())),
        _ => false,
    }
}

fn protocol(
    reader: i32,
    writer: i32,
    reader_features: Option<BTreeSet<String>>,
    writer_features: Option<BTreeSet<String>>,
) -> Result<Protocol> {
    let mut value = serde_json::Map::from_iter([
        ("minReaderVersion".to_string(), json!(reader)),
        ("minWriterVersion".to_string(), json!(writer)),
    ]);
    value.extend(reader_features.map(|features| ("readerFeatures".to_string(), json!(features))));
    value.extend(writer_features.map(|features| ("writerFeatures".to_string(), json!(features))));
    serde_json::from_value(value.into()).map_err(|error| Error::internal(format!("a protocol cannot be made: {error}")))
}
