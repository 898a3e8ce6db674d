//! What a new table will be: columns, partitioning, properties and rules, checked before anything is written.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{DataType, Metadata, Protocol, StructField, StructType, new_metadata};
use posixlake_sql::{Check, Column, CreateTable};
use serde_json::json;

use super::{expressions, properties};
use crate::error::{Error, Result};
use crate::table::evolution::{MAXIMUM_COLUMN_ID, check_names, edited, mapped};
use crate::table::types::{delta_type, name_of, structure, with_comment};
use crate::table::{CONSTRAINT_PREFIX, Definition, GENERATION, PRIMARY_KEY, protocol_for, to_arrow};

/// Column names that the change data feed adds to a table's own.
const CHANGE_COLUMNS: [&str; 3] = ["_change_type", "_commit_version", "_commit_timestamp"];

/// A table's definition before it has an identity.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) schema: StructType,
    pub(super) partition_columns: Vec<String>,
    pub(super) configuration: BTreeMap<String, String>,
    pub(super) comment: Option<String>,
}

impl Blueprint {
    /// The table that `CREATE TABLE` describes, with these columns.
    ///
    /// # Errors
    /// Where a clause names a column that is not there, a rule is not one, a property is unknown, or a clause is not
    /// supported.
    pub(super) fn new(table: &str, request: &CreateTable, columns: Vec<StructField>) -> Result<Self> {
        if !request.cluster_by.is_empty() {
            return Err(Error::unsupported(
                "CLUSTER BY (liquid clustering) is not supported yet; use PARTITIONED BY, or OPTIMIZE t ZORDER BY (…)",
            ));
        }
        check_duplicates(&columns)?;
        let mut configuration = properties::checked(&request.properties)?;
        let key = primary_key(request, configuration.remove(PRIMARY_KEY))?;
        let key = key
            .iter()
            .map(|ident| find(&columns, "PRIMARY KEY", ident))
            .collect::<Result<Vec<_>>>()?;
        if !key.is_empty() {
            configuration.insert(PRIMARY_KEY.to_string(), key_text(&key)?);
        }
        let names: Vec<String> = key.iter().map(|field| field.name().clone()).collect();
        let columns = columns.into_iter().map(|mut field| {
            field.nullable &= !names.contains(&field.name);
            field
        });
        let schema = structure(columns.collect::<Vec<_>>())?;
        let partition_columns = partition_columns(&schema, &request.partitioned_by)?;
        check_statistics_columns(&schema, &configuration)?;
        let arrow = to_arrow(&schema)?;
        let schema = with_generated(schema, &request.columns, &arrow)?;
        constraints(table, &request.checks, &arrow, &mut configuration)?;
        check_change_columns(&schema, &configuration)?;
        if configuration
            .get(properties::MAPPING_MODE)
            .is_none_or(|mode| mode == "none")
        {
            check_names(&schema)?;
        }
        let comment = request.comment.clone().filter(|comment| !comment.is_empty());
        Ok(Self {
            schema,
            partition_columns,
            configuration,
            comment,
        })
    }

    /// The table's first metadata and protocol, or its next where it replaces `current`: then it stays the same table, with
    /// its history, and its protocol is never lowered.
    ///
    /// # Errors
    /// Where a property asks for a table feature that is not written.
    pub(super) fn actions(&self, current: Option<&Definition>) -> Result<(Metadata, Protocol)> {
        let mut all: HashMap<String, String> = self.configuration.clone().into_iter().collect();
        let mut schema = self.schema.clone();
        if all.get(properties::MAPPING_MODE).is_some_and(|mode| mode != "none") {
            let highest = current.and_then(|current| current.property(MAXIMUM_COLUMN_ID));
            let (with_ids, highest) = mapped(&schema, highest)?;
            all.insert(MAXIMUM_COLUMN_ID.to_string(), highest.to_string());
            schema = with_ids;
        }
        let protocol = protocol_for(&schema, &all, current.map(Definition::protocol))?;
        all.retain(|key, _| !properties::is_of_protocol(key));
        let metadata = new_metadata(&schema, &self.partition_columns, all).map_err(DeltaTableError::from)?;
        let mut members = vec![("description", json!(self.comment))];
        if let Some(current) = current {
            members.push(("id", json!(current.metadata().id())));
            members.push(("createdTime", json!(current.metadata().created_time())));
        }
        Ok((edited(&metadata, members)?, protocol))
    }
}

/// The columns of a list of definitions.
///
/// # Errors
/// Where a column has a default or is an identity column.
pub(super) fn fields(columns: &[Column]) -> Result<Vec<StructField>> {
    columns.iter().map(field).collect()
}

/// The field of a column's definition; what is generated comes later, when all columns are known.
///
/// # Errors
/// As [`fields`].
pub(super) fn field(column: &Column) -> Result<StructField> {
    let name = name_of(&column.name);
    if column.default.is_some() {
        return Err(Error::unsupported(format!(
            "column {name}: column defaults are not supported yet; leave DEFAULT out, or use GENERATED ALWAYS AS (e)"
        )));
    }
    if column.identity.is_some() {
        return Err(Error::unsupported(format!(
            "column {name}: identity columns are not supported yet"
        )));
    }
    let field = StructField::new(name, delta_type(&column.data_type)?, column.nullable);
    Ok(with_comment(field, column.comment.as_deref()))
}

fn check_duplicates(columns: &[StructField]) -> Result<()> {
    for (position, field) in columns.iter().enumerate() {
        if columns
            .iter()
            .skip(position + 1)
            .any(|other| other.name().eq_ignore_ascii_case(field.name()))
        {
            return Err(Error::schema(format!(
                "two columns are called {}, and case does not tell names apart; give one another name",
                field.name()
            )));
        }
    }
    Ok(())
}

/// The column that an identifier names.
///
/// # Errors
/// Where there is none.
pub(super) fn find<'a>(
    columns: impl IntoIterator<Item = &'a StructField>,
    clause: &str,
    ident: &Ident,
) -> Result<&'a StructField> {
    let columns: Vec<&StructField> = columns.into_iter().collect();
    let exact = columns.iter().find(|field| *field.name() == ident.value);
    let folded = || {
        columns
            .iter()
            .find(|field| ident.quote_style.is_none() && field.name().eq_ignore_ascii_case(&ident.value))
    };
    exact.or_else(folded).copied().ok_or_else(|| {
        let names: Vec<&str> = columns.iter().map(|field| field.name().as_str()).collect();
        Error::not_found(format!(
            "{clause}: there is no column {ident}; there are: {}",
            names.join(", ")
        ))
    })
}

/// The key's columns, from the clause or from the property that other statements show.
fn primary_key(request: &CreateTable, property: Option<String>) -> Result<Vec<Ident>> {
    match property {
        None => Ok(request.primary_key.clone()),
        Some(_) if !request.primary_key.is_empty() => Err(Error::invalid(format!(
            "PRIMARY KEY and the property {PRIMARY_KEY} are both given; leave one out"
        ))),
        Some(names) => Ok(key_idents(&names)),
    }
}

/// The columns that the property names.
pub(super) fn key_idents(names: &str) -> Vec<Ident> {
    names
        .split(',')
        .map(|name| Ident::with_quote('`', name.trim()))
        .collect()
}

/// The property's value for these columns.
///
/// # Errors
/// Where a column is named twice, cannot be compared, or has a name that the list cannot hold.
pub(super) fn key_text(columns: &[&StructField]) -> Result<String> {
    for (position, field) in columns.iter().enumerate() {
        if !matches!(field.data_type(), DataType::Primitive(_)) {
            return Err(Error::invalid(format!(
                "PRIMARY KEY: column {} is nested; keys are made of plain values",
                field.name()
            )));
        }
        if columns
            .iter()
            .skip(position + 1)
            .any(|other| other.name() == field.name())
        {
            return Err(Error::invalid(format!(
                "PRIMARY KEY names column {} twice",
                field.name()
            )));
        }
        if field.name().contains(',') || field.name().trim() != field.name() {
            return Err(Error::invalid(format!(
                "PRIMARY KEY: the name '{}' cannot stand in a key",
                field.name()
            )));
        }
    }
    let names: Vec<&str> = columns.iter().map(|field| field.name().as_str()).collect();
    Ok(names.join(","))
}

fn partition_columns(schema: &StructType, idents: &[Ident]) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for ident in idents {
        let field = find(schema.fields(), "PARTITIONED BY", ident)?;
        if !matches!(field.data_type(), DataType::Primitive(_)) || *field.data_type() == DataType::BINARY {
            return Err(Error::schema(format!(
                "PARTITIONED BY: column {} is {}; a table is partitioned by plain values",
                field.name(),
                crate::table::types::type_sql(field.data_type())
            )));
        }
        if names.contains(field.name()) {
            return Err(Error::invalid(format!(
                "PARTITIONED BY names column {} twice",
                field.name()
            )));
        }
        names.push(field.name().clone());
    }
    if !names.is_empty() && names.len() == schema.num_fields() {
        return Err(Error::schema(
            "PARTITIONED BY names every column; at least one must be left for the data files",
        ));
    }
    Ok(names)
}

/// The columns of which statistics are to be kept must be there.
///
/// # Errors
/// Where one is not.
pub(super) fn check_statistics_columns(schema: &StructType, configuration: &BTreeMap<String, String>) -> Result<()> {
    let Some(names) = configuration.get("delta.dataSkippingStatsColumns") else {
        return Ok(());
    };
    for name in names.split(',') {
        let top = name.split('.').next().unwrap_or_default().trim().trim_matches('`');
        find(schema.fields(), "delta.dataSkippingStatsColumns", &Ident::new(top))?;
    }
    Ok(())
}

/// A table with a change data feed cannot have columns that are named as the feed's own.
///
/// # Errors
/// Where it has one.
pub(super) fn check_change_columns(schema: &StructType, configuration: &BTreeMap<String, String>) -> Result<()> {
    if configuration
        .get("delta.enableChangeDataFeed")
        .is_none_or(|value| value != "true")
    {
        return Ok(());
    }
    match CHANGE_COLUMNS
        .iter()
        .find(|name| schema.fields().any(|field| field.name().eq_ignore_ascii_case(name)))
    {
        Some(name) => Err(Error::schema(format!(
            "the column {name} is named as one of the change data feed's own; rename it, or leave the feed off"
        ))),
        None => Ok(()),
    }
}

fn with_generated(schema: StructType, columns: &[Column], arrow: &SchemaRef) -> Result<StructType> {
    let generated: Vec<(String, &SqlExpr)> = columns
        .iter()
        .filter_map(|column| Some((name_of(&column.name), column.generated.as_ref()?)))
        .collect();
    let mut fields = Vec::new();
    for field in schema.into_fields() {
        let Some((name, expression)) = generated.iter().find(|(name, _)| name == field.name()) else {
            fields.push(field);
            continue;
        };
        let what = format!("the expression of the generated column {name}");
        let kept = expressions::generation(&what, expression, arrow, arrow.field_with_name(name)?.data_type())?;
        if let Some(other) = generated
            .iter()
            .map(|(other, _)| other)
            .find(|other| kept.columns.contains(*other))
        {
            return Err(Error::invalid(format!(
                "{what} names {other}, which is generated itself"
            )));
        }
        fields.push(field.add_metadata([(GENERATION, kept.text)]));
    }
    structure(fields)
}

fn constraints(
    table: &str,
    checks: &[Check],
    arrow: &SchemaRef,
    configuration: &mut BTreeMap<String, String>,
) -> Result<()> {
    let key_of = |name: &str| format!("{CONSTRAINT_PREFIX}{}", name.to_lowercase());
    let mut unnamed = Vec::new();
    for check in checks {
        let Some(name) = &check.name else {
            unnamed.push(expressions::condition(
                &format!("CHECK ({})", check.expression),
                &check.expression,
                arrow,
            )?);
            continue;
        };
        let (name, text) = constraint(check, name, arrow)?;
        if configuration.insert(key_of(&name), text).is_some() {
            return Err(Error::invalid(format!(
                "two constraints are called {name}; give one another name"
            )));
        }
    }
    // Named as PostgreSQL does, once all given names are known.
    for kept in unnamed {
        let base = match kept.columns.as_slice() {
            [column] => format!("{table}_{column}_check"),
            _ => format!("{table}_check"),
        };
        let names = std::iter::once(base.clone()).chain((1..).map(|number| format!("{base}{number}")));
        let key = names
            .map(|name| key_of(&name))
            .find(|key| !configuration.contains_key(key));
        configuration.insert(key.unwrap_or_default(), kept.text);
    }
    Ok(())
}

/// A named constraint's name, in the lower case in which tables keep it, and its text.
///
/// # Errors
/// Where it is not a condition.
pub(super) fn constraint(check: &Check, name: &Ident, arrow: &SchemaRef) -> Result<(String, String)> {
    let name = name.value.to_lowercase();
    if name.is_empty() {
        return Err(Error::invalid("a constraint has an empty name"));
    }
    let kept = expressions::condition(&format!("the constraint {name}"), &check.expression, arrow)?;
    Ok((name, kept.text))
}
