//! `PREPARE` and `EXECUTE` of any statement: the text is kept, and its parameters become literals.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Statement as SqlStatement};
use parking_lot::RwLock;
use posixlake_sql::{Prepare, Statement};

use crate::error::{Error, Result};

/// The statements that a session keeps under names.
#[derive(Debug, Default)]
pub(crate) struct PreparedStatements {
    by_name: RwLock<HashMap<String, Prepare>>,
}

impl PreparedStatements {
    /// Keeps a statement.
    ///
    /// # Errors
    /// Where the name is taken.
    pub(crate) fn keep(&self, prepare: Prepare) -> Result<()> {
        let name = prepare.name.value.clone();
        let mut by_name = self.by_name.write();
        if by_name.contains_key(&name) {
            return Err(Error::already_exists(format!(
                "a statement '{name}' is prepared already; DEALLOCATE {name} first"
            )));
        }
        by_name.insert(name, prepare);
        Ok(())
    }

    /// Forgets a statement.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        self.by_name
            .write()
            .remove(name)
            .map(|_| ())
            .ok_or_else(|| unknown(name))
    }

    /// The statement that `EXECUTE name(…)` means.
    ///
    /// # Errors
    /// Where there is none of that name, or the parameters do not fit.
    pub(crate) fn bind(&self, execute: &SqlStatement) -> Result<Statement> {
        let SqlStatement::Execute {
            name: Some(name),
            parameters,
            immediate: false,
            using,
            ..
        } = execute
        else {
            return Err(Error::unsupported("EXECUTE takes the name of a prepared statement"));
        };
        if !using.is_empty() {
            return Err(Error::unsupported(
                "EXECUTE … USING is not supported; use EXECUTE name(value, …)",
            ));
        }
        let name = name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(|ident| ident.value.clone())
            .unwrap_or_default();
        let prepared = self.by_name.read().get(&name).cloned().ok_or_else(|| unknown(&name))?;
        let types = &prepared.parameter_types;
        if !types.is_empty() && types.len() != parameters.len() {
            return Err(Error::invalid(format!(
                "statement '{name}' takes {} parameters; {} were given",
                types.len(),
                parameters.len()
            )));
        }
        let values: Vec<Expr> = parameters
            .iter()
            .enumerate()
            .map(|(index, value)| match types.get(index) {
                Some(data_type) => Expr::Cast {
                    kind: datafusion::sql::sqlparser::ast::CastKind::Cast,
                    expr: Box::new(value.clone()),
                    data_type: data_type.clone(),
                    array: false,
                    format: None,
                },
                None => value.clone(),
            })
            .collect();
        posixlake_sql::bind(&prepared.statement, &values)
            .map_err(|error| Error::invalid(format!("EXECUTE {name}: {}", error.message)).with_source(error))
    }
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("no prepared statement '{name}'"))
}
