//! What a plan touches: the one place where statements meet rights.

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement, WriteOp};
use posixlake_sql::Privilege;

use super::{Access, Touch};
use crate::error::Result;
use crate::plan::touches_of;
use crate::table::LakeTable;

/// Settings that only an admin changes: what is written down of statements, and where the process writes its own files.
const GUARDED_SETTINGS: [&str; 2] = ["posixlake.audit", "datafusion.runtime."];

impl Access {
    /// Whether a plan may be run, with all that its subqueries, views and commands touch.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`](crate::ErrorKind::Permission) with the first thing that may not be done.
    pub(crate) fn check_plan(&self, plan: &LogicalPlan) -> Result<()> {
        if self.is_on() {
            self.check(&touched(plan)?)
        } else {
            Ok(())
        }
    }
}

/// Everything that a plan reads or changes, each once.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn touched(plan: &LogicalPlan) -> Result<Vec<Touch>> {
    let mut found = Vec::new();
    collect(plan, &mut found)?;
    Ok(found)
}

fn collect(plan: &LogicalPlan, found: &mut Vec<Touch>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                if let Ok(provider) = source_as_provider(&scan.source) {
                    read(provider.as_ref(), found)?;
                }
            }
            LogicalPlan::Dml(dml) => {
                if let Ok(provider) = source_as_provider(&dml.target) {
                    write(provider.as_ref(), &dml.op, found);
                }
            }
            LogicalPlan::Copy(copy) => add(found, Touch::Files(copy.output_url.clone())),
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                for location in &table.locations {
                    add(found, Touch::Files(location.clone()));
                }
            }
            // A function's body can be a library: whoever makes one can run anything.
            LogicalPlan::Ddl(DdlStatement::CreateFunction(_)) => add(found, Touch::Users),
            LogicalPlan::Statement(Statement::SetVariable(set)) => setting(&set.variable, found),
            LogicalPlan::Statement(Statement::ResetVariable(reset)) => setting(&reset.variable, found),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn read(provider: &dyn TableProvider, found: &mut Vec<Touch>) -> Result<()> {
    if let Some(touches) = touches_of(provider) {
        touches.into_iter().for_each(|touch| add(found, touch));
    } else if let Some(table) = provider.downcast_ref::<LakeTable>() {
        add(found, Touch::Table(table.url().clone(), Privilege::Select));
    } else if let Some(files) = provider.downcast_ref::<ListingTable>() {
        for path in files.table_paths() {
            add(found, Touch::Files(path.to_string()));
        }
    } else if let Some(files) = posixlake_udfs::files_of(provider) {
        add(found, Touch::Files(files));
    } else if let Some(view) = provider.get_logical_plan() {
        collect(&view, found)?;
    }
    Ok(())
}

fn write(provider: &dyn TableProvider, op: &WriteOp, found: &mut Vec<Touch>) {
    if let Some(touches) = touches_of(provider) {
        touches.into_iter().for_each(|touch| add(found, touch));
    } else if let Some(table) = provider.downcast_ref::<LakeTable>() {
        let needed: &[Privilege] = match op {
            WriteOp::Insert(InsertOp::Append) => &[Privilege::Insert],
            WriteOp::Insert(_) => &[Privilege::Insert, Privilege::Delete],
            WriteOp::Update => &[Privilege::Select, Privilege::Update],
            WriteOp::Delete | WriteOp::Truncate => &[Privilege::Select, Privilege::Delete],
            _ => &Privilege::ALL,
        };
        for privilege in needed {
            add(found, Touch::Table(table.url().clone(), *privilege));
        }
    } else if let Some(files) = provider.downcast_ref::<ListingTable>() {
        for path in files.table_paths() {
            add(found, Touch::Files(path.to_string()));
        }
    }
}

fn setting(name: &str, found: &mut Vec<Touch>) {
    let name = name.to_lowercase();
    if GUARDED_SETTINGS.iter().any(|guarded| name.starts_with(guarded)) {
        add(found, Touch::Users);
    }
}

fn add(found: &mut Vec<Touch>, touch: Touch) {
    if !found.contains(&touch) {
        found.push(touch);
    }
}
