//! URL to object store: credentials by URL from secrets, options and the environment; errors that name what failed; local
//! files made durable.

mod conditional;
mod connect;
mod durable;
mod kept;
mod location;
mod profile;
mod routed;
mod secret;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use url::{Position, Url};

use crate::access::{Access, Guarded, MARK};
use crate::error::{Error, Result};
use crate::log::USER;

pub(crate) use durable::{Deferring, DurableLocal, Unsynced, put_for_commit};
pub(crate) use kept::DataCacheFigures;
use kept::{DataCache, Kept};
pub(crate) use location::{folder_url, path_of};
pub(crate) use routed::REMOTE;
use routed::{Routed, Routes};
pub(crate) use secret::Secret;

/// The schemes of stores that are not local.
const SCHEMES: [&str; 11] = [
    "s3", "s3a", "az", "azure", "abfs", "abfss", "adl", "gs", "http", "https", "memory",
];

/// All stores of a session, made when first asked for, and its secrets.
///
/// It is also DataFusion's registry, so `FROM 's3://…'` and `COPY … TO 's3://…'` need no registration.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    routes: Arc<Routes>,
    by_origin: Arc<Mutex<HashMap<String, Entry>>>,
    /// Whose rights every file is held against.
    access: Option<Arc<Access>>,
    /// Where data files of remote tables are kept, if they are.
    data_cache: Option<Arc<DataCache>>,
}

#[derive(Debug)]
struct Entry {
    store: Arc<dyn ObjectStore>,
    /// Whether it is one that chooses its credentials by path.
    routed: bool,
}

impl Stores {
    /// Stores with settings that win over the environment's.
    ///
    /// # Errors
    /// Where a setting is one that no store knows.
    pub(crate) fn new(mut options: HashMap<String, String>) -> Result<Self> {
        let data_cache = DataCache::of(&mut options)?.map(Arc::new);
        for key in options.keys() {
            if !connect::is_known(&key.to_ascii_lowercase()) {
                return Err(Error::invalid(format!(
                    "unknown store setting '{key}'; docs/stores.md lists those of S3 (aws_…), Azure (azure_…) and \
                     Google Cloud (google_…)"
                )));
            }
        }
        Ok(Self {
            routes: Arc::new(Routes::new(options)),
            by_origin: Arc::default(),
            access: None,
            data_cache,
        })
    }

    /// The same stores, behind the rights of a session's user.
    pub(crate) fn guarded(&self, access: Arc<Access>) -> Self {
        Self {
            routes: self.routes.clone(),
            by_origin: self.by_origin.clone(),
            access: Some(access),
            data_cache: self.data_cache.clone(),
        }
    }

    /// The rights that the stores are behind.
    pub(crate) fn access(&self) -> Option<&Arc<Access>> {
        self.access.as_ref()
    }

    /// The store at the root of the URL's bucket, container or file system.
    ///
    /// # Errors
    /// Where the scheme is unknown or the settings for the URL do not suffice.
    pub(crate) fn root(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let store = self.unguarded(url)?;
        Ok(match &self.access {
            Some(access) => Arc::new(Guarded::new(store, access.clone(), origin(url))),
            None => store,
        })
    }

    fn unguarded(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let origin = origin(url);
        let known = self
            .by_origin
            .lock()
            .get(&origin)
            .map(|entry| (entry.store.clone(), entry.routed));
        if let Some((store, routed)) = known {
            if routed {
                self.routes.check(url)?;
            }
            return Ok(store);
        }
        let routed = url.scheme() != "file";
        let store: Arc<dyn ObjectStore> = if routed {
            if !SCHEMES.contains(&url.scheme()) {
                return Err(Error::invalid(format!(
                    "'{origin}': no store is reached by {}://; a location is a folder or a URL with {}",
                    url.scheme(),
                    SCHEMES.map(|scheme| format!("{scheme}://")).join(", ")
                )));
            }
            self.routes.check(url)?;
            let root = Url::parse(&origin)
                .map_err(|error| Error::invalid(format!("'{origin}' is not a usable location: {error}")))?;
            Arc::new(Routed::new(self.routes.clone(), root))
        } else {
            Arc::new(DurableLocal::default())
        };
        let entry = Entry {
            store: store.clone(),
            routed,
        };
        self.by_origin.lock().insert(origin, entry);
        Ok(store)
    }

    /// The store with the folder at `url` as its root.
    ///
    /// # Errors
    /// As [`Stores::root`].
    pub(crate) fn folder(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(PrefixStore::new(self.root(url)?, path_of(url)?)))
    }

    /// The store of data files of one table, which come from the local disk where they are kept there.
    pub(crate) fn kept<'a>(
        &self,
        store: Arc<dyn ObjectStore>,
        url: &Url,
        files: impl Iterator<Item = &'a ObjectMeta>,
    ) -> Arc<dyn ObjectStore> {
        match &self.data_cache {
            Some(cache) if !matches!(url.scheme(), "file" | "memory") => Arc::new(Kept {
                inner: store,
                cache: cache.clone(),
                access: self.access.clone(),
                origin: origin(url),
                files: files.map(|file| (file.location.clone(), file.clone())).collect(),
            }),
            _ => store,
        }
    }

    /// What the cache of data files has done and has; none where there is none.
    pub(crate) fn data_cache(&self) -> Option<DataCacheFigures> {
        self.data_cache.as_ref().map(|cache| cache.figures())
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
        Ok(default_logstore(store, self.root(url)?, url, &self.author(url)))
    }

    /// Whether there is a secret of that name.
    pub(crate) fn has_secret(&self, name: &str) -> bool {
        self.routes.secrets().contains(name)
    }

    /// Adds a secret, or puts it in the place of the one of its name.
    ///
    /// # Errors
    /// Where another secret has its scope.
    pub(crate) fn put_secret(&self, secret: Secret) -> Result<()> {
        self.routes.change(|secrets| secrets.put(secret))
    }

    /// Removes a secret, and says whether there was one.
    pub(crate) fn remove_secret(&self, name: &str) -> bool {
        self.routes.change(|secrets| secrets.remove(name))
    }

    /// Name, type, scopes and options of each secret; values that are secret are masked.
    pub(crate) fn shown_secrets(&self) -> Vec<[String; 4]> {
        let secrets = self.routes.secrets();
        let shown = secrets.all().map(|secret| {
            [
                secret.name.clone(),
                secret.kind.name().to_string(),
                secret.scopes.join(", "),
                secret.shown(),
            ]
        });
        shown.collect()
    }
}

impl Stores {
    /// What commits to the table at `url` say beside what they do: whose they are, and to whose lake the table belongs.
    fn author(&self, url: &Url) -> StorageConfig {
        let mut config = StorageConfig::default();
        if let Some(access) = &self.access {
            config.raw.extend(access.user().map(|user| (USER.to_string(), user)));
            config
                .raw
                .extend(access.mark_of(url).map(|mark| (MARK.to_string(), mark)));
        }
        config
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        let entry = Entry { store, routed: false };
        self.by_origin
            .lock()
            .insert(origin(url), entry)
            .map(|entry| entry.store)
    }

    fn deregister_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        let origin = origin(url);
        let removed = self.by_origin.lock().remove(&origin);
        let removed = removed.map(|entry| entry.store);
        removed.ok_or_else(|| DataFusionError::Execution(format!("no store is registered for '{origin}'")))
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        Ok(self.root(url)?)
    }
}

fn origin(url: &Url) -> String {
    url[..Position::BeforePath].to_string()
}
