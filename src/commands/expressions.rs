//! Expressions that a table keeps: CHECK constraints and generated columns.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, Query, Visit, VisitMut, Visitor, VisitorMut};
use posixlake_sql::Check;

use crate::dml::logical_expression;
use crate::error::{Error, Result};
use crate::table::types::name_of;

/// Every writer evaluates a table's expressions, whatever its session: so they get DataFusion's own functions alone.
static STATE: LazyLock<SessionState> = LazyLock::new(|| SessionStateBuilder::new().with_default_features().build());

/// An expression in the form in which a table keeps it, with the columns that it names.
pub(super) struct Kept {
    /// The canonical text; columns stand in it exactly as the table has them.
    pub(super) text: String,
    /// The names of the columns.
    pub(super) columns: Vec<String>,
    data_type: DataType,
}

/// Makes a condition ready to be kept.
///
/// # Errors
/// Where it is not a condition on the table's columns that holds for ever: subqueries, aggregates and functions whose value
/// changes are refused.
pub(super) fn condition(what: &str, expression: &SqlExpr, schema: &SchemaRef) -> Result<Kept> {
    let kept = keep(what, expression, schema)?;
    if kept.data_type != DataType::Boolean {
        return Err(Error::invalid(format!(
            "{what} is not a condition: '{}' is of type {}, not BOOLEAN",
            kept.text, kept.data_type
        )));
    }
    Ok(kept)
}

/// Makes the expression of a generated column ready to be kept.
///
/// # Errors
/// As [`condition`]; where its value cannot become the column's.
pub(super) fn generation(what: &str, expression: &SqlExpr, schema: &SchemaRef, target: &DataType) -> Result<Kept> {
    let kept = keep(what, expression, schema)?;
    if !can_cast_types(&kept.data_type, target) {
        return Err(Error::schema(format!(
            "{what} is of type {}, which cannot become {target}",
            kept.data_type
        )));
    }
    Ok(kept)
}

fn keep(what: &str, expression: &SqlExpr, schema: &SchemaRef) -> Result<Kept> {
    if has_subquery(expression) {
        return Err(Error::invalid(format!(
            "{what} holds a subquery; it can only look at its own row"
        )));
    }
    let columns = schema.as_ref().clone().to_dfschema()?;
    let mut exact = expression.clone();
    let _: ControlFlow<()> = VisitMut::visit(&mut exact, &mut Exact { schema });
    let text = text(exact);
    let within = |error: Error| Error::new(error.kind(), format!("{what}: {}", error.message())).with_source(error);
    let logical = logical_expression(&STATE, &text, &columns).map_err(within)?;
    check_lasting(what, &logical)?;
    let mut names: Vec<String> = logical
        .column_refs()
        .into_iter()
        .map(|column| column.name.clone())
        .collect();
    names.sort();
    Ok(Kept {
        data_type: type_of(&logical, &columns).map_err(within)?,
        text,
        columns: names,
    })
}

/// The type of the expression as it will be evaluated, after coercion.
fn type_of(logical: &Expr, columns: &DFSchema) -> Result<DataType> {
    // Making the physical expression finds operands that do not fit together.
    STATE.create_physical_expr(logical.clone(), columns)?;
    Ok(logical.get_type(columns)?)
}

/// The expression's own text, without the brackets that a check is written with.
fn text(expression: SqlExpr) -> String {
    let written = Check { name: None, expression }.to_string();
    let bare = written.strip_prefix("CHECK (").and_then(|rest| rest.strip_suffix(')'));
    bare.unwrap_or(&written).to_string()
}

fn has_subquery(expression: &SqlExpr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expression.visit(&mut Finder).is_break()
}

/// Writes columns as the table has them, since other engines do not fold names as DataFusion does.
struct Exact<'a> {
    schema: &'a SchemaRef,
}

impl VisitorMut for Exact<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut SqlExpr) -> ControlFlow<()> {
        let first = match expression {
            SqlExpr::Identifier(ident) => Some(ident),
            SqlExpr::CompoundIdentifier(parts) => parts.first_mut(),
            _ => None,
        };
        if let Some(ident) = first {
            let name = name_of(ident);
            let fields = self.schema.fields();
            let exact = fields.iter().find(|field| *field.name() == name).or_else(|| {
                fields
                    .iter()
                    .find(|field| ident.quote_style.is_none() && field.name().eq_ignore_ascii_case(&name))
            });
            if let Some(field) = exact {
                let plain = posixlake_sql::quote_identifier(field.name()) == *field.name();
                *ident = Ident {
                    value: field.name().clone(),
                    quote_style: (!plain).then_some('`'),
                    span: ident.span,
                };
            }
        }
        ControlFlow::Continue(())
    }
}

/// Refuses expressions whose value depends on anything but the row.
fn check_lasting(what: &str, expression: &Expr) -> Result<()> {
    let mut reason = None;
    expression.apply(|expr| {
        reason = match expr {
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => Some(format!(
                "the function {}(), whose value is not the same every time",
                call.func.name()
            )),
            Expr::AggregateFunction(_) | Expr::GroupingSet(_) => {
                Some("an aggregate, which needs many rows".to_string())
            }
            Expr::WindowFunction(_) => Some("a window function, which needs many rows".to_string()),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => Some("a subquery".to_string()),
            Expr::Placeholder(_) => Some("a parameter; PREPARE cannot bind it for ever".to_string()),
            _ => None,
        };
        Ok(if reason.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    match reason {
        Some(reason) => Err(Error::invalid(format!(
            "{what} holds {reason}; it can only look at its own row"
        ))),
        None => Ok(()),
    }
}
