//! `ALTER TABLE` and `COMMENT ON`.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::access;
use super::create::{cluster_columns, column_in_table};
use super::native;
use super::properties::{keys, pairs};
use super::types::data_type;
use crate::cursor::{Cursor, Parse};
use crate::statement::{AddColumn, AlterOperation, AlterTable, Check, CommentOn, Position, Statement};

pub(crate) fn alter(cursor: &mut Cursor) -> Parse<Statement> {
    if let Some(statement) = access::principal(cursor)? {
        return Ok(statement);
    }
    if cursor.is("ALTER ROLE") {
        return Err(cursor
            .refusal("a role has nothing to alter")
            .with_hint("use GRANT and REVOKE, or CREATE ROLE and DROP ROLE"));
    }
    if !cursor.is("ALTER TABLE") {
        return native::statement(cursor);
    }
    cursor.take("ALTER TABLE");
    if cursor.is("IF EXISTS") {
        return Err(cursor.refusal("ALTER TABLE has no IF EXISTS"));
    }
    let name = cursor.table()?;
    let operation = operation(cursor)?;
    if *cursor.peek(0) == Token::Comma {
        return Err(cursor
            .refusal("ALTER TABLE makes one change a statement")
            .with_hint("write a second ALTER TABLE"));
    }
    Ok(Statement::AlterTable(AlterTable { name, operation }))
}

fn operation(cursor: &mut Cursor) -> Parse<AlterOperation> {
    let Some(word) = cursor.word(0) else {
        return Err(cursor.expected("a change such as ADD COLUMN"));
    };
    match word.as_str() {
        "ADD" => add(cursor),
        "DROP" => drop(cursor),
        "RENAME" => rename(cursor),
        "ALTER" | "CHANGE" => change_column(cursor),
        "SET" => set(cursor),
        "UNSET" => unset(cursor),
        "CLUSTER" => {
            cursor.expect("CLUSTER BY")?;
            if cursor.take("NONE") {
                return Ok(AlterOperation::ClusterBy(Vec::new()));
            }
            Ok(AlterOperation::ClusterBy(cluster_columns(cursor)?))
        }
        _ => Err(cursor.expected("ADD, DROP, RENAME, ALTER COLUMN, SET, UNSET or CLUSTER BY")),
    }
}

fn add(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.expect("ADD")?;
    if cursor.take("PRIMARY KEY") {
        return Ok(AlterOperation::AddPrimaryKey(cursor.bracketed_names()?));
    }
    if cursor.take("CONSTRAINT") {
        let name = cursor.ident("a constraint name")?;
        if cursor.is("PRIMARY KEY") {
            return Err(cursor
                .refusal("a primary key has no constraint name here")
                .with_hint("write ALTER TABLE t ADD PRIMARY KEY (c, …)"));
        }
        refuse_other_constraints(cursor)?;
        cursor.expect("CHECK")?;
        let expression = cursor.bracketed_expression()?;
        return Ok(AlterOperation::AddConstraint(Check {
            name: Some(name),
            expression,
        }));
    }
    if cursor.is("CHECK") {
        return Err(cursor
            .refusal("a constraint needs a name")
            .with_hint("write ADD CONSTRAINT name CHECK (e)"));
    }
    if cursor.is("PARTITION") {
        return Err(cursor
            .refusal("partitions come and go with their rows")
            .with_hint("use INSERT INTO t …"));
    }
    refuse_other_constraints(cursor)?;
    if !cursor.take("COLUMNS") && !cursor.take("COLUMN") {
        return Err(cursor
            .expected("COLUMN")
            .with_hint("write ADD COLUMN c TYPE, ADD CONSTRAINT or ADD PRIMARY KEY"));
    }
    let columns = if *cursor.peek(0) == Token::LParen {
        cursor.bracketed_list(add_column)?
    } else {
        cursor.list(add_column)?
    };
    Ok(AlterOperation::AddColumns(columns))
}

/// Constraints that no engine keeps on a Delta table.
pub(crate) fn refuse_other_constraints(cursor: &Cursor) -> Parse<()> {
    let column_follows = matches!(cursor.peek(1), Token::LParen) || cursor.is_word_at(1, "KEY");
    if ["UNIQUE", "FOREIGN", "REFERENCES", "EXCLUDE"]
        .iter()
        .any(|word| cursor.is(word))
        && column_follows
    {
        return Err(cursor
            .refusal("Delta tables have no UNIQUE and no FOREIGN KEY constraints")
            .with_hint("use PRIMARY KEY (c, …) or CHECK (e)"));
    }
    Ok(())
}

fn add_column(cursor: &mut Cursor) -> Parse<AddColumn> {
    let if_not_exists = cursor.take("IF NOT EXISTS");
    let mut parents = cursor.path("a column name")?;
    let Some(name) = parents.pop() else {
        return Err(cursor.expected("a column name"));
    };
    let column = column_in_table(cursor, name)?;
    let position = if cursor.take("FIRST") {
        Some(Position::First)
    } else if cursor.take("AFTER") {
        Some(Position::After(cursor.ident("a column name")?))
    } else {
        None
    };
    Ok(AddColumn {
        parents,
        column,
        if_not_exists,
        position,
    })
}

fn drop(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.expect("DROP")?;
    if cursor.take("PRIMARY KEY") {
        return Ok(AlterOperation::DropPrimaryKey);
    }
    if cursor.take("CONSTRAINT") {
        let if_exists = cursor.take("IF EXISTS");
        return Ok(AlterOperation::DropConstraint {
            name: cursor.ident("a constraint name")?,
            if_exists,
        });
    }
    if cursor.take("FEATURE") {
        let feature = match cursor.peek(0) {
            Token::SingleQuotedString(_) => cursor.string("a table feature")?,
            _ => hyphenated(cursor)?,
        };
        let truncate_history = cursor.take("TRUNCATE HISTORY");
        return Ok(AlterOperation::DropFeature {
            feature,
            truncate_history,
        });
    }
    if cursor.is("PARTITION") {
        return Err(cursor
            .refusal("partitions come and go with their rows")
            .with_hint("use DELETE FROM t WHERE …"));
    }
    if !cursor.take("COLUMNS") && !cursor.take("COLUMN") {
        return Err(cursor
            .expected("COLUMN")
            .with_hint("write DROP COLUMN, DROP CONSTRAINT, DROP PRIMARY KEY or DROP FEATURE"));
    }
    if cursor.is("IF EXISTS") {
        return Err(cursor.refusal("DROP COLUMN has no IF EXISTS"));
    }
    let path = |cursor: &mut Cursor| cursor.path("a column name");
    let columns = if *cursor.peek(0) == Token::LParen {
        cursor.bracketed_list(path)?
    } else {
        cursor.list(path)?
    };
    Ok(AlterOperation::DropColumns(columns))
}

/// A feature's name, such as `deletionVectors` or `typeWidening-preview`.
fn hyphenated(cursor: &mut Cursor) -> Parse<String> {
    let mut name = cursor.ident("a table feature")?.value;
    while cursor.take_token(&Token::Minus) {
        name.push('-');
        name.push_str(&cursor.ident("the rest of the feature's name")?.value);
    }
    Ok(name)
}

fn rename(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.expect("RENAME")?;
    if cursor.take("COLUMN") {
        let from = cursor.path("a column name")?;
        cursor.expect("TO")?;
        let to = cursor.ident("the new column name")?;
        return Ok(AlterOperation::RenameColumn { from, to });
    }
    if !cursor.take("TO") {
        return Err(cursor.expected("COLUMN or TO"));
    }
    Ok(AlterOperation::RenameTo(cursor.table()?))
}

fn change_column(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.skip();
    cursor.take("COLUMN");
    let column = cursor.path("a column name")?;
    if cursor.take("TYPE") || cursor.take("SET DATA TYPE") {
        return Ok(AlterOperation::SetType {
            column,
            data_type: data_type(cursor)?,
        });
    }
    if cursor.take("SET NOT NULL") {
        return Ok(AlterOperation::SetNotNull(column));
    }
    if cursor.take("DROP NOT NULL") {
        return Ok(AlterOperation::DropNotNull(column));
    }
    if cursor.take("COMMENT") {
        return Ok(AlterOperation::SetColumnComment {
            column,
            comment: cursor.string("a comment")?,
        });
    }
    if cursor.is("SET DEFAULT") || cursor.is("DROP DEFAULT") {
        let column = top_level(cursor, column)?;
        if cursor.take("DROP DEFAULT") {
            return Ok(AlterOperation::DropDefault(column));
        }
        cursor.take("SET DEFAULT");
        return Ok(AlterOperation::SetDefault {
            column,
            value: cursor.expression()?,
        });
    }
    if cursor.is("FIRST") || cursor.is("AFTER") {
        return Err(cursor
            .refusal("columns keep their places")
            .with_hint("select them in the order that you want"));
    }
    if cursor.is_name_at(0) && cursor.is_name_at(1) {
        return Err(cursor
            .expected("TYPE, SET, DROP or COMMENT")
            .with_hint("use RENAME COLUMN a TO b and ALTER COLUMN c TYPE T"));
    }
    Err(cursor.expected("TYPE, SET NOT NULL, DROP NOT NULL, COMMENT, SET DEFAULT or DROP DEFAULT"))
}

fn top_level(cursor: &Cursor, mut column: Vec<Ident>) -> Parse<Ident> {
    match (column.pop(), column.is_empty()) {
        (Some(column), true) => Ok(column),
        _ => Err(cursor.refusal("only whole columns have defaults, fields of structs have none")),
    }
}

fn set(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.expect("SET")?;
    if cursor.is("LOCATION") {
        return Err(cursor
            .refusal("a table stays where it is")
            .with_hint("use CREATE TABLE … CLONE t LOCATION '…'"));
    }
    cursor.expect("TBLPROPERTIES")?;
    Ok(AlterOperation::SetProperties(pairs(cursor)?))
}

fn unset(cursor: &mut Cursor) -> Parse<AlterOperation> {
    cursor.expect("UNSET TBLPROPERTIES")?;
    let if_exists = cursor.take("IF EXISTS");
    Ok(AlterOperation::UnsetProperties {
        keys: keys(cursor)?,
        if_exists,
    })
}

pub(crate) fn comment(cursor: &mut Cursor) -> Parse<Statement> {
    cursor.expect("COMMENT ON")?;
    let (table, column) = if cursor.take("COLUMN") {
        let place = cursor.location();
        let mut path = cursor.path("a column as table.column")?;
        match (path.pop(), path.is_empty() || path.len() > 3) {
            (Some(column), false) => (
                ObjectName(path.into_iter().map(ObjectNamePart::Identifier).collect()),
                Some(column),
            ),
            _ => {
                let mut error = cursor.refusal("a column is named as table.column");
                error.location = place;
                return Err(error);
            }
        }
    } else if cursor.take("TABLE") {
        (cursor.table()?, None)
    } else {
        return Err(cursor.expected("TABLE or COLUMN"));
    };
    cursor.expect("IS")?;
    let comment = if cursor.take("NULL") {
        None
    } else {
        Some(cursor.string("a comment or NULL")?)
    };
    Ok(Statement::CommentOn(CommentOn { table, column, comment }))
}
