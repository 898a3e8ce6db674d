//! Relations that DataFusion's planner cannot resolve by itself: tables at a point of their history, and table functions
//! with named arguments. They are resolved before planning, where waiting is possible, and looked up during it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::parser::{CopyToSource, Statement as NativeStatement};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, ObjectName, Select, SelectFlavor, SelectItem,
    TableFactor, TableVersion, Value, Visit, VisitMut, Visitor, VisitorMut, WildcardAdditionalOptions,
};
use posixlake_sql::AsOf;
use posixlake_udfs::{FileFormat, FileScanRequest};

use super::Planner;
use crate::access::Touch;
use crate::catalog::TableName;
use crate::error::{Error, Result};
use crate::table::LakeTable;

/// The resolved relations of one statement, by their text.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    providers: HashMap<String, Arc<dyn TableProvider>>,
}

impl Relations {
    /// Opens what a statement's relations need.
    ///
    /// # Errors
    /// Where a table, version, file or option is not there.
    pub(crate) async fn resolve(planner: &Planner, statement: &NativeStatement) -> Result<Self> {
        let mut found = Collector::default();
        let _: ControlFlow<()> = match statement {
            NativeStatement::Statement(statement) => Visit::visit(statement, &mut found),
            NativeStatement::CopyTo(copy) => match &copy.source {
                CopyToSource::Query(query) => Visit::visit(query, &mut found),
                CopyToSource::Relation(_) => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        };
        Self::of(planner, found.factors).await
    }

    /// The same relations, and one of this name.
    pub(super) fn with(mut self, name: &str, provider: Arc<dyn TableProvider>) -> Self {
        self.providers.insert(name.to_string(), provider);
        self
    }

    /// Opens what these relations need.
    ///
    /// # Errors
    /// As [`Relations::resolve`].
    pub(crate) async fn of(planner: &Planner, factors: Vec<TableFactor>) -> Result<Self> {
        let mut relations = Self::default();
        for factor in factors {
            let key = key(&factor);
            if relations.providers.contains_key(&key) {
                continue;
            }
            let TableFactor::Table {
                name, version, args, ..
            } = &factor
            else {
                continue;
            };
            let provider = match (version, args) {
                (Some(version), None) => versioned(planner, name, version).await?,
                (None, Some(args)) => match function(planner, name, &args.args).await? {
                    Some(provider) => provider,
                    None => continue,
                },
                (Some(_), Some(_)) => {
                    return Err(Error::invalid(format!(
                        "{name}(…) is a function's result, which has no versions"
                    )));
                }
                (None, None) => continue,
            };
            relations.providers.insert(key, provider);
        }
        for (name, table) in planner.given.iter() {
            for spelled in [
                name.clone(),
                posixlake_sql::quote_identifier(name),
                format!("\"{name}\""),
            ] {
                relations.providers.insert(spelled, table.clone());
            }
        }
        Ok(relations)
    }
}

#[derive(Default)]
struct Collector {
    factors: Vec<TableFactor>,
}

impl Visitor for Collector {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { version, args, .. } = factor
            && (version.is_some() || args.is_some())
        {
            self.factors.push(factor.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Gives `FROM t` the `SELECT *` that it stands for: DataFusion plans it without any column.
pub(super) fn complete_from_first(statement: &mut NativeStatement) {
    struct Complete;
    impl VisitorMut for Complete {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
                select.flavor = SelectFlavor::Standard;
                select
                    .projection
                    .push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            }
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = match statement {
        NativeStatement::Statement(statement) => VisitMut::visit(statement, &mut Complete),
        NativeStatement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => VisitMut::visit(query, &mut Complete),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    };
}

/// What a relation reads, whatever it is called in the statement.
fn key(factor: &TableFactor) -> String {
    let mut factor = factor.clone();
    if let TableFactor::Table { alias, .. } = &mut factor {
        *alias = None;
    }
    factor.to_string()
}

async fn versioned(planner: &Planner, name: &ObjectName, version: &TableVersion) -> Result<Arc<dyn TableProvider>> {
    let as_of = match version {
        TableVersion::VersionAsOf(SqlExpr::Value(value)) => match &value.value {
            Value::Number(number, _) => AsOf::Version(number.parse().map_err(|_| {
                Error::invalid(format!(
                    "{number} is not a version: versions are whole numbers from 0 on"
                ))
            })?),
            other => return Err(Error::invalid(format!("{other} is not a version"))),
        },
        TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => AsOf::Timestamp(expr.clone()),
        other => {
            return Err(Error::unsupported(format!(
                "'{other}' is not supported; use VERSION AS OF n or TIMESTAMP AS OF '…'"
            )));
        }
    };
    let lake = planner.lake();
    let id = lake.resolve(name)?;
    if lake.registered(&id.schema, &id.name).is_some() {
        return Err(Error::unsupported(format!(
            "{} is not a Delta table of the lake: it has no versions",
            id.display()
        )));
    }
    if TableName::parse(&id.name).is_ok_and(|parsed| parsed.base != id.name) {
        return Err(Error::invalid(format!(
            "'{}' names a version already; leave AS OF out",
            id.name
        )));
    }
    planner.check_read(&id)?;
    let table = lake.open_at(&id, planner.point(&as_of)?).await?;
    Ok(Arc::new(LakeTable::try_new(lake.clone(), id, table, true, false)?))
}

async fn function(
    planner: &Planner,
    name: &ObjectName,
    args: &[FunctionArg],
) -> Result<Option<Arc<dyn TableProvider>>> {
    let [part] = name.0.as_slice() else { return Ok(None) };
    let Some(ident) = part.as_ident() else { return Ok(None) };
    let function = ident.value.to_lowercase();
    if function == "table_changes" {
        let (positional, named) = arguments(planner, &function, args)?;
        return Ok(Some(crate::table::table_changes(planner, positional, named).await?));
    }
    if let Some(format) = FileFormat::of_function(&function) {
        let (positional, named) = arguments(planner, &function, args)?;
        let positional = positional.iter().map(|value| (None, value));
        let named = named.iter().map(|(name, value)| (Some(name.as_str()), value));
        let request = FileScanRequest::from_call(format, positional.chain(named))?;
        let touches: Vec<Touch> = request.paths().iter().cloned().map(Touch::Files).collect();
        planner.lake().access().check(&touches)?;
        return Ok(Some(posixlake_udfs::open_files(planner.state(), &request).await?));
    }
    Ok(None)
}

type Arguments = (
    Vec<datafusion::common::ScalarValue>,
    Vec<(String, datafusion::common::ScalarValue)>,
);

/// The values of a function's arguments; positional ones come first.
fn arguments(planner: &Planner, function: &str, args: &[FunctionArg]) -> Result<Arguments> {
    let mut positional = Vec::new();
    let mut named = Vec::new();
    for arg in args {
        let (name, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (None, value),
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(value),
                operator:
                    FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment | FunctionArgOperator::Equals,
            } => (Some(name.value.to_lowercase()), value),
            other => {
                return Err(Error::invalid(format!(
                    "{function}: '{other}' is not an argument; write name => value"
                )));
            }
        };
        let value = planner.constant(value)?;
        match name {
            Some(name) => named.push((name, value)),
            None if named.is_empty() => positional.push(value),
            None => {
                return Err(Error::invalid(format!(
                    "{function}: a positional argument behind a named one"
                )));
            }
        }
    }
    Ok((positional, named))
}

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> std::result::Result<RelationPlanning, DataFusionError> {
        let TableFactor::Table {
            name,
            alias,
            version,
            args,
            ..
        } = &relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(provider) = self.providers.get(&key(&relation)) else {
            // The default planner drops the version and would answer with the latest rows.
            return match version {
                Some(version) => Err(Error::unsupported(format!(
                    "{name} {version}: time travel needs posixlake's planner here; name the version as \"{name}@v…\""
                ))
                .into()),
                None => Ok(RelationPlanning::Original(Box::new(relation))),
            };
        };
        let called = match args {
            Some(_) => TableReference::bare(name.to_string()),
            None => context.object_name_to_table_reference(name.clone())?,
        };
        // Scans are equal to the optimizer where their names are: two versions of a table under one name would be taken for
        // the same subquery. So the scan is named by all that it reads, and the relation by what the statement calls it.
        let scanned = TableReference::bare(key(&relation));
        let plan = LogicalPlanBuilder::scan(scanned, provider_as_source(provider.clone()), None)?
            .alias(called)?
            .build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation {
            plan,
            alias: alias.clone(),
        })))
    }
}
