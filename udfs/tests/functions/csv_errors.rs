//! What is wrong with a CSV file is told by file, line, column and value, with what to do.

use crate::support::{Folder, csv, query, rows};

async fn error_of(content: impl AsRef<[u8]>) -> String {
    error_with(content, []).await
}

async fn error_with<const N: usize>(content: impl AsRef<[u8]>, options: [(&str, &str); N]) -> String {
    let folder = Folder::new();
    let path = folder.write("flights.csv", content);
    folder.without(&rows(&csv(&path, options)).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_its_column() {
    let mut content = String::from("id,dep_time\n");
    for line in 2..839 {
        content.push_str(&format!("{line},900\n"));
    }
    content.push_str("839,NA\n840,900\n");
    assert_eq!(
        error_with(&content, [("sample_rows", "100")]).await,
        "flights.csv, line 839, column dep_time: \"NA\" is not a BIGINT; set null_value => 'NA' if it stands for NULL, or \
         types => 'dep_time STRING' to keep it, or sample_rows => 'all' to find the type in all rows"
    );
    assert_eq!(
        error_with(&content, [("types", "id BIGINT, dep_time INT")]).await,
        "flights.csv, line 839, column dep_time: \"NA\" is not an INT; set null_value => 'NA' if it stands for NULL, or \
         types => 'dep_time STRING' to keep it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_an_error_is_that_of_an_editor() {
    let content = "\u{FEFF}# about\n\nid,text\n1,\"two\nlines\"\n\nx,\n";
    assert_eq!(
        error_with(content, [("comment", "#"), ("types", "id INT")]).await,
        "flights.csv, line 7, column id: \"x\" is not an INT; set null_value => 'x' if it stands for NULL, or types => 'id \
         STRING' to keep it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_value_is_clipped() {
    let value = "ä\t".repeat(500);
    let error = error_with(format!("\"my id\"\n{value}\n"), [("types", "\"my id\" INT")]).await;
    let shown = "ä\\t".repeat(30);
    assert_eq!(
        error,
        format!(
            "flights.csv, line 2, column my id: \"{shown}…\" is not an INT; set types => '\"my id\" STRING' to keep it"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_and_too_many_fields() {
    let fields = "set delimiter => '…' if another character separates them, or quote fields that hold it";
    assert_eq!(
        error_of("a,b\n1,2\n3\n").await,
        format!("flights.csv, line 3: 1 field where 2 are expected; {fields}")
    );
    assert_eq!(
        error_with("a,b\n1,2\n3,4,5\n", [("sample_rows", "1")]).await,
        format!("flights.csv, line 3: 3 fields where 2 are expected; {fields}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_that_is_never_closed() {
    let rest = "a quote is opened here and never closed; write a quote inside a quoted field twice, or set quote => 'none' \
                if quotes mean nothing";
    assert_eq!(
        error_of("a,b\n1,2\n3,\"x\n4,5\n").await,
        format!("flights.csv, line 3: {rest}")
    );
    assert_eq!(error_of("a\n\"").await, format!("flights.csv, line 2: {rest}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_after_a_closing_quote() {
    assert_eq!(
        error_of("a,b\n1,\"x\"y\n").await,
        "flights.csv, line 2, column b: text after the closing quote; write a quote inside a quoted field twice, or set \
         quote => 'none' if quotes mean nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_end_in_a_bare_return() {
    assert_eq!(
        error_of("a,b\r1,2\r").await,
        "flights.csv, line 1: a carriage return that ends no line; quote the field, and end lines by LF or CR LF"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf8() {
    assert_eq!(
        error_of(b"a,name\n1,x\n2,caf\xE9\n").await,
        "flights.csv, line 3, column name: the byte 0xE9 is not UTF-8; convert the file: iconv -f LATIN1 -t UTF-8 …"
    );
    assert_eq!(
        error_of(b"\xFF\xFEa\0,\0b\0").await,
        "flights.csv: the text is UTF-16; only UTF-8 is read: iconv -f UTF-16 -t UTF-8 …"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_and_a_header_without_names() {
    assert_eq!(
        error_of("").await,
        "flights.csv: the file is empty, not even a header; name its columns: columns => 'id BIGINT, name STRING'"
    );
    assert_eq!(
        error_of("id,x,id\n1,2,3\n").await,
        "flights.csv, line 1: the header has the name id twice, for columns 1 and 3; name the columns: columns => '…'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_for_a_column_that_is_not_there() {
    assert_eq!(
        error_with("id,dep_time\n1,2\n", [("types", "dep_tme INT")]).await,
        "flights.csv: types names a column dep_tme, which is not there (did you mean dep_time?); the columns are id, \
         dep_time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_whose_headers_differ() {
    let folder = Folder::new();
    folder.write("1.csv", "a,b\n1,2\n");
    folder.write("2.csv", "b,a\n1,2\n");
    let pattern = folder.path("*.csv").to_str().unwrap().to_string();
    let error = folder.without(&rows(&csv(&pattern, [])).await.unwrap_err());
    assert_eq!(
        error,
        "2.csv: the header has the columns in another order (it says \"b,a\"; the table has \"a,b\"); set union_by_name => \
         true to match columns by name"
    );
    folder.write("2.csv", "a,c\n1,2\n");
    let error = folder.without(&rows(&csv(&pattern, [])).await.unwrap_err());
    assert!(
        error.starts_with("2.csv: the header has a column c, which the table does not have"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_is_never_cut_or_moved() {
    let micros = [("types", "t TIMESTAMP_NTZ")];
    let finer = "t\n2026-01-01 00:00:00.1234567\n";
    let error = error_with(finer, micros).await;
    assert!(error.starts_with("flights.csv, line 2, column t: \"2026-01-01 00:00:00.1234567\" is not a TIMESTAMP_NTZ"));
    let error = error_with("t\n2026-01-01 00:00:00+01:00\n", micros).await;
    assert!(error.contains("is not a TIMESTAMP_NTZ"), "{error}");
    let error = error_with("d\n2026-01-01 10:00:00\n", [("types", "d DATE")]).await;
    assert!(error.contains("is not a DATE"), "{error}");
    let error = error_with("d\n1.239\n", [("types", "d DECIMAL(5,2)")]).await;
    assert!(error.contains("\"1.239\" is not a DECIMAL(5,2)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_column_that_is_not_read_is_no_error_of_the_query() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a,b\n1,x\n2,y\n");
    let request = csv(&path, [("types", "b INT")]);
    let sum = query(&request, "SELECT sum(a) FROM t").await.unwrap();
    assert_eq!(crate::support::lines_of(&sum), ["3"]);
    assert!(query(&request, "SELECT b FROM t").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_under_a_table() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a\n1\n");
    let context = crate::support::session();
    let table = posixlake_udfs::open_path(&context.state(), &path).await.unwrap();
    folder.write("x.csv", "a\n1\n2\n3\n");
    let frame = context.read_table(table).unwrap();
    let error = frame.collect().await.unwrap_err();
    let error = posixlake_udfs::FileError::find(&error).unwrap();
    assert_eq!(
        folder.without(error.message()),
        "x.csv: the file changed while it was read; run the statement again"
    );
}
