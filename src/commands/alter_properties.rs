//! Properties and the comment of a table that stands.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::alter::Altered;
use super::alter_rules::with_primary_key;
use super::blueprint::{check_change_columns, check_statistics_columns, find, key_idents};
use super::properties::{self, MAPPING_MODE, is_of_protocol};
use crate::error::{Error, Result};
use crate::table::evolution::{MAXIMUM_COLUMN_ID, edited};
use crate::table::{CONSTRAINT_PREFIX, Definition, PRIMARY_KEY, protocol_for};

/// `SET TBLPROPERTIES`.
///
/// # Errors
/// Where a property is unknown, its value is not one, or it cannot change on a table that stands.
pub(super) fn set(definition: &Definition, pairs: &[(String, String)]) -> Result<Option<Altered>> {
    let mut given = properties::checked(pairs)?;
    let mode = |value: Option<&str>| value.unwrap_or("none").to_string();
    if let Some(wanted) = given.get(MAPPING_MODE)
        && *wanted != mode(definition.property(MAPPING_MODE))
    {
        return Err(Error::unsupported(format!(
            "{MAPPING_MODE} of a table that stands cannot change to {wanted}; make the table anew with CREATE OR REPLACE \
             TABLE t TBLPROPERTIES ('{MAPPING_MODE}' = '{wanted}') AS SELECT * FROM t"
        )));
    }
    let key = given.remove(PRIMARY_KEY);
    let mut configuration = definition.configuration().clone();
    configuration.extend(given.clone());
    let all: BTreeMap<String, String> = configuration.clone().into_iter().collect();
    check_statistics_columns(definition.schema(), &all)?;
    check_change_columns(definition.schema(), &all)?;
    let parameters =
        |shown: &BTreeMap<String, String>| BTreeMap::from([("properties".to_string(), json!(shown).to_string())]);
    let Some(key) = key.filter(|key| key_names(key) != definition.primary_key()) else {
        return with_configuration(definition, configuration, "SET TBLPROPERTIES", parameters(&given)).map(Some);
    };
    let idents = key_idents(&key);
    let columns = idents.iter().map(|ident| find(definition.fields(), PRIMARY_KEY, ident));
    let mut altered = with_primary_key(definition, configuration, &columns.collect::<Result<Vec<_>>>()?)?;
    given.insert(PRIMARY_KEY.to_string(), key);
    altered.parameters = parameters(&given);
    Ok(Some(altered))
}

fn key_names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_string()).collect()
}

/// `UNSET TBLPROPERTIES`. What a property asked of the protocol stays: others may have relied on it.
///
/// # Errors
/// Where a property is not set and `IF EXISTS` is not said, or has a statement of its own.
pub(super) fn unset(definition: &Definition, keys: &[String], if_exists: bool) -> Result<Option<Altered>> {
    let mut configuration = definition.configuration().clone();
    for key in keys {
        let instead = match key.as_str() {
            PRIMARY_KEY => Some("use ALTER TABLE t DROP PRIMARY KEY"),
            MAPPING_MODE | MAXIMUM_COLUMN_ID => Some("column mapping stays once a table has it"),
            key if key.starts_with(CONSTRAINT_PREFIX) => Some("use ALTER TABLE t DROP CONSTRAINT"),
            _ => None,
        };
        if let Some(instead) = instead {
            return Err(Error::invalid(format!("the property {key} cannot be unset; {instead}")));
        }
        if configuration.remove(key).is_none() && !if_exists {
            let mut names: Vec<&str> = definition.configuration().keys().map(String::as_str).collect();
            names.sort_unstable();
            let hint = if names.is_empty() {
                "it has none".to_string()
            } else {
                format!("it has: {}", names.join(", "))
            };
            return Err(Error::not_found(format!("the table has no property {key}; {hint}")));
        }
    }
    let parameters = BTreeMap::from([
        ("properties".to_string(), json!(keys).to_string()),
        ("ifExists".to_string(), if_exists.to_string()),
    ]);
    with_configuration(definition, configuration, "UNSET TBLPROPERTIES", parameters).map(Some)
}

/// `COMMENT ON TABLE`; an empty one, or none, takes it away.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn set_comment(definition: &Definition, comment: Option<&str>) -> Result<Option<Altered>> {
    let comment = comment.filter(|comment| !comment.is_empty());
    let metadata = edited(definition.metadata(), [("description", json!(comment))])?;
    let parameters = BTreeMap::from([("properties".to_string(), json!({ "comment": comment }).to_string())]);
    Ok(Some(Altered {
        metadata,
        protocol: definition.protocol().clone(),
        operation: "SET TBLPROPERTIES",
        parameters,
        checks: Vec::new(),
    }))
}

/// The definition with other properties, and the protocol that they need.
///
/// # Errors
/// Where they ask for a table feature that is not written.
pub(super) fn with_configuration(
    definition: &Definition,
    mut configuration: HashMap<String, String>,
    operation: &'static str,
    parameters: BTreeMap<String, String>,
) -> Result<Altered> {
    let protocol = protocol_for(definition.schema(), &configuration, Some(definition.protocol()))?;
    configuration.retain(|key, _| !is_of_protocol(key));
    let metadata = edited(definition.metadata(), [("configuration", json!(configuration))])?;
    Ok(Altered {
        metadata,
        protocol,
        operation,
        parameters,
        checks: Vec::new(),
    })
}
