//! The CSV reader against arrow-csv, which reads the whole file at once, on random tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use crate::support::{Folder, csv, session};

/// Text that is hard on readers.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"".to_string()),
        Just(",".to_string()),
        Just("\n".to_string()),
        Just("\r\n".to_string()),
        Just("\r".to_string()),
        Just("ä€😀".to_string()),
        Just(" ".to_string()),
        "[a-z0-9]{1,20}",
    ];
    proptest::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

type Row = (Option<i64>, Option<String>, Option<String>);

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn written(rows: &[Row], line_end: &str, last_end: bool) -> String {
    let mut file = format!("n,a,b{line_end}");
    for (row, (n, a, b)) in rows.iter().enumerate() {
        let n = n.map(|n| n.to_string()).unwrap_or_default();
        let a = a.as_deref().map(quoted).unwrap_or_default();
        // Text that needs no quotes stands without them.
        let b = b.as_deref().map(|b| {
            if b.contains([',', '"', '\n', '\r']) {
                quoted(b)
            } else {
                b.to_string()
            }
        });
        let end = if row + 1 < rows.len() || last_end { line_end } else { "" };
        file.push_str(&format!("{n},{a},{}{end}", b.unwrap_or_default()));
    }
    file
}

fn by_arrow(file: &str, schema: &Arc<Schema>) -> RecordBatch {
    let reader = arrow_csv::ReaderBuilder::new(Arc::clone(schema))
        .with_header(true)
        .build(file.as_bytes())
        .unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(schema, &batches).unwrap()
}

fn by_reader(file: &str, chunk_bytes: usize, batch_rows: usize, schema: &Arc<Schema>) -> RecordBatch {
    let folder = Folder::new();
    let path = folder.write("x.csv", file);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let context = session();
        context
            .sql(&format!("SET datafusion.execution.batch_size = {batch_rows}"))
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        let request = csv(&path, [("types", "n BIGINT, a STRING, b STRING")]).with_chunk_bytes(chunk_bytes);
        let table = posixlake_udfs::open_files(&context.state(), &request).await.unwrap();
        let batches = context.read_table(table).unwrap().collect().await.unwrap();
        let columns = |batch: &RecordBatch| {
            batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| cast(column, field.data_type()).unwrap())
                .collect()
        };
        let batches: Vec<RecordBatch> = batches
            .iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(schema), columns(batch)).unwrap())
            .collect();
        concat_batches(schema, &batches).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_was_written_and_what_arrow_reads(
        rows in proptest::collection::vec((any::<Option<i64>>(), proptest::option::of(text()), proptest::option::of(text())), 0..40),
        chunk_bytes in 1usize..200,
        batch_rows in 1usize..50,
        windows in any::<bool>(),
        last_end in any::<bool>(),
    ) {
        let file = written(&rows, if windows { "\r\n" } else { "\n" }, last_end);
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Utf8, true),
        ]));
        let read = by_reader(&file, chunk_bytes, batch_rows, &schema);
        prop_assert_eq!(&read, &by_arrow(&file, &schema));

        let n: Int64Array = rows.iter().map(|row| row.0).collect();
        let a: StringArray = rows.iter().map(|row| row.1.as_deref()).collect();
        let b: StringArray = rows.iter().map(|row| row.2.as_deref()).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(n), Arc::new(a), Arc::new(b)];
        prop_assert_eq!(&read, &RecordBatch::try_new(schema, columns).unwrap());
    }
}
