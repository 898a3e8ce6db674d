//! The rules that every row obeys, whichever way it comes in: NOT NULL, CHECK constraints, invariants, generated columns.

use std::cell::LazyCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ident, is_true};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::ExprWithAlias;

use crate::error::{Error, Result};
use crate::plan::Running;
use crate::table::Definition;

/// The most columns of a bad row that a message shows.
const SHOWN_COLUMNS: usize = 6;

/// The expression that a SQL text stands for, over the columns of `schema`.
///
/// # Errors
/// Where the text is not an expression over these columns.
pub(crate) fn logical_expression(state: &SessionState, text: &str, schema: &DFSchema) -> Result<Expr> {
    let expr = posixlake_sql::parse_expression(text)?;
    Ok(state.create_logical_expr_from_sql_expr(ExprWithAlias { expr, alias: None }, schema)?)
}

/// Checks batches of a table's rows.
pub(crate) struct Validator {
    table: String,
    schema: SchemaRef,
    rules: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl Validator {
    /// The rules of a table, ready to be applied to rows of `schema`.
    ///
    /// # Errors
    /// Where a rule's expression cannot be understood: then nothing can be written.
    pub(crate) fn new(running: &Running, table: &str, definition: &Definition, schema: &SchemaRef) -> Result<Self> {
        // Most tables have no rules, and a state takes longer than the rest of a small INSERT's plan.
        let state = LazyCell::new(|| running.state());
        let columns = schema.as_ref().clone().to_dfschema()?;
        let compile = |what: String, expression: Expr| -> Result<(String, Arc<dyn PhysicalExpr>)> {
            Ok((what, state.create_physical_expr(is_true(expression), &columns)?))
        };
        let mut rules = Vec::new();
        for rule in definition.rules()? {
            let what = format!("the constraint {} ({})", rule.name, rule.expression);
            let expression = logical_expression(&state, &rule.expression, &columns)
                .map_err(|error| Error::unsupported(format!("{what} of table {table} cannot be checked: {error}")))?;
            rules.push(compile(what, expression)?);
        }
        for (column, expression) in definition.generated() {
            let what = format!("the generated column {column} ({expression})");
            let value = logical_expression(&state, &expression, &columns)
                .map_err(|error| Error::unsupported(format!("{what} of table {table} cannot be computed: {error}")))?;
            let data_type = schema.field_with_name(&column)?.data_type();
            let value = datafusion::logical_expr::cast(value, data_type.clone());
            let same = datafusion::logical_expr::binary_expr(
                ident(&column),
                datafusion::logical_expr::Operator::IsNotDistinctFrom,
                value,
            );
            rules.push(compile(what, same)?);
        }
        Ok(Self {
            table: table.to_string(),
            schema: schema.clone(),
            rules,
        })
    }

    /// Adds a rule of the statement's own.
    ///
    /// # Errors
    /// Where the expression does not fit the table.
    pub(crate) fn add_rule(&mut self, running: &Running, what: &str, expression: &str) -> Result<()> {
        let state = running.state();
        let columns = self.schema.as_ref().clone().to_dfschema()?;
        let logical = logical_expression(&state, expression, &columns)?;
        self.rules.push((
            what.to_string(),
            state.create_physical_expr(is_true(logical), &columns)?,
        ));
        Ok(())
    }

    /// Passes a batch whose every row obeys every rule.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Constraint`] with the rule and the first row that breaks it.
    pub(crate) fn check(&self, batch: &RecordBatch) -> Result<()> {
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            if let Some((path, row)) = null_in(field, column, field.name()) {
                return Err(Error::constraint(format!(
                    "column {path} of table {} is NOT NULL; the row {} has none",
                    self.table,
                    show(batch, row)
                )));
            }
        }
        for (what, rule) in &self.rules {
            let kept = rule.evaluate(batch)?.into_array(batch.num_rows())?;
            let Some(kept) = kept.as_any().downcast_ref::<BooleanArray>() else {
                return Err(Error::internal(format!("{what} is not a condition")));
            };
            if let Some(row) = (0..kept.len()).find(|row| kept.is_null(*row) || !kept.value(*row)) {
                return Err(Error::constraint(format!(
                    "{what} of table {} does not hold for the row {}",
                    self.table,
                    show(batch, row)
                )));
            }
        }
        Ok(())
    }
}

/// A row as an error shows it: its first columns with their names.
pub(super) fn show(batch: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default().with_null("NULL");
    let schema = batch.schema();
    let mut parts: Vec<String> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .take(SHOWN_COLUMNS)
        .map(|(field, column)| {
            let value = ArrayFormatter::try_new(column, &options).map(|format| format.value(row).to_string());
            let mut value = value.unwrap_or_default();
            if value.chars().count() > 40 {
                value = value.chars().take(40).chain("…".chars()).collect();
            }
            format!("{} = {value}", field.name())
        })
        .collect();
    if batch.num_columns() > SHOWN_COLUMNS {
        parts.push("…".to_string());
    }
    format!("({})", parts.join(", "))
}

/// The first NULL in a column that is not nullable, also inside structs, lists and maps; a NULL parent hides its children.
fn null_in(field: &Field, column: &ArrayRef, path: &str) -> Option<(String, usize)> {
    if !field.is_nullable() && column.null_count() > 0 {
        let row = (0..column.len()).find(|row| column.is_null(*row))?;
        return Some((path.to_string(), row));
    }
    match field.data_type() {
        DataType::Struct(fields) if fields.iter().any(|field| needs_check(field)) => {
            let parent = column.as_any().downcast_ref::<StructArray>()?;
            fields.iter().zip(parent.columns()).find_map(|(field, child)| {
                let hidden = arrow::compute::is_null(column).ok()?;
                let path = format!("{path}.{}", field.name());
                if !field.is_nullable() {
                    let row = (0..child.len()).find(|row| child.is_null(*row) && !hidden.value(*row));
                    if let Some(row) = row {
                        return Some((path, row));
                    }
                }
                null_in(&field.as_ref().clone().with_nullable(true), child, &path)
            })
        }
        DataType::List(item) if needs_check(item) => {
            let list = column.as_any().downcast_ref::<ListArray>()?;
            (0..list.len()).filter(|row| list.is_valid(*row)).find_map(|row| {
                null_in(item, &list.value(row), &format!("{path}.element")).map(|(path, _)| (path, row))
            })
        }
        DataType::Map(entries, _) if needs_check(entries) => {
            let map = column.as_any().downcast_ref::<MapArray>()?;
            let DataType::Struct(fields) = entries.data_type() else {
                return None;
            };
            let value = fields.get(1)?;
            (0..map.len()).filter(|row| map.is_valid(*row)).find_map(|row| {
                let entry = map.value(row);
                null_in(value, entry.column(1), &format!("{path}.value")).map(|(path, _)| (path, row))
            })
        }
        _ => None,
    }
}

fn needs_check(field: &Field) -> bool {
    !field.is_nullable()
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(|field| needs_check(field)),
            DataType::List(item) => needs_check(item),
            // A map's keys are never null by construction; its entries field is not nullable by definition.
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => fields.get(1).is_some_and(|value| needs_check(value)),
                _ => false,
            },
            _ => false,
        }
}
