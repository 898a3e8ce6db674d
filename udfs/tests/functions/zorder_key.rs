//! `zorder_key`.

use crate::support::sql;

#[tokio::test(flavor = "multi_thread")]
async fn follows_the_curve() {
    // The curve through a grid of four by four, by hand.
    let cells = sql("WITH n AS (SELECT value FROM generate_series(0, 3)) \
                     SELECT a.value, b.value FROM n a, n b ORDER BY zorder_key(a.value, b.value)");
    let expected = [
        "0|0", "0|1", "1|0", "1|1", "0|2", "0|3", "1|2", "1|3", "2|0", "2|1", "3|0", "3|1", "2|2", "2|3", "3|2", "3|3",
    ];
    assert_eq!(cells.await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_column_is_its_order_with_nulls_first() {
    for (values, expected) in [
        ("(3), (-1), (NULL), (0)", ["∅", "-1", "0", "3"]),
        ("(1.5), (-0.5), (NULL), (-2.5)", ["∅", "-2.5", "-0.5", "1.5"]),
        ("('b'), (''), (NULL), ('ab')", ["∅", "", "ab", "b"]),
        (
            "(DATE '2026-01-01'), (DATE '1969-01-01'), (NULL), (DATE '1970-01-01')",
            ["∅", "1969-01-01", "1970-01-01", "2026-01-01"],
        ),
        ("(true), (false), (NULL), (true)", ["∅", "false", "true", "true"]),
    ] {
        let ordered = sql(&format!(
            "SELECT v FROM (VALUES {values}) AS t(v) ORDER BY zorder_key(v)"
        ))
        .await
        .unwrap();
        assert_eq!(ordered, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mixes_types_and_constants_and_has_a_fixed_width() {
    let lengths =
        sql("SELECT length(encode(zorder_key(v, 'x', 1.5, NULL), 'hex')) FROM (VALUES (1), (NULL)) AS t(v)").await;
    assert_eq!(lengths.unwrap(), ["128", "128"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wants_a_column() {
    assert!(sql("SELECT zorder_key()").await.is_err());
}
