//! The parser's own nodes as text that reads back, and the small pieces that all statements are written with.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Select, SelectItem, TableAlias, TableFactor, TableVersion, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};

use crate::names::quoted;
use crate::statement::AsOf;

/// Items separated by commas, each written as what the function makes of it.
pub(super) fn list<'a, T, D: Display, F: Fn(&'a T) -> D>(items: &'a [T], written: F) -> List<'a, T, F> {
    List { items, written }
}

pub(super) struct List<'a, T, F> {
    items: &'a [T],
    written: F,
}

impl<'a, T, D: Display, F: Fn(&'a T) -> D> Display for List<'a, T, F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, item) in self.items.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", (self.written)(item))?;
        }
        Ok(())
    }
}

/// A string literal.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(self.0, '\''))
    }
}

/// A pair of a key and a value.
pub(super) struct Pair<'a>(pub(super) &'a (String, String));

impl Display for Pair<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (key, value) = self.0;
        write!(f, "{} = {}", Text(key), Text(value))
    }
}

impl Display for AsOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "VERSION AS OF {version}"),
            Self::Timestamp(expression) => write!(f, "TIMESTAMP AS OF {}", Node(expression)),
        }
    }
}

/// A node of the parser's tree.
///
/// The nodes write themselves, but not always so that they read back: they leave quotes alone that look escaped
/// already, put a table's version behind its alias, and two signs side by side. Where their text holds a trace of either, a repaired copy is
/// written instead.
pub(super) struct Node<'a, T>(pub(super) &'a T);

impl<T: Display + Clone + VisitMut> Display for Node<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const TRACES: &[&str] = &["''", "\\'", "\"\"", "\\\"", "``", "\\`", " AS OF ", "--", "++", "~~"];
        let text = self.0.to_string();
        if !TRACES.iter().any(|trace| text.contains(trace)) {
            return f.write_str(&text);
        }
        let mut repaired = self.0.clone();
        let _: ControlFlow<()> = repaired.visit(&mut Repair);
        write!(f, "{repaired}")
    }
}

/// Doubles quotes, which the nodes then leave alone, and moves versions to the table's name.
struct Repair;

impl VisitorMut for Repair {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        match &mut value.value {
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => *text = text.replace('\'', "''"),
            Value::DoubleQuotedString(text) => *text = text.replace('"', "\"\""),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(ident) => repair(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(repair),
            Expr::UnaryOp { expr, .. } => {
                // Two signs in a row would begin a comment or be another operator.
                let operand = Node(expr.as_ref()).to_string();
                if operand.starts_with(['-', '+', '~', '@', '!', '|']) {
                    **expr = Expr::Identifier(Ident::new(format!(" {operand}")));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                repair(ident);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                repair(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name, version, alias, ..
            } => {
                if let Some(version) = version.take() {
                    move_version(name, &version, alias.as_ref().is_some_and(|alias| !alias.explicit));
                }
                alias.iter_mut().for_each(repair_alias);
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias.iter_mut().for_each(repair_alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn repair(ident: &mut Ident) {
    if let Some(quote) = ident.quote_style {
        ident.value = ident.value.replace(quote, &format!("{quote}{quote}"));
    }
}

fn repair_alias(alias: &mut TableAlias) {
    repair(&mut alias.name);
    for column in &mut alias.columns {
        repair(&mut column.name);
    }
}

/// Writes the version into the name, as an unquoted identifier, which is written as it is.
fn move_version(name: &mut ObjectName, version: &TableVersion, bare_alias_follows: bool) {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(Ident {
            value,
            quote_style: Some(quote),
            ..
        }) => quoted(value, *quote),
        part => part.to_string(),
    };
    let table = name.0.iter().map(part).collect::<Vec<_>>().join(".");
    let version = match version {
        TableVersion::TimestampAsOf(time) if bare_alias_follows && !ends_itself(time) => {
            format!("TIMESTAMP AS OF ({})", Node(time))
        }
        TableVersion::TimestampAsOf(time) => format!("TIMESTAMP AS OF {}", Node(time)),
        other => other.to_string(),
    };
    name.0 = vec![ObjectNamePart::Identifier(Ident::new(format!("{table} {version}")))];
}

/// Whether an alias without AS behind the expression can never be read as a part of it.
fn ends_itself(time: &Expr) -> bool {
    matches!(
        time,
        Expr::Value(_) | Expr::TypedString(_) | Expr::Function(_) | Expr::Cast { .. } | Expr::Identifier(_)
    )
}
