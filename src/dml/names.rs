//! Names of columns and tables as statements spell them.

use datafusion::sql::sqlparser::ast::Ident;

use crate::error::{Error, Result};
use crate::table::Definition;

/// The table's column of this name; letter case does not matter where the name is not quoted.
///
/// # Errors
/// Where there is none.
pub(super) fn column_named(definition: &Definition, ident: &Ident) -> Result<String> {
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

/// The names under which a statement's own table can be qualified.
pub(super) fn target_name(alias: Option<&Ident>, table: &str) -> String {
    match alias {
        Some(alias) if alias.quote_style.is_none() => alias.value.to_lowercase(),
        Some(alias) => alias.value.clone(),
        None => table.to_string(),
    }
}
