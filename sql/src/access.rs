//! Statements on users, roles and rights.

use std::fmt;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

/// What stands in every text for a password.
pub const MASK: &str = "***";

/// A password, which no text of a statement shows.
///
/// All passwords are equal: two statements are where their texts are.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// A password as it was written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What was written.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Read rows, and what is known of a table.
    Select,
    /// Add rows.
    Insert,
    /// Change rows.
    Update,
    /// Remove rows.
    Delete,
    /// Make tables, change their shape, care for them, drop them.
    Modify,
}

impl Privilege {
    /// Every privilege, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Select, Self::Insert, Self::Update, Self::Delete, Self::Modify];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Modify => "MODIFY",
        }
    }
}

/// What a right is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Securable {
    /// `TABLE t`.
    Table(ObjectName),
    /// `SCHEMA s`.
    Schema(Ident),
    /// `LAKE`: all tables of all schemas.
    Lake,
}

/// A statement on users, roles and rights.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// `CREATE USER [IF NOT EXISTS] u PASSWORD 's'`.
    CreateUser {
        /// The user.
        name: Ident,
        /// No error where the user is there.
        if_not_exists: bool,
        /// The password.
        password: Password,
    },
    /// `ALTER USER u PASSWORD 's'`.
    AlterUser {
        /// The user.
        name: Ident,
        /// The new password.
        password: Password,
    },
    /// `DROP USER [IF EXISTS] u`.
    DropUser {
        /// The user.
        name: Ident,
        /// No error where there is none.
        if_exists: bool,
    },
    /// `CREATE ROLE [IF NOT EXISTS] r`.
    CreateRole {
        /// The role.
        name: Ident,
        /// No error where it is there.
        if_not_exists: bool,
    },
    /// `DROP ROLE [IF EXISTS] r`.
    DropRole {
        /// The role.
        name: Ident,
        /// No error where there is none.
        if_exists: bool,
    },
    /// `GRANT p, … ON s TO x`; all five privileges are `ALL`.
    Grant {
        /// The privileges, in the order of [`Privilege::ALL`].
        privileges: Vec<Privilege>,
        /// What they are for.
        on: Securable,
        /// The user or role.
        to: Ident,
    },
    /// `REVOKE p, … ON s FROM x`.
    Revoke {
        /// The privileges, in the order of [`Privilege::ALL`].
        privileges: Vec<Privilege>,
        /// What they are for.
        on: Securable,
        /// The user or role.
        from: Ident,
    },
    /// `GRANT r TO u`.
    GrantRole {
        /// The role.
        role: Ident,
        /// The user.
        to: Ident,
    },
    /// `REVOKE r FROM u`.
    RevokeRole {
        /// The role.
        role: Ident,
        /// The user.
        from: Ident,
    },
    /// `SHOW GRANTS [FOR u]`.
    ShowGrants {
        /// The user or role; the session's user where absent.
        of: Option<Ident>,
    },
    /// `SHOW USERS`.
    ShowUsers,
    /// `SHOW ROLES`.
    ShowRoles,
}

impl Access {
    /// The statement's leading words.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "CREATE USER",
            Self::AlterUser { .. } => "ALTER USER",
            Self::DropUser { .. } => "DROP USER",
            Self::CreateRole { .. } => "CREATE ROLE",
            Self::DropRole { .. } => "DROP ROLE",
            Self::Grant { .. } => "GRANT",
            Self::GrantRole { .. } => "GRANT ROLE",
            Self::Revoke { .. } => "REVOKE",
            Self::RevokeRole { .. } => "REVOKE ROLE",
            Self::ShowGrants { .. } => "SHOW GRANTS",
            Self::ShowUsers => "SHOW USERS",
            Self::ShowRoles => "SHOW ROLES",
        }
    }

    /// Whether it only shows what there is.
    pub fn shows(&self) -> bool {
        matches!(self, Self::ShowGrants { .. } | Self::ShowUsers | Self::ShowRoles)
    }

    /// Whether its text leaves out a password.
    pub fn has_password(&self) -> bool {
        matches!(self, Self::CreateUser { .. } | Self::AlterUser { .. })
    }
}

/// A text of SQL in which every string behind the word PASSWORD is masked, and every one of a statement on a user, whether
/// the text is a statement or not.
pub fn mask_passwords(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    loop {
        let rest = lower.get(from..).unwrap_or_default();
        let found = ["password", "create user", "alter user"]
            .into_iter()
            .filter_map(|word| rest.find(word).map(|at| (at, word.len())))
            .min();
        let Some((at, length)) = found else { break };
        let behind = from + at + length;
        masked.push_str(text.get(from..behind).unwrap_or_default());
        from = behind;
        let between = text.get(behind..).unwrap_or_default();
        let start = match length {
            // The string itself, with no more than signs and the rest of a misspelt word before it.
            8 => {
                between.len()
                    - between
                        .trim_start_matches(|sign: char| !matches!(sign, '\'' | '"' | ';' | ','))
                        .len()
            }
            _ => between.find(['\'', ';']).unwrap_or(between.len()),
        };
        let string = between.get(start..).unwrap_or_default();
        if let Some(quote) = string.chars().next().filter(|sign| matches!(sign, '\'' | '"')) {
            masked.push_str(between.get(..start).unwrap_or_default());
            masked.push_str(&format!("'{MASK}'"));
            from = behind + start + quoted_length(string, quote);
        }
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    masked
}

/// The bytes of a quoted text with its quotes, in which two quotes are one; all of it where it does not end.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut signs = text.char_indices().skip(1).peekable();
    while let Some((place, sign)) = signs.next() {
        if sign == quote && signs.next_if(|(_, next)| *next == quote).is_none() {
            return place + sign.len_utf8();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::mask_passwords;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        for (text, masked) in [
            ("CREATE USER a PASSWORD 'x'", "CREATE USER a PASSWORD '***'"),
            (
                "create user a password'it''s' ; SELECT 'y'",
                "create user a password'***' ; SELECT 'y'",
            ),
            ("CREATE USER a PASSWORD \"x y", "CREATE USER a PASSWORD '***'"),
            ("a PASSWORD\n = 'é'x", "a PASSWORD\n = '***'x"),
            (
                "ALTER USER a PASWORD 'x'; SELECT 'y'",
                "ALTER USER a PASWORD '***'; SELECT 'y'",
            ),
            ("CREATE USER a PASSWORDD 'x'", "CREATE USER a PASSWORDD '***'"),
            ("SELECT password FROM t", "SELECT password FROM t"),
            ("SELECT 'é'", "SELECT 'é'"),
        ] {
            assert_eq!(mask_passwords(text), masked);
        }
    }
}
