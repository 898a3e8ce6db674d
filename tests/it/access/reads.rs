//! A user without rights gets no byte read: seen at the store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use url::Url;

use super::{in_place, lake, open};
use crate::explain::STATEMENTS;
use crate::support::run;

/// The local files, with notes of what was asked for.
#[derive(Debug)]
struct Watched {
    inner: LocalFileSystem,
    seen: Mutex<Vec<String>>,
}

impl Watched {
    fn note(&self, what: &str, path: Option<&Path>) {
        let path = path.map(ToString::to_string).unwrap_or_default();
        if !path.contains("/_posixlake") && !path.ends_with(".posixlake-access") {
            self.seen.lock().push(format!("{what} {path}"));
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.note("put", Some(path));
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.note("put", Some(path));
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(if options.head { "head" } else { "get" }, Some(path));
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.note("get", Some(path));
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.note("delete", None);
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note("list", prefix);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note("names", prefix);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.note("copy", Some(from));
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn no_plan_of_a_user_without_rights_reads_a_byte() {
    let (_lake, folder) = lake().await;
    let store = Arc::new(Watched {
        inner: LocalFileSystem::new(),
        seen: Mutex::default(),
    });
    for (user, may) in [("nob", false), ("rea", true)] {
        let session = open(&folder, user).await;
        let url = Url::parse("file:///").unwrap();
        session
            .context()
            .runtime_env()
            .register_object_store(&url, store.clone());
        store.seen.lock().clear();
        for sql in STATEMENTS {
            let _ = run(&session, &in_place(&folder, sql)).await;
            let _ = run(&session, &format!("EXPLAIN {}", in_place(&folder, sql))).await;
        }
        for sql in [
            "SELECT current_version('sales')",
            "SHOW TABLES",
            "SELECT * FROM information_schema.columns",
        ] {
            let _ = run(&session, sql).await;
        }
        // The names in the lake's folder are looked at, and filtered; and whether the folder is itself a table.
        let root = folder.to_str().unwrap().trim_start_matches('/');
        let (names, own_log) = (format!("names {root}"), format!("head {root}/_delta_log/"));
        let mut seen = store.seen.lock().clone();
        seen.retain(|what| {
            *what != names
                && !what.starts_with(&own_log)
                && !what.ends_with("/_delta_log")
                && !what.starts_with("list ")
        });
        let logs = store.seen.lock().iter().filter(|what| what.contains("sales")).count();
        assert_eq!(!seen.is_empty(), may, "{user}: {seen:#?}");
        assert_eq!(logs > 0, may, "{user}");
    }
}
