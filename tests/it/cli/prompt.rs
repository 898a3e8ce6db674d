//! The prompt on a terminal.

use std::os::unix::fs::PermissionsExt;

use rexpect::process::WaitStatus;
use rexpect::session::{Options, PtySession, spawn_with_options};

use super::World;

const PROMPT: &str = "lake> ";
const CONTINUATION: &str = "   -> ";
/// The arrow key.
const UP: &str = "\x1b[A";

/// Starts the program and waits for its prompt.
fn start(world: &World, arguments: &[&str]) -> PtySession {
    let mut command = world.command(arguments);
    // Completions and colours are told apart from text more easily without colours.
    command.args(["--color", "never"]);
    let options = Options::new().timeout_ms(Some(60_000)).strip_ansi_escape_codes(true);
    let mut terminal = spawn_with_options(command, options).unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal
}

fn quit(mut terminal: PtySession) {
    terminal.send_line("\\q").unwrap();
    terminal.exp_eof().unwrap();
    assert!(matches!(terminal.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
}

#[test]
fn a_statement_ends_at_its_semicolon_and_the_prompt_comes_back() {
    let world = World::new();
    let mut terminal = start(&world, &[]);
    terminal.send_line("SELECT 1 AS one,").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_line("';' AS two").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_line(";").unwrap();
    terminal.exp_string("| one | two |").unwrap();
    terminal.exp_string("1 row in ").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("SELECT * FROM nowhere;").unwrap();
    terminal.exp_string("error: ").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("SELECT 2 AS after_error;").unwrap();
    terminal.exp_string("| after_error |").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);
}

#[test]
fn ctrl_c_clears_the_statement_and_ctrl_d_quits() {
    let world = World::new();
    let mut terminal = start(&world, &[]);
    terminal.send_line("SELECT").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send("1 AS dropped").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("SELECT 2 AS kept;").unwrap();
    terminal.exp_string("| kept |").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_control('d').unwrap();
    terminal.exp_eof().unwrap();
    assert!(matches!(terminal.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
}

#[test]
fn ctrl_c_cancels_a_running_statement_after_progress_was_shown() {
    let world = World::new();
    let mut terminal = start(&world, &[]);
    terminal
        .send_line("SELECT sum(sin(value)) FROM generate_series(1, 100000000000);")
        .unwrap();
    terminal.exp_regex(r"[0-9]+ rows, [0-9]+\.[0-9] s").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("cancelled").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("SELECT 2 AS alive;").unwrap();
    terminal.exp_string("| alive |").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);
}

#[test]
fn tab_completes_keywords_tables_columns_functions_and_files() {
    let world = World::new();
    world.file("people.csv", "name,age\nAda,36\n");
    let mut terminal = start(&world, &[]);
    terminal
        .send_line("CREATE VIEW sightings AS SELECT 1 AS wingspan;")
        .unwrap();
    terminal.exp_string(PROMPT).unwrap();

    for (typed, completed) in [
        ("TBLP\t", "TBLPROPERTIES"),
        ("SELECT wing FROM sigh\t", "FROM sightings"),
        ("SELECT * FROM sightings AS s WHERE s.win\t", "s.wingspan"),
        ("SELECT array_agg\t", "array_agg("),
        ("SELECT * FROM 'peo\t", "'people.csv"),
        ("\\pset form\t", "\\pset format"),
        ("\\d sigh\t", "\\d sightings"),
    ] {
        terminal.send(typed).unwrap();
        terminal.flush().unwrap();
        terminal
            .exp_string(completed)
            .unwrap_or_else(|error| panic!("{typed:?}: {error}"));
        terminal.send_control('c').unwrap();
        terminal.exp_string(PROMPT).unwrap();
    }
    terminal.send_line("SELECT *").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send("FROM sightings WHERE wings\t").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("WHERE wingspan").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);
}

#[test]
fn statements_are_kept_for_their_owner_alone_and_come_back() {
    let world = World::new();
    let mut terminal = start(&world, &[]);
    terminal.send_line("SELECT").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_line("1 AS recalled;").unwrap();
    terminal.exp_string("| recalled |").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("ALTER USER ada PASSWORD 'secret';").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);

    let file = world.path().join("home/.local/state/posixlake/history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(history.contains("1 AS recalled;"), "{history}");
    assert!(!history.contains("secret"), "{history}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut terminal = start(&world, &[]);
    terminal.send(UP).unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("\\q").unwrap();
    terminal.send(UP).unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("1 AS recalled;").unwrap();
    terminal.send_line("").unwrap();
    terminal.exp_string("| recalled |").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);
}

#[test]
fn the_rc_file_runs_before_the_first_prompt() {
    let world = World::new();
    let folder = world.path().join("home/.config/posixlake");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rc"), "CREATE VIEW from_rc AS SELECT 42 AS answer;\n").unwrap();
    let mut terminal = start(&world, &["-q"]);
    terminal.send_line("SELECT answer FROM from_rc;").unwrap();
    terminal.exp_string("| 42 ").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);

    let other = world.file("other.sql", "CREATE VIEW from_other AS SELECT 43 AS answer;\n");
    let mut terminal = start(&world, &["-q", "--rc", &other]);
    terminal.send_line("SELECT answer FROM from_other;").unwrap();
    terminal.exp_string("| 43 ").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("SELECT answer FROM from_rc;").unwrap();
    terminal.exp_string("error: ").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    quit(terminal);
}

#[test]
fn keywords_are_coloured_while_they_are_typed() {
    let world = World::new();
    let command = world.command(&["--color", "always"]);
    let options = Options::new().timeout_ms(Some(60_000)).strip_ansi_escape_codes(false);
    let mut terminal = spawn_with_options(command, options).unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send("SELECT 'x'").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("\u{1b}[1;34mSELECT\u{1b}[0m").unwrap();
    terminal.exp_string("\u{1b}[32m'x'\u{1b}[0m").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_control('d').unwrap();
    terminal.exp_eof().unwrap();
}
