//! The changes of a range of versions as a table: the table's columns, `_change_type`, `_commit_version` and
//! `_commit_timestamp`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use delta_kernel::table_features::ColumnMappingMode;

use super::feed::{Feed, is_on, read};
use super::files::files;
use super::schema::check;
use crate::catalog::{Lake, TableId};
use crate::error::Result;
use crate::log::{CommitActions, Snapshot};
use crate::table::{Definition, Rows};

pub(super) const TYPE: &str = "_change_type";
pub(super) const VERSION: &str = "_commit_version";
pub(super) const TIMESTAMP: &str = "_commit_timestamp";

/// The changes of a range of versions.
///
/// Files of change data have the kind of change as a column; of the rows of data files, all have the same. So these are
/// two scans, in which version and time (and kind) are columns by which files are partitioned: conditions on them choose
/// files, and before that the commits that are read.
#[derive(Debug)]
pub(super) struct ChangesTable {
    lake: Arc<Lake>,
    id: TableId,
    table: Snapshot,
    /// The versions with their times, oldest first.
    times: Vec<(u64, DateTime<Utc>)>,
    definition: Definition,
    changes: Rows,
    data: Rows,
}

impl ChangesTable {
    /// The changes of these versions, up to the loaded one.
    ///
    /// # Errors
    /// Where the table cannot be read, or has columns that are called as those of its changes.
    pub(super) async fn new(
        lake: Arc<Lake>,
        id: TableId,
        table: Snapshot,
        times: Vec<(u64, DateTime<Utc>)>,
    ) -> Result<Self> {
        let mut definition = Definition::of(&table)?;
        // As in Spark: the schema is the latest, or where columns are mapped, that of the last version of the range.
        if let Some((last, _)) = times.last()
            && *last < table.version()
            && definition.mapping() != ColumnMappingMode::None
        {
            definition = Definition::of(&lake.snapshots().at(&id.url, *last).await?)?;
        }
        let rows = Rows::new(lake.stores().clone(), table.clone(), &id.display(), false)?;
        let columns = |kind_in_log| {
            [
                (TYPE, "string", kind_in_log),
                (VERSION, "long", true),
                (TIMESTAMP, "timestamp", true),
            ]
        };
        // Rows of the past may lack what today's must have.
        let lenient = definition.nullable()?;
        Ok(Self {
            changes: rows.clone().defined_by(lenient.with_columns(&columns(false))?)?,
            data: rows.defined_by(lenient.with_columns(&columns(true))?)?,
            definition,
            lake,
            id,
            table,
            times,
        })
    }

    /// The versions that conditions on versions and times leave.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> datafusion::error::Result<Vec<(u64, DateTime<Utc>)>> {
        let schema = self.changes.schema();
        let fields: Vec<Field> = [VERSION, TIMESTAMP]
            .iter()
            .filter_map(|name| schema.field_with_name(name).ok().cloned())
            .collect();
        let versions = self
            .times
            .iter()
            .map(|(version, _)| i64::try_from(*version).unwrap_or(i64::MAX));
        let times = self.times.iter().map(|(_, time)| time.timestamp_micros());
        let rows = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![
                Arc::new(versions.collect::<Int64Array>()),
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            ],
        )?;
        let columns = DFSchema::try_from(rows.schema().as_ref().clone())?;
        let mut kept = vec![true; rows.num_rows()];
        for filter in filters {
            let about_commits = |column: &datafusion::common::Column| [VERSION, TIMESTAMP].contains(&column.name());
            let refs = filter.column_refs();
            if refs.is_empty() || filter.is_volatile() || !refs.iter().all(|column| about_commits(column)) {
                continue;
            }
            let matches = state
                .create_physical_expr(filter.clone(), &columns)?
                .evaluate(&rows)?
                .into_array(rows.num_rows())?;
            if let Some(matches) = matches.as_boolean_opt() {
                for (place, kept) in kept.iter_mut().enumerate() {
                    *kept &= matches.is_valid(place) && matches.value(place);
                }
            }
        }
        let wanted = self.times.iter().zip(kept).filter(|(_, kept)| *kept);
        Ok(wanted.map(|(commit, _)| *commit).collect())
    }

    /// The commits of these versions, and whether their rows can be shown.
    async fn commits(&self, wanted: &[(u64, DateTime<Utc>)]) -> Result<Vec<(u64, DateTime<Utc>, CommitActions)>> {
        let (Some((first, _)), Some((last, _))) = (wanted.first(), wanted.last()) else {
            return Ok(Vec::new());
        };
        let commits = read(&self.table, (*first..=*last).collect()).await?;
        let begun = commits.first().is_some_and(|(_, actions)| actions.metadata.is_some());
        let changes = commits.iter().any(|(_, actions)| actions.metadata.is_some());
        let mut current = if begun {
            None
        } else if !changes && *last == self.table.version() {
            Some(Definition::of(&self.table)?)
        } else {
            Some(Definition::of(&self.lake.snapshots().at(&self.id.url, *first).await?)?)
        };
        let versions: BTreeSet<u64> = wanted.iter().map(|(version, _)| *version).collect();
        let times: std::collections::HashMap<u64, DateTime<Utc>> = wanted.iter().copied().collect();
        let mut checked = false;
        let mut found = Vec::new();
        for (version, actions) in commits {
            if let Some(metadata) = &actions.metadata {
                let protocol = actions.protocol.as_ref().unwrap_or(self.definition.protocol());
                current = Some(Definition::new(metadata.clone(), protocol.clone())?);
                checked = false;
            }
            let Some(time) = times.get(&version).filter(|_| versions.contains(&version)) else {
                continue;
            };
            if let Some(current) = current.as_ref().filter(|_| !checked) {
                if !is_on(current.configuration()) {
                    let feed = Feed::of(&self.lake, &self.id, &self.table).await?;
                    return Err(feed.gap(&self.id.display(), version));
                }
                check(&self.id.display(), version, current, &self.definition)?;
                checked = true;
            }
            found.push((version, *time, actions));
        }
        Ok(found)
    }
}

#[async_trait]
impl TableProvider for ChangesTable {
    fn schema(&self) -> SchemaRef {
        self.changes.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let commits = self.commits(&self.wanted(state, filters)?).await?;
        let changed = files(self.lake.stores(), &self.table, commits).await?;
        let some = !changed.changes.is_empty();
        let data = self.data.clone().of_files(changed.data);
        let data = data.scan(state, projection, filters, limit).await?;
        if !some {
            return Ok(data);
        }
        let changes = self.changes.clone().of_files(changed.changes);
        let changes = changes.scan(state, projection, filters, limit).await?;
        UnionExec::try_new(vec![data, changes])
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        Ok(self.changes.pushdown(filters))
    }
}
