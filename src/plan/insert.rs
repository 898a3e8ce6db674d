//! `INSERT`: the query's columns are paired with the table's, missing ones are filled, and the rows go to the writer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident};
use posixlake_sql::{Insert, InsertMode};

use super::assign::assign;
use super::{Planner, insert_source, sink_plan};
use crate::catalog::{TableId, reference};
use crate::dml::{InsertCommand, Overwrite, logical_expression, plan_replace};
use crate::error::{Error, Result};
use crate::log::check_writable;
use crate::table::Definition;
use crate::table::{evolve, readings};

/// Plans an `INSERT`.
///
/// # Errors
/// Where columns do not pair up, or types do not fit.
pub(super) async fn plan(planner: &Planner, insert: &Insert, text: String) -> Result<LogicalPlan> {
    let (id, table) = planner.table(&insert.table).await?;
    check_writable(&table, &id.display())?;
    let definition = Definition::of(&table)?;
    let fixed = partition_values(planner, &id, &definition, &insert.partition)?;
    let by_name = insert.by_name || insert.schema_evolution;
    let schema = definition.arrow_schema()?;
    let targets = |names: &[Option<&Ident>]| {
        let columns: Vec<Option<String>> = if by_name {
            let find = |name: &Option<&Ident>| find_column(&id, &schema, name.as_ref()?).ok();
            names.iter().map(find).collect()
        } else {
            let columns = names_by_position(&id, &definition, names.len(), &insert.columns, &fixed);
            columns.unwrap_or_default().into_iter().map(Some).collect()
        };
        let type_of = |name: Option<String>| Some(schema.field_with_name(&name?).ok()?.data_type().clone());
        columns.into_iter().map(type_of).collect()
    };
    let source = insert_source::prepare(&insert.source, by_name, &targets);
    let source = planner.query(&source).await?;
    if by_name && !insert.columns.is_empty() {
        return Err(Error::invalid(
            "a column list and BY NAME (or WITH SCHEMA EVOLUTION) exclude each other",
        ));
    }
    let evolved = if insert.schema_evolution {
        evolve(&definition, source.schema().as_arrow())?
    } else {
        None
    };
    let target = match &evolved {
        Some((metadata, protocol)) => Definition::new(metadata.clone(), protocol.clone())?,
        None => definition,
    };
    let pairing = if by_name {
        pair_by_name(&id, &target, &source)?
    } else {
        pair_by_position(&id, &target, &source, &insert.columns, &fixed)?
    };
    let input = project(planner, &id, &target, source, pairing, &fixed, 0)?;
    if let InsertMode::ReplaceWhere(condition) = &insert.mode {
        if !insert.partition.is_empty() {
            return Err(Error::invalid("REPLACE WHERE and PARTITION exclude each other"));
        }
        if evolved.is_some() {
            return Err(Error::unsupported(
                "REPLACE WHERE together with new columns; ALTER TABLE … ADD COLUMNS first",
            ));
        }
        return plan_replace(planner, id, condition.to_string(), input, text).await;
    }
    let overwrite = overwrite(planner, &target, insert, &fixed)?;
    let reads = readings(&input, &id.url)?.version;
    let mut command = InsertCommand::new(planner.lake().clone(), id.clone(), overwrite, Some(text)).reading(reads);
    if let Some((metadata, protocol)) = evolved {
        command = command.evolving(metadata, protocol);
    }
    sink_plan(reference(&id), input, Arc::new(command))
}

/// For each column of the table, the query's column that it gets its values from.
pub(crate) type Pairing = HashMap<String, usize>;

fn overwrite(
    planner: &Planner,
    definition: &Definition,
    insert: &Insert,
    fixed: &BTreeMap<String, Option<ScalarValue>>,
) -> Result<Overwrite> {
    match &insert.mode {
        InsertMode::Append => Ok(Overwrite::Nothing),
        InsertMode::ReplaceWhere(_) => Err(Error::internal("REPLACE WHERE is no overwrite of partitions")),
        InsertMode::Overwrite if insert.partition.is_empty() => {
            let dynamic = crate::session::overwrites_partitions(planner.state().config().options())
                && !definition.partition_columns().is_empty();
            Ok(if dynamic {
                Overwrite::DynamicPartitions
            } else {
                Overwrite::All
            })
        }
        InsertMode::Overwrite if fixed.values().all(Option::is_some) => {
            let values = fixed.iter().map(|(column, value)| {
                let value = value.as_ref().map(partition_text).transpose()?.flatten();
                Ok((column.clone(), value))
            });
            Ok(Overwrite::Partition(values.collect::<Result<_>>()?))
        }
        // PARTITION (a = 1, b): within a = 1, the partitions that the rows fall into. Every row has a = 1.
        InsertMode::Overwrite => Ok(Overwrite::DynamicPartitions),
    }
}

/// A partition value as the log writes it (Delta protocol, "Partition Value Serialization").
fn partition_text(value: &ScalarValue) -> Result<Option<String>> {
    if value.is_null() {
        return Ok(None);
    }
    match value.cast_to(&DataType::Utf8)? {
        ScalarValue::Utf8(text) => Ok(text.filter(|text| !text.is_empty())),
        other => Err(Error::unsupported(format!("{other} cannot be a partition value"))),
    }
}

/// The values that `PARTITION (…)` fixes, cast to their columns' types; none for a column that the query gives.
fn partition_values(
    planner: &Planner,
    id: &TableId,
    definition: &Definition,
    partition: &[(Ident, Option<SqlExpr>)],
) -> Result<BTreeMap<String, Option<ScalarValue>>> {
    let schema = definition.arrow_schema()?;
    let mut values = BTreeMap::new();
    for (ident, value) in partition {
        let column = find_column(id, &schema, ident)?;
        if definition.partition_columns().is_empty() {
            return Err(Error::invalid(format!(
                "table {} is not partitioned; INSERT INTO t REPLACE WHERE p replaces the rows of a condition",
                id.display()
            )));
        }
        if !definition.partition_columns().contains(&column) {
            return Err(Error::invalid(format!(
                "table {} is not partitioned by {column}; its partition columns are: {}",
                id.display(),
                definition.partition_columns().join(", ")
            )));
        }
        let data_type = schema.field_with_name(&column)?.data_type();
        let value = match value {
            Some(value) => Some(planner.constant(value)?.cast_to(data_type)?),
            None => None,
        };
        if values.insert(column.clone(), value).is_some() {
            return Err(Error::invalid(format!("PARTITION names {column} twice")));
        }
    }
    Ok(values)
}

fn find_column(id: &TableId, schema: &SchemaRef, ident: &Ident) -> Result<String> {
    let exact = schema.fields().iter().find(|field| *field.name() == ident.value);
    let folded = || {
        let mut same = schema
            .fields()
            .iter()
            .filter(|field| field.name().eq_ignore_ascii_case(&ident.value));
        match (same.next(), same.next()) {
            (Some(field), None) if ident.quote_style.is_none() => Some(field),
            _ => None,
        }
    };
    match exact.or_else(folded) {
        Some(field) => Ok(field.name().clone()),
        None => {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Err(Error::not_found(format!(
                "table {} has no column {ident}; it has: {}",
                id.display(),
                names.join(", ")
            )))
        }
    }
}

/// The table's columns that `given` columns of a query go to, in the query's order.
fn names_by_position(
    id: &TableId,
    definition: &Definition,
    given: usize,
    columns: &[Ident],
    fixed: &BTreeMap<String, Option<ScalarValue>>,
) -> Result<Vec<String>> {
    let schema = definition.arrow_schema()?;
    let is_fixed = |name: &str| fixed.get(name).is_some_and(Option::is_some);
    let all: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !is_fixed(name))
        .collect();
    let names = if columns.is_empty() {
        let generated: Vec<String> = definition.generated().into_iter().map(|(name, _)| name).collect();
        let plain: Vec<String> = all.iter().filter(|name| !generated.contains(name)).cloned().collect();
        if given == plain.len() { plain } else { all }
    } else {
        let names = columns
            .iter()
            .map(|ident| find_column(id, &schema, ident))
            .collect::<Result<Vec<_>>>()?;
        if let Some(name) = names.iter().find(|name| is_fixed(name)) {
            return Err(Error::invalid(format!(
                "column {name} has its value from PARTITION already"
            )));
        }
        names
    };
    if names.len() != given {
        return Err(Error::schema(format!(
            "INSERT INTO {}: the query has {given} columns, {} are expected: {}",
            id.display(),
            names.len(),
            names.join(", ")
        )));
    }
    Ok(names)
}

fn pair_by_position(
    id: &TableId,
    definition: &Definition,
    source: &LogicalPlan,
    columns: &[Ident],
    fixed: &BTreeMap<String, Option<ScalarValue>>,
) -> Result<Pairing> {
    let names = names_by_position(id, definition, source.schema().fields().len(), columns, fixed)?;
    let mut pairing = Pairing::new();
    for (index, name) in names.into_iter().enumerate() {
        if pairing.insert(name.clone(), index).is_some() {
            return Err(Error::invalid(format!("column {name} is named twice")));
        }
    }
    Ok(pairing)
}

fn pair_by_name(id: &TableId, definition: &Definition, source: &LogicalPlan) -> Result<Pairing> {
    let schema = definition.arrow_schema()?;
    let mut pairing = Pairing::new();
    for (index, field) in source.schema().fields().iter().enumerate() {
        let name = find_column(id, &schema, &Ident::new(field.name().as_str()))?;
        if pairing.insert(name.clone(), index).is_some() {
            return Err(Error::invalid(format!("the query has two columns for {name}")));
        }
    }
    Ok(pairing)
}

/// The query's rows with exactly the table's columns, in its order and types. Generated columns that the query does not give
/// are computed from the others. The query's first columns, as many as `beside` says, stay before them as they are.
pub(crate) fn project(
    planner: &Planner,
    id: &TableId,
    definition: &Definition,
    source: LogicalPlan,
    pairing: Pairing,
    fixed: &BTreeMap<String, Option<ScalarValue>>,
    beside: usize,
) -> Result<LogicalPlan> {
    let schema = definition.arrow_schema()?;
    let generated: HashMap<String, String> = definition.generated().into_iter().collect();
    let columns = source.schema().columns();
    let value_of = |field: &Field| -> Result<Option<Expr>> {
        let name = field.name();
        let value = match (pairing.get(name).and_then(|index| columns.get(*index)), fixed.get(name)) {
            (Some(column), _) => {
                let value = Expr::Column(column.clone());
                assign(value, name, field.data_type(), source.schema())?
            }
            (None, Some(Some(value))) => lit(value.clone()),
            _ if generated.contains_key(name) => return Ok(None),
            _ if field.is_nullable() => lit(ScalarValue::try_from(field.data_type())?),
            _ => {
                return Err(Error::constraint(format!(
                    "column {name} of table {} is NOT NULL and gets no value",
                    id.display()
                )));
            }
        };
        Ok(Some(value.alias(name)))
    };
    let mut values: Vec<Expr> = columns.iter().take(beside).cloned().map(Expr::Column).collect();
    for field in schema.fields() {
        values.extend(value_of(field)?);
    }
    let missing = values.len() < beside + schema.fields().len();
    let plan = LogicalPlanBuilder::from(source).project(values)?.build()?;
    if !missing {
        return Ok(plan);
    }
    let mut all: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .take(beside)
        .map(Expr::Column)
        .collect();
    for field in schema.fields() {
        let given = plan.schema().has_column_with_unqualified_name(field.name());
        all.push(match generated.get(field.name()) {
            Some(expression) if !given => {
                let value = logical_expression(planner.state(), expression, plan.schema())?;
                cast(value, field.data_type().clone()).alias(field.name())
            }
            _ => col(Column::new_unqualified(field.name())),
        });
    }
    Ok(LogicalPlanBuilder::from(plan).project(all)?.build()?)
}
