//! Users at the command line: who comes in how, and what the exit code says.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{assert_untouched, contents, in_place, lake};
use crate::explain::STATEMENTS;

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn posixlake(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posixlake"));
    for name in ["POSIXLAKE_USER", "POSIXLAKE_PASSWORD", "POSIXLAKE_LOG"] {
        command.env_remove(name);
    }
    let output = command
        .arg(folder)
        .args(["--format", "csv", "-q"])
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const COUNT: [&str; 2] = ["-c", "SELECT count(*) AS n FROM sales"];

#[tokio::test]
async fn users_come_in_by_password() {
    let (lake, folder) = lake().await;
    let file = lake.path().with_extension("password");
    std::fs::write(&file, "rea-secret\n").unwrap();
    let with =
        |first: &[&str], environment: &[(&str, &str)]| posixlake(&folder, &[first, &COUNT].concat(), environment);
    for outcome in [
        with(&["--user", "rea"], &[("POSIXLAKE_PASSWORD", "rea-secret")]),
        with(&["--user", "rea", "--password-file", file.to_str().unwrap()], &[]),
        with(&[], &[("POSIXLAKE_USER", "rea"), ("POSIXLAKE_PASSWORD", "rea-secret")]),
    ] {
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (0, "n\n3\n"),
            "{}",
            outcome.stderr
        );
    }
    for (arguments, environment, said) in [
        (&[][..], &[][..], "the lake has users: say who you are, with --user"),
        (&["--user", "rea"], &[], "no terminal to ask for it"),
        (
            &["--user", "rea"],
            &[("POSIXLAKE_PASSWORD", "wrong")],
            "lets nobody in as rea",
        ),
        (
            &["--user", "who"],
            &[("POSIXLAKE_PASSWORD", "wrong")],
            "lets nobody in as who",
        ),
    ] {
        let outcome = with(arguments, environment);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (8, ""),
            "{arguments:?}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
    let missing = with(&["--user", "rea", "--password-file", "/missing"], &[]);
    assert_eq!(missing.code, 4, "{}", missing.stderr);
    std::fs::remove_file(&file).unwrap();

    let other = tempfile::TempDir::new().unwrap();
    let outcome = posixlake(
        other.path(),
        &["--user", "rea", "-c", "SELECT 1"],
        &[("POSIXLAKE_PASSWORD", "x")],
    );
    assert_eq!(outcome.code, 10, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the lake has no users"), "{}", outcome.stderr);
    let first = posixlake(
        other.path(),
        &["-c", "CREATE USER ada PASSWORD 'x'; SELECT 1 AS a"],
        &[],
    );
    assert!(
        first.stdout.contains("ada is the first user"),
        "{} {}",
        first.stdout,
        first.stderr
    );
    let typo = posixlake(
        other.path(),
        &["--user", "ada", "-c", "CREATE USER b PASSWORDD 'typed'"],
        &[("POSIXLAKE_PASSWORD", "x")],
    );
    assert_eq!(typo.code, 3);
    assert!(!typo.stderr.contains("typed"), "{}", typo.stderr);
}

#[tokio::test]
async fn what_is_denied_changes_nothing() {
    let (_lake, folder) = lake().await;
    let before = contents(&folder);
    let own = [
        "SHOW",
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "VALUES",
        "DROP TABLE IF",
        "DROP VIEW",
    ];
    let statements = STATEMENTS
        .iter()
        .filter(|sql| !own.iter().any(|word| sql.starts_with(word)) && !sql.contains("northern"));
    let mut denied = 0;
    for sql in statements {
        let sql = in_place(&folder, sql);
        let outcome = posixlake(
            &folder,
            &["--user", "nob", "-c", &sql],
            &[("POSIXLAKE_PASSWORD", "nob-secret")],
        );
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (8, ""),
            "{sql}: {}",
            outcome.stderr
        );
        denied += 1;
    }
    assert!(denied > 60, "{denied}");
    assert_untouched(&before, &folder, "nob");
}
