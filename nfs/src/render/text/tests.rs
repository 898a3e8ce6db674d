//! The text of each type.

use std::sync::Arc;

use arrow::array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow::array::types::{Int8Type, Int32Type};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, RecordBatch, RunArray,
    StringArray, StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Format, RowWriter};

fn written(columns: &[(&str, ArrayRef)], format: Format) -> String {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let mut out = format.header(&schema);
    let writer = RowWriter::new(schema, format);
    writer.write(&batch, 0, 0..batch.num_rows(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The CSV fields and the JSON values of one column, a row each.
fn both(array: impl Array + 'static) -> (Vec<String>, Vec<String>) {
    let array: ArrayRef = Arc::new(array);
    let other: ArrayRef = Arc::new(Int8Array::from(vec![Some(0); array.len()]));
    let columns = [("v", array), ("e", other)];
    let csv = written(&columns, Format::Csv);
    let json = written(&columns, Format::JsonLines);
    let csv = csv.strip_prefix("v,e\n").unwrap();
    let csv = csv
        .strip_suffix(",0\n")
        .unwrap()
        .split(",0\n")
        .map(String::from)
        .collect();
    let value = |line: &str| {
        let line = line.strip_prefix("{\"v\":").unwrap();
        line.strip_suffix(",\"e\":0}").unwrap().to_string()
    };
    (csv, json.lines().map(value).collect())
}

#[test]
fn numbers() {
    let (csv, json) = both(Int64Array::from(vec![Some(i64::MIN), None, Some(0), Some(i64::MAX)]));
    assert_eq!(csv, ["-9223372036854775808", "", "0", "9223372036854775807"]);
    assert_eq!(json, ["-9223372036854775808", "null", "0", "9223372036854775807"]);
    let (csv, json) = both(Float64Array::from(vec![
        1.0,
        -0.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e21,
        123_456.789,
    ]));
    assert_eq!(csv, ["1.0", "-0.5", "NaN", "inf", "-inf", "1e+21", "123456.789"]);
    assert_eq!(
        json,
        ["1.0", "-0.5", "\"NaN\"", "\"inf\"", "\"-inf\"", "1e+21", "123456.789"]
    );
    let (csv, _) = both(Float32Array::from(vec![0.1, 16_777_216.0, f32::MAX]));
    assert_eq!(csv, ["0.1", "16777216.0", "3.4028235e+38"]);
    let decimals = Decimal128Array::from(vec![Some(100), Some(-1), None]);
    let (csv, json) = both(decimals.with_precision_and_scale(38, 2).unwrap());
    assert_eq!(csv, ["1.00", "-0.01", ""]);
    assert_eq!(json, ["1.00", "-0.01", "null"]);
    let (csv, json) = both(BooleanArray::from(vec![Some(true), Some(false), None]));
    assert_eq!(csv, ["true", "false", ""]);
    assert_eq!(json, ["true", "false", "null"]);
}

#[test]
fn moments() {
    let (csv, json) = both(Date32Array::from(vec![Some(0), None, Some(20_779)]));
    assert_eq!(csv, ["1970-01-01", "", "2026-11-22"]);
    assert_eq!(json, ["\"1970-01-01\"", "null", "\"2026-11-22\""]);
    let local = TimestampMicrosecondArray::from(vec![1_795_341_600_120_000]);
    let (csv, _) = both(local.clone());
    assert_eq!(csv, ["2026-11-22T10:00:00.12"]);
    let (csv, json) = both(local.with_timezone("UTC"));
    assert_eq!(csv, ["2026-11-22T10:00:00.12Z"]);
    assert_eq!(json, ["\"2026-11-22T10:00:00.12Z\""]);
    let (csv, json) = both(Time64MicrosecondArray::from(vec![Some(1), None]));
    assert_eq!(csv, ["00:00:00.000001", ""]);
    assert_eq!(json, ["\"00:00:00.000001\"", "null"]);
}

#[test]
fn texts() {
    let values = vec![Some("plain"), Some(""), None, Some("a,b"), Some("\"q\""), Some("é\n")];
    let csv = ["plain", "\"\"", "", "\"a,b\"", "\"\"\"q\"\"\"", "\"é\n\""];
    let json = ["\"plain\"", "\"\"", "null", "\"a,b\"", "\"\\\"q\\\"\"", "\"é\\n\""];
    let dictionary: DictionaryArray<Int8Type> = values.iter().copied().collect();
    for (got_csv, got_json) in [
        both(StringArray::from(values.clone())),
        both(LargeStringArray::from(values.clone())),
        both(StringViewArray::from(values.clone())),
        both(dictionary),
    ] {
        assert_eq!(got_csv, csv);
        assert_eq!(got_json, json);
    }
    let dictionary_of_nulls: DictionaryArray<Int8Type> = vec![None, None].into_iter().collect();
    assert_eq!(both(dictionary_of_nulls).0, ["", ""]);
    let keys = Int8Array::from(vec![Some(1), Some(0), None]);
    let values = Arc::new(StringArray::from(vec![None, Some("x")]));
    let null_in_values = DictionaryArray::<Int8Type>::new(keys, values);
    assert_eq!(both(null_in_values).0, ["x", "", ""]);
    let runs: RunArray<Int32Type> = ["a", "a", "b"].into_iter().collect();
    assert_eq!(both(runs).0, ["a", "a", "b"]);
    let binaries: Vec<Option<&[u8]>> = vec![Some(&[0xca, 0xfe]), Some(&[]), None];
    for (csv, json) in [
        both(BinaryArray::from(binaries.clone())),
        both(BinaryViewArray::from(binaries)),
    ] {
        assert_eq!(csv, ["cafe", "\"\"", ""]);
        assert_eq!(json, ["\"cafe\"", "\"\"", "null"]);
    }
}

#[test]
fn nested_values() {
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    list.append_value([]);
    let (csv, json) = both(list.finish());
    assert_eq!(csv, ["\"[1,null]\"", "", "[]"]);
    assert_eq!(json, ["[1,null]", "null", "[]"]);
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), Some(2)]), None], 2);
    assert_eq!(both(fixed).1, ["[1,2]", "null"]);

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k\"");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    let (csv, json) = both(map.finish());
    assert_eq!(csv, ["\"{\"\"k\\\"\"\"\":1}\"", ""]);
    assert_eq!(json, ["{\"k\\\"\":1}", "null"]);
    let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_null();
    map.append(true).unwrap();
    assert_eq!(both(map.finish()).1, ["[{\"key\":7,\"value\":null}]"]);

    let members: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("a b", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("x"), None])),
        ),
        (
            Arc::new(Field::new("d", DataType::Date32, true)),
            Arc::new(Date32Array::from(vec![0, 0])),
        ),
    ];
    let (csv, json) = both(StructArray::from(members));
    assert_eq!(json[0], "{\"a b\":\"x\",\"d\":\"1970-01-01\"}");
    assert_eq!(json[1], "{\"a b\":null,\"d\":\"1970-01-01\"}");
    assert_eq!(csv[1], "\"{\"\"a b\"\":null,\"\"d\"\":\"\"1970-01-01\"\"}\"");
}

#[test]
fn headers_and_tables_of_one_column() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(2)]));
    assert_eq!(written(&[("n", Arc::clone(&one))], Format::Csv), "n\n1\n\n2\n");
    let columns = [(" a", Arc::clone(&one)), ("b,c", Arc::clone(&one)), ("d\"", one)];
    let text = written(&columns, Format::Csv);
    assert!(text.starts_with("\" a\",\"b,c\",\"d\"\"\"\n1,1,1\n,,\n"), "{text}");
    let text = written(&columns, Format::JsonLines);
    assert_eq!(text.lines().next(), Some("{\" a\":1,\"b,c\":1,\"d\\\"\":1}"));
}

#[test]
fn lines_become_an_array() {
    let text = Format::Json.of_stored(b"{\"a\":1}\n{\"a\":2}\n", 2);
    assert_eq!(text.as_deref(), Some(&b"{\"a\":1},\n{\"a\":2},\n"[..]));
    assert_eq!(Format::Csv.of_stored(b"1\n", 1), None);
}
