//! Zero has two signs, and SQL one zero. DataFusion's comparisons hold `-0.0` and `0.0` for equal, its `IN` does not
//! (`datafusion::physical_expr::expressions::InListExpr` compares bits); statistics are held against comparisons, so an
//! `IN` would answer by how rows lie in files.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Puts beside each zero in a list of `IN` that of the other sign.
#[derive(Debug)]
pub(crate) struct ZerosOfLists;

impl OptimizerRule for ZerosOfLists {
    fn name(&self) -> &'static str {
        "zeros_of_lists"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            if !expr.exists(|expr| Ok(matches!(expr, Expr::InList(_))))? {
                return Ok(Transformed::no(expr));
            }
            let name = names.save(&expr);
            Ok(with_both_zeros(expr)?.update_data(|expr| name.restore(expr)))
        })
    }
}

/// An expression in whose lists each zero stands with both signs.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn with_both_zeros(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|mut expr| {
        let Expr::InList(in_list) = &mut expr else {
            return Ok(Transformed::no(expr));
        };
        let missing: Vec<Expr> = in_list.list.iter().filter_map(other_zero).collect();
        let missing: Vec<Expr> = missing
            .into_iter()
            .filter(|zero| !in_list.list.contains(zero))
            .collect();
        let changed = !missing.is_empty();
        in_list.list.extend(missing);
        Ok(Transformed::new(expr, changed, TreeNodeRecursion::Continue))
    })
}

/// The zero of the other sign, where this is one.
fn other_zero(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(value, metadata) = expr else {
        return None;
    };
    let other = match value {
        ScalarValue::Float64(Some(number)) if *number == 0.0 => ScalarValue::Float64(Some(-number)),
        ScalarValue::Float32(Some(number)) if *number == 0.0 => ScalarValue::Float32(Some(-number)),
        ScalarValue::Float16(Some(number)) if f64::from(*number) == 0.0 => ScalarValue::Float16(Some(-*number)),
        _ => return None,
    };
    Some(Expr::Literal(other, metadata.clone()))
}
