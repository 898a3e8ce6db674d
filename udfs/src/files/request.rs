//! What to read and how: a format, paths and options, checked as they are set.

use std::str::FromStr;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;

use super::compression::Compression;
use super::error::{FileError, Result, did_you_mean};
use super::types::{NamedType, parse_columns, parse_type};

/// A file format that these readers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileFormat {
    /// Delimiter-separated text: `.csv`, `.tsv`.
    Csv,
    /// One JSON object a line, or one array of objects: `.json`, `.jsonl`, `.ndjson`.
    Json,
    /// `.parquet`.
    Parquet,
}

impl FileFormat {
    /// The format that the name of `path` says, by its extension below one of a packer (`x.csv.gz` is CSV).
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (packed, stem) = Compression::of_name(name);
        let (_, extension) = stem.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "parquet" if packed == Compression::None => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The format that the table function `name` reads: `read_csv`, `read_json`, `read_parquet`.
    pub fn of_function(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "read_csv" => Some(Self::Csv),
            "read_json" => Some(Self::Json),
            "read_parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The table function of the format.
    pub fn function(self) -> &'static str {
        match self {
            Self::Csv => "read_csv",
            Self::Json => "read_json",
            Self::Parquet => "read_parquet",
        }
    }

    /// The options of the format, each with what it takes.
    pub fn options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Csv => &[
                ("all_text", "true: every column is STRING"),
                (
                    "columns",
                    "names, with types where given: 'id BIGINT, name'; replaces the header's",
                ),
                ("comment", "one character; lines that start with it are skipped"),
                ("compression", "auto, none, gzip, zstd, bzip2 or xz"),
                ("date_format", "how DATE values are written: '%d.%m.%Y'"),
                (
                    "delimiter",
                    "one character, or 'tab'; by default ',' and, for .tsv, tab",
                ),
                (
                    "escape",
                    "one character that takes the next one literally inside quotes",
                ),
                ("filename", "true: adds the column filename"),
                ("header", "false: the first line is data; true by default"),
                ("null_value", "text that stands for NULL, several separated by '|'"),
                ("quote", "one character, or 'none'; '\"' by default"),
                ("sample_rows", "how many rows the types are found in (20480), or 'all'"),
                ("skip", "how many lines to pass over before the header"),
                ("timestamp_format", "how TIMESTAMP values are written: '%d/%m/%Y %H:%M'"),
                ("types", "types of some columns: 'id BIGINT, born DATE'"),
                ("union_by_name", "true: several files are one table by column name"),
            ],
            Self::Json => &[
                ("compression", "auto, none, gzip, zstd, bzip2 or xz"),
                ("date_format", "how DATE values are written: '%d.%m.%Y'"),
                ("filename", "true: adds the column filename"),
                ("sample_rows", "how many rows the types are found in (20480), or 'all'"),
                ("timestamp_format", "how TIMESTAMP values are written: '%d/%m/%Y %H:%M'"),
                ("types", "types of some columns: 'id BIGINT, born DATE'"),
                ("union_by_name", "true: several files are one table by column name"),
            ],
            Self::Parquet => &[],
        }
    }
}

/// How many rows the types of columns are found in, unless `sample_rows` says otherwise.
pub(crate) const SAMPLE_ROWS: usize = 20_480;

/// The column that the option `filename` adds.
pub(crate) const FILENAME: &str = "filename";

/// The options of a request, typed. What was not set is `None` or false.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadOptions {
    pub(crate) all_text: bool,
    pub(crate) columns: Option<Vec<NamedType>>,
    pub(crate) comment: Option<u8>,
    pub(crate) compression: Option<Compression>,
    pub(crate) date_format: Option<String>,
    pub(crate) delimiter: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) filename: bool,
    pub(crate) header: Option<bool>,
    pub(crate) null_values: Vec<String>,
    /// `Some(None)` is no quoting at all.
    pub(crate) quote: Option<Option<u8>>,
    /// `Some(None)` is all rows.
    pub(crate) sample_rows: Option<Option<usize>>,
    pub(crate) skip: usize,
    pub(crate) timestamp_format: Option<String>,
    pub(crate) types: Vec<NamedType>,
    pub(crate) union_by_name: bool,
}

impl ReadOptions {
    /// The number of rows to look at; nothing for all.
    pub(crate) fn sample(&self) -> Option<usize> {
        self.sample_rows.unwrap_or(Some(SAMPLE_ROWS))
    }
}

/// Files to read as one table.
///
/// ```
/// # use posixlake_udfs::{FileFormat, FileScanRequest};
/// # use datafusion::common::ScalarValue;
/// let request = FileScanRequest::new(FileFormat::Csv, ["flights.csv"])
///     .with_option("header", &ScalarValue::from(false))?
///     .with_option("null_value", &ScalarValue::from("NA"))?;
/// # Ok::<(), posixlake_udfs::FileError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileScanRequest {
    pub(crate) format: Option<FileFormat>,
    pub(crate) paths: Vec<String>,
    pub(crate) options: ReadOptions,
    pub(crate) expected: Option<SchemaRef>,
    pub(crate) chunk_bytes: Option<usize>,
    named: Vec<String>,
}

impl FileScanRequest {
    /// Reads `paths` (files, folders, patterns, URLs) as `format`.
    pub fn new(format: FileFormat, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            format: Some(format),
            ..Self::by_extension(paths)
        }
    }

    /// The files, folders, patterns and URLs to read.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Reads `paths` as the format that their extension says. Takes no options.
    pub fn by_extension(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            format: None,
            paths: paths.into_iter().map(Into::into).collect(),
            options: ReadOptions::default(),
            expected: None,
            chunk_bytes: None,
            named: Vec::new(),
        }
    }

    /// The request that a call such as `read_csv('x.csv', header => false)` means: `arguments` without a name are the
    /// path, or an array of paths; those with a name are options.
    ///
    /// # Errors
    /// No path or one that is not text, an unknown option, a value that an option does not take.
    pub fn from_call<'a>(
        format: FileFormat,
        arguments: impl IntoIterator<Item = (Option<&'a str>, &'a ScalarValue)>,
    ) -> Result<Self> {
        let function = format.function();
        let mut request = Self::new(format, Vec::<String>::new());
        for (name, value) in arguments {
            match name {
                Some(name) => request.set(name, value)?,
                None if request.paths.is_empty() => {
                    request.paths = texts(value).filter(|paths| !paths.is_empty()).ok_or_else(|| {
                        FileError::invalid(format!(
                            "{function} wants a path or an array of paths as its first argument, not {value}"
                        ))
                    })?;
                }
                None => {
                    return Err(FileError::invalid(format!(
                        "{function} takes one path or an array of paths; options have names: {function}('x', {} => …)",
                        format.options().first().map_or("option", |(name, _)| name)
                    )));
                }
            }
        }
        if request.paths.is_empty() {
            return Err(FileError::invalid(format!("{function} wants a path: {function}('…')")));
        }
        Ok(request)
    }

    /// The same request with an option of its format set.
    ///
    /// # Errors
    /// An unknown option (the message lists the known ones), one that is set already, a value that it does not take.
    pub fn with_option(mut self, name: &str, value: &ScalarValue) -> Result<Self> {
        self.set(name, value)?;
        Ok(self)
    }

    /// The same request for a target that exists: a column of the files whose name is (but for case) that of a field is
    /// read as that field's type, the types of the others are found as ever. Types that text cannot hold are left out.
    #[must_use]
    pub fn with_expected_schema(mut self, expected: SchemaRef) -> Self {
        self.expected = Some(expected);
        self
    }

    /// The same request with text files cut into pieces of about this many bytes, which are decoded in parallel. By
    /// default 1 MiB, and 4 MiB away from the local disk.
    #[must_use]
    pub fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes.max(1));
        self
    }

    /// The type of the expected column `name`: the exact name, else the only one that differs in case. Text for a BINARY column stays text, and its bytes are the
    /// value: only a type that is named asks for hexadecimal digits.
    pub(crate) fn expected_type(&self, name: &str) -> Option<arrow::datatypes::DataType> {
        self.expected_any(name).filter(|data_type| !data_type.is_binary())
    }

    fn expected_any(&self, name: &str) -> Option<arrow::datatypes::DataType> {
        let fields = self.expected.as_ref()?.fields();
        let exact = fields.iter().find(|field| field.name() == name);
        let folded = || {
            let mut alike = fields
                .iter()
                .filter(|field| field.name().to_lowercase() == name.to_lowercase());
            alike.next().filter(|_| alike.next().is_none())
        };
        exact.or_else(folded).map(|field| field.data_type().clone())
    }

    fn set(&mut self, name: &str, value: &ScalarValue) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let Some(format) = self.format else {
            return Err(FileError::invalid(format!(
                "option {name} needs a format: read_csv('…', {name} => …)"
            )));
        };
        let function = format.function();
        let known = format.options();
        if !known.iter().any(|(option, _)| *option == name) {
            let names: Vec<&str> = known.iter().map(|(option, _)| *option).collect();
            return Err(FileError::invalid(if names.is_empty() {
                format!("{function} takes no options, and {name} is one")
            } else {
                let hint = did_you_mean(&name, names.iter().copied());
                format!(
                    "{function} has no option {name}{hint}; its options are {}",
                    names.join(", ")
                )
            }));
        }
        if self.named.contains(&name) {
            return Err(FileError::invalid(format!("{function}: option {name} is set twice")));
        }
        self.assign(&name, value).map_err(|why| {
            let takes = known
                .iter()
                .find(|(option, _)| *option == name)
                .map_or("", |(_, takes)| takes);
            FileError::invalid(format!("{function}: {name} => {value}: {why} ({takes})"))
        })?;
        self.named.push(name);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: &ScalarValue) -> Result<(), String> {
        let options = &mut self.options;
        match name {
            "all_text" => options.all_text = boolean(value)?,
            "columns" => options.columns = Some(columns(value)?),
            "comment" => options.comment = Some(byte(value)?),
            "compression" => options.compression = Compression::parse(&text(value)?).map_err(|e| e.to_string())?,
            "date_format" => options.date_format = Some(time_format(value)?),
            "delimiter" => options.delimiter = Some(byte(value)?),
            "escape" => options.escape = Some(byte(value)?),
            "filename" => options.filename = boolean(value)?,
            "header" => options.header = Some(boolean(value)?),
            "null_value" => {
                options.null_values = texts(value)
                    .ok_or("text is wanted")?
                    .iter()
                    .flat_map(|value| value.split('|'))
                    .filter(|value| !value.is_empty())
                    .map(str::to_string)
                    .collect();
            }
            "quote" => {
                let word = text(value)?;
                options.quote = Some(if word.is_empty() || word == "none" {
                    None
                } else {
                    Some(byte(value)?)
                });
            }
            "sample_rows" => {
                let word = text(value)?;
                options.sample_rows = Some(if word == "all" {
                    None
                } else {
                    Some(number(&word)?).filter(|n| *n > 0)
                });
            }
            "skip" => options.skip = number(&text(value)?)?,
            "timestamp_format" => options.timestamp_format = Some(time_format(value)?),
            "types" => {
                options.types = columns(value)?;
                if let Some((column, _)) = options.types.iter().find(|(_, data_type)| data_type.is_none()) {
                    return Err(format!("column {column} has no type"));
                }
            }
            "union_by_name" => options.union_by_name = boolean(value)?,
            other => return Err(format!("no option {other}")),
        }
        Ok(())
    }
}

/// The text of a scalar: a string as it is, a number or boolean as SQL writes it.
fn text(value: &ScalarValue) -> Result<String, String> {
    if value.is_null() {
        return Err("NULL is not a value for it".into());
    }
    match value {
        ScalarValue::List(_) | ScalarValue::Struct(_) | ScalarValue::Map(_) => Err("one value is wanted".into()),
        value => Ok(value
            .try_as_str()
            .flatten()
            .map_or_else(|| value.to_string(), str::to_string)),
    }
}

/// The texts of a string or of an array of strings.
fn texts(value: &ScalarValue) -> Option<Vec<String>> {
    if let Some(text) = value.try_as_str().flatten() {
        return Some(vec![text.to_string()]);
    }
    let values = match value {
        ScalarValue::List(list) => list.value(0),
        ScalarValue::LargeList(list) => list.value(0),
        _ => return None,
    };
    let values = arrow::compute::cast(&values, &arrow::datatypes::DataType::Utf8).ok()?;
    let values = arrow::array::AsArray::as_string_opt::<i32>(&values)?;
    values.iter().map(|value| value.map(str::to_string)).collect()
}

fn boolean(value: &ScalarValue) -> Result<bool, String> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is wanted".into()),
    }
}

fn number<N: FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| "a whole number is wanted".to_string())
}

fn byte(value: &ScalarValue) -> Result<u8, String> {
    let word = text(value)?;
    match (word.as_str(), word.as_bytes()) {
        ("tab" | "\\t", _) => Ok(b'\t'),
        (_, [b'\n' | b'\r' | 0]) => Err("a line end cannot be it".into()),
        (_, [byte]) if byte.is_ascii() => Ok(*byte),
        _ => Err("one ASCII character is wanted".into()),
    }
}

/// A format of chrono's `strftime`, which must hold no unknown item.
fn time_format(value: &ScalarValue) -> Result<String, String> {
    let word = text(value)?;
    let unknown = chrono::format::StrftimeItems::new(&word).any(|item| matches!(item, chrono::format::Item::Error));
    if unknown || !word.contains('%') {
        Err("a format of % items is wanted".into())
    } else {
        Ok(word)
    }
}

/// A column list: text (`a BIGINT, b`), JSON text (`{"a": "BIGINT"}`), a struct or map of type names, or an array of
/// names.
fn columns(value: &ScalarValue) -> Result<Vec<NamedType>, String> {
    let typed = |name: String, data_type: &str| match parse_type(data_type) {
        Ok(data_type) => Ok((name, Some(data_type))),
        Err(error) => Err(error.to_string()),
    };
    match value {
        ScalarValue::Struct(fields) => fields
            .columns()
            .iter()
            .zip(fields.fields())
            .map(|(column, field)| {
                let value = ScalarValue::try_from_array(column, 0).map_err(|error| error.to_string())?;
                typed(field.name().clone(), &text(&value)?)
            })
            .collect(),
        ScalarValue::Map(map) => {
            let pair = |array: &arrow::array::ArrayRef, at| {
                ScalarValue::try_from_array(array, at)
                    .map_err(|error| error.to_string())
                    .and_then(|v| text(&v))
            };
            let entries = map.value(0);
            let [names, types] = entries.columns() else {
                return Err("a map of names to types is wanted".into());
            };
            (0..arrow::array::Array::len(&entries))
                .map(|at| typed(pair(names, at)?, &pair(types, at)?))
                .collect()
        }
        ScalarValue::List(_) | ScalarValue::LargeList(_) => Ok(texts(value)
            .ok_or("names are wanted")?
            .into_iter()
            .map(|name| (name, None))
            .collect()),
        value => {
            let word = text(value)?;
            if word.trim_start().starts_with('{') {
                let map: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&word).map_err(|error| error.to_string())?;
                return map
                    .into_iter()
                    .map(|(name, data_type)| typed(name, data_type.as_str().ok_or("a type name is wanted")?))
                    .collect();
            }
            parse_columns(&word).map_err(|error| error.to_string())
        }
    }
}
