use std::time::{Duration, Instant};

use posixlake_sql::{parse, parse_expression, parse_type};

/// Runs on the small stack that a worker of an asynchronous runtime has.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn deep_texts_are_refused_quickly() {
    on_small_stack(|| {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{", "}"),
            ("(SELECT ", ")"),
            ("NOT ", ""),
            ("- ", ""),
            ("+", ""),
            ("~", ""),
            ("CASE WHEN ", " THEN 1 END"),
            ("f(", ")"),
            ("a + (", ")"),
            ("CAST(", " AS INT)"),
            ("EXISTS (SELECT * FROM t WHERE ", ")"),
            ("ARRAY[", "]"),
            ("STRUCT(", ")"),
            ("a IN (", ")"),
            ("a BETWEEN 1 AND (", ")"),
            ("INTERVAL ", ""),
            ("CASE ", ""),
            ("x[", "]"),
            ("{a: ", "}"),
            ("a -> ", ""),
            ("DATE ", ""),
            ("ARRAY<", ">"),
            ("STRUCT<a ", ">"),
            ("MAP {'a': ", "}"),
        ] {
            let sql = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
            let start = Instant::now();
            for prefix in [
                "SELECT ",
                "SELECT * FROM ",
                "DELETE FROM t WHERE ",
                "INSERT INTO t ",
                "CREATE TABLE t AS ",
                "",
            ] {
                assert!(parse(&format!("{prefix}{sql}")).is_err(), "{prefix}{open}");
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{open}: {:?}",
                start.elapsed()
            );
        }
        for word in [
            "EXPLAIN ",
            "PREPARE a AS ",
            "EXPLAIN PREPARE a AS ",
            "SELECT * FROM (",
            "WITH a AS (",
            "ARRAY<",
        ] {
            assert!(parse(&word.repeat(10_000)).is_err(), "{word}");
        }
        assert!(parse_type(&format!("{}INT{}", "ARRAY<".repeat(10_000), ">".repeat(10_000))).is_err());
        assert!(parse_type(&format!("INT{}", "[]".repeat(10_000))).is_err());
    });
}

#[test]
fn brackets_cost_no_more_than_they_should() {
    for depth in [10, 20, 30, 40, 48, 60, 100, 190] {
        for (open, close) in [
            ("(", ")"),
            ("(a, ", ")"),
            ("f((", "))"),
            ("(SELECT (", "))"),
            ("((SELECT 1 FROM (", ")))"),
            ("(t JOIN (", "))"),
            ("[", "]"),
            ("CASE WHEN (", ") THEN 1 END"),
            ("STRUCT(", ")"),
            ("(x, (", "))"),
            ("{a: [", "]}"),
            ("(NOT (", "))"),
            ("INTERVAL (", ")"),
            ("f(a => ", ")"),
        ] {
            for prefix in ["SELECT ", "SELECT * FROM ", "INSERT INTO t "] {
                let sql = format!("{prefix}{}1{}", open.repeat(depth), close.repeat(depth));
                let start = Instant::now();
                let _ = parse(&sql);
                assert!(start.elapsed() < Duration::from_secs(5), "{sql}: {:?}", start.elapsed());
            }
        }
    }
}

/// What the parser and the text need; comparing and copying such trees is for larger stacks.
#[test]
fn long_chains_are_read_and_written_on_a_small_stack() {
    on_small_stack(|| {
        for (start, item) in [
            ("DELETE FROM t WHERE a = 1", " OR a = 1"),
            ("DELETE FROM t WHERE 'it''s'", " || 'it''s'"),
            ("SELECT a", " + a"),
            ("SELECT a", "::INT"),
            ("SELECT a", " IS NULL"),
            ("SELECT a", " AND NOT a"),
            ("SELECT 'it''s'", " UNION ALL SELECT 'it''s'"),
        ] {
            for (length, accepted) in [(100, true), (240, true), (100_000, false)] {
                match parse(&format!("{start}{}", item.repeat(length))) {
                    Ok(parsed) => {
                        assert!(accepted, "{item}");
                        assert!(parsed[0].statement.to_string().len() > item.len() * length / 2);
                    }
                    Err(error) => assert!(!accepted, "{item}: {error}"),
                }
            }
        }
    });
}

#[test]
fn wide_statements_are_not_deep() {
    let rows = vec!["(1, 'a', 2.5 + 1, -3, NULL)"; 20_000].join(", ");
    assert!(parse(&format!("INSERT INTO t VALUES {rows}")).is_ok());
    let list = (0..20_000)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    assert!(parse(&format!("DELETE FROM t WHERE a IN ({list})")).is_ok());
    assert!(parse_expression(&format!("a IN ({list})")).is_ok());
    let columns = (0..3_000)
        .map(|number| format!("c{number} ARRAY<INT> NOT NULL DEFAULT 1 + 1"))
        .collect::<Vec<_>>()
        .join(", ");
    assert!(parse(&format!("CREATE TABLE t ({columns})")).is_ok());
    let script = "SELECT a + 1 FROM t; ".repeat(5_000);
    assert_eq!(parse(&script).unwrap().len(), 5_000);
}
