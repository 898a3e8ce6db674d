//! Where a new table goes, and whether it can go there.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast::ObjectName;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::catalog::{CATALOG, DEFAULT_SCHEMA, LOCATION_SCHEMA, Lake, SYSTEM_SCHEMA, TableId, check_new_name, has_log};
use crate::error::{Error, Result};
use crate::store::{folder_url, path_of};
use crate::table::types::name_of;

/// The result of statements that return nothing.
pub(super) fn nothing() -> RecordBatch {
    RecordBatch::new_empty(Arc::new(Schema::empty()))
}

/// The schema and the name that an object's name stands for.
///
/// # Errors
/// Where it has other parts.
pub(super) fn names(name: &ObjectName) -> Result<(String, String)> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(name_of)).collect();
    match parts.unwrap_or_default().as_slice() {
        [table] => Ok((DEFAULT_SCHEMA.to_string(), table.clone())),
        [schema, table] => Ok((schema.clone(), table.clone())),
        [catalog, schema, table] if catalog == CATALOG => Ok((schema.clone(), table.clone())),
        _ => Err(Error::invalid(format!(
            "'{name}' is not a table's name; write table or schema.table"
        ))),
    }
}

/// A table that a statement is about to make.
#[derive(Debug, Clone)]
pub(super) struct NewName {
    /// What it will be called and where it will lie.
    pub(super) id: TableId,
    /// Whether the name lives in the session alone, since the table lies outside the lake.
    pub(super) external: bool,
}

impl NewName {
    /// The table of this name, at its place in the lake or at `location`.
    ///
    /// # Errors
    /// Where a table cannot have the name, or something that is no table has it.
    pub(super) fn resolve(lake: &Lake, name: &ObjectName, location: Option<&str>) -> Result<Self> {
        let (schema, table) = names(name)?;
        if schema == "information_schema" {
            return Err(Error::invalid(
                "the schema information_schema describes the lake; it takes no tables",
            ));
        }
        if schema == SYSTEM_SCHEMA {
            return Err(Error::invalid(format!(
                "the schema {SYSTEM_SCHEMA} is the session's own; it takes no tables"
            )));
        }
        if schema == LOCATION_SCHEMA {
            if location.is_some() {
                return Err(Error::invalid(format!(
                    "{name} is a location already; leave LOCATION out"
                )));
            }
            return Ok(Self {
                id: lake.resolve(name)?,
                external: false,
            });
        }
        check_new_name(&table)?;
        check_new_name(&schema)?;
        if lake.registered(&schema, &table).is_some() {
            return Err(Error::already_exists(format!(
                "{} is a view or a registered table of this session; drop it first",
                posixlake_sql::quote_identifier(&table)
            )));
        }
        let Some(location) = location else {
            return Ok(Self {
                id: lake.resolve(name)?,
                external: false,
            });
        };
        let url = folder_url(location, None)?;
        // The place that the name has in the lake, or in the session.
        match lake.resolve(name) {
            Ok(id) if id.url == url => Ok(Self { id, external: false }),
            _ => Ok(Self {
                id: TableId {
                    schema,
                    name: table,
                    url,
                },
                external: true,
            }),
        }
    }

    /// Where the name lies outside the session's own: a table of the lake, or another external one, must not be hidden.
    ///
    /// # Errors
    /// Where one is.
    pub(super) async fn check_not_hiding(&self, lake: &Lake) -> Result<()> {
        if !self.external {
            return Ok(());
        }
        let Ok(url) = lake.locate(&self.id.schema, &self.id.name) else {
            return Ok(());
        };
        match lake.snapshots().latest(&url).await? {
            Some(_) if url != self.id.url => Err(Error::already_exists(format!(
                "table {} exists already, at '{url}'; give the table at '{}' another name",
                self.id.display(),
                self.id.url
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a new table can be made in its folder: what lies there must not be lost to it.
    ///
    /// # Errors
    /// Where the folder is a schema, holds foreign Parquet files, or lies inside another table.
    pub(super) async fn check_free(&self, lake: &Lake) -> Result<()> {
        let store = lake.stores().root(&self.id.url)?;
        let folder = path_of(&self.id.url)?;
        let mut ancestors: Vec<Path> = Vec::new();
        let mut parent = folder.clone();
        while let Some(next) = parent_of(&parent) {
            ancestors.push(next.clone());
            parent = next;
        }
        let root = lake.root().map(path_of).transpose()?;
        for ancestor in ancestors
            .into_iter()
            .take_while(|ancestor| root.as_ref().is_some_and(|root| inside(root, ancestor)))
        {
            if has_log(store.as_ref(), &ancestor).await? {
                return Err(Error::already_exists(format!(
                    "'{}' lies inside the table at '/{ancestor}'; tables do not lie inside each other",
                    self.id.url
                )));
            }
        }
        let listed = match store.list_with_delimiter(Some(&folder)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for inner in listed.common_prefixes {
            let visible = inner.filename().is_some_and(|name| !name.starts_with(['_', '.']));
            if visible && has_log(store.as_ref(), &inner).await? {
                return Err(Error::already_exists(format!(
                    "{} is a schema: it holds the table {}; give the table another name",
                    posixlake_sql::quote_identifier(&self.id.name),
                    inner.filename().unwrap_or_default()
                )));
            }
        }
        let mut files = store.list(Some(&folder));
        while let Some(file) = files.try_next().await? {
            if is_foreign(&file) {
                return Err(Error::already_exists(format!(
                    "'{}' holds Parquet files that are no table's, such as /{}; CONVERT TO DELTA '{}' makes them one",
                    self.id.url, file.location, self.id.url
                )));
            }
        }
        Ok(())
    }
}

/// The folder of a table on a local disk, without a slash at its end: where it is a link, the link is meant.
///
/// # Errors
/// Where it lies elsewhere.
pub(super) fn local_folder(id: &TableId) -> Result<PathBuf> {
    let path = id.url.to_file_path();
    let path = path.map_err(|()| Error::internal(format!("'{}' is not a local folder", id.url)))?;
    Ok(path.components().collect())
}

/// Whether a table's name lives in the session alone.
pub(super) fn is_external(lake: &Lake, id: &TableId) -> bool {
    let path = match id.schema.as_str() {
        LOCATION_SCHEMA => return false,
        DEFAULT_SCHEMA => id.name.clone(),
        schema => format!("{schema}/{}", id.name),
    };
    let own = lake
        .root()
        .filter(|root| **root != id.url)
        .map(|root| folder_url(&path, Some(root)));
    let is_lake = lake.root() == Some(&id.url);
    !is_lake && !matches!(own, Some(Ok(own)) if own == id.url)
}

/// Whether a Parquet file is none that a Delta writer left behind when it was interrupted.
fn is_foreign(file: &ObjectMeta) -> bool {
    file.location.filename().is_some_and(|name| {
        name.ends_with(".parquet") && !name.starts_with(['_', '.']) && !(name.starts_with("part-") && name.len() > 50)
    })
}

fn parent_of(path: &Path) -> Option<Path> {
    let mut parts: Vec<_> = path.parts().collect();
    parts.pop()?;
    Some(parts.into_iter().collect())
}

fn inside(root: &Path, path: &Path) -> bool {
    path.prefix_matches(root)
}
