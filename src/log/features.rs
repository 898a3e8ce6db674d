//! Table features: which of them posixlake reads and writes (Delta protocol, "Table Features").

use std::collections::BTreeSet;

use deltalake_core::kernel::Protocol;

use super::Snapshot;
use crate::error::{Error, Result};

/// A table feature, with the legacy versions that imply it.
#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    /// The legacy reader version, where readers must know the feature: 3 where only a list of features can say it.
    pub(crate) reader: Option<i32>,
    /// The legacy writer version: 7 where only a list of features can say it.
    pub(crate) writer: i32,
    /// Whether posixlake writes tables with it.
    pub(crate) written: bool,
}

const fn feature(name: &'static str, reader: Option<i32>, writer: i32, written: bool) -> Feature {
    Feature {
        name,
        reader,
        writer,
        written,
    }
}

/// The features that posixlake reads, which it also writes where they say so.
pub(crate) const FEATURES: [Feature; 24] = [
    feature("appendOnly", None, 2, true),
    feature("invariants", None, 2, true),
    feature("checkConstraints", None, 3, true),
    feature("changeDataFeed", None, 4, true),
    feature("generatedColumns", None, 4, true),
    feature("columnMapping", Some(2), 5, true),
    feature("identityColumns", None, 6, false),
    feature("deletionVectors", Some(3), 7, true),
    feature("timestampNtz", Some(3), 7, true),
    feature("v2Checkpoint", Some(3), 7, true),
    feature("vacuumProtocolCheck", Some(3), 7, true),
    feature("typeWidening", Some(3), 7, true),
    feature("typeWidening-preview", Some(3), 7, true),
    feature("variantType", Some(3), 7, true),
    feature("variantType-preview", Some(3), 7, true),
    feature("checkpointProtection", None, 7, true),
    feature("allowColumnDefaults", None, 7, false),
    feature("inCommitTimestamp", None, 7, false),
    feature("rowTracking", None, 7, false),
    feature("domainMetadata", None, 7, false),
    feature("clustering", None, 7, false),
    feature("icebergCompatV1", None, 7, false),
    feature("icebergCompatV2", None, 7, false),
    feature("icebergCompatV3", None, 7, false),
];

/// Refuses tables whose protocol asks readers for what posixlake does not read.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] with the names of the features.
pub(crate) fn check_readable(protocol: &Protocol, name: &str) -> Result<()> {
    let version = protocol.min_reader_version();
    if version > 3 {
        return Err(Error::unsupported(format!(
            "table {name} cannot be read: its protocol asks for reader version {version}, and the highest known is 3"
        )));
    }
    let listed = protocol.reader_features().unwrap_or_default().iter();
    let unknown: BTreeSet<String> = listed
        .map(ToString::to_string)
        .filter(|name| !FEATURES.iter().any(|feature| feature.name == name))
        .collect();
    refuse(&unknown, |features| {
        format!("table {name} cannot be read: it uses {features}, which posixlake does not read yet")
    })
}

/// Refuses tables whose protocol asks for what posixlake does not write.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] with the names of the features.
pub(crate) fn check_writable(table: &Snapshot, name: &str) -> Result<()> {
    let protocol = table.protocol();
    check_readable(protocol, name)?;
    let version = protocol.min_writer_version();
    if version > 7 {
        return Err(Error::unsupported(format!(
            "table {name} cannot be written: its protocol asks for writer version {version}, and the highest known is 7"
        )));
    }
    let unwritten: BTreeSet<String> = if version == 7 {
        let listed = protocol.writer_features().unwrap_or_default().iter();
        let written = |name: &String| FEATURES.iter().any(|feature| feature.written && feature.name == name);
        listed.map(ToString::to_string).filter(|name| !written(name)).collect()
    } else {
        let implied = FEATURES.iter().filter(|feature| feature.writer <= version);
        let unwritten = implied.filter(|feature| !feature.written && used(table, feature.name));
        unwritten.map(|feature| feature.name.to_string()).collect()
    };
    refuse(&unwritten, |features| {
        format!(
            "table {name} cannot be written: it uses {features}, which posixlake does not write yet; it can be read"
        )
    })
}

/// Whether a table makes use of a feature that its legacy version only allows.
fn used(table: &Snapshot, feature: &str) -> bool {
    match feature {
        "identityColumns" => table.metadata().parse_schema().is_ok_and(|schema| {
            let mut keys = schema.fields().flat_map(|field| field.metadata().keys());
            keys.any(|key| key.starts_with("delta.identity."))
        }),
        _ => true,
    }
}

fn refuse(features: &BTreeSet<String>, message: impl Fn(&str) -> String) -> Result<()> {
    if features.is_empty() {
        return Ok(());
    }
    let plural = if features.len() == 1 { "" } else { "s" };
    let names: Vec<&str> = features.iter().map(String::as_str).collect();
    Err(Error::unsupported(message(&format!(
        "the table feature{plural} {}",
        names.join(", ")
    ))))
}
