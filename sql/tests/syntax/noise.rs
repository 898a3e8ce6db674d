use posixlake_sql::{keywords, parse, parse_expression, parse_type};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategies::ONE_OF_EACH;

/// Reads a text as everything that can be read; nothing may panic, and errors lie in the text.
fn read(sql: &str) {
    let lines = sql.split('\n').count() as u64;
    for error in [parse(sql).err(), parse_expression(sql).err(), parse_type(sql).err()]
        .into_iter()
        .flatten()
    {
        assert!(
            !error.message.is_empty() && !error.message.contains("sql parser error"),
            "{sql:?}: {error}"
        );
        assert!(
            error.location.line >= 1 && error.location.column >= 1,
            "{sql:?}: {error:?}"
        );
        assert!(error.location.line <= lines, "{sql:?}: {error:?}");
    }
    if let Ok(parsed) = parse(sql) {
        for parsed in parsed {
            let _ = parsed.statement.to_string();
            assert!(sql.contains(&parsed.text), "{sql:?}");
        }
    }
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Delete(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    Duplicate(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        proptest::sample::select(keywords().collect::<Vec<_>>()).prop_map(|word| format!(" {word} ")),
        proptest::sample::select(
            &[
                "(",
                ")",
                "<",
                ">",
                ">>",
                "[",
                "]",
                "'",
                "\"",
                "`",
                ";",
                ",",
                ".",
                "=",
                "=>",
                "*",
                "-",
                "1",
                "1e9",
                "99999999999999999999",
                "$1",
                "/*",
                "*/",
                "--",
                "\n",
                "\\",
                "E'",
                "N'",
                "x'",
                "$$",
                "?",
                "@",
                "#",
                "{",
                "}",
                ":",
                "::",
                "|",
                "é",
                "\u{0}",
                "/*!"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), 1..8_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (any::<prop::sample::Index>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(from, to)| Change::Duplicate(from, to)),
        any::<prop::sample::Index>().prop_map(Change::Cut),
    ]
}

fn apply(text: &mut Vec<char>, change: &Change) {
    if text.is_empty() {
        return;
    }
    match change {
        Change::Delete(at, length) => {
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            text.drain(at..end);
        }
        Change::Insert(at, piece) => {
            let at = at.index(text.len());
            text.splice(at..at, piece.chars());
        }
        Change::Duplicate(from, to) => {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let copy: Vec<char> = text[from.min(to)..from.max(to)].to_vec();
            text.extend(copy);
        }
        Change::Cut(at) => {
            let at = at.index(text.len());
            text.truncate(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(sql in "\\PC{0,60}") {
        read(&sql);
    }

    #[test]
    fn any_tokens_are_read_or_refused(changes in vec(change(), 1..25)) {
        let mut text = vec![' '];
        changes.iter().for_each(|change| apply(&mut text, change));
        read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn damaged_statements_are_read_or_refused(first in 0..ONE_OF_EACH.len(), second in 0..ONE_OF_EACH.len(), changes in vec(change(), 1..5)) {
        let mut text: Vec<char> = format!("{};\n{}", ONE_OF_EACH[first], ONE_OF_EACH[second]).chars().collect();
        changes.iter().for_each(|change| apply(&mut text, change));
        read(&text.into_iter().collect::<String>());
    }
}

#[test]
fn every_beginning_of_every_statement_is_read_or_refused() {
    for sql in ONE_OF_EACH {
        for (end, _) in sql.char_indices() {
            read(&sql[..end]);
            read(&format!("EXPLAIN {}", &sql[..end]));
        }
    }
}
