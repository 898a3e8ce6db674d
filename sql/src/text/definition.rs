//! Definitions as text.

use std::fmt::{self, Display, Formatter};

use super::nodes::{Node, Pair, Text, list};
use crate::names::{Name, Path, Qualified, quoted};
use crate::statement::{
    AddColumn, AlterOperation, AlterTable, Check, CloneTable, Column, CommentOn, Convert, CreateTable, CreateTableLike,
    DropTable, Identity, Position,
};

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Name(&self.name), self.data_type)?;
        if !self.nullable {
            f.write_str(" NOT NULL")?;
        }
        if let Some(default) = &self.default {
            write!(f, " DEFAULT {}", Node(default))?;
        }
        if let Some(generated) = &self.generated {
            write!(f, " GENERATED ALWAYS AS ({})", Node(generated))?;
        }
        if let Some(Identity {
            always,
            start,
            increment,
        }) = &self.identity
        {
            let kind = if *always { "ALWAYS" } else { "BY DEFAULT" };
            write!(
                f,
                " GENERATED {kind} AS IDENTITY (START WITH {start} INCREMENT BY {increment})"
            )?;
        }
        match &self.comment {
            Some(comment) => write!(f, " COMMENT {}", Text(comment)),
            None => Ok(()),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {} ", Name(name))?;
        }
        write!(f, "CHECK ({})", Node(&self.expression))
    }
}

/// `CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t`.
fn write_head(f: &mut Formatter<'_>, or_replace: bool, if_not_exists: bool, name: &impl Display) -> fmt::Result {
    let replace = if or_replace { "OR REPLACE " } else { "" };
    let condition = if if_not_exists { "IF NOT EXISTS " } else { "" };
    write!(f, "CREATE {replace}TABLE {condition}{name}")
}

fn write_location(f: &mut Formatter<'_>, location: Option<&String>) -> fmt::Result {
    location.map_or(Ok(()), |location| write!(f, " LOCATION {}", Text(location)))
}

fn write_properties(f: &mut Formatter<'_>, properties: &[(String, String)]) -> fmt::Result {
    if properties.is_empty() {
        return Ok(());
    }
    write!(f, " TBLPROPERTIES ({})", list(properties, Pair))
}

impl Display for CreateTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_head(f, self.or_replace, self.if_not_exists, &Qualified(&self.name))?;
        let mut items: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        if !self.primary_key.is_empty() {
            items.push(format!("PRIMARY KEY ({})", list(&self.primary_key, Name)));
        }
        items.extend(self.checks.iter().map(ToString::to_string));
        if !items.is_empty() {
            write!(f, " ({})", items.join(", "))?;
        }
        if !self.partitioned_by.is_empty() {
            write!(f, " PARTITIONED BY ({})", list(&self.partitioned_by, Name))?;
        }
        if !self.cluster_by.is_empty() {
            write!(f, " CLUSTER BY ({})", list(&self.cluster_by, Name))?;
        }
        write_location(f, self.location.as_ref())?;
        if let Some(comment) = &self.comment {
            write!(f, " COMMENT {}", Text(comment))?;
        }
        write_properties(f, &self.properties)?;
        match &self.query {
            Some(query) => write!(f, " AS {}", Node(query.as_ref())),
            None => Ok(()),
        }
    }
}

impl Display for CreateTableLike {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_head(f, false, self.if_not_exists, &Qualified(&self.name))?;
        write!(f, " LIKE {}", Qualified(&self.source))?;
        write_location(f, self.location.as_ref())
    }
}

impl Display for CloneTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_head(f, self.or_replace, self.if_not_exists, &Qualified(&self.name))?;
        let kind = if self.shallow { "SHALLOW " } else { "" };
        write!(f, " {kind}CLONE {}", Qualified(&self.source))?;
        if let Some(as_of) = &self.as_of {
            write!(f, " {as_of}")?;
        }
        write_location(f, self.location.as_ref())?;
        write_properties(f, &self.properties)
    }
}

impl Display for Convert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CONVERT TO DELTA parquet.{}", quoted(&self.location, '`'))?;
        if !self.statistics {
            f.write_str(" NO STATISTICS")?;
        }
        if self.partitioned_by.is_empty() {
            return Ok(());
        }
        write!(f, " PARTITIONED BY ({})", list(&self.partitioned_by, |column| column))
    }
}

impl Display for DropTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let condition = if self.if_exists { "IF EXISTS " } else { "" };
        write!(f, "DROP TABLE {condition}{}", Qualified(&self.name))
    }
}

impl Display for AlterTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TABLE {} {}", Qualified(&self.name), self.operation)
    }
}

impl Display for AlterOperation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddColumns(columns) => write_added(f, columns),
            Self::DropColumns(columns) => match columns.as_slice() {
                [column] => write!(f, "DROP COLUMN {}", Path(column)),
                columns => write!(f, "DROP COLUMNS ({})", list(columns, |column| Path(column))),
            },
            Self::RenameColumn { from, to } => write!(f, "RENAME COLUMN {} TO {}", Path(from), Name(to)),
            Self::SetType { column, data_type } => write!(f, "ALTER COLUMN {} TYPE {data_type}", Path(column)),
            Self::SetNotNull(column) => write!(f, "ALTER COLUMN {} SET NOT NULL", Path(column)),
            Self::DropNotNull(column) => write!(f, "ALTER COLUMN {} DROP NOT NULL", Path(column)),
            Self::SetColumnComment { column, comment } => {
                write!(f, "ALTER COLUMN {} COMMENT {}", Path(column), Text(comment))
            }
            Self::SetDefault { column, value } => {
                write!(f, "ALTER COLUMN {} SET DEFAULT {}", Name(column), Node(value))
            }
            Self::DropDefault(column) => write!(f, "ALTER COLUMN {} DROP DEFAULT", Name(column)),
            Self::AddConstraint(check) => write!(f, "ADD {check}"),
            Self::DropConstraint { name, if_exists } => {
                let condition = if *if_exists { "IF EXISTS " } else { "" };
                write!(f, "DROP CONSTRAINT {condition}{}", Name(name))
            }
            Self::SetProperties(properties) => write!(f, "SET TBLPROPERTIES ({})", list(properties, Pair)),
            Self::UnsetProperties { keys, if_exists } => {
                let condition = if *if_exists { "IF EXISTS " } else { "" };
                write!(f, "UNSET TBLPROPERTIES {condition}({})", list(keys, |key| Text(key)))
            }
            Self::AddPrimaryKey(columns) => write!(f, "ADD PRIMARY KEY ({})", list(columns, Name)),
            Self::DropPrimaryKey => f.write_str("DROP PRIMARY KEY"),
            Self::RenameTo(name) => write!(f, "RENAME TO {}", Qualified(name)),
            Self::ClusterBy(columns) if columns.is_empty() => f.write_str("CLUSTER BY NONE"),
            Self::ClusterBy(columns) => write!(f, "CLUSTER BY ({})", list(columns, Name)),
            Self::DropFeature {
                feature,
                truncate_history,
            } => {
                let tail = if *truncate_history { " TRUNCATE HISTORY" } else { "" };
                write!(f, "DROP FEATURE {}{tail}", feature_name(feature))
            }
        }
    }
}

/// A feature's name: a word as it is, anything else in quotes.
fn feature_name(feature: &str) -> String {
    let word = feature.starts_with(|ch: char| ch.is_ascii_alphabetic())
        && feature.chars().all(|ch| ch.is_ascii_alphanumeric());
    if word {
        feature.to_owned()
    } else {
        quoted(feature, '\'')
    }
}

fn write_added(f: &mut Formatter<'_>, columns: &[AddColumn]) -> fmt::Result {
    match columns {
        [column] => write!(f, "ADD COLUMN {column}"),
        columns => write!(f, "ADD COLUMNS ({})", list(columns, |column| column)),
    }
}

impl Display for AddColumn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.if_not_exists {
            f.write_str("IF NOT EXISTS ")?;
        }
        if !self.parents.is_empty() {
            write!(f, "{}.", Path(&self.parents))?;
        }
        write!(f, "{}", self.column)?;
        match &self.position {
            Some(Position::First) => f.write_str(" FIRST"),
            Some(Position::After(column)) => write!(f, " AFTER {}", Name(column)),
            None => Ok(()),
        }
    }
}

impl Display for CommentOn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "COMMENT ON COLUMN {}.{} IS ", Qualified(&self.table), Name(column))?,
            None => write!(f, "COMMENT ON TABLE {} IS ", Qualified(&self.table))?,
        }
        match &self.comment {
            Some(comment) => write!(f, "{}", Text(comment)),
            None => f.write_str("NULL"),
        }
    }
}
