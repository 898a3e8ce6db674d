//! `CALL`: every procedure is one of the statements, with its parts as arguments.

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName};
use posixlake_sql::{
    AsOf, Backup, Call, Fsck, Generate, Optimize, Reorg, Restore, RestoreBackup, Statement, Vacuum, VacuumMode,
    VerifyBackup,
};

use super::show::did_you_mean;
use crate::error::{Error, Result};
use crate::plan::Planner;
use crate::table::table_name;

/// A parameter of a procedure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its type.
    pub(crate) data_type: &'static str,
    /// What stands where it is not given; none where it must be given.
    pub(crate) default: Option<&'static str>,
}

/// A procedure.
#[derive(Debug)]
pub(crate) struct Procedure {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its parameters, in the order of positional arguments.
    pub(crate) parameters: &'static [Parameter],
    /// The result's columns.
    pub(crate) result: &'static [&'static str],
    /// The statement that it is.
    pub(crate) statement: &'static str,
    /// What it does.
    pub(crate) summary: &'static str,
    lower: fn(&Arguments) -> Result<Statement>,
}

impl Procedure {
    /// The parameters as text: `table STRING, dry_run BOOLEAN = false`.
    pub(crate) fn signature(&self) -> String {
        let parameters = self.parameters.iter().map(|parameter| match parameter.default {
            None => format!("{} {}", parameter.name, parameter.data_type),
            Some(default) => format!("{} {} = {default}", parameter.name, parameter.data_type),
        });
        parameters.collect::<Vec<_>>().join(", ")
    }
}

const fn must(name: &'static str, data_type: &'static str) -> Parameter {
    Parameter {
        name,
        data_type,
        default: None,
    }
}

const fn may(name: &'static str, data_type: &'static str, default: &'static str) -> Parameter {
    Parameter {
        name,
        data_type,
        default: Some(default),
    }
}

const TABLE: Parameter = must("table", "STRING");

const BACKUP_RESULT: &[&str] = &[
    "table",
    "backup_number",
    "version",
    "num_files",
    "num_bytes",
    "num_copied_files",
    "num_copied_bytes",
    "restorable_versions",
];
const RESTORED_RESULT: &[&str] = &["table", "version", "num_files", "num_bytes"];

/// Every procedure, in order of their names.
pub(crate) const PROCEDURES: &[Procedure] = &[
    Procedure {
        name: "analyze",
        parameters: &[TABLE],
        result: &["num_files_analyzed", "num_files", "num_rows_analyzed"],
        statement: "ANALYZE TABLE t COMPUTE STATISTICS",
        summary: "Computes the statistics of files that have none.",
        lower: |arguments| Ok(Statement::Analyze(arguments.table()?)),
    },
    Procedure {
        name: "backup",
        parameters: &[TABLE, must("url", "STRING"), may("incremental", "BOOLEAN", "false")],
        result: BACKUP_RESULT,
        statement: "BACKUP TABLE t TO 'url' [INCREMENTAL]",
        summary: "Copies a table with its history and checksums.",
        lower: |arguments| {
            Ok(Statement::Backup(Backup {
                table: Some(arguments.table()?),
                location: arguments.text("url")?.unwrap_or_default(),
                incremental: arguments.flag("incremental")?,
            }))
        },
    },
    Procedure {
        name: "backup_lake",
        parameters: &[must("url", "STRING"), may("incremental", "BOOLEAN", "false")],
        result: BACKUP_RESULT,
        statement: "BACKUP LAKE TO 'url' [INCREMENTAL]",
        summary: "Copies all tables of the lake with their history and checksums.",
        lower: |arguments| {
            Ok(Statement::Backup(Backup {
                table: None,
                location: arguments.text("url")?.unwrap_or_default(),
                incremental: arguments.flag("incremental")?,
            }))
        },
    },
    Procedure {
        name: "checkpoint",
        parameters: &[TABLE],
        result: &["version"],
        statement: "CHECKPOINT t",
        summary: "Writes the table's state into one file, so that it opens faster.",
        lower: |arguments| Ok(Statement::Checkpoint(arguments.table()?)),
    },
    Procedure {
        name: "fsck",
        parameters: &[TABLE, may("dry_run", "BOOLEAN", "false")],
        result: &["dataFilePath", "dataFileMissing"],
        statement: "FSCK REPAIR TABLE t [DRY RUN]",
        summary: "Takes files out of the table that are missing in storage.",
        lower: |arguments| {
            Ok(Statement::Fsck(Fsck {
                table: arguments.table()?,
                dry_run: arguments.flag("dry_run")?,
            }))
        },
    },
    Procedure {
        name: "generate",
        parameters: &[TABLE, may("mode", "STRING", "'symlink_format_manifest'")],
        result: &["path", "num_files"],
        statement: "GENERATE symlink_format_manifest FOR TABLE t",
        summary: "Writes manifests for engines that read lists of files.",
        lower: |arguments| match arguments.text("mode")?.as_deref() {
            None | Some("symlink_format_manifest") => Ok(Statement::Generate(Generate {
                mode: "symlink_format_manifest".to_string(),
                table: arguments.table()?,
            })),
            Some(other) => Err(Error::invalid(format!(
                "generate: mode is 'symlink_format_manifest', not '{other}'"
            ))),
        },
    },
    Procedure {
        name: "optimize",
        parameters: &[TABLE, may("where", "STRING", "NULL")],
        result: &["path", "metrics"],
        statement: "OPTIMIZE t [WHERE p]",
        summary: "Joins small files into larger ones.",
        lower: |arguments| {
            let selection = arguments.condition("where")?;
            Ok(Statement::Optimize(Optimize {
                table: arguments.table()?,
                selection,
                zorder: Vec::new(),
            }))
        },
    },
    Procedure {
        name: "purge",
        parameters: &[TABLE, may("where", "STRING", "NULL")],
        result: &["path", "metrics"],
        statement: "REORG TABLE t [WHERE p] APPLY (PURGE)",
        summary: "Rewrites files that hold deleted rows or dropped columns.",
        lower: |arguments| {
            let selection = arguments.condition("where")?;
            Ok(Statement::Reorg(Reorg {
                table: arguments.table()?,
                selection,
            }))
        },
    },
    Procedure {
        name: "restore",
        parameters: &[
            TABLE,
            may("version", "BIGINT", "NULL"),
            may("timestamp", "TIMESTAMP", "NULL"),
        ],
        result: &[
            "table_size_after_restore",
            "num_of_files_after_restore",
            "num_removed_files",
            "num_restored_files",
            "removed_files_size",
            "restored_files_size",
        ],
        statement: "RESTORE TABLE t TO {VERSION | TIMESTAMP} AS OF x",
        summary: "Goes back to an older version, as a new version.",
        lower: |arguments| {
            let as_of = match (arguments.integer("version")?, arguments.given("timestamp")) {
                (Some(version), None) => AsOf::Version(version),
                (None, Some((expr, _))) => AsOf::Timestamp(expr.clone()),
                _ => return Err(Error::invalid("restore takes either version => n or timestamp => '…'")),
            };
            Ok(Statement::Restore(Restore {
                table: arguments.table()?,
                as_of,
            }))
        },
    },
    Procedure {
        name: "restore_backup",
        parameters: &[
            must("url", "STRING"),
            TABLE,
            may("version", "BIGINT", "NULL"),
            may("timestamp", "TIMESTAMP", "NULL"),
            may("target", "STRING", "NULL"),
            may("overwrite", "BOOLEAN", "false"),
        ],
        result: RESTORED_RESULT,
        statement: "RESTORE TABLE t [AS new] FROM 'url' [TO {VERSION | TIMESTAMP} AS OF x] [OVERWRITE]",
        summary: "Brings a table back from a backup.",
        lower: |arguments| {
            let as_of = match (arguments.integer("version")?, arguments.given("timestamp")) {
                (Some(version), None) => Some(AsOf::Version(version)),
                (None, Some((expr, _))) => Some(AsOf::Timestamp(expr.clone())),
                (None, None) => None,
                _ => {
                    return Err(Error::invalid(
                        "restore_backup takes either version => n or timestamp => '…'",
                    ));
                }
            };
            let target = arguments.text("target")?;
            Ok(Statement::RestoreBackup(RestoreBackup {
                table: Some(arguments.table()?),
                target: target.as_deref().map(table_name).transpose()?,
                location: arguments.text("url")?.unwrap_or_default(),
                as_of,
                overwrite: arguments.flag("overwrite")?,
            }))
        },
    },
    Procedure {
        name: "restore_lake",
        parameters: &[
            must("url", "STRING"),
            may("timestamp", "TIMESTAMP", "NULL"),
            may("overwrite", "BOOLEAN", "false"),
        ],
        result: RESTORED_RESULT,
        statement: "RESTORE LAKE FROM 'url' [TO TIMESTAMP AS OF x] [OVERWRITE]",
        summary: "Brings all tables back from a backup.",
        lower: |arguments| {
            Ok(Statement::RestoreBackup(RestoreBackup {
                table: None,
                target: None,
                location: arguments.text("url")?.unwrap_or_default(),
                as_of: arguments
                    .given("timestamp")
                    .map(|(expr, _)| AsOf::Timestamp(expr.clone())),
                overwrite: arguments.flag("overwrite")?,
            }))
        },
    },
    Procedure {
        name: "vacuum",
        parameters: &[
            TABLE,
            may("retain_hours", "DOUBLE", "NULL"),
            may("dry_run", "BOOLEAN", "false"),
            may("mode", "STRING", "'full'"),
        ],
        result: &["path", "num_deleted_files", "deleted_bytes"],
        statement: "VACUUM t [LITE | FULL] [RETAIN n HOURS] [DRY RUN]",
        summary: "Deletes files that no version within the retention time needs.",
        lower: |arguments| {
            let mode = match arguments.text("mode")?.map(|mode| mode.to_lowercase()).as_deref() {
                None | Some("full") => VacuumMode::Full,
                Some("lite") => VacuumMode::Lite,
                Some(other) => {
                    return Err(Error::invalid(format!(
                        "vacuum: mode is 'full' or 'lite', not '{other}'"
                    )));
                }
            };
            Ok(Statement::Vacuum(Vacuum {
                table: arguments.table()?,
                mode,
                retain_hours: arguments.number("retain_hours")?,
                dry_run: arguments.flag("dry_run")?,
            }))
        },
    },
    Procedure {
        name: "verify_backup",
        parameters: &[must("url", "STRING")],
        result: &["table", "path", "status", "detail"],
        statement: "VERIFY BACKUP 'url'",
        summary: "Reads a whole backup and says what is missing or damaged.",
        lower: |arguments| {
            Ok(Statement::VerifyBackup(VerifyBackup {
                location: arguments.text("url")?.unwrap_or_default(),
            }))
        },
    },
    Procedure {
        name: "zorder",
        parameters: &[TABLE, must("columns", "ARRAY<STRING>"), may("where", "STRING", "NULL")],
        result: &["path", "metrics"],
        statement: "OPTIMIZE t [WHERE p] ZORDER BY (c, …)",
        summary: "Sorts the rows along several columns at once.",
        lower: |arguments| {
            let selection = arguments.condition("where")?;
            let zorder = arguments
                .texts("columns")?
                .iter()
                .map(|name| Ident::with_quote('`', name))
                .collect();
            Ok(Statement::Optimize(Optimize {
                table: arguments.table()?,
                selection,
                zorder,
            }))
        },
    },
];

/// The statement that a call is.
///
/// # Errors
/// Where there is no such procedure or parameter, or an argument does not fit.
pub(super) fn lower(planner: &Planner, call: &Call) -> Result<Statement> {
    let name = call.procedure.value.as_str();
    let Some(procedure) = PROCEDURES.iter().find(|procedure| procedure.name == name) else {
        let near = did_you_mean(name, PROCEDURES.iter().map(|procedure| procedure.name));
        return Err(Error::not_found(format!(
            "no procedure {name}{near}; SHOW PROCEDURES lists them"
        )));
    };
    let usage = || format!("{name}({})", procedure.signature());
    let mut values: Vec<(&'static str, Expr, ScalarValue)> = Vec::new();
    for (position, argument) in call.arguments.iter().enumerate() {
        let parameter = match &argument.name {
            None => procedure.parameters.get(position).ok_or_else(|| {
                Error::invalid(format!(
                    "{name} takes {} arguments at most: {}",
                    procedure.parameters.len(),
                    usage()
                ))
            })?,
            Some(given) => {
                let parameter = procedure
                    .parameters
                    .iter()
                    .find(|parameter| parameter.name == given.value);
                parameter.ok_or_else(|| {
                    let near = did_you_mean(
                        &given.value,
                        procedure.parameters.iter().map(|parameter| parameter.name),
                    );
                    Error::invalid(format!("{name} has no argument {}{near}: {}", given.value, usage()))
                })?
            }
        };
        if values.iter().any(|(given, ..)| *given == parameter.name) {
            return Err(Error::invalid(format!("{name}: {} is given twice", parameter.name)));
        }
        values.push((
            parameter.name,
            argument.value.clone(),
            planner.constant(&argument.value)?,
        ));
    }
    for parameter in procedure
        .parameters
        .iter()
        .filter(|parameter| parameter.default.is_none())
    {
        let given = values.iter().find(|(given, ..)| *given == parameter.name);
        if given.is_none_or(|(_, _, value)| value.is_null()) {
            return Err(Error::invalid(format!("{name} needs {}: {}", parameter.name, usage())));
        }
    }
    (procedure.lower)(&Arguments {
        procedure: procedure.name,
        values,
    })
}

/// The values of a call.
struct Arguments {
    procedure: &'static str,
    values: Vec<(&'static str, Expr, ScalarValue)>,
}

impl Arguments {
    /// The argument, unless it is absent or NULL.
    fn given(&self, name: &str) -> Option<(&Expr, &ScalarValue)> {
        let found = self.values.iter().find(|(given, ..)| *given == name);
        found
            .map(|(_, expr, value)| (expr, value))
            .filter(|(_, value)| !value.is_null())
    }

    fn wrong(&self, name: &str, value: &ScalarValue, wanted: &str) -> Error {
        Error::invalid(format!("{}: {name} => {value} is not {wanted}", self.procedure))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.given(name) {
            None => Ok(None),
            Some((_, value)) => match value.try_as_str().flatten() {
                Some(text) => Ok(Some(text.to_string())),
                None => Err(self.wrong(name, value, "a text")),
            },
        }
    }

    fn table(&self) -> Result<ObjectName> {
        table_name(&self.text("table")?.unwrap_or_default())
    }

    fn condition(&self, name: &str) -> Result<Option<Expr>> {
        Ok(self
            .text(name)?
            .map(|text| posixlake_sql::parse_expression(&text))
            .transpose()?)
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.given(name) {
            None => Ok(false),
            Some((_, ScalarValue::Boolean(Some(flag)))) => Ok(*flag),
            Some((_, value)) => Err(self.wrong(name, value, "true or false")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.given(name) {
            None => Ok(None),
            Some((_, value)) if value.data_type().is_numeric() => match value.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(number) => Ok(number),
                other => Err(self.wrong(name, &other, "a number")),
            },
            Some((_, value)) => Err(self.wrong(name, value, "a number")),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<u64>> {
        match self.given(name) {
            None => Ok(None),
            Some((_, value)) if value.data_type().is_integer() => match value.cast_to(&DataType::UInt64) {
                Ok(ScalarValue::UInt64(number)) => Ok(number),
                _ => Err(self.wrong(name, value, "a whole number from 0 on")),
            },
            Some((_, value)) => Err(self.wrong(name, value, "a whole number from 0 on")),
        }
    }

    /// The texts of an array, or one text.
    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some((_, value)) = self.given(name) else {
            return Ok(Vec::new());
        };
        if let Some(text) = value.try_as_str().flatten() {
            return Ok(vec![text.to_string()]);
        }
        let wrong = || self.wrong(name, value, "an array of texts: ARRAY['a', 'b']");
        let array = value.to_array()?;
        let items = array.as_list_opt::<i32>().map(|list| list.value(0)).ok_or_else(wrong)?;
        let items = arrow::compute::cast(&items, &DataType::Utf8).map_err(|_| wrong())?;
        let items = items.as_string_opt::<i32>().ok_or_else(wrong)?;
        items
            .iter()
            .map(|item| item.map(str::to_string).ok_or_else(wrong))
            .collect()
    }
}
