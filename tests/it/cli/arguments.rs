//! Flags, help and what is made for other programs.

use super::World;

#[test]
fn help_names_every_exit_code_and_variable() {
    let help = World::new().run(&["--help"]).ok();
    for part in [
        "--lake",
        "--maxrows",
        "--option",
        "130  cancelled by Ctrl-C",
        "POSIXLAKE_LAKE",
        "XDG_STATE_HOME",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
}

#[test]
fn the_version_is_the_package_s() {
    assert_eq!(
        World::new().run(&["--version"]).ok(),
        format!("posixlake {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_command_line_is_refused_with_code_2() {
    let world = World::new();
    for arguments in [
        &["--no-such-flag"][..],
        &["-c", " "],
        &["-c", "SELECT 1", "-b", "0"],
        &["-c", "SELECT 1", "-m", "lots"],
        &["-c", "SELECT 1", "--mem-pool-type", "fair"],
        &["-c", "SELECT 1", "--format", "xml"],
        &["-c", "SELECT 1", "--option", "x"],
        &["-c", "SELECT 1", "--option", "x=1", "--option", "x=2"],
        &["-c", "SELECT 1", "--rc", "x"],
        &["-c", "SELECT 1", "--data-path", "no-such-folder"],
        &["lake", "--lake", "lake"],
        &["completions", "no-such-shell"],
    ] {
        let run = world.run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn completions_and_the_manual_are_made_from_the_flags() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = world.run(&["completions", shell]).ok();
        assert!(text.contains("posixlake") && text.contains("maxrows"), "{shell}");
    }
    let manual = world.run(&["man"]).ok();
    for part in [
        ".TH posixlake",
        "maxrows",
        ".SH \"EXIT STATUS\"",
        ".SH ENVIRONMENT",
        "pset",
    ] {
        assert!(manual.contains(part), "{part} in {manual}");
    }
}

#[test]
fn a_lake_can_be_named_like_a_subcommand() {
    let world = World::new();
    std::fs::create_dir(world.path().join("man")).unwrap();
    assert!(
        world
            .run(&["--lake", "man", "-q", "-c", "SELECT 1 AS one"])
            .ok()
            .contains("one")
    );
}

#[test]
fn settings_come_from_flags_and_the_environment() {
    let world = World::new();
    let show = |name: &str| {
        ["-q", "--format", "csv", "-b", "77", "-c"]
            .map(str::to_string)
            .into_iter()
            .chain([name.into()])
    };
    let value = |name: &str| {
        let arguments: Vec<String> = show(&format!("SHOW {name}")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = world
            .command(&arguments)
            .env("DATAFUSION_EXECUTION_TARGET_PARTITIONS", "3")
            .output()
            .unwrap();
        super::Run::from(output).ok()
    };
    assert!(value("datafusion.execution.batch_size").contains("77"));
    assert!(value("datafusion.execution.target_partitions").contains('3'));
    assert!(value("datafusion.explain.format").contains("tree"));

    let mut refused = world.command(&["-c", "SELECT 1"]);
    let refused = super::Run::from(
        refused
            .env("DATAFUSION_EXECUTION_TARGET_PARTITIONS", "many")
            .output()
            .unwrap(),
    );
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("datafusion.execution.target_partitions cannot be many"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_memory_limit_is_kept_and_named_when_it_is_not_enough() {
    let world = World::new();
    let sql = "SELECT value % 1000000 AS v, count(*) FROM generate_series(1, 2000000) GROUP BY v ORDER BY v";
    let run = world.run(&["-m", "1m", "-d", "1k", "-c", sql]);
    assert_ne!(run.code, Some(0));
    assert_eq!(run.stdout, "");
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
}

#[test]
fn errors_are_coloured_only_where_that_is_wanted() {
    let world = World::new();
    let error = |color: &[&str]| {
        let arguments: Vec<&str> = color.iter().copied().chain(["-c", "SELECT * FROM nowhere"]).collect();
        world.run(&arguments).stderr
    };
    assert!(error(&["--color", "always"]).starts_with("\u{1b}["));
    assert!(error(&["--color", "never"]).starts_with("error: "));
    assert!(error(&[]).starts_with("error: "));
}

#[test]
fn a_lake_that_cannot_be_one_is_refused() {
    let world = World::new();
    world.file("rows.csv", "id\n1\n");
    let file = world.run(&["rows.csv", "-c", "SHOW TABLES"]);
    assert_eq!(file.code, Some(10), "{}", file.stderr);
    assert!(file.stderr.contains("rows.csv' is a file"), "{}", file.stderr);
    let scheme = world.run(&["ftp://host/lake", "-c", "SHOW TABLES"]);
    assert_eq!(scheme.code, Some(10), "{}", scheme.stderr);
    assert!(scheme.stderr.contains("s3://"), "{}", scheme.stderr);
}

#[test]
fn what_the_system_forbids_is_said_without_a_trace() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let lake = world.path().join("locked");
    world.run(&["locked", "-c", "CREATE TABLE t (id BIGINT)"]).ok();
    let folder = lake.join("t");
    let allow = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    let is_root = std::fs::write(folder.join("probe"), "").is_ok();
    let insert = world.run(&["locked", "-c", "INSERT INTO t VALUES (1)"]);
    allow(0o755);
    // Root may do anything.
    if !is_root {
        assert_eq!(insert.code, Some(8), "{}", insert.stderr);
        assert!(insert.stderr.contains("ermission denied"), "{}", insert.stderr);
        assert!(!insert.stderr.contains("panicked"), "{}", insert.stderr);
    }
}
