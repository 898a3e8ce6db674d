//! delta-rs's builders behind our door: their sessions, their commit properties, and statements that are run again when
//! another writer was first.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake_core::DeltaTable;
use deltalake_core::delta_datafusion::planner::DeltaPlanner;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::SaveMode;
use serde_json::Value;

use super::count_batch;
use super::validate::Validator;
use super::write::conform;
use crate::catalog::{Lake, TableId};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{check_writable, history};
use crate::plan::Running;
use crate::table::Definition;

/// How often a statement is run on a new state of its table before it gives up.
const ATTEMPTS: u32 = 20;

/// A session state that can plan delta-rs's own nodes.
pub(crate) fn session_state(running: &Running) -> SessionState {
    SessionStateBuilder::new_from_existing(running.state())
        .with_query_planner(DeltaPlanner::new())
        .build()
}

/// What every commit of a builder carries. No retries: delta-rs's conflict checker lets some conflicts pass, so a statement
/// that was not first is run again as a whole. No checkpoint and no clean-up: their failure would be reported as the
/// statement's, although it was committed.
pub(crate) fn commit_properties(statement: Option<&str>) -> CommitProperties {
    let metadata = statement.map(|statement| ("statement".to_string(), Value::String(statement.to_string())));
    CommitProperties::default()
        .with_metadata(metadata)
        .with_max_retries(0)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false))
}

/// Runs a statement on the latest state of its table, again and again while other writers are first.
///
/// # Errors
/// The statement's own; [`ErrorKind::Conflict`] where others were first every time.
pub(crate) async fn with_retries<T, F>(
    lake: &Arc<Lake>,
    id: &TableId,
    mut statement: impl FnMut(DeltaTable) -> F,
) -> Result<T>
where
    F: Future<Output = Result<(T, DeltaTable)>>,
{
    let mut attempt = 0;
    loop {
        let table = lake.open_table(id).await?;
        check_writable(&table, &id.display())?;
        let before = table.version();
        match statement(table).await {
            Ok((result, table)) => {
                if let (Some(version), true) = (table.version(), table.version() != before) {
                    lake.after_commit(id, version).await;
                }
                return Ok(result);
            }
            Err(error) if error.kind() == ErrorKind::Conflict && attempt + 1 < ATTEMPTS => {
                attempt += 1;
                let limit = 5 << attempt.min(6);
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..=limit))).await;
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Err(Error::conflict(format!(
                    "other writers changed table {} first, {ATTEMPTS} times; nothing was changed: run the statement again \
                     when the table is less busy",
                    id.display()
                ))
                .with_source(error));
            }
            Err(error) => return Err(error),
        }
    }
}

/// All rows of a plan, as a table in memory that can be read more than once.
///
/// # Errors
/// The plan's own.
pub(crate) async fn materialize(input: Arc<dyn ExecutionPlan>, running: &Running) -> Result<MemTable> {
    let schema = input.schema();
    let partitions = collect_partitioned(input, running.task.clone()).await?;
    Ok(MemTable::try_new(schema, partitions)?)
}

/// A DataFrame over a table in memory, in a session of its own.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn data_frame(state: &SessionState, source: Arc<MemTable>) -> Result<DataFrame> {
    Ok(SessionContext::new_with_state(state.clone()).read_table(source)?)
}

/// `INSERT INTO … REPLACE WHERE`: the rows that match go, the input's come, and must match too.
///
/// # Errors
/// Where a new row does not match or breaks a rule.
pub(super) async fn replace_where(
    lake: &Arc<Lake>,
    id: &TableId,
    predicate: &str,
    input: Arc<dyn ExecutionPlan>,
    running: &Running,
    statement: Option<String>,
) -> Result<RecordBatch> {
    let table = lake.open_table(id).await?;
    let definition = Definition::of(&table)?;
    let schema = definition.arrow_schema()?;
    let state = session_state(running);
    let mut validator = Validator::new(&state, &id.display(), &definition, &schema)?;
    validator.add_rule(&state, &format!("REPLACE WHERE {predicate}"), predicate)?;
    let mut batches = Vec::new();
    let mut rows = 0;
    for batch in collect_partitioned(input, running.task.clone())
        .await?
        .into_iter()
        .flatten()
    {
        let batch = conform(&batch, &schema)?;
        validator.check(&batch)?;
        rows += batch.num_rows();
        running.progress.rows.add(batch.num_rows());
        batches.push(RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?);
    }
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    with_retries(lake, id, |table| {
        let batches = batches.clone();
        let properties = commit_properties(statement.as_deref());
        let state = Arc::new(state.clone());
        async move {
            let table = table
                .write(batches)
                .with_save_mode(SaveMode::Overwrite)
                .with_replace_where(predicate)
                .with_session_state(state)
                .with_commit_properties(properties)
                .await?;
            Ok(((), table))
        }
    })
    .await?;
    count_batch(rows as u64)
}

/// A metric of the last commit, where the builder's own result does not have it.
pub(crate) async fn last_metric(table: &DeltaTable, name: &str) -> Option<u64> {
    let records = history::records(table, Some(1)).await.ok()?;
    let value = records.first()?.info.get("operationMetrics")?.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
