//! `CREATE SECRET`, `DROP SECRET` and `SHOW SECRETS`: credentials of stores, as long as the session lasts.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use posixlake_sql::{CreateSecret, DropSecret};

use super::show::text_rows;
use super::target::nothing;
use crate::access::Touch;
use crate::catalog::Lake;
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::Secret;
use crate::table::types::name_of;

/// Plans `CREATE SECRET`.
///
/// # Errors
/// Where an option is unknown or makes no sense.
pub(super) fn create(planner: &Planner, request: &CreateSecret, text: String) -> Result<LogicalPlan> {
    let name = request.name.as_ref().map(name_of);
    let secret = Secret::new(name.as_deref(), &request.options)?;
    let existing = match (request.or_replace, request.if_not_exists) {
        (true, _) => Existing::Replaced,
        (_, true) => Existing::Kept,
        _ => Existing::Refused,
    };
    plan(planner, "create_secret", What::Create(Box::new(secret), existing), text)
}

/// Plans `DROP SECRET`.
///
/// # Errors
/// None: whether the secret is there shows when this is executed.
pub(super) fn remove(planner: &Planner, request: &DropSecret, text: String) -> Result<LogicalPlan> {
    let what = What::Drop {
        name: name_of(&request.name),
        if_exists: request.if_exists,
    };
    plan(planner, "drop_secret", what, text)
}

/// Plans `SHOW SECRETS`.
///
/// # Errors
/// None.
pub(super) fn show(planner: &Planner) -> Result<LogicalPlan> {
    plan(planner, "secrets", What::Show, "SHOW SECRETS".to_string())
}

fn plan(planner: &Planner, name: &str, what: What, text: String) -> Result<LogicalPlan> {
    let lake = planner.lake().clone();
    command_plan(name, Arc::new(SecretCommand { lake, what, text }))
}

/// What becomes of a secret that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Refused,
    Replaced,
    Kept,
}

#[derive(Debug)]
enum What {
    Create(Box<Secret>, Existing),
    Drop { name: String, if_exists: bool },
    Show,
}

#[derive(Debug)]
struct SecretCommand {
    lake: Arc<Lake>,
    what: What,
    /// The statement, without what is secret.
    text: String,
}

const COLUMNS: [&str; 4] = ["name", "type", "scope", "options"];

#[async_trait]
impl Command for SecretCommand {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        // Whoever says where a store's requests go could give the lake other users.
        vec![Touch::Users]
    }

    fn schema(&self) -> SchemaRef {
        match self.what {
            What::Show => Arc::new(Schema::new(
                COLUMNS.map(|name| Field::new(name, DataType::Utf8, true)).to_vec(),
            )),
            _ => Arc::new(Schema::empty()),
        }
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let stores = self.lake.stores();
        match &self.what {
            What::Create(secret, existing) => {
                let exists = stores.has_secret(&secret.name);
                match existing {
                    Existing::Refused if exists => {
                        return Err(Error::already_exists(format!(
                            "secret '{}' exists already; CREATE OR REPLACE SECRET replaces it",
                            secret.name
                        )));
                    }
                    Existing::Kept if exists => {}
                    _ => stores.put_secret(secret.as_ref().clone())?,
                }
            }
            What::Drop { name, if_exists } => {
                if !stores.remove_secret(name) && !if_exists {
                    return Err(Error::not_found(format!("no secret '{name}'; SHOW SECRETS lists them")));
                }
            }
            What::Show => {
                let values: Vec<_> = stores.shown_secrets().into_iter().map(|row| row.map(Some)).collect();
                return text_rows(COLUMNS, &values);
            }
        }
        Ok(nothing())
    }
}
