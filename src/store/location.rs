//! Where things lie: texts to URLs, URLs to paths inside their stores.

use std::path::{Component, Path as FilePath, PathBuf};

use object_store::path::Path;
use url::Url;

use crate::error::{Error, Result};

/// The path of a URL inside its store.
///
/// # Errors
/// Where the URL's path is not one that object stores can have.
pub(crate) fn path_of(url: &Url) -> Result<Path> {
    Path::from_url_path(url.path())
        .map_err(|error| Error::invalid(format!("'{url}' is not a usable location: {error}")).with_source(error))
}

/// The URL of a folder, with a trailing slash, from a path or a URL. A relative path is taken from `base`, where one is
/// given, or from the current folder.
///
/// # Errors
/// Where the text is neither.
pub(crate) fn folder_url(location: &str, base: Option<&Url>) -> Result<Url> {
    let trimmed = location.trim();
    if trimmed.is_empty() {
        return Err(Error::invalid("an empty location"));
    }
    let mut url = match Url::parse(trimmed) {
        Ok(url) if trimmed.contains("://") && url.scheme() != "file" => url,
        Ok(url) if trimmed.contains("://") => {
            let path = url
                .to_file_path()
                .map_err(|()| Error::invalid(format!("'{trimmed}' is not a file URL")))?;
            local_url(&path)?
        }
        _ => match base {
            Some(base) if !FilePath::new(trimmed).is_absolute() => {
                let mut url = base.clone();
                url.path_segments_mut()
                    .map_err(|()| Error::invalid(format!("'{base}' cannot hold folders")))?
                    .pop_if_empty()
                    .extend(trimmed.split('/').filter(|part| !part.is_empty() && *part != "."));
                url
            }
            _ => local_url(FilePath::new(trimmed))?,
        },
    };
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The URL of a local folder, absolute, with links resolved as far as the path exists: one table has one URL.
fn local_url(path: &FilePath) -> Result<Url> {
    let expanded = match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_path_buf(),
    };
    let absolute = std::path::absolute(&expanded)
        .map_err(|error| Error::invalid(format!("'{}' is not a path: {error}", path.display())))?;
    let mut existing = absolute.clone();
    let mut missing = Vec::new();
    let resolved = loop {
        if let Ok(resolved) = existing.canonicalize() {
            break resolved;
        }
        match (
            existing.file_name().map(ToOwned::to_owned),
            existing.parent().map(ToOwned::to_owned),
        ) {
            (Some(name), Some(parent)) => {
                missing.push(name);
                existing = parent;
            }
            _ => break absolute.clone(),
        }
    };
    let mut full = resolved;
    full.extend(missing.iter().rev());
    let full: PathBuf = full.components().filter(|part| *part != Component::CurDir).collect();
    Url::from_directory_path(&full).map_err(|()| Error::invalid(format!("'{}' is not a path", path.display())))
}
