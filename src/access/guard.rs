//! The wall behind all checks of statements: a store that gives a user's session no file that the user has no right to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use posixlake_sql::Privilege;

use super::place::FilePlace;
use super::{Access, State};
use crate::catalog::DEFAULT_SCHEMA;
use crate::error::Error;

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Read,
    Write,
    /// The names in one folder.
    List,
    /// The names in a folder and all below.
    Walk,
}

/// A store behind the rights of a session's user.
#[derive(Debug)]
pub(crate) struct Guarded {
    inner: Arc<dyn ObjectStore>,
    access: Arc<Access>,
    origin: String,
}

impl Guarded {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, access: Arc<Access>, origin: String) -> Self {
        Self { inner, access, origin }
    }

    fn check(&self, path: &Path, deed: Deed) -> Result<()> {
        check(&self.access, &self.origin, path, deed)
    }
}

/// Whether a session's user may read a file.
///
/// # Errors
/// As the wall's own reads: the user has no right to it.
pub(crate) fn check_read(access: &Access, origin: &str, path: &Path) -> Result<()> {
    check(access, origin, path, Deed::Read)
}

fn check(access: &Access, origin: &str, path: &Path, deed: Deed) -> Result<()> {
    let state = access.state();
    let who = match state.as_ref() {
        State::Off => return Ok(()),
        State::Broken(reason) => return Err(denied(path, reason)),
        State::On(who) => who,
    };
    let rights = &who.rights;
    let place = access
        .home()
        .map_or(FilePlace::Outside, |home| home.file_place(origin, path));
    let allowed = match place {
        FilePlace::Internal => false,
        FilePlace::Audit => deed != Deed::Write && rights.admin(),
        FilePlace::Outside => {
            rights.everything()
                || (deed == Deed::Read && origin == "file://" && access.lent().holds(&format!("/{path}")))
        }
        // Which tables there are is told by a filter of its own.
        FilePlace::Root => matches!(deed, Deed::List) || rights.everything(),
        FilePlace::Table { first, second, log } => {
            let wanted: &[Privilege] = match deed {
                // Whoever changes rows writes files anew, and reads them for it; whoever adds rows need not see any.
                Deed::Read if !log => &[
                    Privilege::Select,
                    Privilege::Update,
                    Privilege::Delete,
                    Privilege::Modify,
                ],
                Deed::Read | Deed::List | Deed::Walk => &Privilege::ALL,
                Deed::Write => &[
                    Privilege::Insert,
                    Privilege::Update,
                    Privilege::Delete,
                    Privilege::Modify,
                ],
            };
            let of_table = rights.on_table(DEFAULT_SCHEMA, &first).has_any(wanted);
            let of_schema = || match &second {
                Some(table) => rights.on_table(&first, table).has_any(wanted),
                None => deed == Deed::List && rights.within_schema(&first),
            };
            // What lies right in the lake's folder is looked at before a table is made in it.
            let of_names = second.as_deref() == Some("_delta_log") && matches!(deed, Deed::List | Deed::Walk);
            of_table
                || of_schema()
                || (of_names && rights.within_schema(&first))
                || (first == "_delta_log" && deed != Deed::Write)
        }
    };
    if allowed {
        return Ok(());
    }
    Err(denied(
        path,
        &format!(
            "user {} has no right to '{path}'",
            posixlake_sql::quote_identifier(&who.user)
        ),
    ))
}

fn denied(path: &Path, reason: &str) -> object_store::Error {
    object_store::Error::PermissionDenied {
        path: path.to_string(),
        source: Box::new(Error::permission(reason.to_string())),
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Guarded {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.check(location, Deed::Write)?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.check(location, Deed::Write)?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(location, Deed::Read)?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(location, Deed::Read)?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (access, origin) = (self.access.clone(), self.origin.clone());
        let allowed = locations.map(move |location| {
            let location = location?;
            check(&access, &origin, &location, Deed::Write).map(|()| location)
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check(prefix.unwrap_or(&Path::default()), Deed::Walk) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check(prefix.unwrap_or(&Path::default()), Deed::Walk) {
            Ok(()) => self.inner.list_with_offset(prefix, offset),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check(prefix.unwrap_or(&Path::default()), Deed::List)?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from, Deed::Read)?;
        self.check(to, Deed::Write)?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.check(from, Deed::Write)?;
        self.check(to, Deed::Write)?;
        self.inner.rename_opts(from, to, options).await
    }
}
