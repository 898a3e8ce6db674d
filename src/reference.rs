//! The SQL reference, made from what the parser, the procedures and the file readers say of themselves.

use std::fmt::{self, Write};

use posixlake_sql::{Section, StatementDoc, statements};
use posixlake_udfs::FileFormat;

use crate::commands::procedures::{PROCEDURES, Procedure};

/// The reference as Markdown: what `docs/sql.md` holds.
pub fn markdown() -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut text);
    text
}

fn write(text: &mut String) -> fmt::Result {
    writeln!(text, "# SQL reference\n")?;
    writeln!(
        text,
        "<!-- Made by `posixlake sql-reference > docs/sql.md`; a test holds it against the program. -->\n\n\
         Each statement stands in its canonical spelling, which is also what `DESCRIBE HISTORY` shows. `[…]` may be left \
         out, `{{a | b}}` is a choice. Other spellings that are accepted mean the same statement. What is not listed here \
         follows [DataFusion](https://datafusion.apache.org/user-guide/sql/); what is not understood is an error, never \
         ignored."
    )?;
    let mut sections: Vec<Section> = statements().iter().map(|statement| statement.section).collect();
    sections.dedup();
    for section in sections {
        writeln!(text, "\n## {section}")?;
        for statement in statements().iter().filter(|statement| statement.section == section) {
            write_statement(text, statement)?;
        }
    }
    write_procedures(text)?;
    write_views(text)?;
    write_functions(text)?;
    for format in [FileFormat::Csv, FileFormat::Json, FileFormat::Parquet] {
        write_format(text, format)?;
    }
    Ok(())
}

fn write_statement(text: &mut String, statement: &StatementDoc) -> fmt::Result {
    writeln!(text, "\n### {}\n\n{}\n", statement.name, statement.summary)?;
    write_code(text, statement.syntax)?;
    if !statement.examples.is_empty() {
        writeln!(text, "\nFor example:\n")?;
        write_code(text, statement.examples)?;
    }
    if !statement.also.is_empty() {
        writeln!(text, "\n| also accepted | for |\n|---|---|")?;
        for spelling in statement.also {
            writeln!(text, "| {} | {} |", code(spelling.accepted), code(spelling.canonical))?;
        }
    }
    Ok(())
}

fn write_code(text: &mut String, lines: &[&str]) -> fmt::Result {
    writeln!(text, "```sql")?;
    for line in lines {
        writeln!(text, "{line}")?;
    }
    writeln!(text, "```")
}

/// Code in a table's cell.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', " ");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

fn write_procedures(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\n## Procedures\n\nA procedure is one of the statements above, for programs that build calls more easily than \
         syntax. Arguments come by position, by name (`name => value`), or by position first and then by name. `system.` in \
         front of a name is accepted. `SHOW PROCEDURES` lists this table.\n\n\
         | procedure | the same as | result |\n|---|---|---|"
    )?;
    for procedure in PROCEDURES {
        let Procedure {
            name,
            statement,
            result,
            ..
        } = procedure;
        let call = format!("CALL {name}({})", procedure.signature());
        writeln!(
            text,
            "| {} | {} | {} |",
            code(&call),
            code(statement),
            code(&result.join(", "))
        )?;
    }
    Ok(())
}

/// The views of a table, each with what it shows.
const VIEWS: [(&str, &str); 6] = [
    (
        "t$history",
        "one row a version, newest first: what `DESCRIBE HISTORY t` shows",
    ),
    (
        "t$detail",
        "one row: location, size, partitions, protocol and properties, as `DESCRIBE DETAIL t`",
    ),
    (
        "t$files",
        "one row a data file: path, size, rows, partition values, and the least and greatest values",
    ),
    ("t$partitions", "one row a partition: its values, files, bytes and rows"),
    ("t$properties", "one row a property, as `SHOW TBLPROPERTIES t`"),
    (
        "t$changes",
        "the change data feed, from the first version on that has it without a gap",
    ),
];

fn write_views(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\n## Names\n\nA table name with a suffix is a table of its own, in every place where a table can be read. `t@v3` is \
         `t` at version 3, `t@20261122100000000` is `t` at a time (`yyyyMMddHHmmssSSS`, UTC). A version and a view go \
         together: `t@v3$files`.\n\n| name | rows |\n|---|---|"
    )?;
    for (name, meaning) in VIEWS {
        writeln!(text, "| {} | {meaning} |", code(name))?;
    }
    Ok(())
}

fn write_functions(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\n## Functions\n\nBesides DataFusion's:\n\n\
         | function | value |\n|---|---|\n\
         | `table_changes('t', from[, to])` | in `FROM`: the rows that changed, with `_change_type`, `_commit_version` and \
         `_commit_timestamp`; the bounds are versions or times, both included |\n\
         | `current_version('t')` | the table's latest version |\n\
         | `raise_error(text)` | fails with that text, where it is asked for |\n\
         | `zorder_key(a, b, …)` | a binary key that sorts rows along the Z-order curve |"
    )
}

/// What `\h` says about a table function; none where nothing is known.
pub(crate) fn table_function(name: &str) -> Option<String> {
    if let Some(format) = FileFormat::of_function(name) {
        let options = format.options();
        let (call, rest) = if options.is_empty() {
            (format!("{name}(path)"), String::new())
        } else {
            let lines: Vec<String> = options
                .iter()
                .map(|(option, takes)| format!("  {option}: {takes}\n"))
                .collect();
            (
                format!("{name}(path, option => value, …)"),
                format!("\nOptions:\n{}", lines.concat()),
            )
        };
        return Some(format!(
            "{call}\n\nIn FROM: the rows of a file, a folder, a pattern such as 'data-*.csv', or an array of them.\n{rest}"
        ));
    }
    let text = match name {
        "table_changes" => {
            "table_changes('t', from[, to])\n\nIn FROM: the rows that changed from one version or time to another, both \
             included, with\n_change_type, _commit_version and _commit_timestamp. The table needs \
             delta.enableChangeDataFeed = 'true'.\n\nExample:\n  SELECT * FROM table_changes('sales', 3, 5)\n"
        }
        "generate_series" | "range" => {
            "generate_series(from, to[, step]), range(from, to[, step])\n\nIn FROM: numbers or times in the column value; \
             range leaves out the last.\n\nExample:\n  SELECT value FROM generate_series(1, 10)\n"
        }
        _ => return None,
    };
    Some(text.to_string())
}

fn write_format(text: &mut String, format: FileFormat) -> fmt::Result {
    let function = format.function();
    writeln!(text, "\n## {function}\n")?;
    let options = format.options();
    if options.is_empty() {
        return writeln!(
            text,
            "`{function}(path)` reads a file, a folder, a pattern, or an array of them. It takes no options."
        );
    }
    writeln!(
        text,
        "`{function}(path, option => value, …)` reads a file, a folder, a pattern, or an array of them. The options are \
         also those of `COPY INTO … FORMAT_OPTIONS`.\n\n| option | value |\n|---|---|"
    )?;
    for (name, takes) in options {
        writeln!(text, "| `{name}` | {} |", takes.replace('|', "\\|"))?;
    }
    Ok(())
}
