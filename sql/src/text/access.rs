//! Users, roles and rights as text; passwords are masked.

use std::fmt::{self, Display, Formatter};

use crate::access::{Access, MASK, Privilege, Securable};
use crate::names::{Name, Qualified};

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unless = |given: bool, words: &'static str| if given { words } else { "" };
        match self {
            Self::CreateUser {
                name, if_not_exists, ..
            } => {
                let lenient = unless(*if_not_exists, "IF NOT EXISTS ");
                write!(f, "CREATE USER {lenient}{} PASSWORD '{MASK}'", Name(name))
            }
            Self::AlterUser { name, .. } => write!(f, "ALTER USER {} PASSWORD '{MASK}'", Name(name)),
            Self::DropUser { name, if_exists } => {
                write!(f, "DROP USER {}{}", unless(*if_exists, "IF EXISTS "), Name(name))
            }
            Self::CreateRole { name, if_not_exists } => {
                let lenient = unless(*if_not_exists, "IF NOT EXISTS ");
                write!(f, "CREATE ROLE {lenient}{}", Name(name))
            }
            Self::DropRole { name, if_exists } => {
                write!(f, "DROP ROLE {}{}", unless(*if_exists, "IF EXISTS "), Name(name))
            }
            Self::Grant { privileges, on, to } => {
                write!(f, "GRANT {} ON {on} TO {}", words(privileges), Name(to))
            }
            Self::Revoke { privileges, on, from } => {
                write!(f, "REVOKE {} ON {on} FROM {}", words(privileges), Name(from))
            }
            Self::GrantRole { role, to } => write!(f, "GRANT {} TO {}", Name(role), Name(to)),
            Self::RevokeRole { role, from } => write!(f, "REVOKE {} FROM {}", Name(role), Name(from)),
            Self::ShowGrants { of: Some(of) } => write!(f, "SHOW GRANTS FOR {}", Name(of)),
            Self::ShowGrants { of: None } => f.write_str("SHOW GRANTS"),
            Self::ShowUsers => f.write_str("SHOW USERS"),
            Self::ShowRoles => f.write_str("SHOW ROLES"),
        }
    }
}

impl Display for Securable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "TABLE {}", Qualified(table)),
            Self::Schema(schema) => write!(f, "SCHEMA {}", Name(schema)),
            Self::Lake => f.write_str("LAKE"),
        }
    }
}

fn words(privileges: &[Privilege]) -> String {
    if privileges == Privilege::ALL {
        return "ALL".to_owned();
    }
    let names: Vec<&str> = privileges.iter().map(|privilege| privilege.name()).collect();
    names.join(", ")
}
