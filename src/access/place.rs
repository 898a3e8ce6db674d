//! Where a URL or path lies, seen from the lake: in which table, in the lake's own folder, or outside.

use std::sync::Arc;

use object_store::path::Path;
use url::{Position, Url};

use crate::catalog::{DEFAULT_SCHEMA, ONLY_TABLE, has_log};
use crate::error::Result;
use crate::store::{Stores, folder_url, path_of};

/// The folder of users and audit trail, below the lake's.
pub(crate) const FOLDER: &str = "_posixlake";
/// The file that says that a lake has users; it lies beside their folder, so that the loss of one shows.
pub(crate) const MARKER: &str = ".posixlake-access";
/// The table property that says the same of each table.
pub(crate) const MARK: &str = "posixlake.access";

/// A lake's folder and what lies in it that is not a table.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) root: Url,
    /// Whether the lake is itself a table.
    pub(crate) single: bool,
    /// The lake's stores, without a guard.
    pub(crate) stores: Arc<Stores>,
    /// The table of users.
    pub(crate) users: Url,
    /// The table of the audit trail.
    pub(crate) audit: Url,
    folder: Path,
    origin: String,
}

/// What a location is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Table { schema: String, table: String },
    Internal,
    Outside,
}

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FilePlace {
    /// In the folder of a table of this name, or, where the folder is a schema, in that of its table.
    Table {
        first: String,
        second: Option<String>,
        log: bool,
    },
    /// The lake's own folder.
    Root,
    Audit,
    Internal,
    Outside,
}

impl Home {
    /// # Errors
    /// As the store's.
    pub(super) async fn open(root: &Url, stores: &Arc<Stores>) -> Result<Self> {
        Ok(Self {
            single: has_log(stores.folder(root)?.as_ref(), &Path::default()).await?,
            users: folder_url(&format!("{FOLDER}/access"), Some(root))?,
            audit: folder_url(&format!("{FOLDER}/audit"), Some(root))?,
            folder: path_of(root)?,
            origin: root[..Position::BeforePath].to_string(),
            stores: stores.clone(),
            root: root.clone(),
        })
    }

    /// What lies at a table's location.
    pub(crate) fn place(&self, url: &Url) -> Place {
        let Ok(path) = path_of(url) else { return Place::Outside };
        if url[..Position::BeforePath] != self.origin {
            return Place::Outside;
        }
        let Some(parts) = self.inside(&path) else {
            return self.elsewhere(&path);
        };
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        match names.as_slice() {
            [first, ..] if is_internal(first) => Place::Internal,
            [] if self.single => table(DEFAULT_SCHEMA, ONLY_TABLE),
            [name] if !self.single => table(DEFAULT_SCHEMA, name),
            // A folder of this name would be taken for the tables right in the lake.
            [schema, name] if !self.single && *schema != DEFAULT_SCHEMA => table(schema, name),
            _ => Place::Outside,
        }
    }

    /// What a file is that a store holds.
    pub(super) fn file_place(&self, origin: &str, path: &Path) -> FilePlace {
        if origin != self.origin {
            return FilePlace::Outside;
        }
        let Some(parts) = self.inside(path) else {
            return match self.elsewhere(path) {
                Place::Internal => FilePlace::Internal,
                _ => FilePlace::Outside,
            };
        };
        let mut names = parts.into_iter();
        let Some(first) = names.next() else {
            return match self.single {
                true => only_table(false),
                false => FilePlace::Root,
            };
        };
        if is_internal(&first) {
            return match names.next() {
                Some(second) if first == FOLDER && second == "audit" => FilePlace::Audit,
                _ => FilePlace::Internal,
            };
        }
        if self.single {
            return only_table(first == "_delta_log");
        }
        let second = names.next();
        let third = names.next();
        let is_log = |name: &Option<String>| name.as_deref() == Some("_delta_log");
        FilePlace::Table {
            log: is_log(&second) || is_log(&third),
            first,
            second,
        }
    }

    /// The names below the lake's folder.
    fn inside(&self, path: &Path) -> Option<Vec<String>> {
        let parts = path.prefix_match(&self.folder)?;
        Some(parts.map(|part| part.as_ref().to_string()).collect())
    }

    /// A path that is not below the lake's folder by its name can be so by links.
    fn elsewhere(&self, path: &Path) -> Place {
        if self.origin != "file://" {
            return Place::Outside;
        }
        let Ok(real) = folder_url(&format!("/{path}"), None) else {
            return Place::Outside;
        };
        let real = path_of(&real).ok();
        match real.as_ref().and_then(|real| self.inside(real)) {
            Some(parts) if parts.first().is_some_and(|first| is_internal(first)) => Place::Internal,
            _ => Place::Outside,
        }
    }
}

fn table(schema: &str, table: &str) -> Place {
    Place::Table {
        schema: schema.to_string(),
        table: table.to_string(),
    }
}

fn only_table(log: bool) -> FilePlace {
    FilePlace::Table {
        first: ONLY_TABLE.to_string(),
        second: None,
        log,
    }
}

/// Letter case is no way around this where file systems ignore it.
fn is_internal(name: &str) -> bool {
    name.eq_ignore_ascii_case(FOLDER) || name.eq_ignore_ascii_case(MARKER)
}
