//! The change data feed: `table_changes('t', from[, to])` and `t$changes`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use deltalake_core::delta_datafusion::DeltaCdfTableProvider;
use deltalake_core::kernel::Action;
use deltalake_core::logstore::get_actions;
use futures::{StreamExt, TryStreamExt};

use super::history::instant_type;
use super::{table_name, wait_for};
use crate::catalog::{Lake, Point, TableId, show_time};
use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::log::history::{commit_files, commit_times};
use crate::plan::Planner;
use crate::table::Definition;

const PROPERTY: &str = "delta.enableChangeDataFeed";

/// `table_changes(table, from[, to])`.
///
/// # Errors
/// Where the arguments do not name a table with a change data feed and a range of its versions.
pub(crate) async fn table_changes(
    planner: &Planner,
    positional: Vec<ScalarValue>,
    named: Vec<(String, ScalarValue)>,
) -> Result<Arc<dyn TableProvider>> {
    let zone = planner.state().config().options().execution.time_zone.clone();
    let call = Call::of(zone, positional, named)?;
    changes(planner.lake(), call).await
}

/// A bound of a range of versions.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Version(u64),
    Time(DateTime<Utc>),
}

/// The arguments of `table_changes`.
#[derive(Debug)]
struct Call {
    table: String,
    from: Bound,
    to: Option<Bound>,
}

const USAGE: &str = "table_changes takes a table name, a first version or time and, if need be, a last one: \
                     table_changes('t', 0, 10); with names they are table_name, since_version or since_timestamp, and \
                     until_version or until_timestamp";

impl Call {
    fn of(zone: Option<String>, positional: Vec<ScalarValue>, named: Vec<(String, ScalarValue)>) -> Result<Self> {
        let bound = |value: &ScalarValue| Bound::of(value, zone.as_deref());
        let mut table = None;
        let mut from = None;
        let mut to = None;
        for (position, value) in positional.iter().enumerate() {
            match position {
                0 => table = Some(text(value)?),
                1 => from = Some(bound(value)?),
                2 => to = Some(bound(value)?),
                _ => return Err(Error::invalid(USAGE)),
            }
        }
        for (name, value) in &named {
            let twice = match name.as_str() {
                "table_name" => table.replace(text(value)?).is_some(),
                "since_version" => from.replace(Bound::version(value)?).is_some(),
                "since_timestamp" => from.replace(Bound::time(value, zone.as_deref())?).is_some(),
                "until_version" => to.replace(Bound::version(value)?).is_some(),
                "until_timestamp" => to.replace(Bound::time(value, zone.as_deref())?).is_some(),
                _ => return Err(Error::invalid(format!("table_changes has no argument {name}; {USAGE}"))),
            };
            if twice {
                return Err(Error::invalid(format!("table_changes: {name} is given twice; {USAGE}")));
            }
        }
        match (table, from) {
            (Some(table), Some(from)) => Ok(Self { table, from, to }),
            _ => Err(Error::invalid(USAGE)),
        }
    }
}

fn text(value: &ScalarValue) -> Result<String> {
    value
        .try_as_str()
        .flatten()
        .map(str::to_string)
        .ok_or_else(|| Error::invalid(USAGE))
}

impl Bound {
    fn of(value: &ScalarValue, zone: Option<&str>) -> Result<Self> {
        if value.data_type().is_integer() {
            Self::version(value)
        } else {
            Self::time(value, zone)
        }
    }

    fn version(value: &ScalarValue) -> Result<Self> {
        match value.cast_to(&DataType::UInt64) {
            Ok(ScalarValue::UInt64(Some(version))) if value.data_type().is_integer() => Ok(Self::Version(version)),
            _ => Err(Error::invalid(format!(
                "table_changes: {value} is not a version; versions are whole numbers from 0 on"
            ))),
        }
    }

    fn time(value: &ScalarValue, zone: Option<&str>) -> Result<Self> {
        let target = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.unwrap_or("UTC").into()));
        let time = match value.cast_to(&target) {
            Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) => Utc.timestamp_micros(micros).single(),
            _ => None,
        };
        time.map(Self::Time).ok_or_else(|| {
            Error::invalid(format!(
                "table_changes: {value} is neither a version nor a time such as '2026-11-22 10:00:00'"
            ))
        })
    }
}

async fn changes(lake: &Arc<Lake>, call: Call) -> Result<Arc<dyn TableProvider>> {
    let id = lake.resolve(&table_name(&call.table)?)?;
    let table = lake.open_table(&id).await?;
    let name = id.display();
    let latest = table.version();
    let times = match (call.from, call.to) {
        (Bound::Version(_), None | Some(Bound::Version(_))) => Vec::new(),
        _ => commit_times(&table).await?,
    };
    let from = match call.from {
        Bound::Version(version) => version,
        Bound::Time(time) => times
            .iter()
            .find(|(_, commit)| *commit >= time)
            .map(|(version, _)| *version)
            .ok_or_else(|| {
                Error::not_found(format!(
                    "{} is after the last commit of table {name}: there are no changes",
                    show_time(time)
                ))
            })?,
    };
    let to = match call.to {
        None => latest,
        Some(Bound::Version(version)) => version,
        Some(Bound::Time(time)) => {
            let last = times
                .iter()
                .rev()
                .find(|(_, commit)| *commit <= time)
                .map(|(version, _)| *version);
            last.ok_or_else(|| {
                Error::not_found(format!(
                    "{} is before the first commit of table {name} in the log",
                    show_time(time)
                ))
            })?
        }
    };
    for version in [from, to] {
        if version > latest {
            return Err(Error::not_found(format!(
                "table {name} has no version {version}; its latest is {latest}"
            )));
        }
    }
    if from > to {
        return Err(Error::invalid(format!(
            "table_changes: the range of table {name} ends (version {to}) before it begins ({from})"
        )));
    }
    let feed = Feed::of(lake, &id, &table).await?;
    feed.check(&name, from, to)?;
    Ok(Arc::new(ChangesTable::new(table, from, to).await?))
}

/// All changes up to the loaded version that the feed has without a gap.
///
/// # Errors
/// Where the feed is off.
pub(super) async fn all(
    lake: &Arc<Lake>,
    id: &TableId,
    table: Snapshot,
    _at: Option<Point>,
) -> Result<Arc<dyn TableProvider>> {
    let to = table.version();
    let feed = Feed::of(lake, id, &table).await?;
    let from = feed.last_run().ok_or_else(|| off(&id.display()))?;
    Ok(Arc::new(ChangesTable::new(table, from, to).await?))
}

/// From which version on the feed was on or off, oldest first.
#[derive(Debug)]
struct Feed(Vec<(u64, bool)>);

impl Feed {
    /// Reads the metadata of all commits that are still in the log.
    async fn of(lake: &Arc<Lake>, id: &TableId, table: &Snapshot) -> Result<Self> {
        let versions: Vec<u64> = commit_files(table)
            .await?
            .into_iter()
            .map(|file| file.version)
            .collect();
        let log_store = table.log_store();
        let switches: Vec<Option<(u64, bool)>> = futures::stream::iter(versions.iter().copied())
            .map(|version| {
                let log_store = log_store.clone();
                async move {
                    let Some(bytes) = log_store.read_commit_entry(version).await? else {
                        return Ok(None);
                    };
                    let metadata = get_actions(version, &bytes)?
                        .into_iter()
                        .rev()
                        .find_map(|action| match action {
                            Action::Metadata(metadata) => Some(metadata),
                            _ => None,
                        });
                    Ok::<_, Error>(metadata.map(|metadata| (version, is_on(metadata.configuration().get(PROPERTY)))))
                }
            })
            .buffered(16)
            .try_collect()
            .await?;
        let mut feed: Vec<(u64, bool)> = switches.into_iter().flatten().collect();
        if let Some(first) = versions.first()
            && feed.first().is_none_or(|(version, _)| version != first)
        {
            let table = lake.snapshots().at(&id.url, *first).await?;
            feed.insert(
                0,
                (*first, is_on(Definition::of(&table)?.configuration().get(PROPERTY))),
            );
        }
        feed.dedup_by_key(|(_, on)| *on);
        Ok(Self(feed))
    }

    /// The first version of the run that lasts until now.
    fn last_run(&self) -> Option<u64> {
        self.0.last().filter(|(_, on)| *on).map(|(version, _)| *version)
    }

    fn check(&self, name: &str, from: u64, to: u64) -> Result<()> {
        let first = self.0.first().map_or(0, |(version, _)| *version);
        if from < first {
            return Err(Error::not_found(format!(
                "the commits of table {name} before version {first} are no longer in its log; begin there"
            )));
        }
        let at_start = self
            .0
            .iter()
            .rev()
            .find(|(version, _)| *version <= from)
            .map(|(version, on)| (*version, *on));
        let gap = match at_start {
            Some((_, true)) => self
                .0
                .iter()
                .find(|(version, on)| !on && *version > from && *version <= to)
                .map(|gap| gap.0),
            _ => Some(from),
        };
        let Some(gap) = gap else { return Ok(()) };
        if self.0.iter().all(|(_, on)| !on) {
            return Err(off(name));
        }
        let run = self
            .0
            .iter()
            .rev()
            .find(|(_, on)| *on)
            .map_or(0, |(version, _)| *version);
        Err(Error::invalid(format!(
            "the change data feed of table {name} was off at version {gap}; the last versions that have it begin at {run}"
        )))
    }
}

fn is_on(value: Option<&String>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn off(name: &str) -> Error {
    Error::invalid(format!(
        "table {name} keeps no change data feed; turn it on for the versions to come: ALTER TABLE {name} SET TBLPROPERTIES \
         ('{PROPERTY}' = 'true')"
    ))
}

/// The changes of a range of versions: the table's columns, `_change_type`, `_commit_version` and `_commit_timestamp`.
#[derive(Debug)]
struct ChangesTable {
    feed: DeltaCdfTableProvider,
    schema: SchemaRef,
}

impl ChangesTable {
    async fn new(table: Snapshot, from: u64, to: u64) -> Result<Self> {
        let columns = Definition::of(&table)?.arrow_schema()?;
        let feed = DeltaCdfTableProvider::try_new(
            table
                .delta_table()
                .await?
                .scan_cdf()
                .with_starting_version(from)
                .with_ending_version(to),
        )?;
        let mut fields: Vec<Field> = columns
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        fields.push(Field::new("_change_type", DataType::Utf8, true));
        fields.push(Field::new("_commit_version", DataType::Int64, true));
        fields.push(Field::new("_commit_timestamp", instant_type(), true));
        Ok(Self {
            feed,
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

#[async_trait]
impl TableProvider for ChangesTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let plan = self.feed.scan(state, None, &[], None).await?;
        let wanted = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let columns = wanted.fields().iter().map(|field| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(field.name(), &plan.schema())?);
            let same = column.data_type(&plan.schema())? == *field.data_type();
            let column = if same {
                column
            } else {
                Arc::new(CastExpr::new(column, field.data_type().clone(), None))
            };
            Ok((column, field.name().clone()))
        });
        let columns: Vec<(Arc<dyn PhysicalExpr>, String)> = columns.collect::<datafusion::error::Result<_>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
    }
}

/// `table_changes` for contexts that plan without posixlake's planner.
#[derive(Debug)]
pub(super) struct TableChanges {
    lake: Arc<Lake>,
}

impl TableChanges {
    pub(super) fn new(lake: Arc<Lake>) -> Self {
        Self { lake }
    }
}

impl TableFunctionImpl for TableChanges {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> datafusion::error::Result<Arc<dyn TableProvider>> {
        let values = arguments.exprs().iter().map(|argument| match argument {
            Expr::Literal(value, _) => Ok(value.clone()),
            other => Err(Error::invalid(format!("table_changes takes constants, not {other}"))),
        });
        let zone = arguments.session().config_options().execution.time_zone.clone();
        let call = Call::of(zone, values.collect::<Result<_>>()?, Vec::new())?;
        Ok(wait_for(changes(&self.lake, call))?)
    }
}
