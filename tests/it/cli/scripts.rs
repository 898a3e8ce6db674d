//! Statements from flags, files and pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::World;

/// Takes minutes where nobody stops it.
const ENDLESS: &str = "SELECT sum(sin(value)) FROM generate_series(1, 100000000000)";

#[test]
fn rows_go_to_standard_output_and_all_else_to_standard_error() {
    let world = World::new();
    let run = world.run(&["-c", "SELECT 1 AS one"]);
    assert_eq!(run.stdout, "+-----+\n| one |\n+-----+\n| 1   |\n+-----+\n");
    assert!(run.stderr.starts_with("1 row in 0."), "{}", run.stderr);
    assert_eq!(run.code, Some(0));

    let quiet = world.run(&["-q", "-c", "SELECT 1 AS one"]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (run.stdout, ""));
}

#[test]
fn files_run_before_commands_in_the_order_given() {
    let world = World::new();
    let a = world.file("a.sql", "SELECT 1 AS n;\nSELECT 2 AS n;");
    let b = world.file("b.sql", "SELECT 3 AS n");
    let arguments = [
        "-q",
        "--format",
        "nd-json",
        "-c",
        "SELECT 5 AS n; SELECT 6 AS n",
        "-f",
        &a,
        "-f",
        &b,
        "-f",
        "-",
        "-c",
        "SELECT 7 AS n",
    ];
    let output = world.run_with_input(&arguments, "SELECT 4 AS n;").ok();
    assert_eq!(
        output,
        "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n"
    );
}

#[test]
fn a_script_may_hold_anything_between_its_statements() {
    let world = World::new();
    let script = "#!/usr/bin/env -S posixlake -f\n-- first; not a statement\n\n\\pset format csv\n\\quiet on\n\
                  SELECT ';' AS a, -- and\n  2 AS b; SELECT 3 AS c;\n/* ; */ SELECT\n'x;\ny' AS d\n;\n;;\n-- the end\n";
    let expected = "a,b\n;,2\nc\n3\nd\n\"x;\ny\"\n";
    assert_eq!(world.run_with_input(&[], script).ok(), expected);
    assert_eq!(world.run(&["-f", &world.file("s.sql", script)]).ok(), expected);
}

#[test]
fn a_script_stops_at_the_first_error_and_says_where_it_stands() {
    let world = World::new();
    let script = "SELECT 1 AS one;\nSELECT 'a\nb' AS two;\n\n  SELECT 3 AS three FROM;\nSELECT 4 AS four;\n";
    let file = world.file("s.sql", script);
    let run = world.run(&["-q", "-f", &file]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(
        run.stdout.contains("one") && run.stdout.contains("two"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("four"), "{}", run.stdout);
    let expected = format!("--> {file}:5:");
    assert!(
        run.stderr.starts_with("error: ") && run.stderr.contains(&expected),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("5 |   SELECT 3 AS three FROM;"), "{}", run.stderr);

    let piped = world.run_with_input(&["-q"], script);
    assert_eq!(piped.code, Some(3));
    assert!(!piped.stdout.contains("four"), "{}", piped.stdout);
}

#[test]
fn a_command_that_is_not_understood_to_its_end_is_not_begun() {
    let run = World::new().run(&["-c", "SELECT 1 AS one; SELEC 2", "-c", "SELECT 3 AS three"]);
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(3)), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("1 | SELECT 1 AS one; SELEC 2\n  |                  ^"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_exit_code_says_what_kind_of_error_it_was() {
    let world = World::new();
    for (sql, code) in [
        ("SELECT * FROM nowhere", 4),
        ("SELECT (", 3),
        ("\\i nowhere.sql", 4),
        ("\\no_such_command", 3),
        ("SELECT no_such_column FROM generate_series(1, 2)", 11),
    ] {
        let run = world.run(&["-c", sql, "-c", "SELECT 1"]);
        assert_eq!(
            (run.stdout.as_str(), run.code),
            ("", Some(code)),
            "{sql}: {}",
            run.stderr
        );
        assert!(run.stderr.starts_with("error: "), "{sql}: {}", run.stderr);
    }
    assert_eq!(world.run(&["-f", "nowhere.sql"]).code, Some(4));
}

#[test]
fn backslash_commands_work_in_commands_and_scripts() {
    let world = World::new();
    let commands = world.run(&["-q", "--format", "csv", "-c", "\\?"]).ok();
    assert!(commands.contains("\\i FILE"), "{commands}");
    let functions = world.run(&["-q", "--format", "csv", "-c", "\\h"]).ok();
    assert!(functions.contains("abs,scalar,abs("), "{functions}");
    let function = world.run(&["-c", "\\h ABS"]).ok();
    assert!(function.contains("Arguments:\n  numeric_expression"), "{function}");
    for (name, part) in [
        ("read_csv", "delimiter: "),
        ("table_changes", "_commit_version"),
        ("range", "step"),
    ] {
        let text = world.run(&["-c", &format!("\\h {name}")]).ok();
        assert!(text.contains(part), "{name}: {text}");
    }
    let misspelt = world.run(&["-c", "\\h array_ag"]);
    assert_eq!(misspelt.code, Some(4));
    assert!(
        misspelt.stderr.contains("did you mean array_agg?"),
        "{}",
        misspelt.stderr
    );
    let tables = world.run(&[
        "-q",
        "--format",
        "csv",
        "-c",
        "CREATE VIEW v AS SELECT 1 AS one",
        "-c",
        "\\d",
        "-c",
        "\\d v",
    ]);
    let tables = tables.ok();
    assert!(tables.contains(",v,VIEW") && tables.contains("one,Int64"), "{tables}");
    let two = world.run(&["-c", "\\d v; SELECT 1"]);
    assert_ne!(two.code, Some(0));
    assert_eq!(two.stdout, "");

    let quits = world
        .run_with_input(&["-q"], "SELECT 1 AS one;\n\\q\nSELECT 2 AS two;\n")
        .ok();
    assert!(quits.contains("one") && !quits.contains("two"), "{quits}");
}

#[test]
fn a_file_can_run_others_but_not_itself_for_ever() {
    let world = World::new();
    world.file("inner.sql", "SELECT 1 AS inner_one;");
    let outer = world.file("outer.sql", "\\i inner.sql\nSELECT 2 AS outer_two;");
    let output = world.run(&["-q", "-f", &outer]).ok();
    assert!(output.contains("inner_one") && output.contains("outer_two"), "{output}");

    let circle = world.file("circle.sql", "\\i circle.sql\n");
    let run = world.run(&["-f", &circle]);
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn relative_names_start_from_the_data_path_and_scripts_from_where_the_program_started() {
    let world = World::new();
    let data = world.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("inner.sql"), "SELECT 1 AS inner_one;").unwrap();
    world.file("outer.sql", "\\i inner.sql\n");
    let output = world.run(&["-q", "-p", "data", "-f", "outer.sql"]).ok();
    assert!(output.contains("inner_one"), "{output}");
}

#[test]
fn a_pipe_is_answered_statement_by_statement() {
    let world = World::new();
    let mut command = world.command(&["-q", "--format", "nd-json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for n in 1..=3 {
        writeln!(input, "SELECT {n} AS n;").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"n\":{n}}}\n"));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_a_word() {
    let world = World::new();
    let mut command = world.command(&[
        "--format",
        "csv",
        "-c",
        "SELECT * FROM generate_series(1, 100000000000)",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(141), ""));
}

fn interrupt(process: u32) {
    assert!(
        Command::new("kill")
            .args(["-INT", &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn ctrl_c_ends_a_script_with_code_130() {
    let world = World::new();
    let mut command = world.command(&["-c", "SELECT 1 AS one", "-c", ENDLESS, "-c", "SELECT 3 AS three"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    interrupt(child.id());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!rest.contains("three"), "{rest}");
    assert!(stderr.ends_with("\ncancelled\n"), "{stderr}");
}

#[test]
fn ctrl_c_ends_a_script_that_waits_for_its_input() {
    let world = World::new();
    let mut command = world.command(&["-q", "--format", "nd-json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "SELECT 1 AS n;").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_checkpoint_that_is_due_is_written_before_the_program_ends() {
    let world = World::new();
    let inserts = "INSERT INTO t VALUES (1);\n".repeat(10);
    let script = world.file("s.sql", &format!("CREATE TABLE t (id INT);\n{inserts}"));
    let run = world.run(&["-q", "-f", &script]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    let log = world.path().join("lake/t/_delta_log");
    assert!(log.join("_last_checkpoint").is_file());
    assert!(log.join("00000000000000000010.checkpoint.parquet").is_file());
}
