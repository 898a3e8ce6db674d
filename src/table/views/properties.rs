//! `t$properties`: keys and values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use deltalake_core::kernel::Protocol;

use crate::access::MARK;
use crate::error::Result;
use crate::table::{CONSTRAINT_PREFIX, Definition, PRIMARY_KEY};

/// The table features of a protocol, in order of their names.
pub(super) fn features(protocol: &Protocol) -> Vec<String> {
    let readers = protocol
        .reader_features()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string);
    let writers = protocol
        .writer_features()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string);
    readers.chain(writers).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A table's properties, and its protocol as properties, in order of their keys.
pub(crate) fn properties(definition: &Definition) -> BTreeMap<String, String> {
    let protocol = definition.protocol();
    let mut properties: BTreeMap<_, _> = definition
        .configuration()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    properties.insert(
        "delta.minReaderVersion".to_string(),
        protocol.min_reader_version().to_string(),
    );
    properties.insert(
        "delta.minWriterVersion".to_string(),
        protocol.min_writer_version().to_string(),
    );
    for feature in features(protocol) {
        properties.insert(format!("delta.feature.{feature}"), "supported".to_string());
    }
    properties
}

/// Whether a property says what a clause of `CREATE TABLE` says, or what only writers keep.
pub(crate) fn hidden_property(key: &str) -> bool {
    key == PRIMARY_KEY || key == MARK || key == "delta.columnMapping.maxColumnId" || key.starts_with(CONSTRAINT_PREFIX)
}

/// One row a property.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn rows(properties: &BTreeMap<String, String>) -> Result<RecordBatch> {
    let schema = Schema::new(
        ["key", "value"]
            .map(|name| Field::new(name, DataType::Utf8, false))
            .to_vec(),
    );
    let keys = StringArray::from_iter_values(properties.keys());
    let values = StringArray::from_iter_values(properties.values());
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(keys), Arc::new(values)],
    )?)
}
