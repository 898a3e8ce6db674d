//! CSV: types, quoting, options, errors.

use crate::support::{Folder, analyzed, csv, lines_of, query, rows};

async fn read(content: &str) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    let path = folder.write("x.csv", content);
    rows(&csv(&path, [])).await.map_err(|error| folder.without(&error))
}

async fn read_with<const N: usize>(content: &str, options: [(&str, &str); N]) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    let path = folder.write("x.csv", content);
    rows(&csv(&path, options)).await.map_err(|error| folder.without(&error))
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_the_type_of_each_column() {
    let content = "b,i,f,d,t,z,s,n\n\
                   true,1,1.5,2026-01-31,2026-01-31 10:00:00,2026-01-31T10:00:00Z,x,\n\
                   FALSE,-20,3,2026-02-28,2026-01-31T10:00:00.123456,2026-01-31 10:00:00+02:00,1,\n";
    assert_eq!(
        read(content).await.unwrap(),
        [
            "b Boolean|i Int64|f Float64|d Date32|t Timestamp(µs)|z Timestamp(µs, \"UTC\")|s Utf8View|n Utf8View",
            "true|1|1.5|2026-01-31|2026-01-31T10:00:00|2026-01-31T10:00:00Z|x|∅",
            "false|-20|3.0|2026-02-28|2026-01-31T10:00:00.123456|2026-01-31T08:00:00Z|1|∅",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_would_lose_their_form_stay_text() {
    assert_eq!(
        read("zip,phone,id,mixed\n00501,+491234,18446744073709551616,1\n10001,5,7,x\n")
            .await
            .unwrap(),
        [
            "zip Utf8View|phone Utf8View|id Utf8View|mixed Utf8View",
            "00501|+491234|18446744073709551616|1",
            "10001|5|7|x"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_would_lose_its_form_after_the_sample_is_an_error() {
    assert_eq!(
        read_with("zip\n10001\n00501\n", [("sample_rows", "1")])
            .await
            .unwrap_err(),
        "x.csv, line 3, column zip: \"00501\" is not a BIGINT; set null_value => '00501' if it stands for NULL, or types \
         => 'zip STRING' to keep it, or sample_rows => 'all' to find the type in all rows"
    );
    assert_eq!(
        read_with("zip\n10001\n00501\n", [("types", "zip INT")]).await.unwrap(),
        ["zip Int32", "10001", "501"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_number_may_be_written_as_floating_point_where_the_type_was_given() {
    assert_eq!(
        read_with(
            "n\n25.0\n-3.000\n 7.0 \n\n9\n1234567890123456789.0\n",
            [("types", "n BIGINT")]
        )
        .await
        .unwrap(),
        ["n Int64", "25", "-3", "7", "∅", "9", "1234567890123456789"]
    );
    for wrong in ["25.5", "25.", ".0", "25.0.0", "25.0x", "1e3", "-"] {
        let error = read_with(&format!("n\n{wrong}\n"), [("types", "n INT")])
            .await
            .unwrap_err();
        assert!(error.contains(&format!("\"{wrong}\" is not an INT")), "{error}");
    }
    let error = read_with("n\n1\n2.0\n", [("sample_rows", "1")]).await.unwrap_err();
    assert!(error.contains("\"2.0\" is not a BIGINT"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_hold_delimiters_line_ends_and_quotes() {
    assert_eq!(
        read("a,b\r\n\"x,\"\"y\"\"\",\"1\n2\"\r\n5\" pipe,\r\n").await.unwrap(),
        ["a Utf8View|b Utf8View", "x,\"y\"|1\n2", "5\" pipe|∅"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_field_is_null_and_the_quoted_one_is_empty_text() {
    assert_eq!(
        read_with("a,b,n\n,\"\",\"\"\nNA,\"NA\",\"NA\"\nx,y,3\n", [("null_value", "NA|-")])
            .await
            .unwrap(),
        ["a Utf8View|b Utf8View|n Int64", "∅||∅", "∅|NA|∅", "x|y|3"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_reads_no_column() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a,b\n1,x\n2,y\n");
    let batches = query(&csv(&path, []), "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(lines_of(&batches), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_says_what_it_read() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a,b\n1,x\n2,y\n");
    let plan = analyzed(&csv(&path, []), "SELECT b FROM t LIMIT 1").await;
    for part in [
        "TextScanExec: format=csv, files=1",
        "projection=[b], limit=1",
        "bytes_scanned=12",
        "files_opened=1",
        "output_rows=1",
    ] {
        assert!(plan.contains(part), "{part} is not in {plan}");
    }
}
