use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use posixlake_sql::{parse, parse_type, quote_identifier};
use proptest::prelude::*;

use crate::strategies::{ONE_OF_EACH, data_type, name, statement};
use crate::support::{assert_reads_back, one};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_of_a_statement_is_the_statement(statement in statement()) {
        let text = statement.to_string();
        match parse(&text) {
            Ok(parsed) => {
                prop_assert_eq!(parsed.len(), 1, "{}", &text);
                prop_assert_eq!(&parsed[0].statement, &statement, "{}", &text);
                prop_assert_eq!(parsed[0].statement.to_string(), text);
            }
            Err(error) => prop_assert!(false, "{}: {}", text, error),
        }
    }

    #[test]
    fn the_text_of_a_type_is_the_type(data_type in data_type()) {
        prop_assert_eq!(parse_type(&data_type.to_string()).unwrap(), data_type);
    }

    #[test]
    fn names_read_back(name in name()) {
        let sql = format!("TRUNCATE TABLE {}", quote_identifier(&name.value));
        match one(&sql) {
            posixlake_sql::Statement::Truncate(table) => prop_assert_eq!(&table.0[0].as_ident().unwrap().value, &name.value),
            other => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn one_of_each_reads_back() {
    for sql in ONE_OF_EACH {
        assert_reads_back(&one(sql));
        if !sql.starts_with("EXPLAIN") {
            assert_reads_back(&one(&format!("EXPLAIN {sql}")));
        }
        if !sql.starts_with("PREPARE") {
            assert_reads_back(&one(&format!("PREPARE p AS {sql}")));
        }
    }
}

#[test]
fn every_keyword_is_a_name_in_every_place() {
    const PLACES: &[&str] = &[
        "CREATE TABLE N (N INT, x INT, PRIMARY KEY (N), CONSTRAINT N CHECK (x > 0)) PARTITIONED BY (N) CLUSTER BY (N)",
        "CREATE TABLE N LIKE N",
        "CREATE TABLE N CLONE N VERSION AS OF 1",
        "DROP TABLE N",
        "ALTER TABLE N ADD COLUMN N.N INT AFTER N",
        "ALTER TABLE N DROP COLUMNS (N, N)",
        "ALTER TABLE N RENAME COLUMN N TO N",
        "ALTER TABLE N ALTER COLUMN N COMMENT ''",
        "ALTER TABLE N DROP CONSTRAINT N",
        "ALTER TABLE N RENAME TO N",
        "COMMENT ON COLUMN N.N IS NULL",
        "INSERT INTO N (N) VALUES (1)",
        "INSERT INTO N PARTITION (N = 1, N) SELECT 1",
        "INSERT INTO N BY NAME SELECT 1",
        "UPDATE N AS N SET N = 1, N.N = 2",
        "DELETE FROM N AS N USING x",
        "TRUNCATE TABLE N",
        "MERGE INTO N AS N USING x ON true WHEN NOT MATCHED THEN INSERT (N) VALUES (1) WHEN MATCHED THEN UPDATE SET N = 1",
        "COPY INTO N FROM 'x' FILEFORMAT = CSV",
        "OPTIMIZE N ZORDER BY (N)",
        "VACUUM N",
        "VACUUM N DRY RUN",
        "RESTORE TABLE N TO VERSION AS OF 3",
        "BACKUP TABLE N TO 'x'",
        "RESTORE TABLE N FROM 'x'",
        "RESTORE TABLE N AS N FROM 'x' TO VERSION AS OF 3 OVERWRITE",
        "FSCK REPAIR TABLE N",
        "REORG TABLE N APPLY (PURGE)",
        "CHECKPOINT N",
        "GENERATE symlink_format_manifest FOR TABLE N",
        "ANALYZE TABLE N COMPUTE STATISTICS",
        "CALL N(N => 1)",
        "DESCRIBE HISTORY N LIMIT 1",
        "DESCRIBE DETAIL N",
        "SHOW TBLPROPERTIES N ('k')",
        "SHOW PARTITIONS N",
        "SHOW CREATE TABLE N",
        "PREPARE N AS SELECT 1",
        "OPTIMIZE N.N.N",
        "CREATE TABLE t (a STRUCT<N: INT NOT NULL>)",
    ];
    for keyword in ALL_KEYWORDS {
        for place in PLACES {
            // `N` stands alone everywhere but in the words that hold it.
            let quoted = format!("`{}`", keyword.to_lowercase());
            let words: Vec<String> = place
                .split_inclusive(|ch: char| !ch.is_alphanumeric())
                .map(|word| {
                    if word.trim_end_matches(|ch: char| !ch.is_alphanumeric()) == "N" {
                        word.replace('N', &quoted)
                    } else {
                        word.to_owned()
                    }
                })
                .collect();
            assert_reads_back(&one(&words.concat()));
        }
    }
}

#[test]
fn the_text_of_a_secret_hides_it() {
    let text =
        one("CREATE SECRET s (TYPE s3, KEY_ID 'k', SECRET 'hush', SESSION_TOKEN 'hush', COLOUR 'hush')").to_string();
    assert_eq!(
        text,
        "CREATE SECRET s (TYPE 's3', KEY_ID 'k', SECRET '***', SESSION_TOKEN '***', COLOUR '***')"
    );
    assert_reads_back(&one(&text));
}
