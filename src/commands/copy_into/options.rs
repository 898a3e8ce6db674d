//! `FORMAT_OPTIONS` and `COPY_OPTIONS`: those of Spark that mean something here, and the readers' own.

use posixlake_udfs::{FileFormat, FileScanRequest};

use crate::commands::show::did_you_mean;
use crate::error::{Error, Result};

/// `COPY_OPTIONS`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CopyOptions {
    /// Load files that were loaded before.
    pub(super) force: bool,
    /// Add the files' columns to the table.
    pub(super) merge_schema: bool,
}

impl CopyOptions {
    /// # Errors
    /// Where an option is not known, is given twice or is not true or false.
    pub(super) fn of(pairs: &[(String, String)]) -> Result<Self> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for (key, value) in pairs {
            let name = key.to_lowercase();
            if seen.contains(&name) {
                return Err(Error::invalid(format!("COPY_OPTIONS: {key} is given twice")));
            }
            match name.as_str() {
                "force" => options.force = flag("COPY_OPTIONS", key, value)?,
                "mergeschema" => options.merge_schema = flag("COPY_OPTIONS", key, value)?,
                _ => {
                    let near = did_you_mean(key, ["force", "mergeSchema"].into_iter());
                    return Err(Error::invalid(format!(
                        "COPY_OPTIONS has no '{key}'{near}; its options are 'force' and 'mergeSchema'"
                    )));
                }
            }
            seen.push(name);
        }
        Ok(options)
    }
}

fn flag(clause: &str, key: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::invalid(format!(
            "{clause}: '{key}' is 'true' or 'false', not '{value}'"
        ))),
    }
}

/// The reader's options that `FORMAT_OPTIONS` stand for.
///
/// # Errors
/// Where an option is not known, is given twice or does not take the value.
pub(super) fn read_options(format: FileFormat, pairs: &[(String, String)]) -> Result<Vec<(String, String)>> {
    let mut options: Vec<(String, String)> = Vec::new();
    for (key, value) in pairs {
        let Some((name, text)) = reader_option(format, key, value)? else {
            continue;
        };
        if options.iter().any(|(known, _)| *known == name) {
            return Err(Error::invalid(format!("FORMAT_OPTIONS: {key} is given twice")));
        }
        options.push((name, text));
    }
    // Columns are paired by name, between the files as with the table: unless they have no names of their own.
    let has = |wanted: &str| options.iter().any(|(name, _)| name == wanted);
    let unnamed = options
        .iter()
        .any(|(name, value)| name == "header" && value.eq_ignore_ascii_case("false"));
    let unites = format.options().iter().any(|(name, _)| *name == "union_by_name");
    if unites && !unnamed && !has("columns") && !has("union_by_name") {
        options.push(("union_by_name".to_string(), "true".to_string()));
    }
    // Whether the values fit shows by setting them.
    let mut request = FileScanRequest::new(format, ["-"]);
    for (name, text) in &options {
        request = request.with_option(name, &text.as_str().into())?;
    }
    Ok(options)
}

/// The reader's name and value for an option; none where it asks for what is always done.
fn reader_option(format: FileFormat, key: &str, value: &str) -> Result<Option<(String, String)>> {
    let known = |name: &str| format.options().iter().any(|(option, _)| *option == name);
    let name = match key.to_lowercase().as_str() {
        "sep" | "delimiter" => "delimiter",
        "nullvalue" => "null_value",
        "mergeschema" if known("union_by_name") => "union_by_name",
        "mergeschema" if flag("FORMAT_OPTIONS", key, value)? => return Ok(None),
        "inferschema" if flag("FORMAT_OPTIONS", key, value)? => return Ok(None),
        "inferschema" => "all_text",
        "multiline" if flag("FORMAT_OPTIONS", key, value)? => return Ok(None),
        "encoding" | "charset" if value.eq_ignore_ascii_case("utf-8") => return Ok(None),
        "dateformat" | "timestampformat" => {
            return Err(Error::unsupported(format!(
                "FORMAT_OPTIONS: '{key}' is written as Java writes it; use 'date_format' = '%Y-%m-%d' and \
                 'timestamp_format' = '%Y-%m-%d %H:%M:%S'"
            )));
        }
        _ => return own_option(format, key, value).map(Some),
    };
    if !known(name) {
        return own_option(format, key, value).map(Some);
    }
    let value = if key.eq_ignore_ascii_case("inferschema") {
        "true"
    } else {
        value
    };
    Ok(Some((name.to_string(), value.to_string())))
}

fn own_option(format: FileFormat, key: &str, value: &str) -> Result<(String, String)> {
    let name = key.to_lowercase();
    let names = || format.options().iter().map(|(name, _)| *name);
    if names().any(|known| known == name) {
        return Ok((name, value.to_string()));
    }
    let list = names().collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() {
        "there are none for this format".to_string()
    } else {
        format!("there are {list}")
    };
    Err(Error::invalid(format!(
        "FORMAT_OPTIONS has no '{key}' = '{value}'{}; {list}",
        did_you_mean(key, names())
    )))
}
