//! What DataFusion's own parser reads, and what of it is refused here.

use datafusion::sql::parser::{CopyToSource, Statement as NativeStatement};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, ObjectName, Query, SetExpr, ShowStatementInClause, Statement as SqlStatement,
};

use crate::cursor::{Cursor, Parse};
use crate::error::{Location, SyntaxError};
use crate::statement::Statement;

/// A statement in DataFusion's syntax.
pub(crate) fn statement(cursor: &mut Cursor) -> Parse<Statement> {
    let place = cursor.location();
    let result = cursor.inner.parse_statement();
    let mut statement = result.map_err(|error| cursor.convert_datafusion(error))?;
    match &mut statement {
        NativeStatement::Statement(statement) => {
            check(statement, place)?;
            cursor.normalise(statement)?;
            canonical(statement);
        }
        NativeStatement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                cursor.normalise(query)?;
                check_query(query, place)?;
            }
        }
        NativeStatement::CreateExternalTable(_) | NativeStatement::Explain(_) | NativeStatement::Reset(_) => {}
    }
    Ok(Statement::Native(Box::new(statement)))
}

/// Gives a statement its one spelling.
fn canonical(statement: &mut SqlStatement) {
    match statement {
        SqlStatement::ExplainTable { describe_alias, .. } => *describe_alias = DescribeAlias::Describe,
        SqlStatement::ShowTables { show_options, .. } => {
            if let Some(place) = &mut show_options.show_in {
                place.clause = ShowStatementInClause::IN;
            }
        }
        SqlStatement::ShowDatabases {
            terse,
            history,
            show_options,
        } => {
            *statement = SqlStatement::ShowSchemas {
                terse: *terse,
                history: *history,
                show_options: show_options.clone(),
            };
        }
        _ => {}
    }
}

/// Statements that the parser reads and that could only mislead further on.
fn check(statement: &SqlStatement, place: Location) -> Parse<()> {
    match statement {
        SqlStatement::Query(query) => check_query(query, place),
        SqlStatement::CreateTable(_) => Err(SyntaxError::new("this form of CREATE TABLE is not understood", place)
            .with_hint("write CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t (…)")),
        SqlStatement::CreateDatabase { .. } => Err(SyntaxError::new(
            "a lake is one database: CREATE DATABASE is not available",
            place,
        )
        .with_hint("write CREATE SCHEMA s")),
        SqlStatement::CreateIndex(_) => Err(SyntaxError::new("tables have no indexes", place)
            .with_hint("OPTIMIZE t ZORDER BY (c, …) lets conditions on these columns skip files")),
        SqlStatement::CreateFunction(_) => Err(SyntaxError::new("CREATE FUNCTION is not available", place)
            .with_hint("functions are added to the session by a Rust or Python program")),
        SqlStatement::Explain {
            statement,
            analyze: false,
            ..
        } if matches!(statement.as_ref(), SqlStatement::Query(_)) => Ok(()),
        SqlStatement::Explain { .. } => Err(SyntaxError::new("DESCRIBE takes a table or a query", place)
            .with_hint("use EXPLAIN to see how a statement would be executed")),
        SqlStatement::ExplainTable {
            hive_format: Some(_), ..
        } => Err(SyntaxError::new("DESCRIBE has no EXTENDED or FORMATTED", place)
            .with_hint("use DESCRIBE t for the columns and DESCRIBE DETAIL t for the table")),
        _ => Ok(()),
    }
}

/// A query must only read.
pub(crate) fn check_query(query: &Query, place: Location) -> Parse<()> {
    let name = match query.body.as_ref() {
        SetExpr::Insert(_) => "INSERT",
        SetExpr::Update(_) => "UPDATE",
        SetExpr::Delete(_) => "DELETE",
        SetExpr::Merge(_) => "MERGE",
        _ => return Ok(()),
    };
    let hint = match name {
        "INSERT" => "write INSERT INTO t WITH q AS (…) SELECT …",
        "MERGE" => "write MERGE INTO t USING (WITH q AS (…) SELECT …) AS s ON …",
        _ => "put the query into a subquery of WHERE, FROM or USING",
    };
    Err(SyntaxError::new(format!("WITH cannot stand before {name}"), place).with_hint(hint))
}

/// `DESCRIBE t`.
pub(crate) fn describe_table(table_name: ObjectName) -> Statement {
    let describe = SqlStatement::ExplainTable {
        describe_alias: DescribeAlias::Describe,
        hive_format: None,
        has_table_keyword: false,
        table_name,
    };
    Statement::Native(Box::new(NativeStatement::Statement(Box::new(describe))))
}
