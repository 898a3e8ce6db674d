//! The query of an `INSERT`, before DataFusion plans it: numbers for DECIMAL columns are taken by their digits, and columns
//! that look alike get names of their own.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr, Ident, Query, SelectItem, SetExpr, UnaryOperator, Value,
};

/// The types of the table's columns that the columns of a query go to, by what the query calls them, which can be nothing.
pub(super) type Targets<'a> = dyn Fn(&[Option<&Ident>]) -> Vec<Option<DataType>> + 'a;

/// Rewrites the query so that it plans, and means the same.
pub(super) fn prepare(query: &Query, by_name: bool, targets: &Targets<'_>) -> Query {
    let mut query = query.clone();
    exact_numbers(&mut query.body, targets);
    if !by_name {
        name_apart(&mut query.body);
    }
    query
}

/// A number in a query is a DOUBLE, which holds 15 digits: one that goes into a DECIMAL column would change on the way.
fn exact_numbers(body: &mut SetExpr, targets: &Targets<'_>) {
    match body {
        SetExpr::Values(values) => {
            let count = values.rows.first().map_or(0, |row| row.content.len());
            let decimals: Vec<Option<SqlType>> = targets(&vec![None; count]).iter().map(decimal).collect();
            for row in &mut values.rows {
                for (value, decimal) in row.content.iter_mut().zip(&decimals) {
                    if let Some(decimal) = decimal {
                        // All rows alike, or the literals would be made DOUBLEs to fit the others.
                        let inner = literal(value).unwrap_or_else(|| value.clone());
                        *value = cast(inner, decimal.clone());
                    }
                }
            }
        }
        SetExpr::Select(select) => {
            let names: Option<Vec<Option<&Ident>>> = select.projection.iter().map(name_of_column).collect();
            let decimals: Vec<Option<SqlType>> = match names {
                Some(names) => targets(&names).iter().map(decimal).collect(),
                // What comes behind a `*` has a place that is not known yet.
                None => return,
            };
            for (item, decimal) in select.projection.iter_mut().zip(decimals) {
                let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else {
                    continue;
                };
                if let (Some(decimal), Some(number)) = (decimal, literal(value)) {
                    *value = cast(number, decimal);
                }
            }
        }
        SetExpr::Query(query) => exact_numbers(&mut query.body, targets),
        SetExpr::SetOperation { left, right, .. } => {
            exact_numbers(left, targets);
            exact_numbers(right, targets);
        }
        _ => {}
    }
}

/// The value with all its digits, where it is a number for a DECIMAL column.
pub(crate) fn exact_number(value: &Expr, target: &DataType) -> Expr {
    match (decimal(&Some(target.clone())), literal(value)) {
        (Some(decimal), Some(number)) => cast(number, decimal),
        _ => value.clone(),
    }
}

/// What a column is called, which can be nothing; none for an item that stands for several columns.
fn name_of_column(item: &SelectItem) -> Option<Option<&Ident>> {
    match item {
        SelectItem::UnnamedExpr(_) => Some(None),
        SelectItem::ExprWithAlias { alias, .. } => Some(Some(alias)),
        _ => None,
    }
}

fn decimal(target: &Option<DataType>) -> Option<SqlType> {
    match target {
        Some(DataType::Decimal128(precision, scale)) => Some(SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(
            u64::from(*precision),
            i64::from(*scale),
        ))),
        _ => None,
    }
}

/// A number, with its sign, as the text that it is written with.
fn literal(value: &Expr) -> Option<Expr> {
    let text = match value {
        Expr::Value(number) => match &number.value {
            Value::Number(digits, _) => plain(digits)?,
            _ => return None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            Expr::Value(number) => match &number.value {
                Value::Number(digits, _) => format!("-{}", plain(digits)?),
                _ => return None,
            },
            _ => return None,
        },
        Expr::Nested(inner) => return literal(inner),
        _ => return None,
    };
    Some(Expr::Value(Value::SingleQuotedString(text).with_empty_span()))
}

/// A number without an exponent; none where it would have more digits than any DECIMAL.
fn plain(digits: &str) -> Option<String> {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return Some(digits.to_string());
    };
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-76..=76).contains(exponent))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Zeros on both sides, so that the point can move as far as it likes.
    let zeros = "0".repeat(76);
    let all = format!("{zeros}{whole}{fraction}{zeros}");
    let point = i32::try_from(zeros.len() + whole.len()).ok()? + exponent;
    let (whole, fraction) = all.split_at_checked(usize::try_from(point).ok()?)?;
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(format!("0{whole}.{fraction}0"))
}

fn cast(value: Expr, data_type: SqlType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    }
}

/// Gives columns of a query that look like one before them a name of their own. They are paired by position, so
/// `INSERT INTO t SELECT 1, 1` is clear; DataFusion wants names that differ.
fn name_apart(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut seen = HashSet::new();
            let has_wildcard = select.projection.iter().any(|item| name_of_column(item).is_none());
            for (index, item) in select.projection.iter_mut().enumerate() {
                let (value, name, is_column) = match &*item {
                    SelectItem::UnnamedExpr(value) => {
                        let is_column = matches!(value, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                        (value.clone(), value.to_string(), is_column)
                    }
                    SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone(), false),
                    _ => continue,
                };
                // A `*` may stand for this column too.
                if !seen.insert(name.to_lowercase()) || (has_wildcard && is_column) {
                    *item = SelectItem::ExprWithAlias {
                        expr: value,
                        alias: Ident::with_quote('"', format!("column {}", index + 1)),
                    };
                }
            }
        }
        SetExpr::Query(query) => name_apart(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            name_apart(left);
            name_apart(right);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn exponents_are_written_out() {
        let written = |text| plain(text).unwrap_or_default();
        assert_eq!(written("1.50"), "1.50");
        assert_eq!(written("1e3"), "01000.0");
        assert_eq!(written("1.25E+1"), "012.50");
        assert_eq!(written("12.5e-3"), "0.01250");
        assert_eq!(plain("1e400"), None);
    }
}
