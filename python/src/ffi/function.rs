//! Table functions of the session, and `posixlake_sql('…')`, by which any statement is one.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use posixlake::{Error, Session};

use crate::runtime::wait_elsewhere;
use crate::view::{View, noted};

/// The function that takes a statement.
const STATEMENT: &str = "posixlake_sql";

/// A function of the session.
pub(super) struct LakeFunction {
    session: Session,
    name: String,
}

impl LakeFunction {
    pub(super) fn new(session: Session, name: String) -> Self {
        Self { session, name }
    }
}

impl std::fmt::Debug for LakeFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeFunction")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TableFunctionImpl for LakeFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let (session, name, values) = (self.session.clone(), self.name.clone(), args.exprs().to_vec());
        if name == STATEMENT {
            let sql = statement(&values)?;
            let view = wait_elsewhere(async move { View::query(session, &sql).await })?;
            return Ok(Arc::new(view));
        }
        let table = wait_elsewhere(async move {
            let table = noted(&session, &name, call(&session, &name, &values)).await?;
            Ok(View::table(session, &name, table)?)
        })?;
        Ok(Arc::new(table))
    }
}

fn call(session: &Session, name: &str, values: &[Expr]) -> Result<Arc<dyn TableProvider>> {
    let state = session.context().state();
    let function = state
        .table_functions()
        .get(name)
        .ok_or_else(|| Error::not_found(format!("there is no table function {name}")))?;
    function
        .function()
        .call_with_args(TableFunctionArgs::new(values, &state))
}

fn statement(values: &[Expr]) -> Result<String> {
    match values {
        [
            Expr::Literal(
                ScalarValue::Utf8(Some(sql)) | ScalarValue::Utf8View(Some(sql)) | ScalarValue::LargeUtf8(Some(sql)),
                _,
            ),
        ] => Ok(sql.clone()),
        _ => Err(Error::invalid(format!(
            "{STATEMENT} takes one statement in quotes: {STATEMENT}('OPTIMIZE t')"
        ))
        .into()),
    }
}
