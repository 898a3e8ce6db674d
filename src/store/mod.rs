//! URL to object store: credentials from the environment and from options, one store a bucket, local files made durable.

mod durable;

use std::collections::HashMap;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ObjectStore};
use parking_lot::Mutex;
use url::{Position, Url};

use crate::error::{Error, Result};

pub(crate) use durable::{Deferring, DurableLocal, Unsynced, put_for_commit};

/// The schemes of stores that are not local.
const SCHEMES: [&str; 11] = [
    "s3", "s3a", "az", "azure", "abfs", "abfss", "adl", "gs", "http", "https", "memory",
];

/// All stores of a session, made when first asked for.
///
/// It is also DataFusion's registry, so `FROM 's3://…'` and `COPY … TO 's3://…'` need no registration.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    options: HashMap<String, String>,
    by_origin: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// Stores with settings that win over the environment's.
    ///
    /// # Errors
    /// Where a setting is one that no store knows.
    pub(crate) fn new(options: HashMap<String, String>) -> Result<Self> {
        for key in options.keys() {
            if !is_known_setting(&key.to_ascii_lowercase()) {
                return Err(Error::invalid(format!(
                    "unknown store setting '{key}'; see the settings of S3 (aws_…), Azure (azure_…) and Google Cloud \
                     (google_…) in the documentation of the crate object_store"
                )));
            }
        }
        Ok(Self {
            options,
            by_origin: Mutex::default(),
        })
    }

    /// The store at the root of the URL's bucket, container or file system.
    ///
    /// # Errors
    /// Where the scheme is unknown or the settings do not suffice.
    pub(crate) fn root(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let origin = origin(url);
        if let Some(store) = self.by_origin.lock().get(&origin) {
            return Ok(store.clone());
        }
        let store: Arc<dyn ObjectStore> = if url.scheme() == "file" {
            Arc::new(DurableLocal::default())
        } else {
            let environment = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
            let options = self
                .options
                .iter()
                .map(|(key, value)| (key.to_ascii_lowercase(), value.clone()));
            // Who writes http:// means it.
            let plain = (url.scheme() == "http").then(|| ("allow_http".to_string(), "true".to_string()));
            if !SCHEMES.contains(&url.scheme()) {
                return Err(Error::invalid(format!(
                    "'{origin}': no store is reached by {}://; a location is a folder or a URL with {}",
                    url.scheme(),
                    SCHEMES.map(|scheme| format!("{scheme}://")).join(", ")
                )));
            }
            let (store, _) =
                object_store::parse_url_opts(url, environment.chain(plain).chain(options)).map_err(|error| {
                    Error::invalid(format!("cannot open a store for '{origin}': {error}")).with_source(error)
                })?;
            Arc::from(store)
        };
        self.by_origin.lock().insert(origin, store.clone());
        Ok(store)
    }

    /// The store with the folder at `url` as its root.
    ///
    /// # Errors
    /// As [`Stores::root`].
    pub(crate) fn folder(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(PrefixStore::new(self.root(url)?, path_of(url)?)))
    }

    /// The log store of the table at `url`.
    ///
    /// # Errors
    /// As [`Stores::root`].
    pub(crate) fn log_store(&self, url: &Url) -> Result<LogStoreRef> {
        self.log_store_on(url, self.folder(url)?)
    }

    /// The log store of a table whose folder is the root of `store`.
    ///
    /// # Errors
    /// As [`Stores::root`].
    pub(crate) fn log_store_on(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Result<LogStoreRef> {
        Ok(default_logstore(store, self.root(url)?, url, &StorageConfig::default()))
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.by_origin.lock().insert(origin(url), store)
    }

    fn deregister_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        let origin = origin(url);
        let removed = self.by_origin.lock().remove(&origin);
        removed.ok_or_else(|| DataFusionError::Execution(format!("no store is registered for '{origin}'")))
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        Ok(self.root(url)?)
    }
}

fn is_known_setting(key: &str) -> bool {
    key.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok()
        || key.parse::<object_store::azure::AzureConfigKey>().is_ok()
        || key.parse::<object_store::gcp::GoogleConfigKey>().is_ok()
        || key.parse::<ClientConfigKey>().is_ok()
}

fn origin(url: &Url) -> String {
    url[..Position::BeforePath].to_string()
}

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
