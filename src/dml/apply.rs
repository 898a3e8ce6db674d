//! From rows that are taken away to actions: deletion vectors where the table has them, else files written anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::kernel::{Action, Add};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use roaring::RoaringTreemap;
use serde_json::Value;
use uuid::Uuid;

use super::collect::Replaced;
use super::in_place::{IN_ORDER, InPlace, Replacements};
use super::insert::{discard, write_rows};
use super::splice::without_rows;
use super::touched::Touched;
use super::write::Written;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot};
use crate::plan::Running;
use crate::store::put_for_commit;
use crate::table::{Definition, FileStatistics, Rows, RowsTable, Selected, VectorFile, data_path, hidden_rows};

/// Files that are made anew of their own parts at once: one is synced while the next one is made.
const SPLICES: usize = 2;
/// The bytes of the largest file that is held in memory to be made anew of its own parts.
const LARGEST: usize = 256 << 20;

/// The property that turns deletion vectors on.
pub(super) const VECTORS: &str = "delta.enableDeletionVectors";

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
pub(super) struct Loss {
    pub(super) file: Arc<DataFile>,
    /// All rows that are hidden from now on.
    pub(super) hidden: RoaringTreemap,
}

/// The actions that take the rows away from a version, and bring those that replace some of them, which are written by the table's next definition.
///
/// # Errors
/// [`crate::ErrorKind::Conflict`] where a file is not live in this version or a row of it is hidden already: another
/// writer was first.
pub(super) async fn apply(
    lake: &Arc<Lake>,
    id: &TableId,
    snapshot: &Snapshot,
    touched: &Touched,
    (replaced, written_by): (&[Replaced], &Definition),
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
    let mut replacements = Replacements::of(replaced, &definition)?;
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
            let small = file.size() <= IN_ORDER;
            if !replacements.claim(&file.add.path, small) && all_gone {
                continue;
            }
            rewritten.push(loss);
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
    let store = snapshot.store();
    let (vectors, rewritten) = futures::join!(
        vectors.write(store.as_ref()),
        rewrite(
            lake,
            id,
            snapshot,
            &definition,
            rewritten,
            (&replacements, written_by),
            running
        )
    );
    let written = rewritten?;
    applied.metrics.copied_rows = written.rows;
    applied.actions.extend(written.adds.iter().cloned().map(Action::Add));
    applied.files = written.adds;
    if let Err(error) = vectors {
        undo(snapshot, &applied).await;
        return Err(error);
    }
    Ok(applied)
}

/// Removes what [`apply`] wrote, which no commit will refer to.
pub(super) async fn undo(snapshot: &Snapshot, applied: &Applied) {
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

/// Writes the files anew, without the rows: of their own parts where these fit together, else row by row.
async fn rewrite(
    lake: &Arc<Lake>,
    id: &TableId,
    snapshot: &Snapshot,
    definition: &Definition,
    losses: Vec<Loss>,
    (replacements, written_by): (&Replacements, &Definition),
    running: &Running,
) -> Result<Written> {
    let mut all = Written {
        adds: Vec::new(),
        rows: 0,
    };
    let (ordered, losses): (Vec<Loss>, Vec<Loss>) = losses
        .into_iter()
        .partition(|loss| replacements.are_of(&loss.file.add.path));
    let place = InPlace {
        lake,
        id,
        snapshot,
        definition: written_by,
        running,
    };
    for loss in &ordered {
        match place.write(loss, replacements).await {
            Ok(written) => {
                all.adds.extend(written.adds);
                all.rows += written.rows;
            }
            Err(error) => {
                discard(&snapshot.log_store(), &all.adds).await;
                return Err(error);
            }
        }
    }
    match place.write_others(replacements).await {
        Ok(adds) => all.adds.extend(adds),
        Err(error) => {
            discard(&snapshot.log_store(), &all.adds).await;
            return Err(error);
        }
    }
    let outcome = async {
        let mut splices = futures::stream::iter(losses)
            .map(|loss| splice(snapshot, definition, loss, running))
            .buffer_unordered(SPLICES);
        let mut others = Vec::new();
        let mut failure = None;
        while let Some(spliced) = splices.next().await {
            match spliced {
                Ok(Spliced::File(add, rows)) => {
                    all.adds.push(add);
                    all.rows += rows;
                }
                Ok(Spliced::Nothing) => {}
                Ok(Spliced::Not(loss)) => others.push(loss),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(others),
        }
    };
    let others = match outcome.await {
        Ok(others) => others,
        Err(error) => {
            discard(&snapshot.log_store(), &all.adds).await;
            return Err(error);
        }
    };
    if others.is_empty() {
        return Ok(all);
    }
    match copy(lake, id, snapshot, definition, others, running).await {
        Ok(written) => {
            all.adds.extend(written.adds);
            all.rows += written.rows;
            Ok(all)
        }
        Err(error) => {
            discard(&snapshot.log_store(), &all.adds).await;
            Err(error)
        }
    }
}

/// What became of a file that was to be made anew of its own parts.
enum Spliced {
    /// The new file, with its rows.
    File(Add, u64),
    /// No row stays.
    Nothing,
    Not(Loss),
}

async fn splice(snapshot: &Snapshot, definition: &Definition, loss: Loss, running: &Running) -> Result<Spliced> {
    let old = &loss.file.add;
    let reservation = MemoryConsumer::new("posixlake: a file to be made anew").register(running.task.memory_pool());
    let size = usize::try_from(loss.file.size()).unwrap_or(usize::MAX);
    if old.path.contains(":/") || size > LARGEST || reservation.try_grow(size.saturating_mul(2)).is_err() {
        return Ok(Spliced::Not(loss));
    }
    let store = snapshot.store();
    let bytes = store.get(&data_path(&old.path)).await?.bytes().await?;
    let hidden = loss.hidden.clone();
    let made = tokio::task::spawn_blocking(move || without_rows(&bytes, &hidden));
    let Ok(Ok(Some((bytes, footer)))) = made.await else {
        // Where the file is damaged, reading its rows tells how.
        return Ok(Spliced::Not(loss));
    };
    if footer.file_metadata().num_rows() == 0 {
        return Ok(Spliced::Nothing);
    }
    let size = bytes.len();
    let (statistics, rows) = FileStatistics::of_definition(definition)?.describe(&footer, false)?;
    let statistics = no_new_bounds(&loss.file, &statistics);
    let name = format!("part-00000-{}-c000.parquet", Uuid::new_v4());
    let path = match old.path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name,
    };
    put_for_commit(store.as_ref(), &data_path(&path), bytes.into()).await?;
    running.progress.files.add(1);
    running.progress.bytes.add(size);
    let add = Add {
        path,
        partition_values: old.partition_values.clone(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        modification_time: Utc::now().timestamp_millis(),
        data_change: true,
        stats: Some(statistics),
        tags: loss.file.successor_tags(),
        ..Add::default()
    };
    Ok(Spliced::File(add, rows))
}

/// Statistics without the bounds that a file had none of before: there is NaN in such a column.
fn no_new_bounds(old: &DataFile, statistics: &str) -> String {
    let Ok(Value::Object(mut statistics)) = serde_json::from_str(statistics) else {
        return statistics.to_string();
    };
    for side in ["minValues", "maxValues"] {
        let before = old.statistics().get(side).and_then(Value::as_object);
        if let Some(Value::Object(now)) = statistics.get_mut(side) {
            now.retain(|column, _| before.is_some_and(|before| before.contains_key(column)));
        }
    }
    Value::Object(statistics).to_string()
}

/// Reads the rows that stay, and writes them.
async fn copy(
    lake: &Arc<Lake>,
    id: &TableId,
    snapshot: &Snapshot,
    definition: &Definition,
    losses: Vec<Loss>,
    running: &Running,
) -> Result<Written> {
    let selected = losses.into_iter().map(|loss| Selected {
        file: loss.file,
        hidden: Some(Arc::new(loss.hidden)),
    });
    let rows = Rows::new(lake.stores().clone(), snapshot.clone(), &id.display(), false)?.of_files(selected.collect());
    let state = running.state();
    let plan: Arc<dyn ExecutionPlan> = RowsTable(rows).scan(&state, None, &[], None).await?;
    write_rows(definition, &snapshot.log_store(), plan, running).await
}
