//! A table in a backup, as its manifests have it: files that they do not name are not there, and one that is not what they
//! say cannot be read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::copy::check;
use super::manifest::{Entry, checksum};

/// The store of one table, rooted in its folder.
#[derive(Debug)]
pub(super) struct Pinned {
    inner: Arc<dyn ObjectStore>,
    files: Arc<HashMap<String, Entry>>,
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a backup in {}", self.inner)
    }
}

impl Pinned {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, files: Arc<HashMap<String, Entry>>) -> Self {
        Self { inner, files }
    }

    fn entry(&self, location: &Path) -> Result<&Entry> {
        self.files.get(location.as_ref()).ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "the backup's manifests do not name it".into(),
        })
    }

    fn below(&self, prefix: Option<&Path>) -> Vec<ObjectMeta> {
        let paths = self.files.values().filter_map(|entry| {
            let path = Path::parse(&entry.path).ok()?;
            let is_below = prefix.is_none_or(|prefix| path.prefix_matches(prefix) && path != *prefix);
            is_below.then(|| meta(path, entry))
        });
        let mut found: Vec<ObjectMeta> = paths.collect();
        found.sort_by(|a, b| a.location.cmp(&b.location));
        found
    }
}

fn meta(location: Path, entry: &Entry) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: DateTime::<Utc>::from_timestamp_micros(entry.time.unwrap_or_default()).unwrap_or_default(),
        size: entry.size,
        e_tag: None,
        version: None,
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::NotSupported {
        source: "a backup is only read".into(),
    })
}

#[async_trait]
impl ObjectStore for Pinned {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        refused()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        refused()
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let entry = self.entry(location)?;
        if options.range.is_some() {
            return self.inner.get_opts(location, options).await;
        }
        let bytes = match options.head {
            true => Bytes::new(),
            false => self.inner.get(location).await?.bytes().await?,
        };
        if !options.head {
            let found = Entry {
                size: bytes.len() as u64,
                checksum: checksum(&bytes),
                ..entry.clone()
            };
            check(&found, Some(entry)).map_err(|error| Error::Generic {
                store: "backup",
                source: Box::new(error),
            })?;
        }
        Ok(GetResult {
            range: 0..bytes.len() as u64,
            payload: GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed()),
            meta: meta(location.clone(), entry),
            attributes: Default::default(),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| refused()).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::iter(self.below(prefix).into_iter().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let depth = prefix.map_or(0, |prefix| prefix.parts().count()) + 1;
        let (objects, deeper) = self
            .below(prefix)
            .into_iter()
            .partition::<Vec<_>, _>(|meta| meta.location.parts().count() == depth);
        let folders = deeper.iter().map(|meta| meta.location.parts().take(depth).collect());
        let mut common_prefixes: Vec<Path> = folders.collect();
        common_prefixes.dedup();
        Ok(ListResult {
            common_prefixes,
            objects,
        })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        refused()
    }
}
