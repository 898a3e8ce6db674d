//! Whether a lake can be worked with: its store answers, and its tables open.

use std::sync::Arc;

use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::Outline;

/// How many tables are looked at at a time.
const LOOKS: usize = 16;
/// A log with more commits behind its last checkpoint opens slowly.
const COMMITS: u64 = 200;
/// Files of less than this many bytes are small.
const SMALL: u64 = 1 << 20;
/// From how many files on small ones are worth a word.
const MANY: usize = 1000;

/// How a check turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    /// It works, and something could be better.
    Warning,
    Failed,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) check: String,
    pub(crate) status: Status,
    pub(crate) detail: String,
}

fn check(check: impl Into<String>, status: Status, detail: impl Into<String>) -> Check {
    Check {
        check: check.into(),
        status,
        detail: detail.into(),
    }
}

/// Whether the lake's store answers.
///
/// # Errors
/// Where it does not.
pub(super) async fn ready(lake: &Lake) -> Result<()> {
    let Some(root) = lake.root() else { return Ok(()) };
    let store = lake.stores().folder(root)?;
    match store.list(Some(&Path::from("_delta_log"))).next().await {
        None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Looks at the store and at every table.
pub(crate) async fn checks(lake: &Arc<Lake>) -> Vec<Check> {
    let Some(root) = lake.root() else {
        return vec![check("lake", Status::Ok, "the session has no lake")];
    };
    if let Err(error) = ready(lake).await {
        return vec![check("lake", Status::Failed, error.message())];
    }
    let tables = match lake.tables().await {
        Ok(tables) => tables,
        Err(error) => return vec![check("lake", Status::Failed, error.message())],
    };
    let mut found = vec![check(
        "lake",
        Status::Ok,
        format!("'{root}' answers; {} tables", tables.len()),
    )];
    let looks: Vec<_> = tables
        .into_iter()
        .map(|id| {
            let lake = lake.clone();
            async move { table(&lake, &id).await }
        })
        .collect();
    let mut looks = futures::stream::iter(looks).buffered(LOOKS);
    while let Some(look) = looks.next().await {
        found.push(look);
    }
    found
}

async fn table(lake: &Lake, id: &TableId) -> Check {
    let name = format!("table {}", id.display());
    match look(lake, id).await {
        Ok((status, detail)) => check(name, status, detail),
        Err(error) => check(name, Status::Failed, error.message()),
    }
}

async fn look(lake: &Lake, id: &TableId) -> Result<(Status, String)> {
    let table = lake.open_table(id).await?;
    let version = table.version();
    let files = table.files();
    let mut detail = format!("version {version}, {} files, {} bytes", files.len(), files.bytes());
    let mut status = Status::Ok;
    let mut warn = |what: String| {
        status = Status::Warning;
        detail.push_str("; ");
        detail.push_str(&what);
    };
    let behind = Outline::read(table.store().as_ref(), version)
        .await?
        .behind_checkpoint(version);
    if behind > COMMITS {
        warn(format!(
            "{behind} commits behind the last checkpoint: CHECKPOINT {} lets it open faster",
            id.display()
        ));
    }
    let small = files.iter().filter(|file| file.size() < SMALL).count();
    if small >= MANY {
        warn(format!("{small} small files: OPTIMIZE {} joins them", id.display()));
    }
    Ok((status, detail))
}
