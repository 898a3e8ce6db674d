//! Every statement as every role: allowed or denied as its kind says, and what is denied leaves the folder as it was.

use posixlake::ErrorKind;
use posixlake::sql::{Statement, parse, statements};

use super::{assert_untouched, contents, in_place, lake, open};
use crate::explain::STATEMENTS;
use crate::support::run;

/// A right that a statement takes: one of `SIUDM` on a table, `F` for files, or `A` for users.
type Need = (char, &'static str);

const TABLES: [&str; 2] = ["sales", "fixed"];

fn has(user: &str, (right, table): Need) -> bool {
    match user {
        "ana" => true,
        "wil" => "SIUD".contains(right),
        "rea" => right == 'S',
        "cle" => table == "sales" && "SI".contains(right),
        _ => false,
    }
}

fn mentioned(sql: &str) -> Vec<&'static str> {
    let sql = sql.replace("northern", "sales").replace("ready", "fixed");
    let is_word = |at: usize, len: usize| {
        let apart = |sign: Option<char>| !sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
        apart(sql[..at].chars().next_back()) && apart(sql[at + len..].chars().next())
    };
    let mut found: Vec<_> = TABLES
        .into_iter()
        .filter_map(|table| {
            let place = sql.match_indices(table).find(|(at, _)| is_word(*at, table.len()));
            place.map(|(at, _)| (at, table))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, table)| table).collect()
}

/// What a statement of the list takes.
fn needs(sql: &str, name: &str) -> Vec<Need> {
    let tables = mentioned(sql);
    let target = tables.first().copied().unwrap_or("other");
    let reads = |tables: &[&'static str]| tables.iter().map(|table| ('S', *table)).collect::<Vec<Need>>();
    let others = reads(tables.get(1..).unwrap_or_default());
    let if_there = |word: &str, right: char| sql.contains(word).then_some((right, target));
    let files = (sql.contains("'$LAKE/plain") || sql.contains("'$LAKE/out")).then_some(('F', "files"));
    let mut needs: Vec<Need> = match name {
        "SELECT" | "CREATE VIEW" | "DESCRIBE" | "DESCRIBE HISTORY" | "DESCRIBE DETAIL" | "SHOW COLUMNS" | "COPY TO"
        | "SHOW TBLPROPERTIES" | "SHOW PARTITIONS" | "SHOW CREATE TABLE" => reads(&tables),
        "INSERT" | "EXECUTE" => {
            let mut needs = vec![('I', target)];
            needs.extend(if_there("OVERWRITE", 'D'));
            needs.extend(if_there("REPLACE WHERE", 'D'));
            needs.extend(if_there("EVOLUTION", 'M'));
            [needs, others].concat()
        }
        "UPDATE" => [vec![('U', target), ('S', target)], others].concat(),
        "DELETE" => [vec![('D', target), ('S', target)], others].concat(),
        "TRUNCATE TABLE" => vec![('D', target)],
        "MERGE" => {
            let mut needs = vec![('S', target)];
            needs.extend(if_there("THEN UPDATE", 'U'));
            needs.extend(if_there("THEN INSERT", 'I'));
            needs.extend(if_there("THEN DELETE", 'D'));
            [needs, others].concat()
        }
        "COPY INTO" => vec![('I', target)],
        "CREATE TABLE" if sql.contains("REPLACE") => [vec![('M', target), ('D', target)], others].concat(),
        "CREATE TABLE" if sql.contains("IF NOT EXISTS") => vec![('M', target)],
        "CREATE TABLE" | "CREATE TABLE LIKE" | "CLONE" => [vec![('M', "other")], reads(&tables)].concat(),
        "CREATE EXTERNAL TABLE" if files.is_some() => Vec::new(),
        _ if sql.contains("BACKUP") || sql.contains(" FROM '$LAKE/backup") => vec![('F', "files")],
        "CREATE SECRET" | "DROP SECRET" | "SHOW SECRETS" => vec![('A', "users")],
        "CONVERT TO DELTA" => vec![('M', "plain")],
        "CREATE SCHEMA" => vec![('M', "archive")],
        "SHOW TABLES" | "SHOW PROCEDURES" | "SHOW" | "DROP" | "PREPARE" | "DEALLOCATE" => Vec::new(),
        "DROP TABLE" if sql.contains("missing") => vec![('S', "missing")],
        _ => vec![('M', target)],
    };
    needs.extend(files);
    needs
}

#[tokio::test]
async fn every_statement_is_allowed_to_whom_it_should_be() {
    let (_lake, folder) = lake().await;
    let before = contents(&folder);
    let mut wrong = Vec::new();
    let (mut allowed, mut denied) = (0, 0);
    for user in ["ana", "wil", "rea", "nob", "cle"] {
        let session = open(&folder, user).await;
        run(
            &session,
            "PREPARE ready AS INSERT INTO fixed VALUES ($1, 'east', 1, NULL)",
        )
        .await
        .unwrap();
        let sees = run(
            &session,
            "CREATE VIEW northern AS SELECT * FROM sales WHERE shop = 'north'",
        )
        .await;
        assert_eq!(sees.is_ok(), has(user, ('S', "sales")), "{user}");
        for sql in STATEMENTS {
            if sees.is_err() && sql.contains("northern") {
                continue;
            }
            let text = in_place(&folder, sql);
            let statement = parse(&text).unwrap().pop().unwrap();
            let name = statement.statement.name();
            let missing: Vec<Need> = match &statement.statement {
                Statement::Call(_) if sql.contains("backup") => vec![('F', "files")],
                Statement::Call(_) => vec![('M', "sales")],
                _ => needs(sql, name),
            };
            let missing: Vec<Need> = missing.into_iter().filter(|need| !has(user, *need)).collect();
            // What is allowed is only planned, so that the next finds the lake as it was.
            let outcome = if missing.is_empty() {
                session.plan(&statement).await.map(|_| ())
            } else {
                run(&session, &text).await.map(|_| ())
            };
            match (outcome, missing.is_empty()) {
                (Ok(()), true) => allowed += 1,
                (Err(error), false) if error.kind() == ErrorKind::Permission => denied += 1,
                (outcome, _) => wrong.push(format!("{user}: {sql}: lacks {missing:?}, got {outcome:?}")),
            }
        }
        session.close().await;
        assert_untouched(&before, &folder, user);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(allowed > 150 && denied > 150, "{allowed} allowed, {denied} denied");
}

/// The statements of the reference: their tables are not all there, so what is not allowed fails in one way or another.
#[tokio::test]
async fn no_example_of_the_reference_does_anything_for_those_without_rights() {
    let (_lake, folder) = lake().await;
    let before = contents(&folder);
    for user in ["nob", "rea"] {
        let session = open(&folder, user).await;
        let mut tried = 0;
        for example in statements().iter().flat_map(|statement| statement.examples) {
            let statement = parse(example).unwrap().pop().unwrap().statement;
            let of_session = matches!(
                statement.name(),
                "SET" | "PREPARE" | "EXECUTE" | "DEALLOCATE" | "CREATE VIEW" | "EXPLAIN" | "RESET"
            );
            // Nothing is there to drop, which one who may look is told.
            let nothing = example.starts_with("DROP TABLE IF EXISTS");
            if statement.modifies() && !of_session && !nothing {
                assert!(run(&session, example).await.is_err(), "{user}: {example}");
                tried += 1;
            } else {
                let _ = run(&session, example).await;
            }
        }
        assert!(tried > 50, "{tried}");
        session.close().await;
        assert_untouched(&before, &folder, user);
    }
}
