//! The options of `read_csv`.

use crate::support::{Folder, csv, lines_of, query, rows};

async fn read_with<const N: usize>(
    content: impl AsRef<[u8]>,
    options: [(&str, &str); N],
) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    let path = folder.write("x.csv", content);
    rows(&csv(&path, options)).await.map_err(|error| folder.without(&error))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_header() {
    assert_eq!(
        read_with("1,x\n2,y\n", [("header", "false")]).await.unwrap(),
        ["column1 Int64|column2 Utf8View", "1|x", "2|y"]
    );
    assert_eq!(
        read_with("1,x\n", [("header", "false"), ("columns", "id INT, name")])
            .await
            .unwrap(),
        ["id Int32|name Utf8View", "1|x"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_replace_the_header() {
    assert_eq!(
        read_with("a,a\n1,x\n", [("columns", "id, name")]).await.unwrap(),
        ["id Int64|name Utf8View", "1|x"]
    );
    assert_eq!(
        read_with("a,b,c\n1,x,y\n", [("columns", "id, name")])
            .await
            .unwrap_err(),
        "x.csv: the header has 3 columns, and the option columns names 2"
    );
    assert_eq!(
        read_with("", [("columns", "id INT, name STRING")]).await.unwrap(),
        ["id Int32|name Utf8View"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn separators_quotes_and_comments() {
    assert_eq!(
        read_with("a;b\n1;2,5\n", [("delimiter", ";")]).await.unwrap(),
        ["a Int64|b Utf8View", "1|2,5"]
    );
    assert_eq!(
        read_with("a\tb\n1\t2\n", [("delimiter", "tab")]).await.unwrap(),
        ["a Int64|b Int64", "1|2"]
    );
    assert_eq!(
        read_with("a,b\n'x,''y',\"z\"\n", [("quote", "'")]).await.unwrap(),
        ["a Utf8View|b Utf8View", "x,'y|\"z\""]
    );
    assert_eq!(
        read_with("a\n\"x\n", [("quote", "none")]).await.unwrap(),
        ["a Utf8View", "\"x"]
    );
    assert_eq!(
        read_with("a,b\n\"x\\\",\\n\",2\n", [("escape", "\\")]).await.unwrap(),
        ["a Utf8View|b Int64", "x\",n|2"]
    );
    assert_eq!(
        read_with("# it's \"x\na,b\n# \"\n1,#2\n#end", [("comment", "#")])
            .await
            .unwrap(),
        ["a Int64|b Utf8View", "1|#2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_before_the_header() {
    assert_eq!(
        read_with("a report \"\n\nid\n1\n", [("skip", "2")]).await.unwrap(),
        ["id Int64", "1"]
    );
    assert!(
        read_with("a\n1\n", [("skip", "9")])
            .await
            .unwrap_err()
            .starts_with("x.csv: the file is empty")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_formats() {
    assert_eq!(
        read_with(
            "a,b,c\n007,1.50,yes\n",
            [("types", "a STRING, b DECIMAL(5,2), c BOOLEAN")]
        )
        .await
        .unwrap(),
        ["a Utf8View|b Decimal128(5, 2)|c Boolean", "007|1.50|true"]
    );
    assert_eq!(
        read_with("a\n1\n", [("types", r#"{"a": "SMALLINT"}"#)]).await.unwrap(),
        ["a Int16", "1"]
    );
    assert_eq!(
        read_with(
            "d,t\n31.01.2026,31/01/2026 17:30\n",
            [("date_format", "%d.%m.%Y"), ("timestamp_format", "%d/%m/%Y %H:%M")]
        )
        .await
        .unwrap(),
        ["d Date32|t Timestamp(µs)", "2026-01-31|2026-01-31T17:30:00"]
    );
    assert_eq!(
        read_with("a,b\n1,2026-01-01\n", [("all_text", "true")]).await.unwrap(),
        ["a Utf8View|b Utf8View", "1|2026-01-01"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_without_zone_is_in_that_of_the_session() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "t\n2026-07-01 12:00:00\n");
    let context = crate::support::session();
    context
        .sql("SET datafusion.execution.time_zone = 'Europe/Berlin'")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let request = csv(&path, [("types", "t TIMESTAMP")]);
    let table = posixlake_udfs::open_files(&context.state(), &request).await.unwrap();
    let batches = context.read_table(table).unwrap().collect().await.unwrap();
    assert_eq!(lines_of(&batches), ["2026-07-01T10:00:00Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_decides_and_all_rows_can_be_it() {
    let mut content = String::from("a\n");
    content.push_str(&"1\n".repeat(50));
    content.push_str("1.5\n");
    assert!(read_with(&content, [("sample_rows", "50")]).await.is_err());
    for all in ["all", "0", "51"] {
        assert_eq!(
            read_with(&content, [("sample_rows", all)])
                .await
                .unwrap()
                .first()
                .unwrap(),
            "a Float64",
            "{all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expected_schema_gives_types() {
    use arrow::datatypes::{DataType, Field, Schema};
    let folder = Folder::new();
    let path = folder.write("x.csv", "Zip,n,l\n00501,1,x\n");
    let expected = Schema::new(vec![
        Field::new("zip", DataType::Utf8, true),
        Field::new("n", DataType::Int16, true),
        Field::new("l", DataType::Binary, true),
        Field::new("absent", DataType::Int16, true),
    ]);
    let request = csv(&path, []).with_expected_schema(expected.into());
    assert_eq!(
        rows(&request).await.unwrap(),
        ["Zip Utf8View|n Int16|l Utf8View", "00501|1|x"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_file() {
    let folder = Folder::new();
    folder.write("1.csv", "a\n1\n");
    folder.write("2.csv", "a\n2\n");
    let request = csv(folder.path("*.csv").to_str().unwrap(), [("filename", "true")]);
    let lines = query(&request, "SELECT filename, a FROM t ORDER BY a").await.unwrap();
    let lines: Vec<String> = lines_of(&lines).iter().map(|line| folder.without(line)).collect();
    assert_eq!(lines, ["1.csv|1", "2.csv|2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_united_by_name() {
    let folder = Folder::new();
    folder.write("1.csv", "a,b\n1,x\n");
    folder.write("2.csv", "c,a\n2026-01-01,2.5\n");
    let request = csv(folder.path("*.csv").to_str().unwrap(), [("union_by_name", "true")]);
    let lines = query(&request, "SELECT a, b, c FROM t ORDER BY a").await.unwrap();
    assert_eq!(lines_of(&lines), ["1.0|x|∅", "2.5|∅|2026-01-01"]);
    let lines = query(&request, "SELECT c FROM t ORDER BY c NULLS FIRST").await.unwrap();
    assert_eq!(lines_of(&lines), ["∅", "2026-01-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_of_files() {
    assert_eq!(read_with("a,b", []).await.unwrap(), ["a Utf8View|b Utf8View"]);
    assert_eq!(
        read_with("\u{FEFF}a,b\n1,2", []).await.unwrap(),
        ["a Int64|b Int64", "1|2"]
    );
    assert_eq!(
        read_with(" a , b \n 1 , x \n", []).await.unwrap(),
        ["a Int64|b Utf8View", "1| x "]
    );
    assert_eq!(
        read_with("a,,\n1,2,3\n", []).await.unwrap(),
        ["a Int64|column2 Int64|column3 Int64", "1|2|3"]
    );
    assert_eq!(
        read_with("\n\na,b\r\n\r\n1,2\r\n\r\n", []).await.unwrap(),
        ["a Int64|b Int64", "1|2"]
    );
    // In a table of one column, an empty line is a row.
    assert_eq!(read_with("a\n1\n\n3\n", []).await.unwrap(), ["a Int64", "1", "∅", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_in_many_chunks_keeps_its_order() {
    let folder = Folder::new();
    let mut content = String::from("id,text\n");
    for id in 0..20_000 {
        content.push_str(&format!("{id},\"row {id}\nof many\"\n"));
    }
    let path = folder.write("x.csv", &content);
    let lines = rows(&csv(&path, []).with_chunk_bytes(1_000)).await.unwrap();
    assert_eq!(lines.len(), 20_001);
    for (id, line) in lines.iter().skip(1).enumerate() {
        assert_eq!(*line, format!("{id}|row {id}\nof many"));
    }
    let first = query(&csv(&path, []).with_chunk_bytes(1_000), "SELECT id FROM t LIMIT 3")
        .await
        .unwrap();
    assert_eq!(lines_of(&first), ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_may_end_anywhere() {
    let content = "\u{FEFF}a line \" to skip\n# it's \"\nid,t\r\n1,\"x\\\"\n#,\"\"y\"\n#\"\"\"\n\n2,5\" pipe\n3,\"\"\n4,\"\\\\\"\r\n5,";
    let folder = Folder::new();
    let path = folder.write("x.csv", content);
    let request = csv(&path, [("comment", "#"), ("escape", "\\"), ("skip", "1")]);
    let expected = ["id Int64|t Utf8View", "1|x\"\n#,\"y", "2|5\" pipe", "3|", "4|\\", "5|∅"];
    for chunk in 1..content.len() {
        assert_eq!(
            rows(&request.clone().with_chunk_bytes(chunk)).await.unwrap(),
            expected,
            "{chunk}"
        );
    }
}
