//! DataFusion's own statements as text that reads back.

use std::fmt::{self, Display, Formatter};

use datafusion::sql::parser::{
    CopyToSource, CopyToStatement, CreateExternalTable, ResetStatement, Statement as NativeStatement,
};
use datafusion::sql::sqlparser::ast::Value;

use super::nodes::{Node, Text, list};

pub(super) fn write(f: &mut Formatter<'_>, statement: &NativeStatement) -> fmt::Result {
    match statement {
        NativeStatement::Statement(statement) => write!(f, "{}", Node(statement.as_ref())),
        NativeStatement::CopyTo(copy) => write_copy(f, copy),
        NativeStatement::CreateExternalTable(table) => write_external_table(f, table),
        NativeStatement::Reset(ResetStatement::Variable(name)) => {
            let part = |part: &_| Text(&format!("{part}")).to_string();
            let parts: Vec<String> = name.0.iter().map(part).collect();
            write!(f, "RESET {}", parts.join("."))
        }
        NativeStatement::Explain(explain) => write!(f, "{explain}"),
    }
}

fn write_copy(f: &mut Formatter<'_>, copy: &CopyToStatement) -> fmt::Result {
    match &copy.source {
        CopyToSource::Relation(name) => write!(f, "COPY {}", Node(name))?,
        CopyToSource::Query(query) => write!(f, "COPY ({})", Node(query.as_ref()))?,
    }
    write!(f, " TO {}", Text(&copy.target))?;
    if let Some(format) = &copy.stored_as {
        write!(f, " STORED AS {format}")?;
    }
    if !copy.partitioned_by.is_empty() {
        write!(f, " PARTITIONED BY ({})", list(&copy.partitioned_by, |column| column))?;
    }
    write_options(f, &copy.options)
}

fn write_external_table(f: &mut Formatter<'_>, table: &CreateExternalTable) -> fmt::Result {
    f.write_str("CREATE ")?;
    for (given, words) in [
        (table.or_replace, "OR REPLACE "),
        (table.unbounded, "UNBOUNDED "),
        (true, "EXTERNAL "),
        (table.temporary, "TEMPORARY "),
        (true, "TABLE "),
        (table.if_not_exists, "IF NOT EXISTS "),
    ] {
        f.write_str(if given { words } else { "" })?;
    }
    write!(f, "{}", Node(&table.name))?;
    let columns = table.columns.iter().map(|column| Node(column).to_string());
    let items: Vec<String> = columns
        .chain(table.constraints.iter().map(|item| Node(item).to_string()))
        .collect();
    if !items.is_empty() {
        write!(f, " ({})", items.join(", "))?;
    }
    write!(f, " STORED AS {}", table.file_type)?;
    if !table.table_partition_cols.is_empty() {
        write!(
            f,
            " PARTITIONED BY ({})",
            list(&table.table_partition_cols, |column| column)
        )?;
    }
    for order in &table.order_exprs {
        write!(f, " WITH ORDER ({})", list(order, Node))?;
    }
    write_options(f, &table.options)?;
    match table.locations.as_slice() {
        [location] => write!(f, " LOCATION {}", Text(location)),
        locations => write!(f, " LOCATION ({})", list(locations, |location| Text(location))),
    }
}

fn write_options(f: &mut Formatter<'_>, options: &[(String, Value)]) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    write!(
        f,
        " OPTIONS ({})",
        list(options, |(key, value)| format!("{} {}", Text(key), OptionValue(value)))
    )
}

struct OptionValue<'a>(&'a Value);

impl Display for OptionValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::SingleQuotedString(text) => write!(f, "{}", Text(text)),
            value => write!(f, "{value}"),
        }
    }
}
