//! Expressions of `UPDATE`, `DELETE` and `MERGE`, resolved for delta-rs's builders.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, Ident, Visit, Visitor};
use posixlake_sql::Assignment;

use super::logical_expression;
use crate::error::{Error, Result};
use crate::plan::Planner;
use crate::table::{Definition, PRIMARY_KEY};

/// The columns that an expression can name, and who it is that names them.
pub(crate) struct Scope<'a> {
    pub(crate) planner: &'a Planner,
    pub(crate) statement: &'static str,
    pub(crate) schema: DFSchema,
}

impl Scope<'_> {
    /// The logical expression of an SQL one.
    ///
    /// # Errors
    /// Where it names a column that is not there, or holds a subquery, which the builders below cannot take.
    pub(crate) fn resolve(&self, expr: &SqlExpr) -> Result<Expr> {
        if has_subquery(expr) {
            return Err(Error::unsupported(format!(
                "{} with a subquery in '{expr}' is not supported yet; use MERGE with the subquery as its source",
                self.statement
            )));
        }
        for name in ["_file", "_row"] {
            if names(expr, name) && !self.schema.has_column_with_unqualified_name(name) {
                return Err(Error::unsupported(format!(
                    "{} by {name} is not supported yet",
                    self.statement
                )));
            }
        }
        let with_alias = ExprWithAlias {
            expr: expr.clone(),
            alias: None,
        };
        Ok(self
            .planner
            .state()
            .create_logical_expr_from_sql_expr(with_alias, &self.schema)?)
    }
}

/// The columns of a table under a qualifier.
///
/// # Errors
/// Where the schema has no Arrow form.
pub(crate) fn qualified(schema: &Schema, qualifier: &str) -> Result<DFSchema> {
    Ok(DFSchema::try_from_qualified_schema(qualifier, schema)?)
}

/// The expression without its columns' qualifiers.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn unqualified(expr: Expr) -> Result<Expr> {
    let transformed = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    })?;
    Ok(transformed.data)
}

/// Resolved assignments: one a column, with the columns that are generated from assigned ones behind them.
pub(crate) type Assignments = Vec<(String, Expr)>;

/// Resolves `SET c = e, …`.
///
/// # Errors
/// Where a column is not there, is assigned twice, is nested, or is generated.
pub(crate) fn assignments(
    scope: &Scope<'_>,
    definition: &Definition,
    target: &str,
    set: &[Assignment],
) -> Result<Assignments> {
    let generated: HashMap<String, String> = definition.generated().into_iter().collect();
    let mut resolved: Assignments = Vec::new();
    for assignment in set {
        let column = target_column(definition, target, &assignment.target)?;
        if generated.contains_key(&column) {
            return Err(Error::invalid(format!(
                "column {column} is generated: it follows from the others"
            )));
        }
        if resolved.iter().any(|(name, _)| *name == column) {
            return Err(Error::invalid(format!("column {column} is assigned twice")));
        }
        let value = if is_default(&assignment.value) {
            return Err(Error::unsupported(format!(
                "SET {column} = DEFAULT: column defaults are not supported yet"
            )));
        } else {
            scope.resolve(&assignment.value)?
        };
        resolved.push((column, value));
    }
    with_generated(scope.planner, definition, target, resolved)
}

/// Adds what the generated columns become when others are assigned.
///
/// # Errors
/// Where a generated column's expression cannot be understood.
pub(crate) fn with_generated(
    planner: &Planner,
    definition: &Definition,
    target: &str,
    mut resolved: Assignments,
) -> Result<Assignments> {
    let schema = definition.arrow_schema()?;
    let columns = qualified(&schema, target)?;
    let assigned: HashMap<String, Expr> = resolved.iter().cloned().collect();
    for (column, expression) in definition.generated() {
        if assigned.contains_key(&column) {
            continue;
        }
        let value = logical_expression(planner.state(), &expression, &columns)?;
        let uses_assigned = value
            .column_refs()
            .iter()
            .any(|column| assigned.contains_key(&column.name));
        if !uses_assigned {
            continue;
        }
        let replaced = value.transform(|expr| {
            Ok(match &expr {
                Expr::Column(used) => match assigned.get(&used.name) {
                    Some(value) => {
                        let data_type = schema.field_with_name(&used.name)?.data_type().clone();
                        Transformed::new(
                            cast(value.clone(), data_type),
                            true,
                            datafusion::common::tree_node::TreeNodeRecursion::Jump,
                        )
                    }
                    None => Transformed::no(expr),
                },
                _ => Transformed::no(expr),
            })
        })?;
        let data_type = schema.field_with_name(&column)?.data_type().clone();
        resolved.push((column, cast(replaced.data, data_type)));
    }
    Ok(resolved)
}

fn target_column(definition: &Definition, target: &str, path: &[Ident]) -> Result<String> {
    let own = match path {
        [qualifier, column] if qualifier.value.eq_ignore_ascii_case(target) => column,
        [column] => column,
        _ => {
            let path: Vec<String> = path.iter().map(ToString::to_string).collect();
            return Err(Error::unsupported(format!(
                "SET {} = …: only whole columns of the target can be assigned; build the struct anew",
                path.join(".")
            )));
        }
    };
    column_named(definition, own)
}

/// The table's column of this name; letter case does not matter where the name is not quoted.
///
/// # Errors
/// Where there is none.
pub(crate) fn column_named(definition: &Definition, ident: &Ident) -> Result<String> {
    let names: Vec<&String> = definition.fields().map(|field| field.name()).collect();
    let found = names.iter().find(|name| ***name == ident.value).or_else(|| {
        names
            .iter()
            .find(|name| ident.quote_style.is_none() && name.eq_ignore_ascii_case(&ident.value))
    });
    match found {
        Some(name) => Ok((*name).clone()),
        None => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            Err(Error::not_found(format!(
                "the table has no column {ident}; it has: {}",
                names.join(", ")
            )))
        }
    }
}

fn is_default(expr: &SqlExpr) -> bool {
    matches!(expr, SqlExpr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

fn has_subquery(expr: &SqlExpr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _: &datafusion::sql::sqlparser::ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Finder).is_break()
}

fn names(expr: &SqlExpr, wanted: &str) -> bool {
    struct Finder<'a>(&'a str);
    impl Visitor for Finder<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
            let last = match expr {
                SqlExpr::Identifier(ident) => Some(ident),
                SqlExpr::CompoundIdentifier(parts) => parts.last(),
                _ => None,
            };
            match last {
                Some(ident) if ident.value.eq_ignore_ascii_case(self.0) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Finder(wanted)).is_break()
}

/// The names under which a statement's own table can be qualified.
pub(crate) fn target_name(alias: Option<&Ident>, table: &str) -> String {
    match alias {
        Some(alias) if alias.quote_style.is_none() => alias.value.to_lowercase(),
        Some(alias) => alias.value.clone(),
        None => table.to_string(),
    }
}

/// Two schemas side by side.
///
/// # Errors
/// Where both have the same qualifier.
pub(crate) fn joined(left: &DFSchema, right: &DFSchema) -> Result<DFSchema> {
    left.join(right).map_err(|error| {
        Error::invalid(format!(
            "the target and the source need different names; give one an alias ({error})"
        ))
    })
}

/// What a message calls the columns that tell rows apart.
pub(crate) fn key_hint(definition: &Definition) -> String {
    match definition.property(PRIMARY_KEY) {
        Some(key) => format!(" (the table's key is {key})"),
        None => String::new(),
    }
}
