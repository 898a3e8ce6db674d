//! Paths as users write them → the files behind them.

use std::fmt;
use std::path::{Component, PathBuf};
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use super::error::{FileError, FileErrorKind, Result};
use super::glob::{Glob, is_pattern};
use super::request::FileFormat;

/// A file that a path stands for.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// The store that it is in.
    pub store: ObjectStoreUrl,
    /// Where it is in the store, how large and how old.
    pub meta: ObjectMeta,
    /// What errors and the column `filename` call it: as the user wrote it where that was its name, else its path or
    /// URL.
    pub label: Arc<str>,
}

impl fmt::Display for FoundFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl FoundFile {
    pub(crate) fn open(&self, state: &dyn Session) -> Result<Arc<dyn ObjectStore>> {
        store_of(state, &self.store, &self.label)
    }
}

fn store_of(state: &dyn Session, url: &ObjectStoreUrl, label: &str) -> Result<Arc<dyn ObjectStore>> {
    state.runtime_env().object_store(url).map_err(|error| {
        FileError::new(
            FileErrorKind::Storage,
            format!("{label}: no store is registered for {}: {error}", url.as_str()),
        )
    })
}

/// The files behind `paths`, in the order of `paths` and, within one, of their names. A path is a file, a folder (its
/// files of `format`, at any depth, but for hidden ones), or a pattern; local, or a URL of a store that the session
/// knows. Without `format`, the extension says it, and all files must agree.
///
/// # Errors
/// A path with nothing behind it, files of several formats, a Delta table, a store that does not answer.
pub async fn resolve_files(
    state: &dyn Session,
    paths: &[String],
    format: Option<FileFormat>,
) -> Result<(FileFormat, Vec<FoundFile>)> {
    if paths.is_empty() {
        return Err(FileError::invalid("no path to read"));
    }
    let mut files = Vec::new();
    for path in paths {
        files.extend(resolve(state, path, format).await?);
    }
    let mut agreed = format;
    for file in &files {
        if format.is_some() {
            break;
        }
        let of_file = FileFormat::of_path(file.meta.location.as_ref()).ok_or_else(|| {
            FileError::invalid(format!(
                "{file}: the extension says no format (csv, tsv, json, jsonl, ndjson, parquet; text also with .gz, .zst, \
                 .bz2, .xz); name one: read_csv('{file}'), read_json('{file}') or read_parquet('{file}')"
            ))
        })?;
        if let Some(first) = agreed.replace(of_file)
            && first != of_file
        {
            let first_file = files.first().map_or("", |file| file.label.as_ref());
            return Err(FileError::invalid(format!(
                "{first_file} and {file} are of different formats; read them by patterns of one format each, as 'dir/*.csv'"
            )));
        }
    }
    agreed
        .map(|format| (format, files))
        .ok_or_else(|| FileError::invalid("no path to read"))
}

/// A path taken apart: a store, a key in it, and how to call a file found in it.
struct Location<'a> {
    written: &'a str,
    store: ObjectStoreUrl,
    key: String,
    /// Local paths: the working folder, if the user wrote a relative one.
    relative_to: Option<String>,
}

impl<'a> Location<'a> {
    fn parse(written: &'a str) -> Result<Self> {
        let invalid = |why: &str| FileError::invalid(format!("'{written}' is not a path or URL: {why}"));
        if written.trim().is_empty() {
            return Err(FileError::invalid("an empty path"));
        }
        match written.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => {
                let url = Url::parse(&written.replace('?', "%3F")).map_err(|error| invalid(&error.to_string()))?;
                let path = url
                    .to_file_path()
                    .map_err(|()| invalid("a file URL has three slashes: file:///dir/x.csv"))?;
                Ok(Self {
                    written,
                    store: ObjectStoreUrl::local_filesystem(),
                    key: key_of(&path),
                    relative_to: None,
                })
            }
            Some((scheme, rest)) => {
                let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
                let store = ObjectStoreUrl::parse(format!("{}://{host}", scheme.to_ascii_lowercase()))
                    .map_err(|error| invalid(&error.to_string()))?;
                Ok(Self {
                    written,
                    store,
                    key: key.to_string(),
                    relative_to: None,
                })
            }
            None => {
                let given = PathBuf::from(written);
                let here = std::env::current_dir().map_err(|error| invalid(&error.to_string()))?;
                let relative_to = given.is_relative().then(|| format!("{}/", key_of(&here)));
                let mut key = key_of(&here.join(&given));
                if written.ends_with('/') {
                    key.push('/');
                }
                Ok(Self {
                    written,
                    store: ObjectStoreUrl::local_filesystem(),
                    key,
                    relative_to,
                })
            }
        }
    }

    fn is_local(&self) -> bool {
        self.store.as_str().starts_with("file:")
    }

    fn label(&self, location: &Path) -> Arc<str> {
        let key = location.as_ref();
        match &self.relative_to {
            Some(folder) => key
                .strip_prefix(folder.as_str())
                .map_or_else(|| format!("/{key}"), str::to_string)
                .into(),
            None if self.is_local() => format!("/{key}").into(),
            None => format!("{}/{key}", self.store.as_str().trim_end_matches('/')).into(),
        }
    }

    fn path(&self, key: &str) -> Result<Path> {
        let key = key.trim_matches('/');
        Path::parse(key).map_err(|error| FileError::invalid(format!("'{}' is not a path: {error}", self.written)))
    }

    fn found(&self, meta: ObjectMeta, label: Option<&str>) -> FoundFile {
        let label = label.map_or_else(|| self.label(&meta.location), Into::into);
        FoundFile {
            store: self.store.clone(),
            meta,
            label,
        }
    }
}

/// An absolute path as a key of the local store: without the leading slash, `.` and `..` resolved by their names.
fn key_of(path: &std::path::Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

async fn resolve(state: &dyn Session, written: &str, format: Option<FileFormat>) -> Result<Vec<FoundFile>> {
    let location = Location::parse(written)?;
    let store = store_of(state, &location.store, written)?;
    // A name with pattern characters that is there is that file.
    if !location.key.ends_with('/')
        && !location.key.is_empty()
        && let Ok(path) = location.path(&location.key)
    {
        match store.head(&path).await {
            Ok(meta) => return Ok(vec![location.found(meta, Some(written))]),
            Err(object_store::Error::NotFound { .. }) => {}
            // A pattern is no key to some stores, and says nothing about the files behind it.
            Err(_) if is_pattern(&location.key) => {}
            Err(error) => return Err(FileError::store(written, error)),
        }
    }
    if is_pattern(&location.key) {
        return pattern(store.as_ref(), &location).await;
    }
    folder(store.as_ref(), &location, format).await
}

async fn pattern(store: &dyn ObjectStore, location: &Location<'_>) -> Result<Vec<FoundFile>> {
    let glob = Glob::new(&location.key, location.written)?;
    let fixed: Vec<&str> = location.key.split('/').take_while(|part| !is_pattern(part)).collect();
    let base = location.path(&fixed.join("/"))?;
    let levels: Vec<&str> = location.key.split('/').skip(fixed.len()).collect();
    // A brace can hold a slash, and `**` any number of them: such a pattern has no fixed depth.
    let mut files = if levels.iter().any(|level| level.contains("**") || level.contains('{')) {
        list(store, location, &base).await?
    } else {
        walk(store, location, &base, &levels).await?
    };
    files.retain(|meta| glob.matches(meta.location.as_ref()) && !is_hidden(&base, &meta.location, false));
    if files.is_empty() {
        return Err(FileError::new(
            FileErrorKind::NotFound,
            format!("{}: no file matches the pattern", location.written),
        ));
    }
    Ok(files.into_iter().map(|meta| location.found(meta, None)).collect())
}

/// The files `levels` below `base`, without listing folders that cannot match.
async fn walk(
    store: &dyn ObjectStore,
    location: &Location<'_>,
    base: &Path,
    levels: &[&str],
) -> Result<Vec<ObjectMeta>> {
    let mut folders = vec![base.clone()];
    let mut files = Vec::new();
    let Some((_, inner)) = levels.split_last() else {
        return Ok(files);
    };
    for level in inner.iter().map(Some).chain([None]) {
        let level = level.map(|level| Glob::new(level, location.written)).transpose()?;
        let mut below = Vec::new();
        for folder in &folders {
            let prefix = (!folder.as_ref().is_empty()).then_some(folder);
            let listed = store
                .list_with_delimiter(prefix)
                .await
                .map_err(|error| FileError::store(location.written, error))?;
            match &level {
                Some(glob) => below.extend(
                    listed
                        .common_prefixes
                        .into_iter()
                        .filter(|path| path.filename().is_some_and(|n| glob.matches(n))),
                ),
                None => files.extend(listed.objects),
            }
        }
        folders = below;
        if level.is_some() && folders.is_empty() {
            break;
        }
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

async fn folder(
    store: &dyn ObjectStore,
    location: &Location<'_>,
    format: Option<FileFormat>,
) -> Result<Vec<FoundFile>> {
    let base = location.path(&location.key)?;
    let mut files = list(store, location, &base).await?;
    let written = location.written;
    if files.is_empty() {
        let exists = location.is_local() && std::path::Path::new("/").join(base.as_ref()).is_dir();
        let why = if exists {
            "the folder is empty"
        } else {
            "no such file or folder"
        };
        return Err(FileError::new(FileErrorKind::NotFound, format!("{written}: {why}")));
    }
    let in_log = |meta: &ObjectMeta| meta.location.parts().any(|part| part.as_ref() == "_delta_log");
    if files.iter().any(in_log) {
        return Err(FileError::invalid(format!(
            "{written} is a Delta table; its files are not its rows: read it as delta.`{written}`"
        )));
    }
    files.retain(|meta| {
        let of_file = FileFormat::of_path(meta.location.as_ref());
        let wanted = if format.is_some() {
            of_file == format
        } else {
            of_file.is_some()
        };
        wanted && !is_hidden(&base, &meta.location, true)
    });
    if files.is_empty() {
        let what = match format {
            Some(FileFormat::Csv) => ".csv or .tsv",
            Some(FileFormat::Json) => ".json, .jsonl or .ndjson",
            Some(FileFormat::Parquet) => ".parquet",
            None => "csv, json or parquet",
        };
        return Err(FileError::new(
            FileErrorKind::NotFound,
            format!(
                "{written}: the folder has no {what} file; a pattern names others: '{}/*.txt'",
                written.trim_end_matches('/')
            ),
        ));
    }
    Ok(files.into_iter().map(|meta| location.found(meta, None)).collect())
}

async fn list(store: &dyn ObjectStore, location: &Location<'_>, base: &Path) -> Result<Vec<ObjectMeta>> {
    let prefix = (!base.as_ref().is_empty()).then_some(base);
    let mut files: Vec<ObjectMeta> = store
        .list(prefix)
        .try_collect()
        .await
        .map_err(|error| FileError::store(location.written, error))?;
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// Whether a part of `location` below `base` is hidden: it begins with a dot, or is a folder (or, with `files`, anything)
/// that begins with an underscore, as logs and markers do.
fn is_hidden(base: &Path, location: &Path, files: bool) -> bool {
    let below = location
        .as_ref()
        .strip_prefix(base.as_ref())
        .unwrap_or(location.as_ref());
    let mut parts = below.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let is_folder = parts.peek().is_some();
        if part.starts_with('.') || (part.starts_with('_') && (is_folder || files)) {
            return true;
        }
    }
    false
}
