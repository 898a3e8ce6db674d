//! Rules of a table that stands: CHECK constraints and the primary key.

use std::collections::{BTreeMap, HashMap};

use datafusion::sql::sqlparser::ast::Ident;
use deltalake_core::kernel::StructField;
use posixlake_sql::Check;
use serde_json::json;

use super::alter::{Altered, RowCheck};
use super::alter_properties::with_configuration;
use super::blueprint::{constraint, find, key_text};
use crate::error::{Error, Result};
use crate::table::evolution::{edited, schema_text};
use crate::table::types::structure;
use crate::table::{CONSTRAINT_PREFIX, Definition, PRIMARY_KEY};

/// `ADD CONSTRAINT n CHECK (e)`, once every row obeys it.
///
/// # Errors
/// Where the name is taken or the expression is not a condition on the table's columns.
pub(super) fn add_constraint(definition: &Definition, check: &Check) -> Result<Option<Altered>> {
    let Some(name) = &check.name else {
        return Err(Error::invalid("ADD CONSTRAINT needs a name"));
    };
    let (name, text) = constraint(check, name, &definition.arrow_schema()?)?;
    if let Some(key) = key_of(definition, &name) {
        let standing = definition.property(&key).unwrap_or_default();
        return Err(Error::already_exists(format!(
            "there is a constraint {name} already: CHECK ({standing})"
        )));
    }
    let mut configuration = definition.configuration().clone();
    configuration.insert(format!("{CONSTRAINT_PREFIX}{name}"), text.clone());
    let parameters = BTreeMap::from([("name".to_string(), name.clone()), ("expr".to_string(), text.clone())]);
    let mut altered = with_configuration(definition, configuration, "ADD CONSTRAINT", parameters)?;
    altered.checks.push(RowCheck::Condition { name, text });
    Ok(Some(altered))
}

/// `DROP CONSTRAINT [IF EXISTS] n`.
///
/// # Errors
/// Where there is none of that name.
pub(super) fn drop_constraint(definition: &Definition, name: &Ident, if_exists: bool) -> Result<Option<Altered>> {
    let name = name.value.to_lowercase();
    let Some(key) = key_of(definition, &name) else {
        if if_exists {
            return Ok(None);
        }
        let mut names: Vec<&str> = definition
            .configuration()
            .keys()
            .filter_map(|key| key.strip_prefix(CONSTRAINT_PREFIX))
            .collect();
        names.sort_unstable();
        let hint = if names.is_empty() {
            "it has none".to_string()
        } else {
            format!("it has: {}", names.join(", "))
        };
        return Err(Error::not_found(format!("the table has no constraint {name}; {hint}")));
    };
    let mut configuration = definition.configuration().clone();
    let text = configuration.remove(&key).unwrap_or_default();
    let parameters = BTreeMap::from([("name".to_string(), name), ("expr".to_string(), text)]);
    with_configuration(definition, configuration, "DROP CONSTRAINT", parameters).map(Some)
}

fn key_of(definition: &Definition, name: &str) -> Option<String> {
    let named = |key: &&String| {
        key.strip_prefix(CONSTRAINT_PREFIX)
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    definition.configuration().keys().find(named).cloned()
}

/// `ADD PRIMARY KEY (c, …)`, once no row has NULL in it and no two rows have the same.
///
/// # Errors
/// Where there is a key, or a column is not there or cannot be part of one.
pub(super) fn add_primary_key(definition: &Definition, columns: &[Ident]) -> Result<Option<Altered>> {
    if let Some(key) = definition.property(PRIMARY_KEY) {
        return Err(Error::already_exists(format!(
            "the table has the primary key ({key}); DROP PRIMARY KEY first"
        )));
    }
    let fields = columns
        .iter()
        .map(|ident| find(definition.fields(), "PRIMARY KEY", ident));
    with_primary_key(
        definition,
        definition.configuration().clone(),
        &fields.collect::<Result<Vec<_>>>()?,
    )
    .map(Some)
}

/// The definition with a primary key beside other new properties.
///
/// # Errors
/// Where a column cannot be part of a key.
pub(super) fn with_primary_key(
    definition: &Definition,
    mut configuration: HashMap<String, String>,
    columns: &[&StructField],
) -> Result<Altered> {
    configuration.insert(PRIMARY_KEY.to_string(), key_text(columns)?);
    let names: Vec<String> = columns.iter().map(|field| field.name().clone()).collect();
    let parameters = BTreeMap::from([(
        "properties".to_string(),
        json!({ PRIMARY_KEY: names.join(",") }).to_string(),
    )]);
    let mut altered = with_configuration(definition, configuration, "SET TBLPROPERTIES", parameters)?;
    let fields = definition.fields().cloned().map(|mut field| {
        field.nullable &= !names.contains(&field.name);
        field
    });
    let schema = structure(fields)?;
    altered.metadata = edited(&altered.metadata, [("schemaString", json!(schema_text(&schema)?))])?;
    altered.checks.extend(names.iter().cloned().map(RowCheck::NotNull));
    altered.checks.push(RowCheck::Unique(names));
    Ok(altered)
}

/// `DROP PRIMARY KEY`. The columns stay NOT NULL.
///
/// # Errors
/// Where there is none.
pub(super) fn drop_primary_key(definition: &Definition) -> Result<Option<Altered>> {
    let mut configuration = definition.configuration().clone();
    if configuration.remove(PRIMARY_KEY).is_none() {
        return Err(Error::not_found("the table has no primary key"));
    }
    let parameters = BTreeMap::from([("properties".to_string(), json!([PRIMARY_KEY]).to_string())]);
    with_configuration(definition, configuration, "UNSET TBLPROPERTIES", parameters).map(Some)
}
