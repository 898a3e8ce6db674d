//! The users of a lake, their roles and rights: what the table below `_posixlake/access` holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::rights::{Privileges, Rights};
use crate::error::{Error, Result};

/// The role that may do everything, users included.
pub(crate) const ADMIN: &str = "admin";
/// The roles that every lake has.
pub(crate) const READY: [&str; 3] = [ADMIN, "writer", "reader"];

/// What a right is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Lake,
    Schema(String),
    Table(String, String),
}

/// Users, roles and rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Users {
    /// What tells these users from those of other lakes.
    id: String,
    /// The hash of each user's password.
    passwords: BTreeMap<String, String>,
    roles: BTreeSet<String>,
    /// User and role.
    members: BTreeSet<(String, String)>,
    /// By user or role.
    grants: BTreeMap<(String, Object), Privileges>,
}

/// A row of the table.
pub(super) type Row = [Option<String>; 5];

impl Users {
    /// The users of a lake that has none yet.
    pub(super) fn new() -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            passwords: BTreeMap::new(),
            roles: BTreeSet::new(),
            members: BTreeSet::new(),
            grants: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.passwords.contains_key(name)
    }

    /// Whether a user may have this name: that of a role of the lake's own would make a GRANT mean two things.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        !self.has_user(name) && !self.roles.contains(name)
    }

    pub(crate) fn has_role(&self, name: &str) -> bool {
        READY.contains(&name) || self.roles.contains(name)
    }

    pub(super) fn password(&self, user: &str) -> Option<&str> {
        self.passwords.get(user).map(String::as_str)
    }

    /// Each user with the roles.
    pub(crate) fn users(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.passwords.keys().map(|user| (user.as_str(), self.roles_of(user)))
    }

    /// The roles, those that every lake has first.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        READY.into_iter().chain(self.roles.iter().map(String::as_str))
    }

    pub(crate) fn roles_of(&self, user: &str) -> Vec<&str> {
        let own = self.members.iter().filter(|(member, _)| member == user);
        own.map(|(_, role)| role.as_str()).collect()
    }

    /// What was granted to a user or role, and to the roles of a user: through whom, on what, and what.
    pub(crate) fn grants_of(&self, name: &str) -> Vec<(String, Object, Privileges)> {
        let roles = self
            .roles_of(name)
            .into_iter()
            .map(|role| (role, READY.contains(&role)));
        // A user may be called as a ready role, and has nothing of it by that; nor have others, by the role, what the user has.
        let itself = (name, READY.contains(&name) && !self.has_user(name));
        let mut found = Vec::new();
        for (holder, is_ready) in std::iter::once(itself).chain(roles) {
            if is_ready {
                found.extend(ready(holder).map(|rights| (holder.to_string(), Object::Lake, rights)));
                continue;
            }
            let own = self.grants.iter().filter(|((grantee, _), _)| grantee == holder);
            found.extend(own.map(|((_, object), privileges)| (holder.to_string(), object.clone(), *privileges)));
        }
        found
    }

    /// All that a user may do.
    pub(super) fn rights(&self, user: &str) -> Rights {
        let mut rights = Rights::default();
        if self.is_member(user, ADMIN) {
            rights.add_admin();
        }
        for (_, object, privileges) in self.grants_of(user) {
            rights.add(&object, privileges);
        }
        rights
    }

    fn is_member(&self, user: &str, role: &str) -> bool {
        self.members.contains(&(user.to_string(), role.to_string()))
    }

    fn admins(&self) -> usize {
        self.members.iter().filter(|(_, role)| role == ADMIN).count()
    }

    /// Makes a user, or changes the password of one. The first user is an admin.
    pub(crate) fn set_password(&mut self, user: &str, hash: String) {
        if self.passwords.is_empty() {
            self.members.insert((user.to_string(), ADMIN.to_string()));
        }
        self.passwords.insert(user.to_string(), hash);
    }

    /// # Errors
    /// Where there is no such user, or no admin would be left.
    pub(crate) fn drop_user(&mut self, user: &str) -> Result<()> {
        self.check_user(user)?;
        if self.is_member(user, ADMIN) && self.admins() == 1 {
            return Err(last_admin(user));
        }
        self.passwords.remove(user);
        self.members.retain(|(member, _)| member != user);
        self.grants.retain(|(grantee, _), _| grantee != user);
        Ok(())
    }

    pub(crate) fn add_role(&mut self, role: &str) {
        self.roles.insert(role.to_string());
    }

    /// # Errors
    /// Where there is no such role, or every lake has it.
    pub(crate) fn drop_role(&mut self, role: &str) -> Result<()> {
        if READY.contains(&role) {
            return Err(Error::invalid(format!("the role {role} is one that every lake has")));
        }
        self.check_role(role)?;
        self.roles.remove(role);
        self.members.retain(|(_, member_of)| member_of != role);
        self.grants.retain(|(grantee, _), _| grantee != role);
        Ok(())
    }

    /// # Errors
    /// Where there is no such user or role.
    pub(crate) fn grant_role(&mut self, role: &str, user: &str) -> Result<()> {
        self.check_role(role)?;
        self.check_user(user)?;
        self.members.insert((user.to_string(), role.to_string()));
        Ok(())
    }

    /// # Errors
    /// Where the user does not have the role, or no admin would be left.
    pub(crate) fn revoke_role(&mut self, role: &str, user: &str) -> Result<()> {
        self.check_role(role)?;
        self.check_user(user)?;
        if !self.is_member(user, role) {
            return Err(Error::not_found(format!("user {user} does not have the role {role}")));
        }
        if role == ADMIN && self.admins() == 1 {
            return Err(last_admin(user));
        }
        self.members.remove(&(user.to_string(), role.to_string()));
        Ok(())
    }

    /// # Errors
    /// Where there is no such user or role, or the role is one that every lake has.
    pub(crate) fn grant(&mut self, object: &Object, privileges: Privileges, to: &str) -> Result<()> {
        self.check_grantee(to)?;
        let key = (to.to_string(), object.clone());
        let entry = self.grants.entry(key).or_default();
        *entry = entry.with(privileges);
        Ok(())
    }

    /// # Errors
    /// As [`Users::grant`], and where nothing of it was granted there.
    pub(crate) fn revoke(&mut self, object: &Object, privileges: Privileges, from: &str) -> Result<()> {
        self.check_grantee(from)?;
        let key = (from.to_string(), object.clone());
        let granted = self.grants.get(&key).copied().unwrap_or_default();
        let left = granted.without(privileges);
        if left == granted {
            return Err(Error::not_found(format!(
                "{from} has none of these rights there by a GRANT of its own; SHOW GRANTS FOR {from} tells where rights come from"
            )));
        }
        if left.is_empty() {
            self.grants.remove(&key);
        } else {
            self.grants.insert(key, left);
        }
        Ok(())
    }

    pub(crate) fn check_user(&self, user: &str) -> Result<()> {
        match self.has_user(user) {
            true => Ok(()),
            false => Err(Error::not_found(format!("no user {user}; SHOW USERS lists them"))),
        }
    }

    fn check_role(&self, role: &str) -> Result<()> {
        match self.has_role(role) {
            true => Ok(()),
            false => Err(Error::not_found(format!(
                "no role {role}; SHOW ROLES lists them, and a privilege is granted as GRANT SELECT ON TABLE t TO u"
            ))),
        }
    }

    fn check_grantee(&self, name: &str) -> Result<()> {
        if READY.contains(&name) && !self.has_user(name) {
            return Err(Error::invalid(format!(
                "the role {name} is the same in every lake; CREATE ROLE makes one whose rights can be changed"
            )));
        }
        if self.has_user(name) || self.has_role(name) {
            return Ok(());
        }
        Err(Error::not_found(format!(
            "no user or role {name}; SHOW USERS and SHOW ROLES list them"
        )))
    }

    /// As rows of the table: kind, name, value, privileges.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |kind: &str, name: &str, value: Option<&str>, object: Option<&Object>, privileges: Option<String>| {
            let value = value.map(str::to_string).or_else(|| object.map(object_text));
            [Some(kind.to_string()), Some(name.to_string()), value, privileges, None]
        };
        let mut rows = vec![row("lake", &self.id, None, None, None)];
        rows.extend(
            self.passwords
                .iter()
                .map(|(user, hash)| row("user", user, Some(hash), None, None)),
        );
        rows.extend(self.roles.iter().map(|role| row("role", role, None, None, None)));
        rows.extend(
            self.members
                .iter()
                .map(|(user, role)| row("member", user, Some(role), None, None)),
        );
        rows.extend(self.grants.iter().map(|((grantee, object), privileges)| {
            row("grant", grantee, None, Some(object), Some(privileges.words()))
        }));
        rows
    }

    /// From the rows of the table.
    ///
    /// # Errors
    /// Where a row is not understood, or there is no admin: then nobody is let in.
    pub(super) fn of_rows(rows: &[Row]) -> Result<Self> {
        let mut users = Self::new();
        users.id.clear();
        for row in rows {
            users.add_row(row).ok_or_else(|| damaged("a row is not understood"))?;
        }
        let known = |name: &String| users.has_user(name) || users.has_role(name);
        if users.id.is_empty() || users.admins() == 0 {
            return Err(damaged("there is no admin"));
        }
        if !users
            .members
            .iter()
            .all(|(user, role)| users.has_user(user) && users.has_role(role))
            || !users.grants.keys().all(|(grantee, _)| known(grantee))
        {
            return Err(damaged("a right belongs to nobody"));
        }
        Ok(users)
    }

    fn add_row(&mut self, row: &Row) -> Option<()> {
        let [kind, name, value, privileges, _] = row;
        let name = name.clone()?;
        match (kind.as_deref()?, value, privileges) {
            ("lake", None, None) => self.id = name,
            ("user", Some(hash), None) => {
                self.passwords.insert(name, hash.clone());
            }
            ("role", None, None) => {
                self.roles.insert(name);
            }
            ("member", Some(role), None) => {
                self.members.insert((name, role.clone()));
            }
            ("grant", Some(object), Some(words)) => {
                self.grants
                    .insert((name, parse_object(object)?), Privileges::parse(words)?);
            }
            _ => return None,
        }
        Some(())
    }
}

/// What a role that every lake has may do.
fn ready(role: &str) -> Option<Privileges> {
    match role {
        ADMIN => Some(Privileges::ALL),
        "writer" => Privileges::parse("SELECT, INSERT, UPDATE, DELETE"),
        "reader" => Privileges::parse("SELECT"),
        _ => None,
    }
}

fn object_text(object: &Object) -> String {
    let parts: Vec<&str> = match object {
        Object::Lake => Vec::new(),
        Object::Schema(schema) => vec![schema],
        Object::Table(schema, table) => vec![schema, table],
    };
    serde_json::json!(parts).to_string()
}

fn parse_object(text: &str) -> Option<Object> {
    let parts: Vec<String> = serde_json::from_str(text).ok()?;
    match <[String; 2]>::try_from(parts) {
        Ok([schema, table]) => Some(Object::Table(schema, table)),
        Err(parts) => match parts.as_slice() {
            [] => Some(Object::Lake),
            [schema] => Some(Object::Schema(schema.clone())),
            _ => None,
        },
    }
}

fn last_admin(user: &str) -> Error {
    Error::invalid(format!(
        "{user} is the last admin, without whom nobody could change users and rights; make another one first: GRANT admin TO u"
    ))
}

pub(super) fn damaged(why: &str) -> Error {
    Error::permission(format!(
        "the lake's users are damaged ({why}), so nobody can be let in; put the folder _posixlake back from a backup"
    ))
}

#[cfg(test)]
mod tests {
    use posixlake_sql::Privilege;

    use super::*;

    fn users() -> Users {
        let mut users = Users::new();
        users.set_password("ana", "h1".into());
        users.set_password("bob", "h2".into());
        users.add_role("analyst");
        users.grant_role("analyst", "bob").unwrap();
        let sales = Object::Table("default".into(), "sa\"les".into());
        users
            .grant(&sales, Privileges::of(&[Privilege::Select, Privilege::Insert]), "bob")
            .unwrap();
        users
            .grant(&Object::Schema("s".into()), Privileges::ALL, "analyst")
            .unwrap();
        users
    }

    #[test]
    fn rows_read_back() {
        let one = users();
        assert_eq!(Users::of_rows(&one.rows()).unwrap(), one);
    }

    #[test]
    fn what_is_damaged_lets_nobody_in() {
        let rows = users().rows();
        assert!(Users::of_rows(&[]).is_err());
        for gone in 0..rows.len() {
            let mut left = rows.clone();
            let row = left.remove(gone);
            let kind = row[0].clone().unwrap();
            let harmless = matches!(kind.as_str(), "grant") || (kind == "member" && row[1].as_deref() == Some("bob"));
            assert_eq!(Users::of_rows(&left).is_ok(), harmless, "{row:?}");
        }
        let mut more = rows.clone();
        more.push([Some("newer".into()), Some("x".into()), None, None, None]);
        assert!(Users::of_rows(&more).is_err());
    }

    #[test]
    fn a_user_called_as_a_ready_role_is_another() {
        let mut users = users();
        users.set_password("reader", "hash".to_string());
        assert_eq!(users.grants_of("reader"), []);
        let table = Object::Table("default".to_string(), "t".to_string());
        users.grant(&table, Privileges::ALL, "reader").unwrap();
        users.grant_role("reader", "bob").unwrap();
        let through: Vec<_> = users
            .grants_of("bob")
            .into_iter()
            .filter(|(holder, ..)| holder == "reader")
            .collect();
        assert!(
            through.iter().all(|(_, object, _)| *object == Object::Lake),
            "{through:?}"
        );
        assert_eq!(users.grants_of("reader").len(), 1);
    }

    #[test]
    fn rights_come_from_grants_and_roles() {
        let mut users = users();
        let rights = users.rights("bob");
        assert!(rights.on_table("default", "sa\"les").has(Privilege::Insert));
        assert!(!rights.on_table("default", "sa\"les").has(Privilege::Delete));
        assert!(rights.on_table("s", "any").has(Privilege::Modify));
        assert!(!rights.within_schema("other") && !rights.admin() && !rights.everything());
        users.revoke_role("analyst", "bob").unwrap();
        assert!(users.rights("bob").on_table("s", "any").is_empty());
        assert!(users.rights("ana").admin());
        assert!(users.drop_user("ana").is_err(), "the last admin stays");
        assert!(users.revoke_role("admin", "ana").is_err());
        users.grant_role("admin", "bob").unwrap();
        users.drop_user("ana").unwrap();
    }
}
