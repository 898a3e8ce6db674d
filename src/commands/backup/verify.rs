//! `VERIFY BACKUP`: every file that the manifests name is read and held against them, every log is replayed, and every
//! Parquet footer is asked for its rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::chain::{Chain, Run, Table, check_follows, manifests};
use super::copy::{check, measure};
use super::manifest::{self, Entry, Ranges};
use super::walk::Walk;
use super::{chain, journal};
use crate::error::{Error, Result};
use crate::log::Outline;
use crate::plan::Progress;
use crate::store::Stores;
use crate::table::footer;

/// How many files are read at a time.
const READS: usize = 16;

/// Something that is to be said of a backup.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) table: Option<String>,
    pub(super) path: Option<String>,
    /// `ok`, or what is wrong: `missing`, `damaged`, `unlisted`, `inconsistent`; `unfinished` is not wrong.
    pub(super) status: &'static str,
    pub(super) detail: String,
}

/// Checks the backup at `url`.
///
/// # Errors
/// Where there is none, or the store cannot be listed: what is wrong with the backup itself is found, not an error.
pub(super) async fn verify(stores: &Arc<Stores>, url: &Url, progress: &Progress) -> Result<Vec<Finding>> {
    let store = stores.folder(url)?;
    let mut findings = Vec::new();
    let runs = read_runs(&store, url, &mut findings).await?;
    let is_whole = findings.is_empty();
    let number = runs.last().map_or(0, |run| run.manifest.head.number);
    let chain = Chain::of(stores.clone(), url.clone(), store.clone(), runs);
    let sizes = sizes(&store).await?;
    let mut known: HashSet<String> = HashSet::new();
    for table in chain.all_tables()? {
        known.extend(table.files.keys().map(|path| format!("{}/{path}", table.head.folder)));
        let before = findings.len();
        check_files(&table, &sizes, &mut findings, progress).await?;
        if findings.len() == before
            && let Err(error) = check_contents(&table, &mut findings, progress).await
        {
            findings.push(Finding {
                table: Some(table.display()),
                path: None,
                status: "inconsistent",
                detail: format!("the log does not replay: {}", error.message()),
            });
        }
        if findings.len() == before {
            findings.push(whole(&table));
        }
    }
    if journal::is_begun(store.as_ref(), number + 1).await? {
        findings.push(Finding {
            table: None,
            path: None,
            status: "unfinished",
            detail: format!(
                "run {} was begun and did not end; BACKUP … INCREMENTAL completes it",
                number + 1
            ),
        });
    } else if is_whole {
        let unlisted = sizes.keys().filter(|path| !known.contains(*path));
        findings.extend(unlisted.map(|path| Finding {
            table: None,
            path: Some(path.clone()),
            status: "unlisted",
            detail: "no manifest names it: one may be missing".to_string(),
        }));
    }
    Ok(findings)
}

/// The error that findings amount to.
///
/// # Errors
/// [`crate::ErrorKind::Corrupt`] where something is wrong.
pub(super) fn verdict<'a>(location: &str, statuses: impl Iterator<Item = &'a str>) -> Result<()> {
    let wrong = statuses.filter(|status| !["ok", "unfinished"].contains(status)).count();
    match wrong {
        0 => Ok(()),
        1 => Err(Error::corrupt(format!(
            "the backup at '{location}' has a fault; its row says which"
        ))),
        _ => Err(Error::corrupt(format!(
            "the backup at '{location}' has {wrong} faults; their rows say which"
        ))),
    }
}

/// The runs whose manifests can be read.
///
/// # Errors
/// Where there is no manifest at all.
async fn read_runs(store: &Arc<dyn ObjectStore>, url: &Url, findings: &mut Vec<Finding>) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let found: Vec<chain::Found> = manifests(store).await?;
    if found.is_empty() {
        return Err(Error::not_found(format!("no backup at '{url}': there is no manifest")));
    }
    for (number, run) in found {
        let damaged = |error: Error| Finding {
            table: None,
            path: Some(manifest::path(number).to_string()),
            status: "damaged",
            detail: error.message().to_string(),
        };
        match run {
            Ok(run) => {
                findings.extend(check_follows(runs.last(), &run).err().map(damaged));
                runs.push(run);
            }
            Err(error) => findings.push(damaged(error)),
        }
    }
    Ok(runs)
}

/// The sizes of all files of tables, by their paths in the backup.
async fn sizes(store: &Arc<dyn ObjectStore>) -> Result<BTreeMap<String, u64>> {
    // What a put that was cut off has left is no file.
    let is_visible = |meta: &ObjectMeta| {
        let name = meta.location.filename();
        std::future::ready(name.is_some_and(|name| !name.starts_with('.')))
    };
    let listed = store.list(Some(&Path::from("tables"))).try_filter(is_visible);
    match listed
        .map_ok(|meta| (meta.location.to_string(), meta.size))
        .try_collect()
        .await
    {
        Ok(sizes) => Ok(sizes),
        Err(object_store::Error::NotFound { .. }) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

async fn check_files(
    table: &Table,
    sizes: &BTreeMap<String, u64>,
    findings: &mut Vec<Finding>,
    progress: &Progress,
) -> Result<()> {
    let mut entries: Vec<&Entry> = table.files.values().collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut reads = Vec::new();
    for entry in entries {
        let wrong = |status, detail: String| Finding {
            table: Some(table.display()),
            path: Some(format!("{}/{}", table.head.folder, entry.path)),
            status,
            detail,
        };
        match sizes.get(&format!("{}/{}", table.head.folder, entry.path)) {
            None => findings.push(wrong(
                "missing",
                "the manifest names it, and it is not there".to_string(),
            )),
            Some(size) if *size != entry.size => findings.push(wrong(
                "damaged",
                format!("it has {size} bytes where the manifest says {}", entry.size),
            )),
            Some(_) => {
                let (store, entry) = (table.store.clone(), entry.clone());
                reads.push(async move {
                    let found = match Path::parse(&entry.path) {
                        Ok(path) => measure(store.as_ref(), &path).await,
                        Err(error) => Err(Error::corrupt(error.to_string())),
                    };
                    (entry, found)
                });
            }
        }
    }
    let mut reads = futures::stream::iter(reads).buffered(READS);
    while let Some((entry, found)) = reads.next().await {
        progress.files.add(1);
        progress.bytes.add(usize::try_from(entry.size).unwrap_or_default());
        let outcome = found.and_then(|found| match found {
            Some(found) => check(&found, Some(&entry)).map_err(|_| Error::corrupt("its checksum does not fit")),
            None => Err(Error::not_found("it is not there")),
        });
        if let Err(error) = outcome {
            findings.push(Finding {
                table: Some(table.display()),
                path: Some(format!("{}/{}", table.head.folder, entry.path)),
                status: if error.kind() == crate::ErrorKind::NotFound {
                    "missing"
                } else {
                    "damaged"
                },
                detail: error.message().to_string(),
            });
        }
    }
    Ok(())
}

/// Replays the log over every stretch of history, and asks the data files for their rows.
async fn check_contents(table: &Table, findings: &mut Vec<Finding>, progress: &Progress) -> Result<()> {
    let pinned = table.pinned();
    let mut restorable = Ranges::default();
    let mut records: HashMap<String, u64> = HashMap::new();
    for walk in stretches(table, &pinned).await? {
        walk.note_restorable(|path| table.files.contains_key(path), &mut restorable);
        records.extend(walk.records().map(|(path, rows)| (path.to_string(), rows)));
    }
    let wrong = |path: Option<String>, detail: String| Finding {
        table: Some(table.display()),
        path,
        status: "inconsistent",
        detail,
    };
    if restorable != table.head.restorable {
        findings.push(wrong(
            None,
            format!(
                "versions {restorable} can be restored where the manifest says {}",
                table.head.restorable
            ),
        ));
    }
    crate::log::check_against_checksum(&table.snapshot(table.head.version).await?).await?;
    let mut reads = Vec::new();
    let mut records: Vec<(String, u64)> = records.into_iter().collect();
    records.sort_unstable();
    for (path, rows) in records {
        let Some(entry) = table.files.get(&path) else { continue };
        let (store, size) = (table.store.clone(), entry.size);
        reads.push(async move {
            let found = match Path::parse(&path) {
                Ok(path) => footer(store, path, size).await,
                Err(error) => Err(Error::corrupt(error.to_string())),
            };
            (path, rows, found)
        });
    }
    let mut reads = futures::stream::iter(reads).buffered(READS);
    while let Some((path, rows, found)) = reads.next().await {
        let full = Some(format!("{}/{path}", table.head.folder));
        match found.map(|footer| u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default()) {
            Ok(found) if found == rows => progress.rows.add(usize::try_from(rows).unwrap_or_default()),
            Ok(found) => findings.push(wrong(full, format!("it has {found} rows where the log says {rows}"))),
            Err(error) => findings.push(wrong(full, error.message().to_string())),
        }
    }
    Ok(())
}

/// The stretches of history that the backup has, oldest first: between them lie commits that were cleaned up before a run
/// could copy them.
async fn stretches(table: &Table, pinned: &Arc<dyn ObjectStore>) -> Result<Vec<Walk>> {
    let mut walks = Vec::new();
    let mut last = Some(table.head.version);
    while let Some(version) = last {
        let outline = Outline::read(pinned.as_ref(), version).await?;
        let Some(start) = outline.start(version) else {
            // What is before has no beginning of its own.
            last = outline
                .last()
                .map(|last| last.min(version.saturating_sub(1)))
                .filter(|_| version > 0);
            continue;
        };
        let base = table.snapshot(start).await?;
        let walk = Walk::read(pinned, &base, version).await?;
        walks.push(walk.ok_or_else(|| Error::corrupt("a commit is missing"))?);
        last = start.checked_sub(1);
    }
    walks.reverse();
    Ok(walks)
}

fn whole(table: &Table) -> Finding {
    let bytes: u64 = table.files.values().map(|entry| entry.size).sum();
    Finding {
        table: Some(table.display()),
        path: Some(table.head.folder.clone()),
        status: "ok",
        detail: format!(
            "{} files, {bytes} bytes; versions that can be restored: {}",
            table.files.len(),
            table.head.restorable
        ),
    }
}
