//! What the reference says of every statement.

mod access;
mod change;
mod definition;
mod maintenance;
mod query;

use std::fmt;
use std::sync::LazyLock;

/// A part of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Reading tables and what is known of them.
    Query,
    /// Making tables and changing their shape.
    Definition,
    /// Changing rows.
    Change,
    /// Caring for tables.
    Maintenance,
    /// Users and rights.
    Access,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "Query",
            Self::Definition => "Definition",
            Self::Change => "Change",
            Self::Maintenance => "Maintenance",
            Self::Access => "Access",
        })
    }
}

/// A spelling that is read as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling {
    /// A statement as it may be written.
    pub accepted: &'static str,
    /// The same statement in canonical spelling.
    pub canonical: &'static str,
}

/// A statement as the reference shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementDoc {
    /// Its leading words; what [`Statement::name`](crate::Statement::name) gives.
    pub name: &'static str,
    /// Where it stands in the reference.
    pub section: Section,
    /// Its canonical syntax: `[…]` may be left out, `{a | b}` is a choice.
    pub syntax: &'static [&'static str],
    /// Other spellings, by example.
    pub also: &'static [Spelling],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Statements that show it, each of them valid.
    pub examples: &'static [&'static str],
}

const fn same(accepted: &'static str, canonical: &'static str) -> Spelling {
    Spelling { accepted, canonical }
}

static STATEMENTS: LazyLock<Vec<StatementDoc>> = LazyLock::new(|| {
    [
        query::STATEMENTS,
        definition::STATEMENTS,
        change::STATEMENTS,
        maintenance::STATEMENTS,
        access::STATEMENTS,
    ]
    .concat()
});

/// Every statement of the language, by section.
pub fn statements() -> &'static [StatementDoc] {
    &STATEMENTS
}
