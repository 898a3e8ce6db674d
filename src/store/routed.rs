//! The store of a bucket that chooses its credentials by path, and whose errors say what failed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    WriteMultipart,
};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::OnceCell;
use url::Url;

use super::conditional::probe;
use super::connect::{Client, client};
use super::location::path_of;
use super::secret::{Kind, Secrets, masked};

/// What errors of stores that are not local say they are of.
pub(crate) const REMOTE: &str = "store";

/// How many objects are deleted at a time where each has credentials of its own.
const DELETES: usize = 16;

/// How often a request is made again whose answer broke off.
const REPEATS: u32 = 5;

/// Which client serves which URL.
#[derive(Debug, Default)]
pub(super) struct Routes {
    settings: BTreeMap<String, String>,
    secrets: RwLock<Secrets>,
    clients: Mutex<HashMap<Key, Arc<Route>>>,
}

/// A bucket, and the secret that it is reached with.
type Key = (String, Option<String>);

impl Routes {
    pub(super) fn new(settings: HashMap<String, String>) -> Self {
        Self {
            settings: settings
                .into_iter()
                .map(|(key, value)| (key.to_ascii_lowercase(), value))
                .collect(),
            ..Self::default()
        }
    }

    pub(super) fn secrets(&self) -> RwLockReadGuard<'_, Secrets> {
        self.secrets.read()
    }

    /// Changes the secrets. What is under way goes on with the credentials that it began with.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Secrets) -> T) -> T {
        let result = change(&mut self.secrets.write());
        self.clients.lock().retain(|(_, secret), _| secret.is_none());
        result
    }

    /// Whether there can be a client for a URL.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn check(&self, url: &Url) -> crate::error::Result<()> {
        let below = format!("{}/{}", super::origin(url), path_of(url)?);
        self.route(url, &below).map(|_| ())
    }

    /// The client for a URL, and the key that tells it from others of the same bucket.
    fn route(&self, bucket: &Url, url: &str) -> crate::error::Result<Arc<Route>> {
        let secret = self.secrets.read().of(url).cloned();
        let key = (super::origin(bucket), secret.as_ref().map(|secret| secret.name.clone()));
        let mut clients = self.clients.lock();
        if let Some(route) = clients.get(&key) {
            return Ok(route.clone());
        }
        let client = client(bucket, &self.settings, secret.as_ref())?;
        let route = Arc::new(Route {
            client,
            origin: key.0.clone(),
            conditional: OnceCell::new(),
        });
        clients.insert(key, route.clone());
        Ok(route)
    }
}

/// A client in use.
#[derive(Debug)]
struct Route {
    client: Client,
    origin: String,
    /// Filled when the store was seen to keep conditional writes.
    conditional: OnceCell<()>,
}

impl Route {
    fn store(&self) -> &dyn ObjectStore {
        self.client.store.as_ref()
    }

    /// The error with the whole URL of what it is about, and without anything secret.
    fn named(&self, doing: &str, location: &Path, error: Error) -> Error {
        let path = format!("{}/{location}", self.origin);
        let said = || masked(&cause(&error), &self.client.hidden);
        let source = || said().into();
        match &error {
            Error::NotFound { .. } => Error::NotFound { path, source: source() },
            Error::AlreadyExists { .. } => Error::AlreadyExists { path, source: source() },
            Error::Precondition { .. } => Error::Precondition { path, source: source() },
            Error::NotModified { .. } => Error::NotModified { path, source: source() },
            Error::PermissionDenied { .. } => Error::PermissionDenied { path, source: source() },
            Error::Unauthenticated { .. } => Error::Unauthenticated { path, source: source() },
            Error::NotSupported { .. } | Error::NotImplemented { .. } => Error::NotSupported {
                source: format!("cannot {doing} '{path}': {}", said()).into(),
            },
            _ => Error::Generic {
                store: REMOTE,
                source: format!("cannot {doing} '{path}': {}", said()).into(),
            },
        }
    }

    /// Sees to it that a write which must not replace anything does not.
    async fn ensure_conditional(&self, location: &Path) -> Result<()> {
        if self.client.kind == Some(Kind::Http) {
            return Err(Error::NotSupported {
                source: "tables on http:// and https:// can be read, not changed".into(),
            });
        }
        if !self.client.compatible {
            return Ok(());
        }
        self.conditional
            .get_or_try_init(|| probe(self.store(), location))
            .await
            .copied()
    }
}

/// An object of a listing with its ETag as a header has it: Azure's listings leave the quotes out, without which the tag
/// matches nothing.
fn quoted(mut meta: ObjectMeta) -> ObjectMeta {
    meta.e_tag = meta.e_tag.map(|tag| match tag.ends_with('"') {
        true => tag,
        false => format!("\"{tag}\""),
    });
    meta
}

/// What an error says, once: texts of errors hold those of the errors below them, or do not.
fn cause(error: &Error) -> String {
    let mut text = match error {
        Error::Generic { source, .. } | Error::NotSupported { source } => source.to_string(),
        Error::NotFound { source, .. }
        | Error::AlreadyExists { source, .. }
        | Error::Precondition { source, .. }
        | Error::NotModified { source, .. }
        | Error::PermissionDenied { source, .. }
        | Error::Unauthenticated { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let mut next = std::error::Error::source(error);
    while let Some(below) = next {
        let said = below.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = below.source();
    }
    text
}

/// The store of one bucket.
#[derive(Debug)]
pub(super) struct Routed {
    routes: Arc<Routes>,
    bucket: Url,
    origin: String,
}

impl fmt::Display for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Routed {
    pub(super) fn new(routes: Arc<Routes>, bucket: Url) -> Self {
        let origin = super::origin(&bucket);
        Self { routes, bucket, origin }
    }

    fn route(&self, location: &Path) -> Result<Arc<Route>> {
        let url = format!("{}/{location}", self.origin);
        self.routes.route(&self.bucket, &url).map_err(|error| Error::Generic {
            store: REMOTE,
            source: error.message().to_string().into(),
        })
    }

    /// What a listing finds, begun again where its answer broke off.
    fn listing(&self, prefix: Option<&Path>, offset: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let route = match self.route(prefix.unwrap_or(&Path::default())) {
            Ok(route) => route,
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        let mut listing = Listing {
            found: futures::stream::empty().boxed(),
            route,
            prefix: prefix.cloned(),
            last: offset.cloned(),
            sorted: true,
            failures: 0,
        };
        listing.begin();
        futures::stream::unfold(listing, |mut listing| async move {
            let next = listing.next().await?;
            Some((next, listing))
        })
        .boxed()
    }
}

/// A listing under way.
struct Listing {
    route: Arc<Route>,
    prefix: Option<Path>,
    found: BoxStream<'static, Result<ObjectMeta>>,
    last: Option<Path>,
    /// Whether what came so far was in order. All stores list so but S3 Express, whose listings cannot be resumed.
    sorted: bool,
    failures: u32,
}

impl Listing {
    fn begin(&mut self) {
        let prefix = self.prefix.as_ref();
        self.found = match &self.last {
            Some(last) => self.route.store().list_with_offset(prefix, last),
            None => self.route.store().list(prefix),
        };
    }

    async fn next(&mut self) -> Option<Result<ObjectMeta>> {
        loop {
            match self.found.next().await? {
                Ok(meta) => {
                    self.sorted &= self.last.as_ref().is_none_or(|last| *last < meta.location);
                    self.last = Some(meta.location.clone());
                    return Some(Ok(quoted(meta)));
                }
                Err(error) if self.sorted && pause(&error, &mut self.failures).await => self.begin(),
                Err(error) => {
                    let folder = self.prefix.clone().unwrap_or_default();
                    return Some(Err(self.route.named("list", &folder, error)));
                }
            }
        }
    }
}

/// Waits before a request is made again whose answer broke off, which the client below does not do by itself. False where
/// that is not what failed, or it failed too often.
async fn pause(error: &Error, failures: &mut u32) -> bool {
    let broke_off = matches!(error, Error::Generic { .. }) && cause(error).contains("response body");
    if !broke_off || *failures >= REPEATS {
        return false;
    }
    *failures += 1;
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..50 << *failures))).await;
    true
}

#[async_trait]
impl ObjectStore for Routed {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let route = self.route(location)?;
        if opts.mode == PutMode::Create {
            let ensured = route.ensure_conditional(location).await;
            ensured.map_err(|error| route.named("write", location, error))?;
        }
        let put = route.store().put_opts(location, payload, opts).await;
        put.map_err(|error| route.named("write", location, error))
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let route = self.route(location)?;
        match route.store().put_multipart_opts(location, opts).await {
            Ok(inner) => Ok(Box::new(NamedUpload {
                inner,
                route,
                location: location.clone(),
            })),
            Err(error) => Err(route.named("write", location, error)),
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let route = self.route(location)?;
        let got = route.store().get_opts(location, options).await;
        let mut result = got.map_err(|error| route.named("read", location, error))?;
        result.payload = match result.payload {
            GetResultPayload::Stream(stream) => {
                let location = location.clone();
                let named = stream.map_err(move |error| route.named("read", &location, error));
                GetResultPayload::Stream(named.boxed())
            }
            other => other,
        };
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let route = self.route(location)?;
        let got = route.store().get_ranges(location, ranges).await;
        got.map_err(|error| route.named("read", location, error))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if !self.routes.secrets().divide(&self.origin) {
            return match self.route(&Path::default()) {
                Ok(route) => route
                    .store()
                    .delete_stream(locations)
                    .map_err(move |error| route.named("delete below", &Path::default(), error))
                    .boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            };
        }
        let this = Self::new(self.routes.clone(), self.bucket.clone());
        let this = Arc::new(this);
        locations
            .map(move |location| {
                let this = this.clone();
                async move {
                    let location = location?;
                    let route = this.route(&location)?;
                    let deleted = route.store().delete(&location).await;
                    deleted.map_err(|error| route.named("delete", &location, error))?;
                    Ok(location)
                }
            })
            .buffered(DELETES)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.cloned().unwrap_or_default();
        let route = self.route(&folder)?;
        let mut failures = 0;
        loop {
            match route.store().list_with_delimiter(prefix).await {
                Ok(mut listed) => {
                    listed.objects = listed.objects.into_iter().map(quoted).collect();
                    return Ok(listed);
                }
                Err(error) if pause(&error, &mut failures).await => {}
                Err(error) => return Err(route.named("list", &folder, error)),
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (source, target) = (self.route(from)?, self.route(to)?);
        if Arc::ptr_eq(&source, &target) && options.mode == CopyMode::Overwrite {
            let copied = source.store().copy_opts(from, to, options).await;
            return copied.map_err(|error| source.named("copy", from, error));
        }
        // Not every store can copy what it must not replace, and none with two sets of credentials.
        if options.mode == CopyMode::Create {
            let bytes = self.get(from).await?.bytes().await?;
            self.put_opts(to, bytes.into(), PutMode::Create.into()).await?;
            return Ok(());
        }
        let mut parts = self.get(from).await?.into_stream();
        let mut upload = WriteMultipart::new(self.put_multipart(to).await?);
        while let Some(part) = parts.try_next().await? {
            upload.wait_for_capacity(4).await?;
            upload.put(part);
        }
        upload.finish().await?;
        Ok(())
    }
}

#[derive(Debug)]
struct NamedUpload {
    inner: Box<dyn MultipartUpload>,
    route: Arc<Route>,
    location: Path,
}

#[async_trait]
impl MultipartUpload for NamedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (route, location) = (self.route.clone(), self.location.clone());
        let part = self.inner.put_part(data);
        Box::pin(async move { part.await.map_err(|error| route.named("write", &location, error)) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.inner.complete().await;
        completed.map_err(|error| self.route.named("write", &self.location, error))
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.inner.abort().await;
        aborted.map_err(|error| self.route.named("abort the upload of", &self.location, error))
    }
}
