//! Changes of rows as text.

use std::fmt::{self, Display, Formatter};

use datafusion::sql::sqlparser::ast::{Expr, Ident};

use super::nodes::{Node, Pair, Text, list};
use crate::names::{Name, Path, Qualified};
use crate::parser::merge_kind;
use crate::statement::{
    Assignment, CopyInto, Delete, FileFormat, Insert, InsertMode, Merge, MergeAction, MergeClause, Update,
};

impl Display for Assignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", Path(&self.target), Node(&self.value))
    }
}

fn write_alias(f: &mut Formatter<'_>, alias: Option<&Ident>) -> fmt::Result {
    alias.map_or(Ok(()), |alias| write!(f, " AS {}", Name(alias)))
}

fn write_selection(f: &mut Formatter<'_>, selection: Option<&Expr>) -> fmt::Result {
    selection.map_or(Ok(()), |selection| write!(f, " WHERE {}", Node(selection)))
}

fn write_partition(f: &mut Formatter<'_>, (column, value): &(Ident, Option<Expr>)) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{} = {}", Name(column), Node(value)),
        None => write!(f, "{}", Name(column)),
    }
}

struct Partition<'a>(&'a (Ident, Option<Expr>));

impl Display for Partition<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_partition(f, self.0)
    }
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let evolution = if self.schema_evolution {
            "WITH SCHEMA EVOLUTION "
        } else {
            ""
        };
        let kind = if self.mode == InsertMode::Overwrite {
            "OVERWRITE"
        } else {
            "INTO"
        };
        write!(f, "INSERT {evolution}{kind} {}", Qualified(&self.table))?;
        if !self.partition.is_empty() {
            write!(f, " PARTITION ({})", list(&self.partition, Partition))?;
        }
        if !self.columns.is_empty() {
            write!(f, " ({})", list(&self.columns, Name))?;
        }
        if self.by_name {
            f.write_str(" BY NAME")?;
        }
        let source = Node(self.source.as_ref()).to_string();
        if let InsertMode::ReplaceWhere(predicate) = &self.mode {
            // Without brackets of its own the predicate could take those of the query for a function's arguments.
            if source.starts_with('(') {
                write!(f, " REPLACE WHERE ({})", Node(predicate))?;
            } else {
                write!(f, " REPLACE WHERE {}", Node(predicate))?;
            }
        }
        write!(f, " {source}")
    }
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "UPDATE {}", Qualified(&self.table))?;
        write_alias(f, self.alias.as_ref())?;
        write!(f, " SET {}", list(&self.assignments, |assignment| assignment))?;
        if !self.from.is_empty() {
            write!(f, " FROM {}", list(&self.from, Node))?;
        }
        write_selection(f, self.selection.as_ref())
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DELETE FROM {}", Qualified(&self.table))?;
        write_alias(f, self.alias.as_ref())?;
        if !self.using.is_empty() {
            write!(f, " USING {}", list(&self.using, Node))?;
        }
        write_selection(f, self.selection.as_ref())
    }
}

impl Display for Merge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let evolution = if self.schema_evolution {
            "WITH SCHEMA EVOLUTION "
        } else {
            ""
        };
        write!(f, "MERGE {evolution}INTO {}", Qualified(&self.table))?;
        write_alias(f, self.alias.as_ref())?;
        write!(f, " USING {} ON {}", Node(&self.source), Node(&self.on))?;
        self.clauses.iter().try_for_each(|clause| write!(f, " {clause}"))
    }
}

impl Display for MergeClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "WHEN {}", merge_kind(self.kind))?;
        if let Some(predicate) = &self.predicate {
            write!(f, " AND {}", Node(predicate))?;
        }
        write!(f, " THEN {}", self.action)
    }
}

impl Display for MergeAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpdateAll => f.write_str("UPDATE SET *"),
            Self::Update(assignments) => write!(f, "UPDATE SET {}", list(assignments, |assignment| assignment)),
            Self::Delete => f.write_str("DELETE"),
            Self::InsertAll => f.write_str("INSERT *"),
            Self::Insert { columns, values } if columns.is_empty() => {
                write!(f, "INSERT VALUES ({})", list(values, Node))
            }
            Self::Insert { columns, values } => {
                write!(f, "INSERT ({}) VALUES ({})", list(columns, Name), list(values, Node))
            }
        }
    }
}

impl Display for FileFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Parquet => "PARQUET",
        })
    }
}

impl Display for CopyInto {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "COPY INTO {} FROM {}", Qualified(&self.table), Text(&self.location))?;
        write!(f, " FILEFORMAT = {}", self.format)?;
        if !self.files.is_empty() {
            write!(f, " FILES = ({})", list(&self.files, |file| Text(file)))?;
        }
        if let Some(pattern) = &self.pattern {
            write!(f, " PATTERN = {}", Text(pattern))?;
        }
        for (name, options) in [
            ("FORMAT_OPTIONS", &self.format_options),
            ("COPY_OPTIONS", &self.copy_options),
        ] {
            if !options.is_empty() {
                write!(f, " {name} ({})", list(options, Pair))?;
            }
        }
        Ok(())
    }
}
