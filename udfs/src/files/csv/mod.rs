//! Delimiter-separated text.
//!
//! What a field means:
//! - The empty field is NULL, and so is a field that is one of `null_value`. In quotes, an empty field is the empty
//!   string and a `null_value` is that text, if the column is STRING; quotes mean nothing to other types.
//! - A quote opens a field at its very start only; elsewhere it is a character like another. Inside, it is written twice.
//! - Spaces belong to text and are passed over around other values and around names in the header.
//! - Empty lines are passed over, but in a table of one column they are rows of NULL.
//! - The first line is the header, unless `header => false`. Names in it must be unique; an empty one is `columnN`.

mod decode;
mod infer;
mod sample;
mod tokenize;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;

use super::chunk::{Chunk, Chunks, QuotedLines, Splitter};
use super::compression::Compression;
use super::error::{FileError, FileErrorKind, Result, clip, did_you_mean};
use super::exec::{Job, Scan, TextReader};
use super::request::ReadOptions;
use super::resolve::FoundFile;
use super::source::{Blocks, blocks};
use super::values::ValueRules;

use decode::{Layout, decode};
pub(crate) use sample::plan;
use tokenize::{Broken, Dialect, Field, Tokenizer};

/// A column of the table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type was found in a sample.
    pub(crate) inferred: bool,
}

/// How files are read as one table: all that decoding needs, found before the first scan.
#[derive(Debug)]
pub(crate) struct CsvTable {
    dialect: Dialect,
    header: bool,
    skip: usize,
    compression: Option<Compression>,
    null_values: Vec<String>,
    rules: ValueRules,
    union_by_name: bool,
    /// `columns` gave the names; the header's do not matter.
    named: bool,
    /// The sample covered all rows.
    sampled_all: bool,
    chunk_bytes: Option<usize>,
    /// The columns in the files; the schema may have `filename` after them.
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl CsvTable {
    fn blocks(&self, store: Arc<dyn ObjectStore>, file: &FoundFile, scan: Option<&Scan>) -> Blocks {
        let compression = self
            .compression
            .unwrap_or_else(|| Compression::of_name(file.meta.location.as_ref()).0);
        blocks(
            store,
            file,
            compression,
            self.chunk_bytes,
            scan.map(|scan| scan.scanned.clone()),
        )
    }

    /// Where the fields of each column of a scan are in a file whose header says `names`.
    fn layout(&self, label: &Arc<str>, names: Option<&[String]>, scan: &Scan) -> Result<Layout> {
        let expected = || self.columns.iter().map(|column| column.name.clone());
        let Some(names) = names.filter(|_| !self.named) else {
            let count = names.map_or(self.columns.len(), <[String]>::len);
            if count != self.columns.len() {
                return Err(FileError::schema(format!(
                    "{label}: the header has {count} columns, and the option columns names {}",
                    self.columns.len()
                )));
            }
            return Ok(Layout::new(Arc::clone(label), expected().collect(), &self.schema, scan));
        };
        if let Some(unknown) = names
            .iter()
            .find(|name| !self.columns.iter().any(|column| column.name == **name))
        {
            return Err(self.mismatch(
                label,
                format!("has a column {unknown}, which the table does not have"),
                names,
            ));
        }
        if !self.union_by_name && !names.iter().eq(self.columns.iter().map(|column| &column.name)) {
            let missing = self.columns.iter().find(|column| !names.contains(&column.name));
            let what = missing.map_or_else(
                || "has the columns in another order".into(),
                |column| format!("has no column {}", column.name),
            );
            return Err(self.mismatch(label, what, names));
        }
        Ok(Layout::new(Arc::clone(label), names.to_vec(), &self.schema, scan))
    }

    fn mismatch(&self, label: &str, what: String, names: &[String]) -> FileError {
        let table: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        FileError::schema(format!(
            "{label}: the header {what} (it says {}; the table has {}); set union_by_name => true to match columns by name",
            clip(&names.join(",")),
            clip(&table.join(","))
        ))
    }
}

impl TextReader for CsvTable {
    fn format_name(&self) -> &'static str {
        "csv"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn jobs(
        self: Arc<Self>,
        store: Arc<dyn ObjectStore>,
        file: FoundFile,
        scan: Arc<Scan>,
    ) -> BoxStream<'static, Result<Job>> {
        let label = Arc::clone(&file.label);
        let chunks = chunks_of(&self, self.blocks(store, &file, Some(&scan)), &label);
        let state = (chunks, None::<Arc<Layout>>);
        futures::stream::try_unfold(state, move |(mut chunks, mut layout)| {
            let (table, label, scan) = (Arc::clone(&self), Arc::clone(&label), Arc::clone(&scan));
            async move {
                if layout.is_none() {
                    let names = if table.header {
                        Some(take_header(&mut chunks, &table, &label).await?)
                    } else {
                        None
                    };
                    if let Some(None) = names {
                        // Without a header there is nothing below it.
                        return if table.named { Ok(None) } else { Err(empty(&label)) };
                    }
                    layout = Some(Arc::new(table.layout(&label, names.flatten().as_deref(), &scan)?));
                }
                let (Some(chunk), Some(known)) = (chunks.next().await?, layout.clone()) else {
                    return Ok(None);
                };
                let job: Job = Box::new(move || decode(&table, &known, &scan, &chunk));
                Ok(Some((job, (chunks, layout))))
            }
        })
        .boxed()
    }
}

fn empty(label: &str) -> FileError {
    FileError::new(
        FileErrorKind::Data,
        format!("{label}: the file is empty, not even a header; name its columns: columns => 'id BIGINT, name STRING'"),
    )
}

/// The chunks of a file that is read as `table`.
fn chunks_of(table: &CsvTable, blocks: Blocks, label: &Arc<str>) -> Chunks<QuotedLines> {
    let Dialect {
        delimiter,
        quote,
        escape,
        comment,
    } = table.dialect;
    let boundaries = QuotedLines::new(delimiter, quote, escape, comment);
    Chunks::new(blocks, Splitter::new(boundaries, Arc::clone(label), table.skip))
}

/// The names in the first record, which is taken off; nothing for a file without a record.
async fn take_header(chunks: &mut Chunks<QuotedLines>, table: &CsvTable, label: &str) -> Result<Option<Vec<String>>> {
    while let Some(chunk) = chunks.next().await? {
        let mut tokens = Tokenizer::new(&chunk.bytes, table.dialect, false);
        let mut fields = Vec::new();
        let record = tokens.record(|_| true, &mut fields);
        if let Some((start, _)) = record.map_err(|broken| broken_error(label, &chunk, broken, &[]))? {
            let end = tokens.position();
            let head = Chunk {
                bytes: chunk.bytes.slice(..end),
                first_line: chunk.first_line,
            };
            let text = utf8(&head, label, &table.dialect, &[])?;
            let names = header_names(&table.dialect, text, &fields);
            if !table.named
                && let Some(why) = duplicate(&names)
            {
                return Err(FileError::schema(format!(
                    "{label}, line {}: {why}",
                    chunk.line_of(start)
                )));
            }
            chunks.put_back(chunk.from(end));
            return Ok(Some(names));
        }
    }
    Ok(None)
}

fn header_names(dialect: &Dialect, text: &str, fields: &[Field]) -> Vec<String> {
    let name = |(position, field): (usize, &Field)| {
        let raw = field.raw(text);
        let name = match (field.is_escaped(), field.is_quoted()) {
            (true, _) => dialect.unescape(raw),
            (false, true) => raw.to_string(),
            (false, false) => raw.trim().to_string(),
        };
        if name.is_empty() {
            format!("column{}", position + 1)
        } else {
            name
        }
    };
    fields.iter().enumerate().map(name).collect()
}

/// What is wrong with `names` if one is there twice.
fn duplicate(names: &[String]) -> Option<String> {
    let mut seen = HashMap::with_capacity(names.len());
    names.iter().enumerate().find_map(|(position, name)| {
        let first = seen.insert(name, position)?;
        Some(format!(
            "the header has the name {name} twice, for columns {} and {}; name the columns: columns => '…'",
            first + 1,
            position + 1
        ))
    })
}

/// The text of a chunk.
///
/// # Errors
/// Bytes that are not UTF-8, with their line and column.
fn utf8<'a>(chunk: &'a Chunk, label: &str, dialect: &Dialect, names: &[String]) -> Result<&'a str> {
    std::str::from_utf8(&chunk.bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let byte = chunk.bytes.get(offset).copied().unwrap_or_default();
        let column = column_at(chunk, dialect, names, offset);
        FileError::data(format!(
            "{label}, line {}{column}: the byte 0x{byte:02X} is not UTF-8; convert the file: iconv -f LATIN1 -t UTF-8 …",
            chunk.line_of(offset)
        ))
    })
}

/// `, column NAME` for the byte at `offset`, where it is in a field.
fn column_at(chunk: &Chunk, dialect: &Dialect, names: &[String], offset: usize) -> String {
    let mut tokens = Tokenizer::new(&chunk.bytes, *dialect, names.len() == 1);
    let mut fields = Vec::new();
    loop {
        fields.clear();
        match tokens.record(|_| true, &mut fields) {
            Ok(Some(_)) if tokens.position() <= offset => {}
            Ok(Some(_)) => break,
            Ok(None) | Err(_) => return String::new(),
        }
    }
    let position = fields.iter().rposition(|field| field.start() <= offset);
    position.map(|position| named(names, position)).unwrap_or_default()
}

fn named(names: &[String], position: usize) -> String {
    names
        .get(position)
        .map_or_else(String::new, |name| format!(", column {name}"))
}

fn broken_error(label: &str, chunk: &Chunk, broken: Broken, names: &[String]) -> FileError {
    let column = broken.field.map(|field| named(names, field)).unwrap_or_default();
    let line = chunk.line_of(broken.offset);
    FileError::data(format!(
        "{label}, line {line}{column}: {}",
        broken.why.explain(names.len())
    ))
}

/// Refuses types for columns that are not there.
fn check_named<'a>(
    option: &str,
    named: impl Iterator<Item = &'a String>,
    columns: &[String],
    label: &str,
) -> Result<()> {
    for name in named {
        if !columns.contains(name) {
            let hint = did_you_mean(name, columns.iter().map(String::as_str));
            return Err(FileError::invalid(format!(
                "{label}: {option} names a column {name}, which is not there{hint}; the columns are {}",
                columns.join(", ")
            )));
        }
    }
    Ok(())
}

/// The characters that mean something, by options and name.
fn dialect_of(options: &ReadOptions, files: &[FoundFile]) -> Result<Dialect> {
    let by_name = |file: &FoundFile| {
        let (_, stem) = Compression::of_name(file.meta.location.as_ref());
        if stem.to_ascii_lowercase().ends_with(".tsv") {
            b'\t'
        } else {
            b','
        }
    };
    let delimiter = match (options.delimiter, files.first()) {
        (Some(delimiter), _) => delimiter,
        (None, Some(first)) => {
            let delimiter = by_name(first);
            if let Some(other) = files.iter().find(|file| by_name(file) != delimiter) {
                return Err(FileError::invalid(format!(
                    "{first} and {other} have different delimiters by their extensions; set delimiter => '…' for all"
                )));
            }
            delimiter
        }
        (None, None) => b',',
    };
    let quote = options.quote.unwrap_or(Some(b'"'));
    let escape = options.escape.filter(|escape| Some(*escape) != quote);
    let dialect = Dialect {
        delimiter,
        quote,
        escape,
        comment: options.comment,
    };
    if quote == Some(delimiter) || options.comment == Some(delimiter) || (quote.is_some() && quote == options.comment) {
        return Err(FileError::invalid(
            "delimiter, quote and comment must be different characters",
        ));
    }
    Ok(dialect)
}
