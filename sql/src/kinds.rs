//! What kind of statement a statement is.

use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::statement::Statement;

impl Statement {
    /// Its leading words, such as `MERGE`, `CREATE TABLE` or `SELECT`; those of an entry of
    /// [`statements`](crate::statements) wherever there is one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native(statement) => native_name(statement),
            Self::Explain(_) => "EXPLAIN",
            Self::Prepare(_) => "PREPARE",
            Self::CreateTable(_) => "CREATE TABLE",
            Self::CreateTableLike(_) => "CREATE TABLE LIKE",
            Self::CloneTable(_) => "CLONE",
            Self::Convert(_) => "CONVERT TO DELTA",
            Self::DropTable(_) => "DROP TABLE",
            Self::AlterTable(_) => "ALTER TABLE",
            Self::CommentOn(_) => "COMMENT ON",
            Self::Insert(_) => "INSERT",
            Self::Update(_) => "UPDATE",
            Self::Delete(_) => "DELETE",
            Self::Truncate(_) => "TRUNCATE TABLE",
            Self::Merge(_) => "MERGE",
            Self::CopyInto(_) => "COPY INTO",
            Self::Optimize(_) => "OPTIMIZE",
            Self::Vacuum(_) => "VACUUM",
            Self::Restore(_) => "RESTORE",
            Self::Fsck(_) => "FSCK REPAIR TABLE",
            Self::Reorg(_) => "REORG TABLE",
            Self::Checkpoint(_) => "CHECKPOINT",
            Self::Generate(_) => "GENERATE",
            Self::Analyze(_) => "ANALYZE TABLE",
            Self::Backup(_) => "BACKUP",
            Self::VerifyBackup(_) => "VERIFY BACKUP",
            Self::RestoreBackup(_) => "RESTORE FROM",
            Self::KillQuery(_) => "KILL QUERY",
            Self::Call(_) => "CALL",
            Self::DescribeHistory(_) => "DESCRIBE HISTORY",
            Self::DescribeDetail(_) => "DESCRIBE DETAIL",
            Self::ShowProperties(_) => "SHOW TBLPROPERTIES",
            Self::ShowPartitions(_) => "SHOW PARTITIONS",
            Self::ShowCreateTable(_) => "SHOW CREATE TABLE",
            Self::ShowProcedures => "SHOW PROCEDURES",
            Self::CreateSecret(_) => "CREATE SECRET",
            Self::DropSecret(_) => "DROP SECRET",
            Self::ShowSecrets => "SHOW SECRETS",
            Self::Access(access) => access.name(),
        }
    }

    /// Whether it is a query: `SELECT`, `WITH`, `VALUES` or `FROM`.
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Native(statement) if matches!(statement.as_ref(),
            NativeStatement::Statement(statement) if matches!(statement.as_ref(), SqlStatement::Query(_))))
    }

    /// Whether it reports: its rows stand even where it ends in an error, which sums them up.
    pub fn reports(&self) -> bool {
        match self {
            Self::VerifyBackup(_) => true,
            Self::Call(call) => call.procedure.value == "verify_backup",
            _ => false,
        }
    }

    /// Whether running it can change a table, the catalog or a file; true where only running it can tell.
    pub fn modifies(&self) -> bool {
        match self {
            Self::Native(statement) => native_modifies(statement),
            Self::Explain(explain) => explain.analyze && explain.statement.modifies(),
            Self::Prepare(_)
            | Self::DescribeHistory(_)
            | Self::DescribeDetail(_)
            | Self::ShowProperties(_)
            | Self::ShowPartitions(_)
            | Self::ShowCreateTable(_)
            | Self::ShowProcedures
            | Self::VerifyBackup(_)
            | Self::CreateSecret(_)
            | Self::DropSecret(_)
            | Self::ShowSecrets => false,
            Self::Access(access) => !access.shows(),
            Self::Vacuum(vacuum) => !vacuum.dry_run,
            Self::Fsck(fsck) => !fsck.dry_run,
            _ => true,
        }
    }
}

fn native_name(statement: &NativeStatement) -> &'static str {
    match statement {
        NativeStatement::Statement(statement) => sql_name(statement),
        NativeStatement::CreateExternalTable(_) => "CREATE EXTERNAL TABLE",
        NativeStatement::CopyTo(_) => "COPY TO",
        NativeStatement::Explain(_) => "EXPLAIN",
        NativeStatement::Reset(_) => "RESET",
    }
}

fn sql_name(statement: &SqlStatement) -> &'static str {
    match statement {
        SqlStatement::Query(_) => "SELECT",
        SqlStatement::Set(_) => "SET",
        SqlStatement::ShowTables { .. } => "SHOW TABLES",
        SqlStatement::ShowSchemas { .. } => "SHOW SCHEMAS",
        SqlStatement::ShowColumns { .. } => "SHOW COLUMNS",
        SqlStatement::ShowFunctions { .. } => "SHOW FUNCTIONS",
        SqlStatement::ShowVariable { .. } | SqlStatement::ShowVariables { .. } => "SHOW",
        SqlStatement::ExplainTable { .. } | SqlStatement::Explain { .. } => "DESCRIBE",
        SqlStatement::CreateView(_) => "CREATE VIEW",
        SqlStatement::CreateSchema { .. } => "CREATE SCHEMA",
        SqlStatement::CreateDatabase { .. } => "CREATE DATABASE",
        SqlStatement::CreateFunction(_) => "CREATE FUNCTION",
        SqlStatement::Drop { .. } => "DROP",
        SqlStatement::Execute { .. } => "EXECUTE",
        SqlStatement::Deallocate { .. } => "DEALLOCATE",
        _ => "SQL",
    }
}

fn native_modifies(statement: &NativeStatement) -> bool {
    match statement {
        NativeStatement::Statement(statement) => !matches!(
            sql_name(statement),
            "SELECT"
                | "SET"
                | "SHOW TABLES"
                | "SHOW SCHEMAS"
                | "SHOW COLUMNS"
                | "SHOW FUNCTIONS"
                | "SHOW"
                | "DESCRIBE"
                | "DEALLOCATE"
        ),
        NativeStatement::Reset(_) => false,
        NativeStatement::Explain(explain) => explain.options.analyze && native_modifies(&explain.statement),
        NativeStatement::CopyTo(_) | NativeStatement::CreateExternalTable(_) => true,
    }
}
