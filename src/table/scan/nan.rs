//! NaN lies beyond the bounds of a column of floats: Parquet leaves it out of them, and so do writers of the log. A query
//! orders it behind all numbers (or, where its sign is set, before them), so what the bounds say holds only where other
//! conditions leave no NaN.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, InListExpr, Literal};

/// Which NaN a condition leaves out: that behind all numbers, and that before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Without {
    behind: bool,
    before: bool,
}

impl Without {
    const BOTH: Self = Self {
        behind: true,
        before: true,
    };

    fn or(self, other: Self) -> Self {
        Self {
            behind: self.behind || other.behind,
            before: self.before || other.before,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            behind: self.behind && other.behind,
            before: self.before && other.before,
        }
    }
}

/// The columns of floats in which NaN can meet all the conditions, by name.
pub(super) fn unbounded(conditions: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> HashSet<String> {
    let floats = schema.fields().iter().filter(|field| is_float(field.data_type()));
    let names = floats.map(|field| field.name());
    let can_be_nan = |name: &&String| {
        let without = conditions.iter().map(|condition| left_out(condition, name));
        without.fold(Without::default(), Without::or) != Without::BOTH
    };
    names.filter(can_be_nan).cloned().collect()
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// Which NaN in a column a condition leaves out.
fn left_out(condition: &Arc<dyn PhysicalExpr>, column: &str) -> Without {
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let sure = !list.negated() && is_column(list.expr(), column) && list.list().iter().all(is_number);
        return if sure { Without::BOTH } else { Without::default() };
    }
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else {
        return Without::default();
    };
    let (left, right) = (binary.left(), binary.right());
    match binary.op() {
        Operator::And => return left_out(left, column).or(left_out(right, column)),
        Operator::Or => return left_out(left, column).and(left_out(right, column)),
        _ => {}
    }
    let op = match (is_column(left, column), is_column(right, column)) {
        (true, false) if is_number(right) => Some(*binary.op()),
        (false, true) if is_number(left) => binary.op().swap(),
        _ => None,
    };
    match op {
        Some(Operator::Eq) => Without::BOTH,
        Some(Operator::Lt | Operator::LtEq) => Without {
            behind: true,
            before: false,
        },
        Some(Operator::Gt | Operator::GtEq) => Without {
            behind: false,
            before: true,
        },
        _ => Without::default(),
    }
}

/// Whether an expression is a column of floats as it is, or in a wider type.
fn is_column(expr: &Arc<dyn PhysicalExpr>, name: &str) -> bool {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) if is_float(cast.cast_type()) => is_column(cast.expr(), name),
        _ => expr
            .downcast_ref::<Column>()
            .is_some_and(|column| column.name() == name),
    }
}

/// Whether an expression is a number that is known, and not NaN.
fn is_number(expr: &Arc<dyn PhysicalExpr>) -> bool {
    match expr.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float16(Some(value))) => !value.is_nan(),
        Some(ScalarValue::Float32(Some(value))) => !value.is_nan(),
        Some(ScalarValue::Float64(Some(value))) => !value.is_nan(),
        Some(value) => !value.is_null(),
        None => false,
    }
}
