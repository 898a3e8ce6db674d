//! `docs/sql.md` is what the program says of its SQL.

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text == posixlake::reference::markdown(),
        "docs/sql.md is out of date: run `posixlake sql-reference > docs/sql.md`"
    );
}

#[test]
fn every_procedure_is_in_it() {
    let text = posixlake::reference::markdown();
    for name in [
        "analyze",
        "backup",
        "checkpoint",
        "fsck",
        "generate",
        "optimize",
        "purge",
        "restore",
        "vacuum",
        "zorder",
    ] {
        assert!(text.contains(&format!("`CALL {name}(table STRING")), "{name}");
    }
}
