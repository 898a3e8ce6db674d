//! The statements that edits become.

use std::path::Path;

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::lake::{TableName, Version};
use crate::render::Format;

/// Columns of an edit's file before those of the table: where the row stands, which line of the user's text it is, and what becomes of it.
pub(crate) const PLACE_COLUMNS: [(&str, &str); 4] = [
    ("_file", "STRING"),
    ("_row", "BIGINT"),
    ("_line", "BIGINT"),
    ("_change", "STRING"),
];

/// A name in SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A table in SQL.
pub(crate) fn table(name: &TableName) -> String {
    let own = quoted(&name.table);
    match &name.schema {
        Some(schema) => format!("{}.{own}", quoted(schema)),
        None => own,
    }
}

fn type_of(data_type: &DataType) -> String {
    let nested = |field: &Field| type_of(field.data_type());
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Millisecond | TimeUnit::Second, None) => {
            "TIMESTAMP_NTZ".into()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TIMESTAMP_NS".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", nested(item)),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), nested(field)))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types: Vec<String> = fields.iter().map(|field| nested(field)).collect();
                format!("MAP<{}>", types.join(", "))
            }
            other => other.to_string(),
        },
        DataType::Dictionary(_, values) => type_of(values),
        _ => "STRING".into(),
    }
}

/// The list of columns that the readers take: `id BIGINT, "full name" STRING`. A name that the list cannot spell is given by its number.
fn reader_columns<'a>(places: &[(&str, &str)], fields: impl Iterator<Item = &'a Field>) -> String {
    let own = fields
        .enumerate()
        .map(|(number, field)| (reader_name(field.name(), number), type_of(field.data_type())));
    let places = places
        .iter()
        .map(|(name, of_type)| ((*name).to_string(), (*of_type).to_string()));
    let columns: Vec<String> = places
        .chain(own)
        .map(|(name, of_type)| format!("\"{name}\" {of_type}"))
        .collect();
    columns.join(", ")
}

fn reader_name(name: &str, number: usize) -> String {
    if name.contains('"') {
        format!("column{}", number + 1)
    } else {
        name.to_string()
    }
}

fn reader(format: Format, file: &Path, columns: &str) -> String {
    let path = literal(&file.display().to_string());
    let columns = literal(columns);
    match format {
        Format::Csv => format!("read_csv({path}, header => false, columns => {columns})"),
        Format::JsonLines | Format::Json => format!("read_json({path}, types => {columns})"),
    }
}

/// Rows of a file as new rows. The file has no header, and the table's columns in the order of `order` (numbers of columns), where that is given.
pub(crate) fn insert(version: &Version, format: Format, file: &Path, order: Option<&[usize]>) -> String {
    let fields = ordered(version, order);
    let names: Vec<String> = fields.iter().map(|field| quoted(field.name())).collect();
    let source: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(number, field)| quoted(&reader_name(field.name(), number)))
        .collect();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {}",
        table(&version.name),
        names.join(", "),
        source.join(", "),
        reader(format, file, &reader_columns(&[], fields.iter().copied()))
    )
}

/// The rows of a file as the table would take them, counted.
pub(crate) fn read(version: &Version, format: Format, file: &Path, order: Option<&[usize]>) -> String {
    let fields = ordered(version, order);
    format!(
        "SELECT * FROM {}",
        reader(format, file, &reader_columns(&[], fields.iter().copied()))
    )
}

fn ordered<'a>(version: &'a Version, order: Option<&[usize]>) -> Vec<&'a Field> {
    let fields = version.schema.fields();
    match order {
        Some(order) => order
            .iter()
            .filter_map(|&number| fields.get(number).map(AsRef::as_ref))
            .collect(),
        None => fields.iter().map(AsRef::as_ref).collect(),
    }
}

/// What an edit's file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) inserts: bool,
    pub(crate) updates: bool,
    pub(crate) deletes: bool,
}

/// Rows of an edit's file, with the places of the rows that go or change: one statement for all. `files`: the data files that rows go from.
pub(crate) fn merge(
    version: &Version,
    format: Format,
    file: &Path,
    order: Option<&[usize]>,
    holds: Holds,
    files: &[&str],
) -> String {
    let fields = ordered(version, order);
    let source = |number: usize, field: &Field| format!("edit.{}", quoted(&reader_name(field.name(), number)));
    let mut sql = format!(
        "MERGE INTO {} AS t USING {} AS edit ON t._file = edit._file AND t._row = edit._row",
        table(&version.name),
        reader(format, file, &reader_columns(&PLACE_COLUMNS, fields.iter().copied()))
    );
    // Few files: said, so that the others are not looked at.
    if !files.is_empty() && files.len() <= 64 {
        let files: Vec<String> = files.iter().map(|file| literal(file)).collect();
        sql.push_str(&format!(" AND t._file IN ({})", files.join(", ")));
    }
    if holds.deletes {
        sql.push_str(" WHEN MATCHED AND edit._change = 'delete' THEN DELETE");
    }
    if holds.updates {
        let set: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(number, field)| format!("{} = {}", quoted(field.name()), source(number, field)))
            .collect();
        sql.push_str(&format!(" WHEN MATCHED THEN UPDATE SET {}", set.join(", ")));
    }
    if holds.inserts {
        let names: Vec<String> = fields.iter().map(|field| quoted(field.name())).collect();
        let values: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(number, field)| source(number, field))
            .collect();
        sql.push_str(&format!(
            " WHEN NOT MATCHED AND edit._change = 'insert' THEN INSERT ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        ));
    }
    if let Some(first) = fields.first() {
        sql.push_str(&format!(
            " WHEN NOT MATCHED THEN INSERT ({}) VALUES (raise_error('{GONE} ' || edit._line))",
            quoted(first.name())
        ));
    }
    sql
}

/// What the statement says where a row that it is to change has gone.
pub(crate) const GONE: &str = "another writer changed or removed the row that stood at line";

/// All rows of the table as they stood at `version`.
pub(crate) fn empty(version: &Version, unchanged: bool) -> String {
    let name = table(&version.name);
    if unchanged {
        return format!("DELETE FROM {name}");
    }
    let files: Vec<String> = version.files.iter().map(|file| literal(&file.path)).collect();
    format!("DELETE FROM {name} WHERE _file IN ({})", files.join(", "))
}

/// A table from a file, types found in it.
pub(crate) fn create(name: &TableName, format: Format, file: &Path) -> String {
    let path = literal(&file.display().to_string());
    let reader = match format {
        Format::Csv => "read_csv",
        Format::JsonLines | Format::Json => "read_json",
    };
    format!("CREATE TABLE {} AS SELECT * FROM {reader}({path})", table(name))
}
