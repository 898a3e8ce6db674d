//! Users, roles and rights as statements.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use posixlake_sql::{Access, MASK, Password, Securable, quote_identifier};

use super::show::text_rows;
use super::target::nothing;
use crate::access::{Object, Place, Privileges, READY, Touch, Users, hash, shown};
use crate::catalog::Lake;
use crate::error::{Error, Result};
use crate::plan::{Command, Planner, Running, command_plan};

/// Plans a statement on users, roles or rights.
///
/// # Errors
/// Where it names a table that is not the lake's, or a password that is none.
pub(super) async fn plan(planner: &Planner, request: &Access) -> Result<LogicalPlan> {
    let lake = planner.lake();
    let what = match request {
        Access::CreateUser {
            name,
            if_not_exists,
            password,
        } => What::CreateUser {
            user: new_name(name)?,
            lenient: *if_not_exists,
            password: checked(password)?,
            first: !lake.access().is_on(),
        },
        Access::AlterUser { name, password } => What::AlterUser {
            user: name.value.clone(),
            password: checked(password)?,
        },
        Access::DropUser { name, if_exists } => What::DropUser {
            user: name.value.clone(),
            lenient: *if_exists,
        },
        Access::CreateRole { name, if_not_exists } => What::CreateRole {
            role: new_name(name)?,
            lenient: *if_not_exists,
        },
        Access::DropRole { name, if_exists } => What::DropRole {
            role: name.value.clone(),
            lenient: *if_exists,
        },
        Access::Grant { privileges, on, to } => What::Grant {
            privileges: Privileges::of(privileges),
            on: object(planner, on, true).await?,
            to: to.value.clone(),
        },
        Access::Revoke { privileges, on, from } => What::Revoke {
            privileges: Privileges::of(privileges),
            on: object(planner, on, false).await?,
            from: from.value.clone(),
        },
        Access::GrantRole { role, to } => What::GrantRole {
            role: role.value.clone(),
            to: to.value.clone(),
        },
        Access::RevokeRole { role, from } => What::RevokeRole {
            role: role.value.clone(),
            from: from.value.clone(),
        },
        Access::ShowGrants { of } => {
            let own = lake.access().user();
            let of = of.as_ref().map(|of| of.value.clone()).or(own);
            What::ShowGrants(of.unwrap_or_default())
        }
        Access::ShowUsers => What::ShowUsers,
        Access::ShowRoles => What::ShowRoles,
    };
    let command = AccessCommand {
        lake: lake.clone(),
        what,
        text: request.to_string(),
    };
    command_plan("access", Arc::new(command))
}

/// The name of a user or role that is to be made.
fn new_name(name: &Ident) -> Result<String> {
    let fits = !name.value.is_empty() && name.value.len() <= 128 && !name.value.chars().any(char::is_control);
    match fits {
        true => Ok(name.value.clone()),
        false => Err(Error::invalid(format!("{name} cannot name a user or role"))),
    }
}

fn checked(password: &Password) -> Result<Password> {
    match password.reveal() {
        "" => Err(Error::invalid("the password is empty")),
        MASK => Err(Error::invalid(format!(
            "'{MASK}' stands for a password that is not shown; write the password itself"
        ))),
        _ => Ok(password.clone()),
    }
}

/// What rights are for. A table must be there for a grant: a slip would give rights to nothing, or to what comes later.
async fn object(planner: &Planner, on: &Securable, must_exist: bool) -> Result<Object> {
    match on {
        Securable::Lake => Ok(Object::Lake),
        Securable::Schema(schema) => Ok(Object::Schema(schema.value.clone())),
        Securable::Table(name) => table(planner, name, must_exist).await,
    }
}

async fn table(planner: &Planner, name: &ObjectName, must_exist: bool) -> Result<Object> {
    let lake = planner.lake();
    let id = lake.resolve(name)?;
    let Some(Place::Table { schema, table }) = lake.access().home().map(|home| home.place(&id.url)) else {
        return Err(Error::invalid(format!(
            "{} does not lie in the lake's folder; what lies elsewhere takes ALL on the lake",
            id.display()
        )));
    };
    // Only an admin learns whether it is there.
    lake.access().check(&[Touch::Users])?;
    if must_exist && lake.access().is_on() {
        lake.open_table(&id).await?;
    }
    Ok(Object::Table(schema, table))
}

#[derive(Debug)]
enum What {
    CreateUser {
        user: String,
        lenient: bool,
        password: Password,
        first: bool,
    },
    AlterUser {
        user: String,
        password: Password,
    },
    DropUser {
        user: String,
        lenient: bool,
    },
    CreateRole {
        role: String,
        lenient: bool,
    },
    DropRole {
        role: String,
        lenient: bool,
    },
    Grant {
        privileges: Privileges,
        on: Object,
        to: String,
    },
    Revoke {
        privileges: Privileges,
        on: Object,
        from: String,
    },
    GrantRole {
        role: String,
        to: String,
    },
    RevokeRole {
        role: String,
        from: String,
    },
    ShowGrants(String),
    ShowUsers,
    ShowRoles,
}

#[derive(Debug)]
struct AccessCommand {
    lake: Arc<Lake>,
    what: What,
    text: String,
}

#[async_trait]
impl Command for AccessCommand {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let own = self.lake.access().user();
        let is_own = |user: &String| own.as_ref() == Some(user);
        match &self.what {
            What::AlterUser { user, .. } | What::ShowGrants(user) if is_own(user) => Vec::new(),
            What::ShowRoles => Vec::new(),
            _ => vec![Touch::Users],
        }
    }

    fn schema(&self) -> SchemaRef {
        let names: &[&str] = match &self.what {
            What::CreateUser { first: true, .. } => &["message"],
            What::ShowGrants(_) => &GRANTS,
            What::ShowUsers => &["user", "roles"],
            What::ShowRoles => &["role", "kind"],
            _ => &[],
        };
        let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    async fn run(&self, _running: Running) -> Result<RecordBatch> {
        let access = self.lake.access();
        match &self.what {
            What::CreateUser {
                user,
                password,
                first: true,
                ..
            } => {
                access
                    .turn_on(&self.lake, user, hashed(password).await?, &self.text)
                    .await?;
                let message = format!(
                    "{} is the first user, and so the lake's admin: from here on, whoever opens the lake has to say who they are",
                    quote_identifier(user)
                );
                return text_rows(["message"], &[[Some(message)]]);
            }
            What::CreateUser {
                user,
                lenient,
                password,
                first: false,
            } => {
                let hash = hashed(password).await?;
                self.change("CREATE USER", |users| {
                    if users.has_user(user) && *lenient {
                        return Ok(false);
                    }
                    if !users.is_free(user) {
                        return Err(taken(users, user));
                    }
                    users.set_password(user, hash.clone());
                    Ok(true)
                })
                .await?;
            }
            What::AlterUser { user, password } => {
                let hash = hashed(password).await?;
                self.change("ALTER USER", |users| {
                    users.check_user(user)?;
                    users.set_password(user, hash.clone());
                    Ok(true)
                })
                .await?;
            }
            What::DropUser { user, lenient } => {
                self.change("DROP USER", |users| {
                    if !users.has_user(user) && *lenient {
                        return Ok(false);
                    }
                    users.drop_user(user).map(|()| true)
                })
                .await?;
            }
            What::CreateRole { role, lenient } => {
                self.change("CREATE ROLE", |users| {
                    if users.has_role(role) && *lenient {
                        return Ok(false);
                    }
                    if users.has_user(role) || users.has_role(role) {
                        return Err(taken(users, role));
                    }
                    users.add_role(role);
                    Ok(true)
                })
                .await?;
            }
            What::DropRole { role, lenient } => {
                self.change("DROP ROLE", |users| {
                    if !users.has_role(role) && *lenient {
                        return Ok(false);
                    }
                    users.drop_role(role).map(|()| true)
                })
                .await?;
            }
            What::Grant { privileges, on, to } => {
                self.change("GRANT", |users| users.grant(on, *privileges, to).map(|()| true))
                    .await?;
            }
            What::Revoke { privileges, on, from } => {
                self.change("REVOKE", |users| users.revoke(on, *privileges, from).map(|()| true))
                    .await?;
            }
            What::GrantRole { role, to } => {
                self.change("GRANT", |users| users.grant_role(role, to).map(|()| true))
                    .await?;
            }
            What::RevokeRole { role, from } => {
                self.change("REVOKE", |users| users.revoke_role(role, from).map(|()| true))
                    .await?;
            }
            What::ShowGrants(name) => return grants(&access.users().await?, name),
            What::ShowUsers => {
                let users = access.users().await?;
                let rows = users
                    .users()
                    .map(|(user, roles)| [user.to_string(), roles.join(", ")].map(Some));
                return text_rows(["user", "roles"], &rows.collect::<Vec<_>>());
            }
            What::ShowRoles => {
                let users = access.users().await?;
                let kind = |role: &str| if READY.contains(&role) { "ready" } else { "own" };
                let rows = users
                    .roles()
                    .map(|role| [role, kind(role)].map(|text| Some(text.to_string())));
                return text_rows(["role", "kind"], &rows.collect::<Vec<_>>());
            }
        }
        Ok(nothing())
    }
}

impl AccessCommand {
    async fn change(
        &self,
        operation: &'static str,
        change: impl Fn(&mut Users) -> Result<bool> + Send + Sync,
    ) -> Result<()> {
        self.lake.access().change(operation, &self.text, change).await
    }
}

/// The hash of a password, made where it keeps nobody waiting.
async fn hashed(password: &Password) -> Result<String> {
    let password = password.reveal().to_string();
    let made = tokio::task::spawn_blocking(move || hash(&password));
    made.await.map_err(|error| Error::internal(error.to_string()))?
}

/// Users and roles share their names: a right is granted to a name.
fn taken(users: &Users, name: &str) -> Error {
    let kind = if users.has_user(name) { "user" } else { "role" };
    Error::already_exists(format!("there is a {kind} {} already", quote_identifier(name)))
}

const GRANTS: [&str; 4] = ["grantee", "through", "privileges", "on"];

/// # Errors
/// Where there is no such user or role.
fn grants(users: &Users, name: &str) -> Result<RecordBatch> {
    if !users.has_user(name) && !users.has_role(name) {
        return Err(Error::not_found(format!(
            "no user or role {}; SHOW USERS and SHOW ROLES list them",
            quote_identifier(name)
        )));
    }
    let rows: Vec<[Option<String>; 4]> = users
        .grants_of(name)
        .into_iter()
        .map(|(holder, object, privileges)| {
            let on = match object {
                Object::Lake => "LAKE".to_string(),
                Object::Schema(schema) => format!("SCHEMA {}", quote_identifier(&schema)),
                Object::Table(schema, table) => format!("TABLE {}", shown(&schema, &table)),
            };
            let through = (holder != name).then_some(holder);
            [Some(name.to_string()), through, Some(privileges.words()), Some(on)]
        })
        .collect();
    text_rows(GRANTS, &rows)
}
