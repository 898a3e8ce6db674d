//! The statements that edits become.

use std::collections::BTreeSet;
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

/// A file of an edit's rows, without a header.
#[derive(Clone, Copy)]
pub(crate) struct EditFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) format: Format,
    /// Its columns by their numbers in the table, where they are in another order.
    pub(crate) order: Option<&'a [usize]>,
    /// Whether the columns of places stand before the others.
    pub(crate) placed: bool,
}

impl EditFile<'_> {
    fn fields<'v>(&self, version: &'v Version) -> Vec<&'v Field> {
        let fields = version.schema.fields();
        match self.order {
            Some(order) => order
                .iter()
                .filter_map(|&number| fields.get(number).map(AsRef::as_ref))
                .collect(),
            None => fields.iter().map(AsRef::as_ref).collect(),
        }
    }

    /// The call that reads it.
    fn reader(&self, version: &Version) -> String {
        let places = if self.placed { PLACE_COLUMNS.as_slice() } else { &[] };
        let columns = reader_columns(places, self.fields(version).into_iter());
        reader(self.format, self.path, &columns)
    }
}

/// Rows of a file as new rows.
pub(crate) fn insert(version: &Version, file: EditFile<'_>) -> String {
    let fields = file.fields(version);
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
        file.reader(version)
    )
}

/// The rows of a file as the table would take them, counted.
pub(crate) fn read(version: &Version, file: EditFile<'_>) -> String {
    format!("SELECT * FROM {}", file.reader(version))
}

/// The columns of the primary key, as the readers call them, with the table's names.
fn key_columns(version: &Version, file: EditFile<'_>) -> Vec<(String, String)> {
    let fields = file.fields(version);
    let named = fields.iter().enumerate();
    let key = named.filter(|(_, field)| version.key.contains(field.name()));
    key.map(|(number, field)| (quoted(&reader_name(field.name(), number)), quoted(field.name())))
        .collect()
}

/// Which rows of an edit may bring a key that the table has not had. In CSV, rows were paired by their keys: what is an update keeps its own.
fn may_bring_key(format: Format) -> &'static str {
    match format {
        Format::Csv => "edit._change = 'insert'",
        Format::JsonLines | Format::Json => "edit._change <> 'delete'",
    }
}

/// Two rows of an edit with one key: their lines, and the key. The file has places.
pub(crate) fn key_twice(version: &Version, file: EditFile<'_>) -> String {
    let key = key_columns(version, file);
    let names: Vec<String> = key.iter().map(|(name, _)| format!("edit.{name}")).collect();
    let known: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
    let names = names.join(", ");
    format!(
        "SELECT min(edit._line), max(edit._line), {names} FROM {} AS edit WHERE {} AND {} \
         GROUP BY {names} HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
        file.reader(version),
        may_bring_key(file.format),
        known.join(" AND ")
    )
}

/// A row of an edit with the key of a row that stays as it is: its line, and the key. The file has places.
pub(crate) fn key_taken(version: &Version, file: EditFile<'_>, places: bool) -> String {
    let key = key_columns(version, file);
    let names: Vec<String> = key.iter().map(|(name, _)| format!("edit.{name}")).collect();
    let equal: Vec<String> = key
        .iter()
        .map(|(name, column)| format!("t.{column} = edit.{name}"))
        .collect();
    let reader = file.reader(version);
    // Without places, no row of the table goes or changes.
    let (suffix, stays) = if places {
        let gone = format!(
            " AND NOT EXISTS (SELECT 1 FROM {reader} AS gone WHERE gone._file = t._file AND gone._row = t._row)"
        );
        ("$rows", gone)
    } else {
        ("", String::new())
    };
    let name = TableName {
        schema: version.name.schema.clone(),
        table: format!("{}{suffix}", version.name.table),
    };
    format!(
        "SELECT edit._line, {} FROM {reader} AS edit JOIN {} AS t ON {} WHERE {}{stays} ORDER BY 1 LIMIT 1",
        names.join(", "),
        table(&name),
        equal.join(" AND "),
        may_bring_key(file.format)
    )
}

/// What an edit's file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) inserts: bool,
    pub(crate) updates: bool,
    pub(crate) deletes: bool,
}

/// Where the rows stand that go or change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// In which data files.
    pub(crate) files: Vec<String>,
    /// At which places in these; when they are too many, between which.
    pub(crate) places: BTreeSet<u64>,
}

/// How many files and places are said one by one.
const LISTED: usize = 64;

impl Touched {
    /// Takes note of a row's place.
    pub(crate) fn add(&mut self, place: u64) {
        self.places.insert(place);
        // Above that number, only the first and the last are said.
        if self.places.len() > LISTED + 2
            && let Some(inner) = self.places.iter().nth(1).copied()
        {
            self.places.remove(&inner);
        }
    }

    /// The conditions that say it: then other files and rows are not looked at.
    fn conditions(&self) -> String {
        let mut said = String::new();
        if !self.files.is_empty() && self.files.len() <= LISTED {
            let files: Vec<String> = self.files.iter().map(|file| literal(file)).collect();
            said.push_str(&format!(" AND t._file IN ({})", files.join(", ")));
        }
        if let (Some(first), Some(last)) = (self.places.first(), self.places.last()) {
            if self.places.len() <= LISTED {
                let places: Vec<String> = self.places.iter().map(u64::to_string).collect();
                said.push_str(&format!(" AND t._row IN ({})", places.join(", ")));
            } else {
                said.push_str(&format!(" AND t._row BETWEEN {first} AND {last}"));
            }
        }
        said
    }
}

/// Whether a matched row has another value than its new one; none where that cannot be asked.
fn differs(fields: &[&Field], source: impl Fn(usize, &Field) -> String) -> Option<String> {
    fn is_comparable(data_type: &DataType) -> bool {
        !matches!(
            data_type,
            DataType::Map(..) | DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_)
        )
    }
    if fields.len() > ASKED || !fields.iter().all(|field| is_comparable(field.data_type())) {
        return None;
    }
    let one_by_one = fields.iter().enumerate().map(|(number, field)| {
        format!(
            "(t.{} IS DISTINCT FROM {})",
            quoted(field.name()),
            source(number, field)
        )
    });
    Some(one_by_one.collect::<Vec<_>>().join(" OR "))
}

/// Of how many columns it is asked whether a value changed.
const ASKED: usize = 200;

/// Rows of an edit's file, with the places of the rows that go or change: one statement for all. A row whose new text says the value that it
/// has, only otherwise spelled, stays as it is.
pub(crate) fn merge(version: &Version, file: EditFile<'_>, holds: Holds, touched: &Touched) -> String {
    let fields = file.fields(version);
    let source = |number: usize, field: &Field| format!("edit.{}", quoted(&reader_name(field.name(), number)));
    let mut sql = format!(
        "MERGE INTO {} AS t USING {} AS edit ON t._file = edit._file AND t._row = edit._row",
        table(&version.name),
        file.reader(version)
    );
    sql.push_str(&touched.conditions());
    if holds.deletes {
        sql.push_str(" WHEN MATCHED AND edit._change = 'delete' THEN DELETE");
    }
    if holds.updates {
        let set: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(number, field)| format!("{} = {}", quoted(field.name()), source(number, field)))
            .collect();
        let differs = differs(&fields, source);
        let condition = differs.map_or_else(String::new, |differs| format!(" AND ({differs})"));
        sql.push_str(&format!(" WHEN MATCHED{condition} THEN UPDATE SET {}", set.join(", ")));
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
