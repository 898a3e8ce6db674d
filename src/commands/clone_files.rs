//! The files of a table that is cloned: where they lie, as the clone refers to them.

use std::sync::Arc;

use deltalake_core::kernel::{Add, DeletionVectorDescriptor, StorageType};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use url::{Position, Url};
use uuid::Uuid;

use crate::catalog::Lake;
use crate::error::{Error, Result};
use crate::store::path_of;

/// How many parts of one file are on their way at a time.
const PARTS: usize = 4;

/// A data file as a clone refers to it.
#[derive(Debug, Clone)]
pub(super) struct CopiedFile {
    pub(super) add: Add,
    /// The files that were written for it.
    pub(super) written: Vec<Path>,
}

/// The table whose files are cloned.
pub(super) struct Source {
    url: Url,
    folder: Path,
    store: Arc<dyn ObjectStore>,
}

impl Source {
    /// The table at `url`.
    ///
    /// # Errors
    /// Where its store cannot be opened.
    pub(super) fn new(lake: &Lake, url: &Url) -> Result<Self> {
        Ok(Self {
            url: url.clone(),
            folder: path_of(url)?,
            store: lake.stores().root(url)?,
        })
    }

    /// The file by its absolute location.
    ///
    /// # Errors
    /// Where its deletion vector has no location.
    pub(super) fn referred(&self, add: Add) -> Result<CopiedFile> {
        let deletion_vector = add.deletion_vector.clone().map(|vector| match vector.storage_type {
            StorageType::UuidRelativePath => {
                let location = self.vector_url(&vector)?;
                Ok(DeletionVectorDescriptor {
                    storage_type: StorageType::AbsolutePath,
                    path_or_inline_dv: location.to_string(),
                    ..vector
                })
            }
            StorageType::Inline | StorageType::AbsolutePath => Ok::<_, Error>(vector),
        });
        let path = match is_absolute(&add.path) {
            true => add.path.clone(),
            // As an action holds it, decoded; the log encodes it.
            false => format!("{}/{}/{}", &self.url[..Position::BeforePath], self.folder, add.path),
        };
        let add = Add {
            path,
            deletion_vector: deletion_vector.transpose()?,
            ..add
        };
        Ok(CopiedFile {
            add,
            written: Vec::new(),
        })
    }

    /// A copy of the file under a name of its own, in `folder` of the store `to`.
    pub(super) fn copied(
        &self,
        add: Add,
        to: Arc<dyn ObjectStore>,
        folder: Path,
    ) -> impl Future<Output = Result<CopiedFile>> + Send + use<> {
        let from = self.store.clone();
        let locations = self
            .location(&add)
            .and_then(|data| Ok((data, self.vector_location(&add)?)));
        let name = new_name(&add.path);
        async move {
            let (data, vector) = locations?;
            let mut written = vec![below(&folder, &name)?];
            for target in &written {
                copy(from.as_ref(), &data, to.as_ref(), target).await?;
            }
            if let Some((location, name)) = vector {
                let target = below(&folder, &name)?;
                copy(from.as_ref(), &location, to.as_ref(), &target).await?;
                written.push(target);
            }
            Ok(CopiedFile {
                add: Add { path: name, ..add },
                written,
            })
        }
    }

    fn location(&self, add: &Add) -> Result<Path> {
        if !is_absolute(&add.path) {
            return below(&self.folder, &add.path);
        }
        let origin = &self.url[..Position::BeforePath];
        match add.path.strip_prefix(origin) {
            Some(path) => parsed(path.trim_start_matches('/')),
            None => Err(Error::unsupported(format!(
                "the file '{}' lies in another store than the table; clone the table that it belongs to",
                add.path
            ))),
        }
    }

    /// Where a deletion vector lies, and its path below the table.
    fn vector_location(&self, add: &Add) -> Result<Option<(Path, String)>> {
        match &add.deletion_vector {
            Some(vector) if vector.storage_type == StorageType::UuidRelativePath => {
                let location = path_of(&self.vector_url(vector)?)?;
                let relative = location
                    .as_ref()
                    .strip_prefix(self.folder.as_ref())
                    .unwrap_or(location.as_ref());
                let relative = relative.trim_start_matches('/').to_string();
                Ok(Some((location, relative)))
            }
            Some(vector) if vector.storage_type == StorageType::AbsolutePath => Err(Error::unsupported(
                "the table is a shallow clone with deletion vectors of its source, which cannot be copied yet; clone the \
                 source, or purge the vectors with REORG TABLE t APPLY (PURGE) first",
            )),
            _ => Ok(None),
        }
    }

    fn vector_url(&self, vector: &DeletionVectorDescriptor) -> Result<Url> {
        let broken = |error: delta_kernel::Error| Error::corrupt(format!("a deletion vector has no location: {error}"));
        let vector = delta_kernel::actions::deletion_vector::DeletionVectorDescriptor::try_from(vector.clone());
        let location = vector
            .and_then(|vector| vector.absolute_path(&self.url))
            .map_err(broken)?;
        location.ok_or_else(|| Error::corrupt("a deletion vector has no location"))
    }
}

fn is_absolute(path: &str) -> bool {
    path.contains("://")
}

/// A name that no file of any version of the clone has: the folders of the partition stay.
fn new_name(path: &str) -> String {
    let (folder, file) = match path.rsplit_once('/') {
        Some((folder, file)) if !is_absolute(path) => (Some(folder), file),
        Some((_, file)) => (None, file),
        None => (None, path),
    };
    let ending = file.split_once('.').map_or("parquet", |(_, ending)| ending);
    let name = format!("part-00000-{}-c000.{ending}", Uuid::new_v4());
    folder.map_or(name.clone(), |folder| format!("{folder}/{name}"))
}

fn below(folder: &Path, relative: &str) -> Result<Path> {
    parsed(&format!("{folder}/{relative}"))
}

/// A path as it stands: its signs are not encoded again.
fn parsed(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|error| Error::corrupt(format!("'{path}' is not a file's path: {error}")))
}

async fn copy(from: &dyn ObjectStore, source: &Path, to: &dyn ObjectStore, target: &Path) -> Result<()> {
    let mut bytes = from.get(source).await?.into_stream();
    let mut upload = WriteMultipart::new(to.put_multipart(target).await?);
    let copied: Result<()> = async {
        while let Some(chunk) = bytes.try_next().await? {
            upload.wait_for_capacity(PARTS).await?;
            upload.put(chunk);
        }
        Ok(())
    }
    .await;
    match copied {
        Ok(()) => {
            upload.finish().await?;
            Ok(())
        }
        Err(error) => {
            // What was uploaded is given up; the copy's own error is what matters.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}
