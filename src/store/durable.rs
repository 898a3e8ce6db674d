//! A local store whose answers mean what they say: what was put is on disk, and so is its name.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::failpoint;

/// Marks a write (among [`PutOptions::extensions`]) that need not outlast a power cut: it appears at once or not at all, but
/// when it is on disk is left to the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsynced;

/// Marks a write (among [`PutOptions::extensions`]) that nothing refers to until a later [`PutMode::Create`] through the same
/// store: it is on disk before that name appears. So the files of a commit and the commit itself are synced at once, and
/// not one after the other.
#[derive(Debug, Clone, Copy)]
struct Deferred;

/// Puts a file that a commit is to name, whose bytes are on disk when the commit is.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn put_for_commit(store: &dyn ObjectStore, location: &Path, payload: PutPayload) -> Result<()> {
    let mut opts = PutOptions::default();
    opts.extensions.insert(Deferred);
    store.put_opts(location, payload, opts).await.map(|_| ())
}

/// A store whose small files need only be on disk when the commit that names them is. Large ones, which are uploaded in
/// parts, are synced as they end.
#[derive(Debug)]
pub(crate) struct Deferring(pub(crate) Arc<dyn ObjectStore>);

impl fmt::Display for Deferring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Deferring {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        opts.extensions.insert(Deferred);
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// The local file system, rooted at `/`, with fsync of file and folder behind every write.
///
/// `LocalFileSystem` of object_store 0.13 never syncs: after a power cut, a commit that was acknowledged can be gone or
/// empty.
#[derive(Debug, Default)]
pub(crate) struct DurableLocal {
    inner: LocalFileSystem,
    /// Files that are complete, and perhaps not on disk.
    pending: Arc<Mutex<HashSet<PathBuf>>>,
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableLocal")
    }
}

impl DurableLocal {
    fn file(&self, location: &Path) -> Result<PathBuf> {
        self.inner.path_to_filesystem(location)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let target = Target {
            path: self.file(location)?,
            location: location.clone(),
            synced: if opts.extensions.get::<Unsynced>().is_some() {
                Synced::Never
            } else if opts.extensions.get::<Deferred>().is_some() {
                Synced::Later
            } else {
                Synced::Now
            },
            pending: self.pending.clone(),
        };
        match opts.mode {
            PutMode::Create => blocking(move || create(&target, &payload)).await,
            PutMode::Overwrite => blocking(move || replace(&target, &payload)).await,
            PutMode::Update(_) => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        passing("upload", location, "begin")?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload {
            inner,
            path: self.file(location)?,
            location: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        // Whether a commit came is asked for all the time, and is quicker found out than given to another thread.
        let path = self.file(location)?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound {
                path: location.to_string(),
                source: error.into(),
            }),
            Ok(metadata)
                if metadata.is_file() && (options.head || options.range.is_none() && metadata.len() <= SMALL) =>
            {
                at_once(&path, location, &metadata, &options).map_err(|error| store_error(&path, error))?
            }
            _ => self.inner.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let passed = locations.map(|location| {
            let location = location?;
            passing("delete", &location, "begin").map(|()| location)
        });
        let deleted = self.inner.delete_stream(passed.boxed());
        deleted
            .map(|location| {
                let location = location?;
                passing("delete", &location, "done").map(|()| location)
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        passing("copy", to, "begin")?;
        self.inner.copy_opts(from, to, options).await?;
        passing("copy", to, "named")?;
        let path = self.file(to)?;
        blocking(move || sync(&path)).await?;
        passing("copy", to, "done")
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        passing("rename", to, "begin")?;
        self.inner.rename_opts(from, to, options).await?;
        passing("rename", to, "named")?;
        let path = self.file(to)?;
        blocking(move || sync(&path)).await?;
        passing("rename", to, "done")
    }
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    location: Path,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        passing("upload", &self.location, "staged")?;
        let result = self.inner.complete().await?;
        passing("upload", &self.location, "named")?;
        let path = self.path.clone();
        blocking(move || sync(&path)).await?;
        passing("upload", &self.location, "done")?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// Files up to this size are read by whoever asks for them.
const SMALL: u64 = 64 << 10;

/// What `LocalFileSystem` answers, by this thread.
fn at_once(
    path: &FilePath,
    location: &Path,
    metadata: &Metadata,
    options: &GetOptions,
) -> io::Result<Result<GetResult>> {
    let bytes = if options.head { Vec::new() } else { fs::read(path)? };
    let size = if options.head {
        metadata.len()
    } else {
        bytes.len() as u64
    };
    let modified = metadata.modified()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let meta = ObjectMeta {
        location: location.clone(),
        last_modified: modified.into(),
        size,
        e_tag: Some(format!("{:x}-{since:x}-{size:x}", inode(metadata))),
        version: None,
    };
    Ok(options.check_preconditions(&meta).map(|()| GetResult {
        payload: GetResultPayload::Stream(stream::once(ready(Ok(bytes.into()))).boxed()),
        range: 0..size,
        meta,
        attributes: Attributes::default(),
    }))
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::JoinError { source }),
    }
}

/// [`failpoint::at_store`] as an error of the store.
fn passing(step: &str, location: &Path, place: &str) -> Result<()> {
    failpoint::at_store(step, location, place).map_err(|source| Error::Generic {
        store: "local disk",
        source: Box::new(source),
    })
}

/// When a write has to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Synced {
    Now,
    /// Before the next name appears that is created and synced.
    Later,
    Never,
}

/// Where bytes are to be put.
struct Target {
    path: PathBuf,
    location: Path,
    synced: Synced,
    pending: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Target {
    /// Writes the bytes to a temporary file beside the target, lets `settle` bring it to disk, gives it its name with
    /// `publish`, and syncs the folder.
    fn write_beside(
        &self,
        payload: &PutPayload,
        settle: impl FnOnce(&File) -> io::Result<()>,
        publish: impl FnOnce(&FilePath) -> io::Result<()>,
    ) -> Result<PutResult> {
        let pass = |place| failpoint::at_store("put", &self.location, place);
        let parent = self.path.parent().unwrap_or(FilePath::new("/"));
        let attempt = || -> io::Result<()> {
            pass("begin")?;
            make_folders(parent)?;
            let temporary = parent.join(format!(".{}.tmp", Uuid::new_v4().simple()));
            let written = (|| {
                let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
                for chunk in payload.iter() {
                    file.write_all(chunk)?;
                }
                if self.synced == Synced::Now {
                    settle(&file)?;
                }
                pass("staged")?;
                publish(&temporary)?;
                pass("named")
            })();
            // After a rename there is nothing left to remove; after a link, or a failure, there is.
            let _ = fs::remove_file(&temporary);
            written?;
            match self.synced {
                Synced::Now => sync_folder(parent)?,
                Synced::Later => drop(self.pending.lock().insert(self.path.clone())),
                Synced::Never => {}
            }
            pass("done")
        };
        attempt().map_err(|error| store_error(&self.path, error))?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    /// Brings the file to disk, and with it every file that waits for a name like this one.
    fn sync_with_pending(&self, file: &File) -> io::Result<()> {
        let pending: Vec<PathBuf> = self.pending.lock().iter().cloned().collect();
        let folders: HashSet<&FilePath> = pending.iter().filter_map(|path| path.parent()).collect();
        let names: Vec<&FilePath> = folders
            .into_iter()
            .chain(pending.iter().map(PathBuf::as_path))
            .collect();
        let part = names.len().div_ceil(SYNCS_AT_ONCE).max(SYNCS_OF_A_THREAD);
        thread::scope(|scope| {
            let workers: Vec<_> = names
                .chunks(part)
                .map(|names| scope.spawn(|| names.iter().try_for_each(|name| sync_if_there(name))))
                .collect();
            file.sync_all()?;
            workers.into_iter().try_for_each(|worker| {
                let panicked = |_| Err(io::Error::other("a thread that syncs files stopped"));
                worker.join().unwrap_or_else(panicked)
            })
        })?;
        let mut waiting = self.pending.lock();
        for path in &pending {
            waiting.remove(path);
        }
        Ok(())
    }
}

/// How many files are brought to disk at once: the file system joins them into few journal entries.
const SYNCS_AT_ONCE: usize = 8;

/// A thread takes as long to start as a few syncs that others have done already.
const SYNCS_OF_A_THREAD: usize = 2;

/// A statement that failed has removed its files again.
fn sync_if_there(path: &FilePath) -> io::Result<()> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The name appears at once, with all bytes behind it on disk, or not at all: a reader (or a crash) between creation and
/// content would leave a torn commit.
fn create(target: &Target, payload: &PutPayload) -> Result<PutResult> {
    let settle = |file: &File| target.sync_with_pending(file);
    target.write_beside(payload, settle, |temporary| fs::hard_link(temporary, &target.path))
}

fn replace(target: &Target, payload: &PutPayload) -> Result<PutResult> {
    let publish = |temporary: &FilePath| fs::rename(temporary, &target.path);
    target.write_beside(payload, File::sync_all, publish)
}

/// Creates missing folders, and syncs each new name into its parent.
fn make_folders(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        sync_folder(parent)?;
    }
    Ok(())
}

fn sync(path: &FilePath) -> Result<()> {
    let result = File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| match path.parent() {
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        });
    result.map_err(|error| store_error(path, error))
}

fn sync_folder(folder: &FilePath) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

fn store_error(path: &FilePath, error: io::Error) -> Error {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists {
            path,
            source: Box::new(error),
        },
        io::ErrorKind::NotFound => Error::NotFound {
            path,
            source: Box::new(error),
        },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied {
            path,
            source: Box::new(error),
        },
        _ => Error::Generic {
            store: "local disk",
            source: Box::new(Arc::new(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn small_files_are_what_they_are_to_the_local_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (DurableLocal::default(), LocalFileSystem::new());
        for size in [0, 1, SMALL as usize, SMALL as usize + 1] {
            let path = folder.path().join(size.to_string());
            fs::write(&path, vec![7; size]).unwrap();
            let location = Path::from_absolute_path(&path).unwrap();
            let meta = theirs.head(&location).await.unwrap();
            assert_eq!(ours.head(&location).await.unwrap(), meta);
            let read = ours.get(&location).await.unwrap();
            assert_eq!((read.range.clone(), &read.meta), (0..size as u64, &meta));
            assert_eq!(read.bytes().await.unwrap(), vec![7; size]);
            let changed = GetOptions {
                if_none_match: meta.e_tag.clone(),
                ..GetOptions::default()
            };
            let unchanged = ours.get_opts(&location, changed).await;
            assert!(matches!(unchanged, Err(Error::NotModified { .. })), "{unchanged:?}");
        }
    }
}
