//! One file a command: what it takes, what it returns, what it does.

mod access;
mod alter;
mod alter_columns;
mod alter_properties;
mod alter_rules;
mod alter_table;
mod analyze;
mod backup;
mod blueprint;
mod checkpoint;
mod clone_files;
mod clone_table;
mod convert;
mod copy_into;
mod create_as;
mod create_like;
mod create_table;
mod definition_text;
mod describe;
mod drop_table;
mod expressions;
mod fsck;
mod generate;
mod kill_query;
mod optimize;
mod prepare;
pub(crate) mod procedures;
mod properties;
mod rename_objects;
mod rename_table;
mod restore;
mod rewrite;
mod schema;
mod secret;
mod show;
mod target;
mod vacuum;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectType, Statement as SqlStatement};
use posixlake_sql::Statement;

use crate::error::{Error, Result};
use crate::plan::Planner;

pub(crate) use describe::read;
pub(crate) use prepare::deallocate;
pub(crate) use show::text_rows;

/// Plans a statement of posixlake's own.
///
/// # Errors
/// As [`Planner::plan`].
pub(crate) async fn plan(planner: &Planner, statement: &Statement) -> Result<LogicalPlan> {
    match statement {
        Statement::Prepare(prepare) => prepare::plan(planner, prepare),
        Statement::CreateTable(request) => create_table::plan(planner, request, statement.to_string()).await,
        Statement::CreateTableLike(request) => create_like::plan(planner, request, statement.to_string()).await,
        Statement::CloneTable(request) => clone_table::plan(planner, request, statement.to_string()).await,
        Statement::Convert(request) => convert::plan(planner, request, statement.to_string()).await,
        Statement::AlterTable(request) => alter_table::plan(planner, request, statement.to_string()).await,
        Statement::CommentOn(request) => alter_table::plan_comment(planner, request, statement.to_string()).await,
        Statement::DropTable(request) => drop_table::plan(planner, request, statement.to_string()).await,
        Statement::Update(update) => crate::dml::update::plan(planner, update, statement.to_string()).await,
        Statement::Delete(delete) => crate::dml::delete::plan(planner, delete, statement.to_string()).await,
        Statement::Truncate(table) => crate::dml::delete::plan_truncate(planner, table, statement.to_string()).await,
        Statement::Merge(merge) => crate::dml::merge::plan(planner, merge, statement.to_string()).await,
        Statement::CopyInto(copy) => copy_into::plan(planner, copy, statement.to_string()).await,
        Statement::Optimize(request) => optimize::plan(planner, request, statement.to_string()).await,
        Statement::Vacuum(request) => vacuum::plan(planner, request, statement.to_string()).await,
        Statement::Restore(request) => restore::plan(planner, request, statement.to_string()).await,
        Statement::Fsck(request) => fsck::plan(planner, request, statement.to_string()).await,
        Statement::Reorg(request) => optimize::plan_purge(planner, request, statement.to_string()).await,
        Statement::Checkpoint(table) => checkpoint::plan(planner, table, statement.to_string()).await,
        Statement::Generate(request) => generate::plan(planner, request, statement.to_string()).await,
        Statement::Analyze(table) => analyze::plan(planner, table, statement.to_string()).await,
        Statement::Backup(request) => backup::plan(planner, request, statement.to_string()).await,
        Statement::VerifyBackup(request) => backup::plan_verify(planner, request, statement.to_string()),
        Statement::RestoreBackup(request) => backup::plan_restore(planner, request, statement.to_string()),
        Statement::KillQuery(number) => kill_query::plan(planner, *number),
        Statement::Call(call) => Box::pin(plan(planner, &procedures::lower(planner, call)?)).await,
        Statement::DescribeHistory(request) => describe::history(planner, request).await,
        Statement::DescribeDetail(table) => describe::detail(planner, table).await,
        Statement::ShowProperties(request) => show::table_properties(planner, request).await,
        Statement::ShowPartitions(table) => show::table_partitions(planner, table).await,
        Statement::ShowCreateTable(table) => show::create_table(planner, table).await,
        Statement::ShowProcedures => show::all_procedures(),
        Statement::CreateSecret(request) => secret::create(planner, request, statement.to_string()),
        Statement::DropSecret(request) => secret::remove(planner, request, statement.to_string()),
        Statement::ShowSecrets => secret::show(planner),
        Statement::Access(request) => access::plan(planner, request).await,
        other => Err(Error::unsupported(format!("{} is not available", other.name()))),
    }
}

/// Plans those of DataFusion's statements that mean something else for a lake; none for the others.
///
/// # Errors
/// As [`Planner::plan`].
pub(crate) async fn plan_native(planner: &Planner, statement: &SqlStatement) -> Result<Option<LogicalPlan>> {
    match statement {
        SqlStatement::ShowColumns { show_options, .. } => show::columns(planner, show_options).await.map(Some),
        SqlStatement::ShowTables {
            terse: false,
            history: false,
            extended: false,
            full: false,
            external: false,
            show_options,
        } => show::all_tables(planner, show_options).await.map(Some),
        SqlStatement::ShowSchemas {
            terse: false,
            history: false,
            show_options,
        } => show::all_schemas(planner, show_options).await.map(Some),
        SqlStatement::Drop {
            object_type: ObjectType::View,
            if_exists: false,
            names,
            ..
        } => drop_table::check_views(planner, names).map(|()| None),
        SqlStatement::CreateSchema { .. } | SqlStatement::Drop { .. } => schema::plan(planner, statement).await,
        _ => Ok(None),
    }
}
