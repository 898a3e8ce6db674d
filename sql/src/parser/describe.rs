//! `DESCRIBE` and `SHOW`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::access;
use super::native;
use super::properties::key;
use super::refusals::{SHOWN, nearest};
use crate::cursor::{Cursor, Parse};
use crate::statement::{DescribeHistory, ShowProperties, Statement};

pub(crate) fn describe(cursor: &mut Cursor) -> Parse<Statement> {
    let table_follows = cursor.is_name_at(2) || matches!(cursor.peek(2), Token::SingleQuotedString(_));
    if cursor.is_word_at(1, "HISTORY") && table_follows {
        cursor.skip();
        cursor.skip();
        let table = cursor.table()?;
        let limit = if cursor.take("LIMIT") {
            Some(cursor.unsigned("a number of versions")?)
        } else {
            None
        };
        return Ok(Statement::DescribeHistory(DescribeHistory { table, limit }));
    }
    if cursor.is_word_at(1, "DETAIL") && table_follows {
        cursor.skip();
        cursor.skip();
        return Ok(Statement::DescribeDetail(cursor.table()?));
    }
    if cursor.is_word_at(1, "TABLE") && table_follows {
        // The word is only noise: what follows is described as if it were not there.
        cursor.skip();
        cursor.skip();
        let described = cursor
            .inner
            .parser
            .parse_object_name(false)
            .map_err(|error| cursor.convert(error))?;
        return Ok(native::describe_table(described));
    }
    native::statement(cursor)
}

pub(crate) fn show(cursor: &mut Cursor) -> Parse<Statement> {
    if cursor.is("SHOW TBLPROPERTIES") {
        cursor.take("SHOW TBLPROPERTIES");
        let table = cursor.table()?;
        let mut property = None;
        if cursor.take_token(&Token::LParen) {
            property = Some(key(cursor)?);
            cursor.expect_token(&Token::RParen)?;
        }
        return Ok(Statement::ShowProperties(ShowProperties { table, key: property }));
    }
    if cursor.take("SHOW PARTITIONS") {
        return Ok(Statement::ShowPartitions(cursor.table()?));
    }
    if cursor.take("SHOW CREATE TABLE") {
        return Ok(Statement::ShowCreateTable(cursor.table()?));
    }
    if cursor.take("SHOW SECRETS") {
        return Ok(Statement::ShowSecrets);
    }
    if cursor.take("SHOW PROCEDURES") {
        return Ok(Statement::ShowProcedures);
    }
    if let Some(statement) = access::show(cursor)? {
        return Ok(statement);
    }
    // A misspelt kind would be read as the name of a setting.
    if let Some(near) = cursor.word(1).as_deref().and_then(|word| nearest(word, SHOWN))
        && cursor.is_name_at(2)
    {
        cursor.skip();
        return Err(cursor
            .expected("something to show")
            .with_hint(format!("did you mean SHOW {near}?")));
    }
    native::statement(cursor)
}
