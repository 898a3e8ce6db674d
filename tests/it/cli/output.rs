//! How rows are printed.

use super::World;

/// Five rows in batches of two.
const ROWS: &str = "SELECT value AS n FROM generate_series(1, 5) ORDER BY value";

fn print(world: &World, arguments: &[&str], sql: &str) -> String {
    let arguments: Vec<&str> = ["-q", "-b", "2"]
        .iter()
        .chain(arguments)
        .copied()
        .chain(["-c", sql])
        .collect();
    world.run(&arguments).ok()
}

#[test]
fn each_format_is_one_document_however_many_batches_there_are() {
    let world = World::new();
    assert_eq!(print(&world, &["--format", "csv"], ROWS), "n\n1\n2\n3\n4\n5\n");
    assert_eq!(
        print(&world, &["--format", "tsv"], "SELECT 1 AS a, 'x y' AS b"),
        "a\tb\n1\tx y\n"
    );
    assert_eq!(
        print(&world, &["--format", "json"], ROWS),
        "[{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":4},{\"n\":5}]\n"
    );
    assert_eq!(
        print(&world, &["--format", "nd-json"], ROWS),
        "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n"
    );
    let table = "+---+\n| n |\n+---+\n| 1 |\n| 2 |\n| 3 |\n| 4 |\n| 5 |\n+---+\n";
    assert_eq!(print(&world, &["--format", "table"], ROWS), table);
    assert_eq!(print(&world, &[], ROWS), table);
}

#[test]
fn a_result_without_rows_still_has_its_columns() {
    let world = World::new();
    let none = "SELECT 1 AS a, 2 AS b WHERE false";
    assert_eq!(print(&world, &["--format", "csv"], none), "a,b\n");
    assert_eq!(print(&world, &["--format", "json"], none), "[]\n");
    assert_eq!(print(&world, &["--format", "nd-json"], none), "");
    assert_eq!(print(&world, &[], none), "+---+---+\n| a | b |\n+---+---+\n+---+---+\n");
}

#[test]
fn nulls_are_shown_and_differ_from_empty_strings_in_tables() {
    let world = World::new();
    let table = print(&world, &[], "SELECT NULL AS a, '' AS b");
    assert_eq!(
        table,
        "+------+---+\n| a    | b |\n+------+---+\n| NULL |   |\n+------+---+\n"
    );
}

#[test]
fn nested_values_are_json_in_csv() {
    let world = World::new();
    let sql = "SELECT [1, 2] AS list, named_struct('a', 'x,y') AS pair";
    assert_eq!(
        print(&world, &["--format", "csv"], sql),
        "list,pair\n\"[1,2]\",\"{\"\"a\"\":\"\"x,y\"\"}\"\n"
    );
}

#[test]
fn a_long_table_is_cut_and_the_status_says_so() {
    let world = World::new();
    let run = world.run(&["--maxrows", "2", "-b", "2", "-c", ROWS]);
    assert_eq!(
        run.stdout,
        "+---+\n| n |\n+---+\n| 1 |\n| 2 |\n| . |\n| . |\n| . |\n+---+\n"
    );
    assert!(run.stderr.starts_with("5 rows in "), "{}", run.stderr);
    assert!(run.stderr.contains("the first 2 are shown"), "{}", run.stderr);

    let all = world.run(&["--maxrows", "inf", "-c", "SELECT * FROM generate_series(1, 100)"]);
    assert_eq!(all.stdout.lines().count(), 104);
    let exact = world.run(&["--maxrows", "5", "-b", "2", "-c", ROWS]);
    assert!(!exact.stdout.contains("| . |"), "{}", exact.stdout);
    assert_eq!(world.run(&["--maxrows", "0", "-c", ROWS]).ok(), "");
    let csv = world.run(&["--maxrows", "2", "--format", "csv", "-c", ROWS]);
    assert_eq!(csv.stdout, "n\n1\n2\n3\n4\n5\n");
}

#[test]
fn settings_and_plans_are_never_cut() {
    let world = World::new();
    let settings = world.run(&["--maxrows", "1", "-q", "-c", "SHOW ALL"]).ok();
    assert!(settings.lines().count() > 50, "{settings}");
    let plan = world.run(&["--maxrows", "1", "-q", "-c", "EXPLAIN SELECT 1"]).ok();
    assert!(!plan.contains("| . "), "{plan}");
}

#[test]
fn a_value_of_several_lines_stays_whole_in_a_table_that_is_cut() {
    let world = World::new();
    let sql = "SELECT 'a\nb\nc' AS t UNION ALL SELECT 'd' UNION ALL SELECT 'e'";
    let table = print(
        &world,
        &["--maxrows", "1"],
        &format!("SELECT * FROM ({sql}) ORDER BY t"),
    );
    assert!(table.contains("| a |\n| b |\n| c |\n| . |"), "{table}");
}

#[test]
fn a_statement_without_a_result_prints_nothing() {
    let world = World::new();
    for format in ["table", "csv", "json", "nd-json"] {
        let run = world.run(&["--format", format, "-c", "SET datafusion.execution.batch_size = 10"]);
        assert_eq!(
            (run.stdout.as_str(), run.code),
            ("", Some(0)),
            "{format}: {}",
            run.stderr
        );
        assert!(run.stderr.starts_with("done in "), "{}", run.stderr);
    }
}
