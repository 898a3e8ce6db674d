//! The change data feed: `table_changes('t', from[, to])` and `t$changes`.

mod feed;
mod files;
mod provider;
mod schema;

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, TimeZone, Utc};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use posixlake_sql::Privilege;

use super::{Momentary, table_name, wait_for};
use crate::access::Touch;
use crate::catalog::{Lake, TableId, show_time};
use crate::error::{Error, Result};
use crate::log::Snapshot;
use crate::log::history::commit_times;
use crate::plan::Planner;
use feed::{Feed, off};
use provider::ChangesTable;

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

/// The changes that a call asks for; they go on where it names no end.
async fn changes(lake: &Arc<Lake>, call: Call) -> Result<Arc<dyn TableProvider>> {
    let seen = range(lake, &call).await?;
    if call.to.is_some() {
        return Ok(seen);
    }
    let (lake, call) = (lake.clone(), Arc::new(call));
    Ok(Arc::new(Momentary::new(seen, move || {
        let (lake, call) = (lake.clone(), call.clone());
        Box::pin(async move { range(&lake, &call).await })
    })))
}

async fn range(lake: &Arc<Lake>, call: &Call) -> Result<Arc<dyn TableProvider>> {
    let id = lake.resolve(&table_name(&call.table)?)?;
    lake.access()
        .check(&[Touch::Table(id.url.clone(), Privilege::Select)])?;
    let table = lake.open_table(&id).await?;
    let name = id.display();
    let latest = table.version();
    let times = commit_times(&table).await?;
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
    let first = times.first().map_or(0, |(version, _)| *version);
    if from < first {
        return Err(Error::not_found(format!(
            "the commits of table {name} before version {first} are no longer in its log; begin there"
        )));
    }
    let times = times.into_iter().filter(|(version, _)| (from..=to).contains(version));
    Ok(Arc::new(
        ChangesTable::new(lake.clone(), id, table, times.collect()).await?,
    ))
}

/// All changes up to the loaded version that the feed has without a gap.
///
/// # Errors
/// Where the feed is off.
pub(super) async fn all(lake: &Arc<Lake>, id: &TableId, table: Snapshot) -> Result<Arc<dyn TableProvider>> {
    let from = Feed::of(lake, id, &table)
        .await?
        .last_run()
        .ok_or_else(|| off(&id.display()))?;
    let times = commit_times(&table).await?.into_iter();
    let times = times.filter(|(version, _)| *version >= from);
    Ok(Arc::new(
        ChangesTable::new(lake.clone(), id.clone(), table, times.collect()).await?,
    ))
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
