//! `SHOW TABLES`, `SHOW SCHEMAS`, `SHOW COLUMNS`, `SHOW TBLPROPERTIES`, `SHOW PARTITIONS`, `SHOW CREATE TABLE`,
//! `SHOW PROCEDURES`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::ResolvedTableReference;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementIn, ShowStatementInParentType,
    ShowStatementOptions,
};
use posixlake_sql::{ShowProperties, Statement};

use super::describe::read;
use super::procedures;
use crate::catalog::{CATALOG, SYSTEM_SCHEMA};
use crate::error::{Error, Result};
use crate::plan::Planner;
use crate::table::types::name_of;
use crate::table::{Definition, live_files, partitions, properties, rows};

/// Rows of text columns.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn text_rows<const N: usize>(names: [&str; N], values: &[[Option<String>; N]]) -> Result<RecordBatch> {
    let schema = Schema::new(names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec());
    let columns = (0..N).map(|column| -> ArrayRef {
        Arc::new(
            values
                .iter()
                .map(|row| row.get(column).and_then(Option::as_deref))
                .collect::<StringArray>(),
        )
    });
    Ok(RecordBatch::try_new(Arc::new(schema), columns.collect())?)
}

/// Plans `SHOW TBLPROPERTIES`.
///
/// # Errors
/// Where there is no such table, or it has no such property.
pub(super) async fn table_properties(planner: &Planner, show: &ShowProperties) -> Result<LogicalPlan> {
    let (id, table) = planner.shown_table(&show.table).await?;
    let mut all = properties(&Definition::of(&table)?);
    if let Some(key) = &show.key {
        let Some(value) = all.get(key).cloned() else {
            let near = did_you_mean(key, all.keys().map(String::as_str));
            return Err(Error::not_found(format!(
                "table {} has no property '{key}'{near}",
                id.display()
            )));
        };
        all = BTreeMap::from([(key.clone(), value)]);
    }
    let values: Vec<[Option<String>; 2]> = all.into_iter().map(|(key, value)| [Some(key), Some(value)]).collect();
    read("properties", rows(text_rows(["key", "value"], &values)?)?, None)
}

/// Plans `SHOW PARTITIONS`.
///
/// # Errors
/// Where there is no such table, or it is not partitioned.
pub(super) async fn table_partitions(planner: &Planner, name: &ObjectName) -> Result<LogicalPlan> {
    let (id, table) = planner.shown_table(name).await?;
    let definition = Definition::of(&table)?;
    if definition.partition_columns().is_empty() {
        return Err(Error::invalid(format!("table {} is not partitioned", id.display())));
    }
    read(
        "partitions",
        rows(partitions(&definition, &live_files(&table), false)?)?,
        None,
    )
}

/// Plans `SHOW CREATE TABLE`.
///
/// # Errors
/// Where there is no such table or view, or its definition has no SQL.
pub(super) async fn create_table(planner: &Planner, name: &ObjectName) -> Result<LogicalPlan> {
    let id = planner.lake().resolve(name)?;
    let text = match planner.lake().registered(&id.schema, &id.name) {
        Some(view) => view
            .get_table_definition()
            .map(str::to_string)
            .ok_or_else(|| Error::invalid(format!("{} was not made by a statement", id.display())))?,
        None => {
            let (_, table) = planner.shown_table(name).await?;
            super::definition_text::create_table(name, &Definition::of(&table)?)?.to_string()
        }
    };
    read(
        "create_table",
        rows(text_rows(["createtab_stmt"], &[[Some(text)]])?)?,
        None,
    )
}

/// Plans `SHOW COLUMNS` by opening the one table that it names; DataFusion's own way opens every table of the lake.
///
/// # Errors
/// Where there is no such table, or a clause is not supported.
pub(super) async fn columns(planner: &Planner, options: &ShowStatementOptions) -> Result<LogicalPlan> {
    let ShowStatementOptions {
        show_in,
        starts_with: None,
        limit: None,
        limit_from: None,
        filter_position: None,
    } = options
    else {
        return Err(Error::unsupported(
            "SHOW COLUMNS takes no LIKE, WHERE or LIMIT; query information_schema.columns",
        ));
    };
    let Some(ShowStatementIn {
        parent_type: None,
        parent_name: Some(name),
        ..
    }) = show_in
    else {
        return Err(Error::invalid("SHOW COLUMNS takes a table: SHOW COLUMNS FROM t"));
    };
    let state = planner.state();
    let defaults = &state.config().options().catalog;
    let ResolvedTableReference { catalog, schema, table } = object_name_to_table_reference(name.clone(), true)?
        .resolve(&defaults.default_catalog, &defaults.default_schema);
    let reference = ResolvedTableReference {
        catalog: catalog.clone(),
        schema: schema.clone(),
        table: table.clone(),
    };
    let provider = match state.schema_for_ref(reference)?.table(&table).await? {
        Some(provider) => provider,
        None => {
            let id = planner.lake().resolve(name)?;
            return Err(planner.lake().missing(&id));
        }
    };
    let values: Vec<[Option<String>; 6]> = provider
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let nullable = if field.is_nullable() { "YES" } else { "NO" };
            let values = [
                &catalog,
                &schema,
                &table,
                field.name().as_str(),
                &field.data_type().to_string(),
                nullable,
            ];
            values.map(|value| Some(value.to_string()))
        })
        .collect();
    let names = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "data_type",
        "is_nullable",
    ];
    read("columns", rows(text_rows(names, &values)?)?, None)
}

/// Plans `SHOW TABLES [{IN | FROM} schema] [LIKE 'pattern']` without opening a table. The tables of the
/// session's own schema are listed where it is named.
///
/// # Errors
/// Where there is no such schema, or a clause is not supported.
pub(super) async fn all_tables(planner: &Planner, options: &ShowStatementOptions) -> Result<LogicalPlan> {
    const SPELLING: &str = "write SHOW TABLES [IN schema] [LIKE 'pattern']";
    let mut conditions = vec!["table_schema <> 'information_schema'".to_string()];
    if options.show_in.is_none() {
        conditions.push(format!("table_schema <> {}", literal(SYSTEM_SCHEMA)));
    }
    if let Some(place) = &options.show_in {
        let parts = place.parent_name.iter().flat_map(|name| &name.0);
        let parts: Option<Vec<String>> = parts.map(|part| part.as_ident().map(name_of)).collect();
        let schema = match (&place.parent_type, parts.unwrap_or_default().as_slice()) {
            (None | Some(ShowStatementInParentType::Schema), [schema]) => schema.clone(),
            (None | Some(ShowStatementInParentType::Schema), [catalog, schema]) if catalog == CATALOG => schema.clone(),
            _ => return Err(Error::unsupported(format!("SHOW TABLES {place}: {SPELLING}"))),
        };
        let known = planner.lake().schema_names();
        if !known.contains(&schema) {
            let near = did_you_mean(&schema, known.iter().map(String::as_str));
            return Err(Error::not_found(format!(
                "no schema '{schema}'{near}; SHOW SCHEMAS lists them"
            )));
        }
        conditions.push(format!("table_schema = {}", literal(&schema)));
    }
    conditions.extend(filter(options, "table_name", SPELLING)?);
    listing(
        planner,
        "table_catalog, table_schema, table_name, table_type FROM information_schema.tables",
        &conditions,
    )
    .await
}

/// Plans `SHOW SCHEMAS [LIKE 'pattern']`.
///
/// # Errors
/// Where a clause is not supported.
pub(super) async fn all_schemas(planner: &Planner, options: &ShowStatementOptions) -> Result<LogicalPlan> {
    const SPELLING: &str = "write SHOW SCHEMAS [LIKE 'pattern']";
    if let Some(place) = &options.show_in {
        return Err(Error::unsupported(format!("SHOW SCHEMAS {place}: {SPELLING}")));
    }
    let mut conditions = vec!["schema_name <> 'information_schema'".to_string()];
    conditions.extend(filter(options, "schema_name", SPELLING)?);
    listing(
        planner,
        "catalog_name, schema_name FROM information_schema.schemata",
        &conditions,
    )
    .await
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The condition of `LIKE 'pattern'`, where it is there.
fn filter(options: &ShowStatementOptions, column: &str, spelling: &str) -> Result<Option<String>> {
    use ShowStatementFilter::{ILike, Like, NoKeyword, Where};
    use ShowStatementFilterPosition::{Infix, Suffix};
    if options.starts_with.is_some() || options.limit.is_some() || options.limit_from.is_some() {
        return Err(Error::unsupported(format!(
            "STARTS WITH and LIMIT are not available here: {spelling}"
        )));
    }
    match &options.filter_position {
        None => Ok(None),
        Some(Infix(Like(pattern)) | Suffix(Like(pattern))) => Ok(Some(format!("{column} LIKE {}", literal(pattern)))),
        Some(Infix(ILike(pattern)) | Suffix(ILike(pattern))) => {
            Ok(Some(format!("{column} ILIKE {}", literal(pattern))))
        }
        Some(Infix(Where(_) | NoKeyword(_)) | Suffix(Where(_) | NoKeyword(_))) => {
            Err(Error::unsupported(format!("a pattern stands behind LIKE: {spelling}")))
        }
    }
}

async fn listing(planner: &Planner, what: &str, conditions: &[String]) -> Result<LogicalPlan> {
    let columns = what.split(" FROM ").next().unwrap_or_default();
    let text = format!("SELECT {what} WHERE {} ORDER BY {columns}", conditions.join(" AND "));
    match posixlake_sql::parse(&text)?.pop().map(|parsed| parsed.statement) {
        Some(Statement::Native(native)) => Ok(planner.state().statement_to_plan(*native).await?),
        _ => Err(Error::internal("a listing is no query")),
    }
}

/// Plans `SHOW PROCEDURES`.
///
/// # Errors
/// None.
pub(super) fn all_procedures() -> Result<LogicalPlan> {
    let values: Vec<[Option<String>; 4]> = procedures::PROCEDURES
        .iter()
        .map(|procedure| {
            let summary = procedure.summary.to_string();
            [
                procedure.name.to_string(),
                procedure.signature(),
                procedure.result.join(", "),
                summary,
            ]
            .map(Some)
        })
        .collect();
    read(
        "procedures",
        rows(text_rows(["name", "parameters", "result", "description"], &values)?)?,
        None,
    )
}

/// The hint of an error about a name that is not there.
pub(super) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|known| {
            (
                strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min();
    near.map(|(_, known)| format!("; did you mean {known}?"))
        .unwrap_or_default()
}
