//! Local folders whose files a session may read although its user may read none: those into which a front door puts what the user gave to it.

use std::path::Path as FilePath;

use object_store::path::Path;
use parking_lot::RwLock;

use crate::error::Result;
use crate::store::{folder_url, path_of};

/// The folders of one session.
#[derive(Debug, Default)]
pub(crate) struct Lent(RwLock<Vec<Path>>);

impl Lent {
    /// # Errors
    /// Where there can be no such folder.
    pub(crate) fn add(&self, folder: &FilePath) -> Result<()> {
        let url = folder_url(&folder.to_string_lossy(), None)?;
        self.0.write().push(path_of(&url)?);
        Ok(())
    }

    /// Whether a path or URL is of a file in such a folder, whatever links lead to it.
    pub(crate) fn holds(&self, location: &str) -> bool {
        let folders = self.0.read();
        if folders.is_empty() {
            return false;
        }
        let Ok(url) = folder_url(location, None) else {
            return false;
        };
        url.scheme() == "file"
            && path_of(&url).is_ok_and(|path| folders.iter().any(|folder| path.prefix_matches(folder)))
    }
}
