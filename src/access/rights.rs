//! Sets of privileges, and what one user has of them.

use std::collections::HashMap;

use posixlake_sql::Privilege;

use crate::access::users::Object;

/// A set of privileges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Privileges(u8);

impl Privileges {
    pub(crate) const ALL: Self = Self(0b1_1111);

    pub(crate) fn of(privileges: &[Privilege]) -> Self {
        privileges
            .iter()
            .fold(Self::default(), |set, one| set.with(Self(bit(*one))))
    }

    pub(crate) fn has(self, privilege: Privilege) -> bool {
        self.0 & bit(privilege) != 0
    }

    pub(crate) fn has_any(self, privileges: &[Privilege]) -> bool {
        self.0 & Self::of(privileges).0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each of them, in the order in which they are shown.
    pub(crate) fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |privilege| self.has(*privilege))
    }

    /// As `GRANT` takes them.
    pub(crate) fn words(self) -> String {
        if self == Self::ALL {
            return "ALL".to_string();
        }
        self.iter().map(Privilege::name).collect::<Vec<_>>().join(", ")
    }

    /// # Errors
    /// None for a word that is no privilege.
    pub(crate) fn parse(words: &str) -> Option<Self> {
        if words == "ALL" {
            return Some(Self::ALL);
        }
        let find = |word: &str| Privilege::ALL.into_iter().find(|privilege| privilege.name() == word);
        let found: Option<Vec<Privilege>> = words.split(", ").map(find).collect();
        found.map(|found| Self::of(&found))
    }
}

fn bit(privilege: Privilege) -> u8 {
    match privilege {
        Privilege::Select => 1,
        Privilege::Insert => 2,
        Privilege::Update => 4,
        Privilege::Delete => 8,
        Privilege::Modify => 16,
    }
}

/// All that one user may do.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    admin: bool,
    lake: Privileges,
    schemas: HashMap<String, Privileges>,
    tables: HashMap<String, HashMap<String, Privileges>>,
}

impl Rights {
    /// Those of an admin.
    pub(crate) fn add_admin(&mut self) {
        self.admin = true;
        self.lake = Privileges::ALL;
    }

    pub(crate) fn add(&mut self, object: &Object, privileges: Privileges) {
        let entry = match object {
            Object::Lake => &mut self.lake,
            Object::Schema(schema) => self.schemas.entry(schema.clone()).or_default(),
            Object::Table(schema, table) => {
                let tables = self.tables.entry(schema.clone()).or_default();
                tables.entry(table.clone()).or_default()
            }
        };
        *entry = entry.with(privileges);
    }

    /// Whether users and rights may be changed.
    pub(crate) fn admin(&self) -> bool {
        self.admin
    }

    /// Whether files outside the lake may be touched.
    pub(crate) fn everything(&self) -> bool {
        self.lake == Privileges::ALL
    }

    pub(crate) fn on_schema(&self, schema: &str) -> Privileges {
        self.lake.with(self.schemas.get(schema).copied().unwrap_or_default())
    }

    pub(crate) fn on_table(&self, schema: &str, table: &str) -> Privileges {
        let own = self.tables.get(schema).and_then(|tables| tables.get(table));
        self.on_schema(schema).with(own.copied().unwrap_or_default())
    }

    /// Whether there is any right in a schema.
    pub(crate) fn within_schema(&self, schema: &str) -> bool {
        !self.on_schema(schema).is_empty()
            || self
                .tables
                .get(schema)
                .is_some_and(|tables| tables.values().any(|privileges| !privileges.is_empty()))
    }
}
