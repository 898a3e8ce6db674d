//! From rows that are taken away to actions: deletion vectors where the table has them, else files written anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::kernel::{Action, Add};
use roaring::RoaringTreemap;
use serde_json::Value;

use super::insert::{discard, write_rows};
use super::touched::Touched;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot};
use crate::plan::Running;
use crate::table::{Definition, Rows, RowsTable, Selected, VectorFile, hidden_rows};

/// The property that turns deletion vectors on.
const VECTORS: &str = "delta.enableDeletionVectors";

/// What became of the files that rows were taken from.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) actions: Vec<Action>,
    /// New files, which are orphans until the actions are committed.
    pub(super) files: Vec<Add>,
    pub(super) metrics: Applying,
}

/// Counts, under the names that Spark has for them in part.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Applying {
    pub(super) removed_files: usize,
    pub(super) removed_bytes: u64,
    pub(super) copied_rows: u64,
    pub(super) vectors_added: usize,
    pub(super) vectors_updated: usize,
    pub(super) vectors_removed: usize,
}

/// A file that loses rows.
struct Loss {
    file: Arc<DataFile>,
    /// All rows that are hidden from now on.
    hidden: RoaringTreemap,
}

/// The actions that take the rows away from a version.
///
/// # Errors
/// [`crate::ErrorKind::Conflict`] where a file is not live in this version or a row of it is hidden already: another
/// writer was first.
pub(super) async fn apply(
    lake: &Arc<Lake>,
    id: &TableId,
    snapshot: &Snapshot,
    touched: &Touched,
    running: &Running,
) -> Result<Applied> {
    let mut applied = Applied::default();
    if touched.0.is_empty() {
        return Ok(applied);
    }
    let definition = Definition::of(snapshot)?;
    let by_vector = definition.is_on(VECTORS);
    let mut vectors = VectorFile::new();
    let mut rewritten = Vec::new();
    for loss in losses(lake, snapshot, touched).await? {
        let file = &loss.file;
        let had_vector = file.add.deletion_vector.is_some();
        let all_gone = file.records().is_some_and(|records| loss.hidden.len() >= records);
        // The log must say how many rows a file with a vector has; where it does not, the file is written anew.
        let vector = by_vector && file.records().is_some();
        applied.actions.push(Action::Remove(file.remove(true)));
        if all_gone || !vector {
            applied.metrics.removed_files += 1;
            applied.metrics.removed_bytes += file.size();
            applied.metrics.vectors_removed += usize::from(had_vector);
            if !all_gone {
                rewritten.push(loss);
            }
            continue;
        }
        let descriptor = vectors.push(&loss.hidden)?;
        applied.metrics.vectors_updated += usize::from(had_vector);
        applied.metrics.vectors_added += usize::from(!had_vector);
        applied.actions.push(Action::Add(Add {
            deletion_vector: Some(descriptor),
            stats: Some(loosened(file)),
            data_change: true,
            ..file.add.clone()
        }));
    }
    vectors.write(snapshot.store().as_ref()).await?;
    if !rewritten.is_empty() {
        let written = rewrite(lake, id, snapshot, &definition, rewritten, running).await?;
        applied.metrics.copied_rows = written.rows;
        applied.actions.extend(written.adds.iter().cloned().map(Action::Add));
        applied.files = written.adds;
    }
    Ok(applied)
}

/// Removes what [`apply`] wrote, which no commit will refer to.
pub(super) async fn undo(snapshot: &Snapshot, applied: &Applied) {
    use object_store::ObjectStoreExt;
    discard(&snapshot.log_store(), &applied.files).await;
    let vectors: std::collections::BTreeSet<_> = applied
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Add(add) => crate::table::vector_file(add.deletion_vector.as_ref()?).ok().flatten(),
            _ => None,
        })
        .collect();
    for path in vectors {
        // What cannot be removed is left to VACUUM.
        let _ = snapshot.store().delete(&crate::table::data_path(&path)).await;
    }
}

async fn losses(lake: &Arc<Lake>, snapshot: &Snapshot, touched: &Touched) -> Result<Vec<Loss>> {
    let mut files: BTreeMap<&str, &Arc<DataFile>> = BTreeMap::new();
    for file in snapshot.files().iter() {
        if touched.0.contains_key(&file.add.path) {
            files.insert(&file.add.path, file);
        }
    }
    let mut losses = Vec::new();
    for (path, rows) in touched.0.iter().filter(|(_, rows)| !rows.is_empty()) {
        let gone = || Error::conflict(format!("another writer changed file {path} first"));
        let file = *files.get(path.as_str()).ok_or_else(gone)?;
        let hidden = match hidden_rows(lake.stores(), snapshot, file).await? {
            Some(hidden) if !hidden.is_disjoint(rows) => return Err(gone()),
            Some(hidden) => hidden.as_ref() | rows,
            None => rows.clone(),
        };
        losses.push(Loss {
            file: file.clone(),
            hidden,
        });
    }
    Ok(losses)
}

/// The statistics of a file some of whose rows are hidden: the bounds hold, but need not be reached (Delta protocol,
/// "Per-file Statistics", `tightBounds`).
fn loosened(file: &DataFile) -> String {
    let mut statistics = file.statistics().clone();
    statistics.insert("tightBounds".to_string(), Value::Bool(false));
    Value::Object(statistics).to_string()
}

async fn rewrite(
    lake: &Arc<Lake>,
    id: &TableId,
    snapshot: &Snapshot,
    definition: &Definition,
    losses: Vec<Loss>,
    running: &Running,
) -> Result<super::write::Written> {
    let selected = losses.into_iter().map(|loss| Selected {
        file: loss.file,
        hidden: Some(Arc::new(loss.hidden)),
    });
    let rows = Rows::new(lake.stores().clone(), snapshot.clone(), &id.display(), false)?.of_files(selected.collect());
    let state = running.state();
    let plan: Arc<dyn ExecutionPlan> = RowsTable(rows).scan(&state, None, &[], None).await?;
    write_rows(definition, &snapshot.log_store(), plan, running).await
}
