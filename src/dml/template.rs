//! Queries that statements are made of: a frame in SQL text, with the statement's own expressions and relations put in as
//! they were parsed, so that errors point to their places.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, TableFactor, TableWithJoins, VisitMut, VisitorMut};
use posixlake_sql::{Statement, quote_identifier};

use crate::error::{Error, Result};
use crate::plan::Planner;

/// What placeholders in the frame begin with.
const PLACEHOLDER: &str = "__posixlake_";
/// The name of the target's rows in the frame.
const TARGET: &str = "__posixlake_target";

/// The parts that a frame refers to.
#[derive(Debug, Default)]
pub(super) struct Template {
    expressions: Vec<Expr>,
    relations: Vec<TableFactor>,
}

impl Template {
    /// The placeholder of an expression.
    pub(super) fn expression(&mut self, expr: &Expr) -> String {
        let place = self
            .expressions
            .iter()
            .position(|known| known == expr)
            .unwrap_or_else(|| {
                self.expressions.push(expr.clone());
                self.expressions.len() - 1
            });
        format!("{PLACEHOLDER}e{place}")
    }

    /// The placeholder of a relation.
    pub(super) fn relation(&mut self, relation: &TableFactor) -> String {
        self.relations.push(relation.clone());
        format!("{PLACEHOLDER}r{}", self.relations.len() - 1)
    }

    /// The placeholders of a `FROM` list.
    pub(super) fn relations(&mut self, list: &[TableWithJoins]) -> Vec<String> {
        let nested = |item: &TableWithJoins| TableFactor::NestedJoin {
            table_with_joins: Box::new(item.clone()),
            alias: None,
        };
        list.iter()
            .map(|item| match item {
                TableWithJoins { relation, joins } if joins.is_empty() => self.relation(relation),
                joined => self.relation(&nested(joined)),
            })
            .collect()
    }

    /// The plan of a frame, in which [`target`] stands for `rows`.
    ///
    /// # Errors
    /// Where a column or relation is not there, or types do not fit.
    pub(super) async fn plan(
        self,
        planner: &Planner,
        frame: &str,
        rows: Arc<dyn TableProvider>,
    ) -> Result<LogicalPlan> {
        let mut parsed = posixlake_sql::parse(frame)
            .map_err(|error| Error::internal(format!("'{frame}' is not a query: {error}")))?;
        let Some(Statement::Native(native)) = parsed.pop().map(|parsed| parsed.statement) else {
            return Err(Error::internal(format!("'{frame}' is not a query")));
        };
        let mut native = *native;
        if let NativeStatement::Statement(statement) = &mut native {
            let mut filler = Filler(&self);
            let _: ControlFlow<()> = statement.visit(&mut filler);
        }
        planner.query_over(&native, TARGET, rows).await
    }
}

/// The relation of the target's rows, under a name.
pub(super) fn target(alias: &str) -> String {
    format!("{TARGET} AS {}", quote_identifier(alias))
}

/// A column of a relation.
pub(super) fn column(relation: &str, column: &str) -> String {
    format!("{}.{}", quote_identifier(relation), quoted(column))
}

/// A name in quotes, whatever it is: letter case stays.
pub(super) fn quoted(name: &str) -> String {
    Ident::with_quote('"', name).to_string()
}

struct Filler<'a>(&'a Template);

impl Filler<'_> {
    fn part<'a, T>(&self, parts: &'a [T], name: &str, kind: &str) -> Option<&'a T> {
        let number = name.strip_prefix(PLACEHOLDER)?.strip_prefix(kind)?;
        parts.get(number.parse::<usize>().ok()?)
    }
}

impl VisitorMut for Filler<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && let Some(part) = self.part(&self.0.expressions, &ident.value, "e")
        {
            *expr = Expr::Nested(Box::new(part.clone()));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && let Some(part) = self.part(&self.0.relations, &name.to_string(), "r")
        {
            *factor = part.clone();
        }
        ControlFlow::Continue(())
    }
}
