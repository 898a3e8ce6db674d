//! JSON: forms, types, errors.

use crate::support::{Folder, json, lines_of, query, rows};

async fn read(content: &str) -> Result<Vec<String>, String> {
    read_with(content, []).await
}

async fn read_with<const N: usize>(content: &str, options: [(&str, &str); N]) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    let path = folder.write("x.json", content);
    rows(&json(&path, options))
        .await
        .map_err(|error| folder.without(&error))
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_columns_and_types_nested_ones_too() {
    let content = r#"{"z": 1, "f": 1, "b": true, "s": "x", "n": null, "u": 1, "l": [1, null], "o": {"y": 1, "x": "a"}}
{"z": -2, "f": 2.5, "b": false, "s": 7, "u": 18446744073709551615, "l": [], "o": {"x": null}, "late": 1}
"#;
    assert_eq!(
        read(content).await.unwrap(),
        [
            "z Int64|f Float64|b Boolean|s Utf8View|n Utf8View|u Decimal128(20, 0)|l List(Int64)|o Struct(\"y\": Int64, \
             \"x\": Utf8View)|late Int64",
            "1|1.0|true|x|∅|1|[1, ∅]|{y: 1, x: a}|∅",
            "-2|2.5|false|7|∅|18446744073709551615|[]|{y: ∅, x: ∅}|1",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_array_and_objects_over_lines() {
    let expected = ["a Int64|b Utf8View", "1|x]},{\"", "2|y"];
    assert_eq!(
        read("[{\"a\":1,\"b\":\"x]},{\\\"\"},{\"a\":2,\"b\":\"y\"}]")
            .await
            .unwrap(),
        expected
    );
    assert_eq!(
        read(" [\n {\"a\": 1,\n  \"b\": \"x]},{\\\"\"},\n {\"a\": 2, \"b\": \"y\"}\n]\n")
            .await
            .unwrap(),
        expected
    );
    assert_eq!(
        read("{\n \"a\": 1,\n \"b\": \"x]},{\\\"\"}\n{\"a\": 2, \"b\": \"y\"}")
            .await
            .unwrap(),
        expected
    );
    assert_eq!(
        read("\n{\"a\": 1, \"b\": \"x]},{\\\"\"}\r\n\r\n{\"a\": 2, \"b\": \"y\"}\r\n")
            .await
            .unwrap(),
        expected
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_chunks_read_alike() {
    let folder = Folder::new();
    let objects: Vec<String> = (0..300)
        .map(|id| format!("{{\"id\": {id}, \"t\": \"a\\\\\\\"{id}}}\"}}"))
        .collect();
    for (name, content) in [
        ("lines.json", objects.join("\n")),
        ("array.json", format!("[{}]", objects.join(" ,\n"))),
        (
            "values.json",
            format!("{{\n{}", objects.join("\n").trim_start_matches('{')),
        ),
    ] {
        let path = folder.write(name, &content);
        let whole = rows(&json(&path, [])).await.unwrap();
        assert_eq!(whole.len(), 301, "{name}");
        assert_eq!(whole[300], "299|a\\\"299}");
        for chunk in [1, 7, 100] {
            assert_eq!(
                rows(&json(&path, []).with_chunk_bytes(chunk)).await.unwrap(),
                whole,
                "{name} by {chunk}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_read_as_declared() {
    let types = "n DECIMAL(5,2), t TIMESTAMP, d DATE, l ARRAY<SMALLINT>, o STRUCT<d: DATE>, extra INT";
    assert_eq!(
        read_with(
            r#"{"n": 1.5, "t": "2026-01-01T00:00:00+01:00", "d": "2026-01-02", "l": [1], "o": {"d": "2026-01-03"}}"#,
            [("types", types)]
        )
        .await
        .unwrap()[1],
        "1.50|2025-12-31T23:00:00Z|2026-01-02|[1]|{d: 2026-01-03}|∅"
    );
    assert_eq!(
        read_with(r#"{"n": 1.0, "l": [2.0]}"#, [("types", "n INT, l ARRAY<INT>")])
            .await
            .unwrap()[1],
        "1|[2]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn projection_and_count() {
    let folder = Folder::new();
    let path = folder.write("x.jsonl", "{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n");
    assert_eq!(
        lines_of(&query(&json(&path, []), "SELECT count(*) FROM t").await.unwrap()),
        ["2"]
    );
    assert_eq!(
        lines_of(&query(&json(&path, []), "SELECT b FROM t LIMIT 1").await.unwrap()),
        ["2"]
    );
    let request = json(&path, [("filename", "true")]);
    let lines = lines_of(&query(&request, "SELECT filename, a FROM t").await.unwrap());
    assert_eq!(folder.without(&lines[0]), "x.jsonl|1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit() {
    let sample = [("sample_rows", "1")];
    assert_eq!(
        read_with("{\"a\": 1}\n\n{\"a\": 1.5}\n", sample).await.unwrap_err(),
        "x.json, line 3, column a: \"1.5\" is not a BIGINT; set types => 'a STRING', or sample_rows => 'all' to find \
         columns and types in all rows"
    );
    assert_eq!(
        read_with("{\"o\": {\"l\": [1]}}\n{\"o\": {\"l\": [1, \"x\"]}}\n", sample)
            .await
            .unwrap_err(),
        "x.json, line 2, column o.l[]: \"x\" is not a BIGINT; set types => 'o …', or sample_rows => 'all' to find columns \
         and types in all rows"
    );
    assert_eq!(
        read_with("[{\"a\": 1},\n{\"a\": 99999999999}]", [("types", "a INT")])
            .await
            .unwrap_err(),
        "x.json, line 2, column a: \"99999999999\" is not an INT; set types => 'a STRING'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_after_the_sample_is_not_dropped() {
    let folder = Folder::new();
    let path = folder.write("x.json", "{\"a\": 1}\n{\"a\": 2, \"b\": true}\n");
    let request = json(&path, [("sample_rows", "1")]);
    assert_eq!(
        folder.without(&rows(&request).await.unwrap_err()),
        "x.json, line 2: the field b was not in the rows that the columns were found in; set types => 'b BOOLEAN', or \
         sample_rows => 'all' to find columns and types in all rows"
    );
    let named = json(&path, [("sample_rows", "1"), ("types", "b BOOLEAN")]);
    assert_eq!(rows(&named).await.unwrap(), ["a Int64|b Boolean", "1|∅", "2|true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_json() {
    assert_eq!(
        read("{\"a\": 1}\n{\"a\": }\n").await.unwrap_err(),
        "x.json, line 2, character 7: not JSON: expected value"
    );
    assert_eq!(
        read("{\"a\": 1}\n7\n").await.unwrap_err(),
        "x.json, line 2: \"7\" is not a JSON object"
    );
    assert_eq!(
        read("a,b\n1,2\n").await.unwrap_err(),
        "x.json, line 1: not a JSON object; a file holds one object a line, or one array of objects"
    );
    assert_eq!(
        read("[{\"a\": 1}\n{\"a\": 1}]").await.unwrap_err(),
        "x.json, line 2: a comma is missing between two objects of the array"
    );
    assert_eq!(
        read("[{\"a\": 1},\n]").await.unwrap_err(),
        "x.json, line 2: an object is missing in the array"
    );
    assert_eq!(
        read("[{\"a\": 1}\n").await.unwrap_err(),
        "x.json, line 2: the array is not closed"
    );
    assert_eq!(
        read("[{\"a\": 1}]\n{}").await.unwrap_err(),
        "x.json, line 2: text after the array"
    );
    assert_eq!(
        read("[\n{\"a\": 1").await.unwrap_err(),
        "x.json, line 2: the object that begins here is not closed"
    );
    assert_eq!(
        read("\n").await.unwrap_err(),
        "x.json: no rows to find columns in; name them: types => 'id BIGINT, name STRING'"
    );
    assert_eq!(
        read("{\"a\": {\"b\": 1}}\n{\"a\": {\"b\": [1]}}\n").await.unwrap_err(),
        "x.json: a.b is a number in one row and an array in another, which no column holds together"
    );
}
