//! Names and types of the columns, out of the options and a sample of the files.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;

use super::super::error::{FileError, Result};
use super::super::request::{FILENAME, FileScanRequest};
use super::super::resolve::FoundFile;
use super::super::types::with_strings;
use super::super::values::{ValueRules, is_readable};
use super::infer::Kinds;
use super::tokenize::Tokenizer;
use super::{Column, CsvTable, broken_error, check_named, chunks_of, dialect_of, empty, take_header, utf8};

/// What a file shows of its columns.
struct Sample {
    names: Vec<String>,
    kinds: Vec<Kinds>,
    complete: bool,
}

/// Works out how `files` are read as one table.
///
/// # Errors
/// Options that contradict each other or name columns that are not there; files that cannot be read as CSV.
pub(crate) async fn plan(
    state: &dyn Session,
    request: &FileScanRequest,
    files: &[FoundFile],
    strings: &DataType,
) -> Result<CsvTable> {
    let options = &request.options;
    let header = options.header.unwrap_or(true);
    if options.union_by_name && (!header || options.columns.is_some()) {
        return Err(FileError::invalid(
            "union_by_name => true wants the names of a header in each file",
        ));
    }
    if options.all_text && !options.types.is_empty() {
        return Err(FileError::invalid("all_text => true and types contradict each other"));
    }
    let zone = state.config_options().execution.time_zone.as_deref();
    let mut table = CsvTable {
        dialect: dialect_of(options, files)?,
        header,
        skip: options.skip,
        compression: options.compression,
        null_values: options.null_values.clone(),
        rules: ValueRules::new(options.date_format.clone(), options.timestamp_format.clone(), zone)?,
        union_by_name: options.union_by_name,
        named: options.columns.is_some(),
        sampled_all: false,
        chunk_bytes: request.chunk_bytes,
        columns: Vec::new(),
        schema: Arc::new(Schema::empty()),
    };
    let sample = sample_files(state, request, files, &mut table).await?;
    let label = files.first().map_or("", |file| file.label.as_ref());
    check_named(
        "types",
        options.types.iter().map(|(name, _)| name),
        &sample.names,
        label,
    )?;

    let mut fields = Vec::with_capacity(sample.names.len() + 1);
    for (name, kinds) in sample.names.iter().zip(&sample.kinds) {
        let declared = declared_type(request, name);
        if let Some(data_type) = declared.as_ref().filter(|data_type| !is_readable(data_type)) {
            return Err(FileError::invalid(format!(
                "{label}: column {name} cannot be read as {} from CSV; read it as STRING and convert it",
                super::super::types::type_name(data_type)
            )));
        }
        let inferred = declared.is_none();
        let data_type = declared.unwrap_or_else(|| kinds.data_type());
        fields.push(Field::new(name, with_strings(&data_type, strings), true));
        table.columns.push(Column {
            name: name.clone(),
            inferred,
        });
    }
    if options.filename {
        if sample.names.iter().any(|name| name == FILENAME) {
            return Err(FileError::schema(format!(
                "{label}: there is a column filename already; read it without filename => true"
            )));
        }
        fields.push(Field::new(FILENAME, strings.clone(), false));
    }
    table.sampled_all = sample.complete;
    table.schema = Arc::new(Schema::new(fields));
    Ok(table)
}

/// The type that the request gives a column, if it does.
fn declared_type(request: &FileScanRequest, name: &str) -> Option<DataType> {
    let options = &request.options;
    let of = |list: &[(String, Option<DataType>)]| {
        list.iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, data_type)| data_type.clone())
    };
    of(&options.types)
        .or_else(|| of(options.columns.as_deref().unwrap_or_default()))
        .or_else(|| options.all_text.then_some(DataType::Utf8View))
        .or_else(|| {
            request.expected_type(name).map(|expected| {
                if is_readable(&expected) {
                    expected
                } else {
                    DataType::Utf8View
                }
            })
        })
}

async fn sample_files(
    state: &dyn Session,
    request: &FileScanRequest,
    files: &[FoundFile],
    table: &mut CsvTable,
) -> Result<Sample> {
    let mut merged: Option<Sample> = None;
    for file in files {
        let sample = sample_file(state, request, file, table).await?;
        match &mut merged {
            None => merged = Some(sample),
            Some(merged) => {
                for (name, kinds) in sample.names.into_iter().zip(sample.kinds) {
                    match merged
                        .names
                        .iter()
                        .position(|known| *known == name)
                        .and_then(|at| merged.kinds.get_mut(at))
                    {
                        Some(known) => known.merge(kinds),
                        None => {
                            merged.names.push(name);
                            merged.kinds.push(kinds);
                        }
                    }
                }
                merged.complete &= sample.complete;
            }
        }
        if !table.union_by_name {
            break;
        }
    }
    let mut merged = merged.ok_or_else(|| FileError::invalid("no file to read"))?;
    merged.complete &= table.union_by_name || files.len() == 1;
    Ok(merged)
}

async fn sample_file(
    state: &dyn Session,
    request: &FileScanRequest,
    file: &FoundFile,
    table: &CsvTable,
) -> Result<Sample> {
    let options = &request.options;
    let label = &file.label;
    let mut chunks = chunks_of(table, table.blocks(file.open(state)?, file, None), label);
    let mut names: Option<Vec<String>> = options
        .columns
        .as_ref()
        .map(|columns| columns.iter().map(|(name, _)| name.clone()).collect());
    if table.header {
        match (take_header(&mut chunks, table, label).await?, &names) {
            (None, Some(_)) => {}
            (None, None) => return Err(empty(label)),
            (Some(header), None) => names = Some(header),
            (Some(header), Some(names)) if header.len() == names.len() => {}
            (Some(header), Some(names)) => {
                return Err(FileError::schema(format!(
                    "{label}: the header has {} columns, and the option columns names {}",
                    header.len(),
                    names.len()
                )));
            }
        }
    }
    let mut kinds: Vec<Kinds> = vec![Kinds::default(); names.as_ref().map_or(0, Vec::len)];
    let mut left = options.sample().unwrap_or(usize::MAX);
    let mut fields = Vec::new();
    while left > 0 && !all_declared(request, names.as_deref()) {
        let Some(chunk) = chunks.next().await? else {
            let names = names.ok_or_else(|| empty(label))?;
            return Ok(Sample {
                names,
                kinds,
                complete: true,
            });
        };
        let known = names.clone().unwrap_or_default();
        let text = utf8(&chunk, label, &table.dialect, &known)?;
        let mut tokens = Tokenizer::new(text.as_bytes(), table.dialect, known.len() == 1);
        while left > 0 {
            fields.clear();
            let record = tokens.record(|_| true, &mut fields);
            let Some((start, count)) = record.map_err(|broken| broken_error(label, &chunk, broken, &known))? else {
                break;
            };
            let names = names.get_or_insert_with(|| (1..=count).map(|at| format!("column{at}")).collect());
            if count != names.len() {
                let broken = super::Broken {
                    offset: start,
                    field: None,
                    why: super::tokenize::Why::Fields(count),
                };
                return Err(broken_error(label, &chunk, broken, names));
            }
            kinds.resize(count, Kinds::default());
            for (field, kinds) in fields.iter().zip(&mut kinds) {
                let raw = field.raw(text);
                if !raw.is_empty() && !table.null_values.iter().any(|null| null == raw) {
                    kinds.note(raw, &table.rules);
                }
            }
            left -= 1;
        }
    }
    let names = names.ok_or_else(|| empty(label))?;
    Ok(Sample {
        names,
        kinds,
        complete: false,
    })
}

/// Whether no type is left to be found.
fn all_declared(request: &FileScanRequest, names: Option<&[String]>) -> bool {
    names.is_some_and(|names| names.iter().all(|name| declared_type(request, name).is_some()))
}
