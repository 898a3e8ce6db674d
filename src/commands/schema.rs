//! `CREATE SCHEMA` and `DROP SCHEMA`: a schema is a folder of tables. On a local disk it can be empty; in an object store a
//! folder is there once something lies in it, so there is nothing to create and nothing to remove.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType, SchemaName, Statement as SqlStatement};
use object_store::path::Path;

use super::drop_table::{DROPPED, sync_parent};
use super::target::nothing;
use posixlake_sql::Privilege;

use crate::access::Touch;
use crate::catalog::{CATALOG, DEFAULT_SCHEMA, LOCATION_SCHEMA, Lake, SYSTEM_SCHEMA, check_new_name, has_any, has_log};
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};
use crate::store::folder_url;
use crate::table::types::name_of;

/// Plans `CREATE SCHEMA` and `DROP SCHEMA`; none for other statements.
///
/// # Errors
/// Where the schema is there (or is not) and the statement does not allow for it, or has clauses that schemas do not have.
pub(super) async fn plan(planner: &Planner, statement: &SqlStatement) -> Result<Option<LogicalPlan>> {
    let lake = planner.lake();
    let text = statement.to_string();
    let command = match statement {
        SqlStatement::CreateSchema {
            schema_name,
            if_not_exists,
            with,
            options,
            default_collate_spec,
            clone,
        } => {
            if with.is_some() || options.is_some() || default_collate_spec.is_some() || clone.is_some() {
                return Err(Error::unsupported(
                    "CREATE SCHEMA has no options; write CREATE SCHEMA [IF NOT EXISTS] s",
                ));
            }
            let SchemaName::Simple(name) = schema_name else {
                return Err(Error::unsupported(
                    "schemas have no owners; write CREATE SCHEMA [IF NOT EXISTS] s",
                ));
            };
            Changing {
                lake: lake.clone(),
                name: schema(name)?,
                create: true,
                lenient: *if_not_exists,
                text,
            }
        }
        SqlStatement::Drop {
            object_type: ObjectType::Schema,
            if_exists,
            names,
            cascade,
            ..
        } => {
            if *cascade {
                return Err(Error::unsupported(
                    "DROP SCHEMA … CASCADE is not supported; drop the schema's tables first",
                ));
            }
            let [name] = names.as_slice() else {
                return Err(Error::unsupported(
                    "DROP SCHEMA takes one schema; write one statement for each",
                ));
            };
            Changing {
                lake: lake.clone(),
                name: schema(name)?,
                create: false,
                lenient: *if_exists,
                text,
            }
        }
        _ => return Ok(None),
    };
    command.check().await?;
    command_plan("schema", Arc::new(command)).map(Some)
}

fn schema(name: &ObjectName) -> Result<String> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(name_of)).collect();
    let name = match parts.unwrap_or_default().as_slice() {
        [schema] => schema.clone(),
        [catalog, schema] if catalog == CATALOG => schema.clone(),
        _ => return Err(Error::invalid(format!("'{name}' is not a schema's name"))),
    };
    if [DEFAULT_SCHEMA, LOCATION_SCHEMA, SYSTEM_SCHEMA, "information_schema"].contains(&name.as_str()) {
        return Err(Error::invalid(format!("the schema {name} is always there")));
    }
    check_new_name(&name)?;
    Ok(name)
}

#[derive(Debug)]
struct Changing {
    lake: Arc<Lake>,
    name: String,
    create: bool,
    lenient: bool,
    text: String,
}

/// What there is to do.
enum Work {
    Nothing,
    Create(PathBuf),
    Remove(PathBuf),
}

impl Changing {
    async fn check(&self) -> Result<Work> {
        let Some(root) = self.lake.root() else {
            return Err(Error::not_found(
                "the session has no lake, and so no schemas; open one with --lake",
            ));
        };
        let store = self.lake.stores().folder(root)?;
        if has_log(store.as_ref(), &Path::default()).await? {
            return Err(Error::unsupported(format!(
                "the lake '{root}' is itself a table; it has no schemas"
            )));
        }
        let folder = Path::parse(&self.name).map_err(|error| Error::invalid(error.to_string()))?;
        if has_log(store.as_ref(), &folder).await? {
            return Err(match self.create {
                true => Error::already_exists(format!("{} is a table; give the schema another name", self.name)),
                false => Error::invalid(format!("{} is a table, not a schema; use DROP TABLE", self.name)),
            });
        }
        let url = folder_url(&self.name, Some(root))?;
        let local = url.to_file_path().ok().filter(|_| url.scheme() == "file");
        let stands = match &local {
            Some(folder) => folder.is_dir(),
            None => has_any(store.as_ref(), &folder).await?,
        };
        match (self.create, stands) {
            (true, true) | (false, false) if self.lenient => Ok(Work::Nothing),
            (true, true) => Err(Error::already_exists(format!("schema {} exists already", self.name))),
            (false, false) => Err(Error::not_found(format!("no schema '{}'", self.name))),
            (true, false) => Ok(local.map_or(Work::Nothing, Work::Create)),
            (false, true) => match local {
                None => Err(self.not_empty("")),
                Some(folder) => match remains(&folder) {
                    Some(inside) => Err(self.not_empty(&format!(", such as {inside}"))),
                    None => Ok(Work::Remove(folder)),
                },
            },
        }
    }

    fn not_empty(&self, example: &str) -> Error {
        Error::invalid(format!(
            "schema {} holds tables or files{example}; drop them first",
            self.name
        ))
    }
}

/// Something in the folder that is not the rest of a dropped table.
fn remains(folder: &std::path::Path) -> Option<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| !name.starts_with(DROPPED))
}

#[async_trait]
impl Command for Changing {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Schema(self.name.clone(), Privilege::Modify)]
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let work = self.check().await?;
        let work = move || -> std::io::Result<()> {
            match work {
                Work::Nothing => Ok(()),
                Work::Create(folder) => {
                    std::fs::create_dir(&folder)?;
                    sync_parent(&folder)
                }
                Work::Remove(folder) => {
                    for entry in std::fs::read_dir(&folder)?.flatten() {
                        if entry.file_name().to_string_lossy().starts_with(DROPPED) {
                            std::fs::remove_dir_all(entry.path())?;
                        }
                    }
                    // Fails where something came into it meanwhile.
                    std::fs::remove_dir(&folder)?;
                    sync_parent(&folder)
                }
            }
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| Error::internal(format!("{} stopped: {error}", self.text)))?;
        done.map_err(|error| Error::storage(format!("{}: {error}", self.text)).with_source(error))?;
        Ok(nothing())
    }
}
