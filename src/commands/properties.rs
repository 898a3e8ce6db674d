//! Table properties: which there are, and what they take.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::table::{CONSTRAINT_PREFIX, PRIMARY_KEY};

/// The property that says how columns are named in data files.
pub(super) const MAPPING_MODE: &str = "delta.columnMapping.mode";
/// The prefix of properties that ask for a table feature.
const FEATURE_PREFIX: &str = "delta.feature.";

/// What a property takes.
enum Takes {
    Boolean,
    Interval,
    PositiveNumber,
    /// A number from -1 on.
    Count,
    Bytes,
    Columns,
    Text,
    OneOf(&'static [&'static str]),
    /// Kept by the writer of the log, not by users.
    Internal,
}

const PROPERTIES: [(&str, Takes); 38] = [
    ("delta.appendOnly", Takes::Boolean),
    ("delta.autoOptimize.autoCompact", Takes::Boolean),
    ("delta.autoOptimize.optimizeWrite", Takes::Boolean),
    ("delta.checkpoint.writeStatsAsJson", Takes::Boolean),
    ("delta.checkpoint.writeStatsAsStruct", Takes::Boolean),
    ("delta.checkpointInterval", Takes::PositiveNumber),
    ("delta.checkpointPolicy", Takes::OneOf(&["classic", "v2"])),
    ("delta.columnMapping.maxColumnId", Takes::Internal),
    (MAPPING_MODE, Takes::OneOf(&["none", "name", "id"])),
    ("delta.dataSkippingNumIndexedCols", Takes::Count),
    ("delta.dataSkippingStatsColumns", Takes::Columns),
    ("delta.deletedFileRetentionDuration", Takes::Interval),
    ("delta.enableChangeDataFeed", Takes::Boolean),
    ("delta.enableDeletionVectors", Takes::Boolean),
    ("delta.enableExpiredLogCleanup", Takes::Boolean),
    ("delta.enableIcebergCompatV1", Takes::Boolean),
    ("delta.enableIcebergCompatV2", Takes::Boolean),
    ("delta.enableInCommitTimestamps", Takes::Boolean),
    ("delta.enableRowTracking", Takes::Boolean),
    ("delta.enableTypeWidening", Takes::Boolean),
    ("delta.inCommitTimestampEnablementTimestamp", Takes::Internal),
    ("delta.inCommitTimestampEnablementVersion", Takes::Internal),
    (
        "delta.isolationLevel",
        Takes::OneOf(&["Serializable", "WriteSerializable", "SnapshotIsolation"]),
    ),
    ("delta.logRetentionDuration", Takes::Interval),
    ("delta.minReaderVersion", Takes::PositiveNumber),
    ("delta.minWriterVersion", Takes::PositiveNumber),
    (
        "delta.parquet.compression.codec",
        Takes::OneOf(&["snappy", "zstd", "lz4", "lz4_raw", "gzip", "none", "uncompressed"]),
    ),
    ("delta.parquet.format.version", Takes::Text),
    ("delta.randomPrefixLength", Takes::PositiveNumber),
    ("delta.randomizeFilePrefixes", Takes::Boolean),
    (
        "delta.rowTracking.materializedRowCommitVersionColumnName",
        Takes::Internal,
    ),
    ("delta.rowTracking.materializedRowIdColumnName", Takes::Internal),
    ("delta.rowTrackingSuspended", Takes::Boolean),
    ("delta.setTransactionRetentionDuration", Takes::Interval),
    ("delta.targetFileSize", Takes::Bytes),
    ("delta.tuneFileSizesForRewrites", Takes::Boolean),
    // What a front door called columns' types, where Delta has no such type.
    ("posixlake.columnTypes", Takes::Text),
    (PRIMARY_KEY, Takes::Columns),
];

/// Properties that are clauses of their own here.
const CLAUSES: [(&str, &str); 4] = [
    ("comment", "the clause COMMENT '…' (later: COMMENT ON TABLE)"),
    ("location", "the clause LOCATION '…'"),
    ("provider", "the clause USING DELTA"),
    ("external", "the clause LOCATION '…'"),
];

/// The properties with their values in the form that every engine reads.
///
/// # Errors
/// Where one is unknown, or its value is not what it takes.
pub(super) fn checked(properties: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    properties
        .iter()
        .map(|(key, value)| Ok((key.clone(), checked_value(key, value)?)))
        .collect()
}

/// Whether a property is kept in the protocol rather than among the table's properties.
pub(super) fn is_of_protocol(key: &str) -> bool {
    key.starts_with(FEATURE_PREFIX) || matches!(key, "delta.minReaderVersion" | "delta.minWriterVersion")
}

fn checked_value(key: &str, value: &str) -> Result<String> {
    check_key(key)?;
    let refuse = |expected: &str| {
        Err(Error::invalid(format!(
            "the property {key} takes {expected}; '{value}' was given"
        )))
    };
    let trimmed = value.trim();
    let lower = trimmed.to_ascii_lowercase();
    if key.starts_with(FEATURE_PREFIX) {
        return match lower.as_str() {
            "supported" | "enabled" => Ok("supported".to_string()),
            _ => refuse("'supported'"),
        };
    }
    let Some((_, takes)) = PROPERTIES.iter().find(|(name, _)| *name == key) else {
        return Ok(value.to_string());
    };
    match takes {
        Takes::Boolean if matches!(lower.as_str(), "true" | "false") => Ok(lower),
        Takes::Boolean => refuse("true or false"),
        Takes::Interval => match interval(&lower) {
            Some(interval) => Ok(interval),
            None => refuse("an interval such as 'interval 7 days' (up to weeks)"),
        },
        Takes::PositiveNumber => match trimmed.parse::<i64>() {
            Ok(number) if number > 0 => Ok(number.to_string()),
            _ => refuse("a whole number from 1 on"),
        },
        Takes::Count => match trimmed.parse::<i64>() {
            Ok(number) if number >= -1 => Ok(number.to_string()),
            _ => refuse("a number of columns, or -1 for all"),
        },
        Takes::Bytes if is_bytes(&lower) => Ok(lower),
        Takes::Bytes => refuse("a number of bytes such as '104857600' or '100mb'"),
        Takes::Columns if trimmed.split(',').any(|name| name.trim().is_empty()) => {
            refuse("names of columns, separated by commas")
        }
        Takes::Columns | Takes::Text => Ok(value.to_string()),
        Takes::OneOf(values) => match values.iter().find(|known| known.eq_ignore_ascii_case(trimmed)) {
            Some(known) => Ok((*known).to_string()),
            None => refuse(&values.join(", ")),
        },
        Takes::Internal => Err(Error::invalid(format!(
            "the property {key} is kept by the table itself and is not set"
        ))),
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid("a table property has an empty name"));
    }
    if let Some((_, clause)) = CLAUSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
        return Err(Error::invalid(format!("'{key}' is not a table property; use {clause}")));
    }
    if key.starts_with(CONSTRAINT_PREFIX) {
        return Err(Error::invalid(format!(
            "'{key}': a constraint is not set as a property; use CONSTRAINT n CHECK (…), or ALTER TABLE t ADD CONSTRAINT"
        )));
    }
    let lower = key.to_ascii_lowercase();
    let ours = lower.starts_with("delta.") || lower.starts_with("posixlake.");
    let known = PROPERTIES.iter().any(|(name, _)| *name == key) || key.starts_with(FEATURE_PREFIX);
    if !ours || known {
        return Ok(());
    }
    let near = PROPERTIES
        .iter()
        .map(|(name, _)| (strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &lower), *name))
        .min()
        .filter(|(distance, _)| *distance <= 6);
    let hint = near
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_default();
    Err(Error::invalid(format!("there is no table property '{key}'{hint}")))
}

/// An interval as every engine reads it: `interval 7 days`.
fn interval(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().peekable();
    words.next_if_eq(&"interval");
    let (number, unit) = (words.next()?.trim_matches('\''), words.next()?.trim_matches('\''));
    let number: u64 = number.parse().ok()?;
    let known = [
        "nanosecond",
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
    ]
    .contains(&unit.strip_suffix('s').unwrap_or(unit));
    (known && words.next().is_none()).then(|| format!("interval {number} {unit}"))
}

fn is_bytes(text: &str) -> bool {
    let digits = text.trim_end_matches(|sign: char| !sign.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim();
    digits.parse::<u64>().is_ok_and(|number| number > 0)
        && matches!(unit, "" | "b" | "k" | "kb" | "m" | "mb" | "g" | "gb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> std::result::Result<String, String> {
        checked_value(key, value).map_err(|error| error.to_string())
    }

    #[test]
    fn values_get_the_form_that_every_engine_reads() {
        assert_eq!(check("delta.appendOnly", "TRUE").unwrap(), "true");
        assert_eq!(
            check("delta.logRetentionDuration", "7 days").unwrap(),
            "interval 7 days"
        );
        assert_eq!(
            check("delta.logRetentionDuration", "INTERVAL '7' DAYS").unwrap(),
            "interval 7 days"
        );
        assert_eq!(check("delta.isolationLevel", "serializable").unwrap(), "Serializable");
        assert_eq!(check("delta.targetFileSize", "100MB").unwrap(), "100mb");
        assert_eq!(check("team", " shop ").unwrap(), " shop ");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(check("delta.appendOnly", "yes").unwrap_err().contains("true or false"));
        assert!(
            check("delta.appendonly", "true")
                .unwrap_err()
                .contains("did you mean delta.appendOnly?")
        );
        assert!(check("delta.logRetentionDuration", "2 months").is_err());
        assert!(check("delta.checkpointInterval", "0").is_err());
        assert!(check("delta.columnMapping.maxColumnId", "3").is_err());
        assert!(
            check("posixlake.primarykey", "id")
                .unwrap_err()
                .contains("did you mean posixlake.primaryKey?")
        );
        assert!(check("delta.constraints.c", "a > 0").is_err());
    }
}
