use posixlake_sql::{Statement, SyntaxError, parse};

/// The statement that a text is.
pub(crate) fn one(sql: &str) -> Statement {
    match parse(sql) {
        Ok(mut parsed) if parsed.len() == 1 => parsed.remove(0).statement,
        Ok(parsed) => panic!("{sql}: {} statements", parsed.len()),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// The error that a text gives.
pub(crate) fn refused(sql: &str) -> SyntaxError {
    match parse(sql) {
        Ok(parsed) => panic!(
            "{sql}: understood as {:?}",
            parsed.first().map(|parsed| parsed.statement.to_string())
        ),
        Err(error) => error,
    }
}

/// The text of a statement is the statement.
pub(crate) fn assert_reads_back(statement: &Statement) {
    let text = statement.to_string();
    match parse(&text) {
        Ok(parsed) => {
            assert_eq!(parsed.len(), 1, "{text}");
            assert_eq!(&parsed[0].statement, statement, "{text}");
        }
        Err(error) => panic!("{text}: {error}"),
    }
}

/// Every spelling is the first one, and the first one's text is the first one again.
pub(crate) fn assert_same(spellings: &[&str]) {
    let canonical = one(spellings[0]);
    for spelling in spellings {
        assert_eq!(one(spelling), canonical, "{spelling}");
    }
    assert_reads_back(&canonical);
}

/// The canonical text is the text itself.
pub(crate) fn assert_canonical(sql: &str) {
    assert_eq!(one(sql).to_string(), sql);
    assert_reads_back(&one(sql));
}
