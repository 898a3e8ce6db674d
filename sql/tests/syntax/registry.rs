use std::collections::BTreeSet;

use posixlake_sql::{keywords, statements};

use crate::support::{assert_reads_back, one};

#[test]
fn every_example_is_valid_and_reads_back() {
    for statement in statements() {
        assert!(!statement.examples.is_empty(), "{}", statement.name);
        assert!(
            !statement.syntax.is_empty() && statement.summary.ends_with('.'),
            "{}",
            statement.name
        );
        for example in statement.examples {
            assert_reads_back(&one(example));
        }
        let first = one(statement.examples[0]);
        assert_eq!(first.name(), statement.name, "the first example shows the statement");
    }
}

#[test]
fn every_other_spelling_is_the_canonical_one() {
    for spelling in statements().iter().flat_map(|statement| statement.also) {
        let canonical = one(spelling.canonical);
        assert_eq!(one(spelling.accepted), canonical, "{}", spelling.accepted);
        assert_eq!(canonical.to_string(), spelling.canonical);
    }
}

#[test]
fn every_statement_of_ours_is_documented() {
    let documented: BTreeSet<&str> = statements().iter().map(|statement| statement.name).collect();
    assert_eq!(documented.len(), statements().len(), "no name twice");
    for sql in crate::strategies::ONE_OF_EACH {
        let name = one(sql).name();
        assert!(documented.contains(name), "{name}");
    }
}

#[test]
fn keywords_are_sorted_and_unique() {
    let words: Vec<&str> = keywords().collect();
    assert!(words.windows(2).all(|pair| pair[0] < pair[1]), "{words:?}");
    for word in ["OPTIMIZE", "VACUUM", "MERGE", "SELECT", "VERSION"] {
        assert!(words.contains(&word), "{word}");
    }
}
