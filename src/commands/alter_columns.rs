//! Columns of a table that stands: new ones, comments, NOT NULL.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Ident;
use deltalake_core::kernel::{ArrayType, DataType, MapType, StructField, StructType};
use posixlake_sql::{AddColumn, Position};
use serde_json::json;

use super::alter::{Altered, RowCheck};
use super::blueprint::{check_change_columns, field, find};
use crate::error::{Error, Result};
use crate::table::evolution::with_schema;
use crate::table::types::{name_of, structure};
use crate::table::{COMMENT, Definition};

type Fields = Vec<StructField>;

/// `ADD COLUMNS`: the rows that stand have NULL in them.
///
/// # Errors
/// Where a column is there already, its parent is not, or it cannot be NULL.
pub(super) fn add(definition: &Definition, columns: &[AddColumn]) -> Result<Option<Altered>> {
    let mut schema = definition.schema().clone();
    let mut added = Vec::new();
    for column in columns {
        let new = new_field(column)?;
        let mut is_new = true;
        schema = edit(&schema, &column.parents, &mut |fields| {
            if fields.iter().any(|field| field.name().eq_ignore_ascii_case(new.name())) {
                is_new = false;
                return match column.if_not_exists {
                    true => Ok(fields),
                    false => Err(Error::already_exists(format!(
                        "there is a column {} already",
                        path_of(column)
                    ))),
                };
            }
            insert(fields, new.clone(), column.position.as_ref())
        })?;
        if is_new {
            added.push(json!({ "column": new, "path": path_of(column) }));
        }
    }
    if added.is_empty() {
        return Ok(None);
    }
    let configuration: BTreeMap<String, String> = definition.configuration().clone().into_iter().collect();
    check_change_columns(&schema, &configuration)?;
    let parameters = BTreeMap::from([("columns".to_string(), json!(added).to_string())]);
    altered(definition, &schema, "ADD COLUMNS", parameters)
}

fn path_of(column: &AddColumn) -> String {
    let path = column.parents.iter().chain([&column.column.name]);
    path.map(name_of).collect::<Vec<_>>().join(".")
}

fn new_field(column: &AddColumn) -> Result<StructField> {
    let name = path_of(column);
    if !column.column.nullable {
        return Err(Error::invalid(format!(
            "column {name} cannot be NOT NULL: the rows that stand have none; add it, fill it with UPDATE, then ALTER \
             COLUMN {name} SET NOT NULL"
        )));
    }
    if column.column.generated.is_some() {
        return Err(Error::unsupported(format!(
            "column {name} cannot be generated: the rows that stand would not have its values; make the table anew with \
             CREATE OR REPLACE TABLE"
        )));
    }
    field(&column.column)
}

fn insert(mut fields: Fields, new: StructField, position: Option<&Position>) -> Result<Fields> {
    let at = match position {
        None => fields.len(),
        Some(Position::First) => 0,
        Some(Position::After(ident)) => {
            let before = find(&fields, "AFTER", ident)?.name().clone();
            fields
                .iter()
                .position(|field| *field.name() == before)
                .map_or(fields.len(), |index| index + 1)
        }
    };
    fields.insert(at, new);
    Ok(fields)
}

/// `COMMENT`; an empty one, or none, takes it away.
///
/// # Errors
/// Where the column is not there.
pub(super) fn set_comment(definition: &Definition, path: &[Ident], comment: Option<&str>) -> Result<Option<Altered>> {
    change(definition, path, &mut |field| {
        match comment {
            Some(comment) if !comment.is_empty() => field.metadata.insert(COMMENT.to_string(), comment.into()),
            _ => field.metadata.remove(COMMENT),
        };
        Ok(())
    })
}

/// `SET NOT NULL`, once no row has NULL.
///
/// # Errors
/// Where the column is not there, or is a field of a struct.
pub(super) fn set_not_null(definition: &Definition, path: &[Ident]) -> Result<Option<Altered>> {
    let [column] = path else {
        return Err(Error::unsupported(
            "SET NOT NULL of a field inside a struct is not supported yet; add a CHECK constraint for it",
        ));
    };
    let field = find(definition.fields(), "SET NOT NULL", column)?;
    if !field.is_nullable() {
        return Ok(None);
    }
    let check = RowCheck::NotNull(field.name().clone());
    let altered = change(definition, path, &mut |field| {
        field.nullable = false;
        Ok(())
    })?;
    Ok(altered.map(|altered| Altered {
        checks: vec![check],
        ..altered
    }))
}

/// `DROP NOT NULL`.
///
/// # Errors
/// Where the column is not there, or is part of the key.
pub(super) fn drop_not_null(definition: &Definition, path: &[Ident]) -> Result<Option<Altered>> {
    let key = definition.primary_key();
    let top_level = path.len() == 1;
    change(definition, path, &mut |field| {
        if top_level && key.contains(&field.name) {
            return Err(Error::invalid(format!(
                "column {} is part of the primary key, which has no NULL; DROP PRIMARY KEY first",
                field.name
            )));
        }
        field.nullable = true;
        Ok(())
    })
}

/// Changes one field, wherever it stands.
fn change(
    definition: &Definition,
    path: &[Ident],
    change: &mut dyn FnMut(&mut StructField) -> Result<()>,
) -> Result<Option<Altered>> {
    let Some((column, parents)) = path.split_last() else {
        return Err(Error::invalid("no column is named"));
    };
    let mut changed = None;
    let schema = edit(definition.schema(), parents, &mut |mut fields| {
        let name = find(&fields, "ALTER COLUMN", column)?.name().clone();
        for field in fields.iter_mut().filter(|field| field.name == name) {
            change(field)?;
            changed = Some(json!(field).to_string());
        }
        Ok(fields)
    })?;
    let parameters = changed.map(|field| ("column".to_string(), field)).into_iter().collect();
    altered(definition, &schema, "CHANGE COLUMN", parameters)
}

fn altered(
    definition: &Definition,
    schema: &StructType,
    operation: &'static str,
    parameters: BTreeMap<String, String>,
) -> Result<Option<Altered>> {
    if schema == definition.schema() {
        return Ok(None);
    }
    let (metadata, protocol) = with_schema(definition, schema)?;
    Ok(Some(Altered {
        metadata,
        protocol,
        operation,
        parameters,
        checks: Vec::new(),
    }))
}

/// The schema with the fields of the struct at `parents` edited. Elements of arrays and keys and values of maps are reached
/// as `element`, `key` and `value`, as in Spark.
fn edit(
    schema: &StructType,
    parents: &[Ident],
    change: &mut dyn FnMut(Fields) -> Result<Fields>,
) -> Result<StructType> {
    let Some((first, rest)) = parents.split_first() else {
        return structure(change(schema.fields().cloned().collect())?);
    };
    let name = find(schema.fields(), "ALTER TABLE", first)?.name().clone();
    let mut fields: Fields = schema.fields().cloned().collect();
    for field in fields.iter_mut().filter(|field| field.name == name) {
        field.data_type = edit_type(&name, &field.data_type, rest, change)?;
    }
    structure(fields)
}

fn edit_type(
    name: &str,
    data_type: &DataType,
    path: &[Ident],
    change: &mut dyn FnMut(Fields) -> Result<Fields>,
) -> Result<DataType> {
    let part = path.split_first().map(|(first, rest)| (name_of(first), rest));
    match (data_type, part) {
        (DataType::Struct(fields), _) => Ok(edit(fields, path, change)?.into()),
        (DataType::Array(array), Some((part, rest))) if part == "element" => {
            let element = edit_type("element", array.element_type(), rest, change)?;
            Ok(ArrayType::new(element, array.contains_null()).into())
        }
        (DataType::Map(map), Some((part, rest))) if part == "key" || part == "value" => {
            let (mut key, mut value) = (map.key_type().clone(), map.value_type().clone());
            let side = if part == "key" { &mut key } else { &mut value };
            *side = edit_type(&part, side, rest, change)?;
            Ok(MapType::new(key, value, map.value_contains_null()).into())
        }
        (DataType::Array(_), _) => Err(Error::invalid(format!(
            "{name} is an array; name its elements {name}.element"
        ))),
        (DataType::Map(_), _) => Err(Error::invalid(format!(
            "{name} is a map; name its sides {name}.key and {name}.value"
        ))),
        _ => Err(Error::invalid(format!(
            "{name} is {}, which has no fields",
            crate::table::types::type_sql(data_type)
        ))),
    }
}
