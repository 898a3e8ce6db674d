//! Statements as canonical text: what reads back as the same statement, in the first spelling of each clause.

mod access;
mod backup;
mod change;
mod definition;
mod maintenance;
mod native;
mod nodes;
mod secret;
mod types;

use std::fmt::{self, Display, Formatter};

use crate::names::{Name, Qualified};
use crate::stack::with_room;
use crate::statement::{Explain, Prepare, Statement};
use nodes::list;

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        with_room(|| self.write(f))
    }
}

impl Statement {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(statement) => native::write(f, statement),
            Self::Explain(explain) => write!(f, "{explain}"),
            Self::Prepare(prepare) => write!(f, "{prepare}"),
            Self::CreateTable(table) => write!(f, "{table}"),
            Self::CreateTableLike(table) => write!(f, "{table}"),
            Self::CloneTable(table) => write!(f, "{table}"),
            Self::Convert(convert) => write!(f, "{convert}"),
            Self::DropTable(table) => write!(f, "{table}"),
            Self::AlterTable(alter) => write!(f, "{alter}"),
            Self::CommentOn(comment) => write!(f, "{comment}"),
            Self::Insert(insert) => write!(f, "{insert}"),
            Self::Update(update) => write!(f, "{update}"),
            Self::Delete(delete) => write!(f, "{delete}"),
            Self::Truncate(table) => write!(f, "TRUNCATE TABLE {}", Qualified(table)),
            Self::Merge(merge) => write!(f, "{merge}"),
            Self::CopyInto(copy) => write!(f, "{copy}"),
            Self::Optimize(optimize) => write!(f, "{optimize}"),
            Self::Vacuum(vacuum) => write!(f, "{vacuum}"),
            Self::Restore(restore) => write!(f, "{restore}"),
            Self::Fsck(fsck) => write!(f, "{fsck}"),
            Self::Reorg(reorg) => write!(f, "{reorg}"),
            Self::Checkpoint(table) => write!(f, "CHECKPOINT {}", Qualified(table)),
            Self::Generate(generate) => write!(f, "{generate}"),
            Self::Analyze(table) => write!(f, "ANALYZE TABLE {} COMPUTE STATISTICS", Qualified(table)),
            Self::Backup(backup) => write!(f, "{backup}"),
            Self::VerifyBackup(verify) => write!(f, "{verify}"),
            Self::RestoreBackup(restore) => write!(f, "{restore}"),
            Self::KillQuery(id) => write!(f, "KILL QUERY {id}"),
            Self::Call(call) => write!(f, "{call}"),
            Self::DescribeHistory(describe) => write!(f, "{describe}"),
            Self::DescribeDetail(table) => write!(f, "DESCRIBE DETAIL {}", Qualified(table)),
            Self::ShowProperties(show) => write!(f, "{show}"),
            Self::ShowPartitions(table) => write!(f, "SHOW PARTITIONS {}", Qualified(table)),
            Self::ShowCreateTable(table) => write!(f, "SHOW CREATE TABLE {}", Qualified(table)),
            Self::ShowProcedures => f.write_str("SHOW PROCEDURES"),
            Self::CreateSecret(secret) => write!(f, "{secret}"),
            Self::DropSecret(secret) => write!(f, "{secret}"),
            Self::ShowSecrets => f.write_str("SHOW SECRETS"),
            Self::Access(access) => write!(f, "{access}"),
        }
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("EXPLAIN ")?;
        if self.level.is_none() && self.categories.is_none() && self.costs.is_none() {
            if self.analyze {
                f.write_str("ANALYZE ")?;
            }
            if self.verbose {
                f.write_str("VERBOSE ")?;
            }
            if let Some(format) = &self.format {
                write!(f, "FORMAT {} ", format.to_uppercase())?;
            }
            return write!(f, "{}", self.statement);
        }
        let mut options = Vec::new();
        if self.analyze {
            options.push("ANALYZE".to_owned());
        }
        if self.verbose {
            options.push("VERBOSE".to_owned());
        }
        if let Some(format) = &self.format {
            options.push(format!("FORMAT {}", format.to_uppercase()));
        }
        if let Some(level) = self.level {
            options.push(format!("LEVEL {}", level.to_string().to_uppercase()));
        }
        if let Some(categories) = &self.categories {
            options.push(format!("METRICS '{categories}'"));
        }
        if let Some(costs) = self.costs {
            options.push(format!("COSTS {}", if costs { "ON" } else { "OFF" }));
        }
        write!(f, "({}) {}", options.join(", "), self.statement)
    }
}

impl Display for Prepare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PREPARE {} ", Name(&self.name))?;
        if !self.parameter_types.is_empty() {
            write!(f, "({}) ", list(&self.parameter_types, |data_type| data_type))?;
        }
        write!(f, "AS {}", self.statement)
    }
}
