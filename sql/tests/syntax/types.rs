use posixlake_sql::{TypeName, parse_type};

#[test]
fn every_spelling_of_every_type() {
    for (canonical, spellings) in [
        ("BOOLEAN", &["BOOL", "boolean"][..]),
        ("TINYINT", &["BYTE"]),
        ("SMALLINT", &["SHORT", "INT2", "INT16"]),
        ("INT", &["INTEGER", "INT4", "INT32", "int"]),
        ("BIGINT", &["LONG", "INT8", "INT64"]),
        ("FLOAT", &["REAL", "FLOAT4", "FLOAT32"]),
        ("DOUBLE", &["DOUBLE PRECISION", "FLOAT8", "FLOAT64"]),
        (
            "DECIMAL(10, 0)",
            &["DECIMAL", "DEC", "NUMERIC", "DECIMAL(10)", "NUMERIC(10,0)"],
        ),
        ("DECIMAL(38, 38)", &["dec(38,38)"]),
        (
            "STRING",
            &[
                "TEXT",
                "VARCHAR",
                "VARCHAR(10)",
                "CHAR",
                "CHAR(3)",
                "CHARACTER VARYING(9)",
            ],
        ),
        ("BINARY", &["BYTEA", "BLOB", "VARBINARY", "VARBINARY(5)"]),
        ("DATE", &["date"]),
        (
            "TIMESTAMP",
            &[
                "TIMESTAMP WITH TIME ZONE",
                "TIMESTAMPTZ",
                "TIMESTAMP_LTZ",
                "TIMESTAMP(6)",
                "TIMESTAMP WITH LOCAL TIME ZONE",
            ],
        ),
        (
            "TIMESTAMP_NTZ",
            &[
                "TIMESTAMP WITHOUT TIME ZONE",
                "DATETIME",
                "TIMESTAMP(6) WITHOUT TIME ZONE",
            ],
        ),
        ("ARRAY<INT>", &["INT[]", "array < integer >"]),
        ("ARRAY<ARRAY<INT>>", &["INT[][]", "ARRAY<INT>[]", "ARRAY<INT[]>"]),
        (
            "MAP<STRING, ARRAY<INT>>",
            &["MAP<TEXT,INT[]>", "MAP<STRING,ARRAY<INT> >"],
        ),
        (
            "STRUCT<a: INT, b: STRING NOT NULL COMMENT 'x'>",
            &[
                "STRUCT<a INT, b STRING NOT NULL COMMENT 'x'>",
                "struct<a:int,`b`:text NOT NULL COMMENT 'x'>",
            ],
        ),
        (
            "MAP<INT, STRUCT<a: ARRAY<STRUCT<b: INT>>>>",
            &["MAP<INT,STRUCT<a:ARRAY<STRUCT<b:INT>>>>"],
        ),
        ("STRUCT<a: ARRAY<INT> NOT NULL>", &["STRUCT<a ARRAY<INT> NOT NULL>"]),
    ] {
        let expected = parse_type(canonical).unwrap();
        assert_eq!(expected.to_string(), canonical);
        for spelling in spellings {
            assert_eq!(parse_type(spelling).unwrap(), expected, "{spelling}");
        }
    }
    assert_eq!(
        parse_type("DECIMAL(5)").unwrap(),
        TypeName::Decimal { precision: 5, scale: 0 }
    );
}

#[test]
fn impossible_types_name_the_nearest_one() {
    for (sql, hint) in [
        ("INT UNSIGNED", "BIGINT"),
        ("TINYINT UNSIGNED", "SMALLINT"),
        ("BIGINT UNSIGNED", "DECIMAL(20, 0)"),
        ("UINT8", "SMALLINT"),
        ("UINT32", "BIGINT"),
        ("UBIGINT", "DECIMAL(20, 0)"),
        ("TIME", "STRING"),
        ("INTERVAL", "BIGINT"),
        ("UUID", "STRING"),
        ("JSON", "STRING"),
        ("LIST", "ARRAY"),
        ("TIMESTAMP(9)", "microseconds"),
        ("DECIMAL(39)", "1 to 38"),
        ("DECIMAL(0)", "1 to 38"),
        ("DECIMAL(3, 4)", "scale"),
        ("ARRAY", "ARRAY<T>"),
        ("ARRAY(INT)", "ARRAY<T>"),
        ("MAP<INT>", "MAP<K, V>"),
        ("STRUCT<>", "STRUCT<name: TYPE"),
        ("INT[3]", "length"),
        ("STRNG", "STRING"),
    ] {
        let error = parse_type(sql).unwrap_err();
        assert!(
            error.hint.as_deref().unwrap_or_default().contains(hint),
            "{sql}: {error}"
        );
    }
    for sql in [
        "STRUCT<a: INT, a: INT>",
        "STRUCT<a: INT, A: INT>",
        "ARRAY<INT",
        "ARRAY<INT>>",
        "MAP<INT, INT>>>",
        "DECIMAL(99999999999999999999)",
        "DECIMAL(-1)",
        "NOPE",
        "`INT`",
        "'INT'",
        "1",
    ] {
        assert!(parse_type(sql).is_err(), "{sql}");
    }
}
