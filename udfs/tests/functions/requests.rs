//! Requests as calls make them: `read_csv('x.csv', header => false)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use posixlake_udfs::{FileErrorKind, FileFormat, FileScanRequest};

use crate::support::{Folder, rows};

fn call(arguments: &[(Option<&str>, ScalarValue)]) -> Result<FileScanRequest, String> {
    let arguments = arguments.iter().map(|(name, value)| (*name, value));
    FileScanRequest::from_call(FileFormat::Csv, arguments).map_err(|error| {
        assert_eq!(error.kind(), FileErrorKind::Invalid);
        error.to_string()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_names() {
    let folder = Folder::new();
    let one = folder.write("1.csv", "1,x\n");
    let two = folder.write("2.csv", "NA,y\n");
    let paths: Vec<ScalarValue> = vec![one.as_str().into(), two.as_str().into()];
    let types = |name: &str, data_type: &str| {
        let field = Arc::new(Field::new(name, DataType::Utf8, true));
        let value: ArrayRef = Arc::new(StringArray::from(vec![data_type]));
        ScalarValue::Struct(Arc::new(arrow::array::StructArray::from(vec![(field, value)])))
    };
    let request = call(&[
        (
            None,
            ScalarValue::List(ScalarValue::new_list_nullable(&paths, &DataType::Utf8)),
        ),
        (Some("HEADER"), ScalarValue::from(false)),
        (Some("types"), types("column1", "smallint")),
        (Some("null_value"), ScalarValue::from("NA")),
        (Some("sample_rows"), ScalarValue::from(1i64)),
    ]);
    let mut lines = rows(&request.unwrap()).await.unwrap();
    lines.sort();
    assert_eq!(lines, ["1|x", "column1 Int16|column2 Utf8View", "∅|y"]);
}

#[test]
fn calls_that_make_no_sense() {
    let path = || (None, ScalarValue::from("x.csv"));
    assert_eq!(call(&[]).unwrap_err(), "read_csv wants a path: read_csv('…')");
    assert_eq!(
        call(&[(None, ScalarValue::from(1))]).unwrap_err(),
        "read_csv wants a path or an array of paths as its first argument, not 1"
    );
    assert_eq!(
        call(&[path(), (Some("headr"), ScalarValue::from(true))]).unwrap_err(),
        "read_csv has no option headr (did you mean header?); its options are all_text, columns, comment, compression, \
         date_format, delimiter, escape, filename, header, null_value, quote, sample_rows, skip, timestamp_format, types, \
         union_by_name"
    );
    assert_eq!(
        call(&[path(), (Some("header"), ScalarValue::from("maybe"))]).unwrap_err(),
        "read_csv: header => maybe: true or false is wanted (false: the first line is data; true by default)"
    );
    assert_eq!(
        call(&[path(), (Some("delimiter"), ScalarValue::from("||"))]).unwrap_err(),
        "read_csv: delimiter => ||: one ASCII character is wanted (one character, or 'tab'; by default ',' and, for .tsv, \
         tab)"
    );
    assert_eq!(
        call(&[path(), (Some("types"), ScalarValue::from("a BIGNT"))]).unwrap_err(),
        "read_csv: types => a BIGNT: BIGNT is not a column type (did you mean BIGINT?); the types are BOOLEAN, TINYINT, \
         SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, BINARY, MAP, STRING, VARCHAR, DATE, TIMESTAMP, TIMESTAMP_NTZ, TIMESTAMP_NS, \
         ARRAY, STRUCT (types of some columns: 'id BIGINT, born DATE')"
    );
    for (option, value) in [
        ("types", "a"),
        ("types", "a INT, a INT"),
        ("types", "a DECIMAL(39,2)"),
        ("types", "a ARRAY<"),
        ("types", "a INT(3)"),
        ("types", "{\"a\": 1}"),
        ("sample_rows", "-1"),
        ("skip", "x"),
        ("compression", "rar"),
        ("date_format", "%Q"),
        ("date_format", "yyyy"),
        ("quote", "ä"),
        ("delimiter", "\n"),
    ] {
        assert!(
            call(&[path(), (Some(option), ScalarValue::from(value))]).is_err(),
            "{option} => {value}"
        );
    }
    assert!(call(&[path(), (Some("skip"), ScalarValue::Int64(None))]).is_err());
    assert!(
        call(&[path(), path()])
            .unwrap_err()
            .contains("takes one path or an array of paths")
    );
    let twice = (Some("skip"), ScalarValue::from(1));
    assert_eq!(
        call(&[path(), twice.clone(), twice]).unwrap_err(),
        "read_csv: option skip is set twice"
    );
    let parquet = FileScanRequest::new(FileFormat::Parquet, ["x"]).with_option("header", &ScalarValue::from(true));
    assert_eq!(
        parquet.unwrap_err().to_string(),
        "read_parquet takes no options, and header is one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_contradict_each_other() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a\n1\n");
    for options in [
        vec![("union_by_name", "true"), ("header", "false")],
        vec![("all_text", "true"), ("types", "a INT")],
        vec![("delimiter", ";"), ("comment", ";")],
        vec![("types", "a ARRAY<INT>")],
    ] {
        let request = options.iter().fold(
            FileScanRequest::new(FileFormat::Csv, [&path]),
            |request, (name, value)| request.with_option(name, &ScalarValue::from(*value)).unwrap(),
        );
        assert!(rows(&request).await.is_err(), "{options:?}");
    }
}
