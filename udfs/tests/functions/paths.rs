//! Paths: files, folders, patterns, URLs, packed files.

use crate::support::{Folder, csv, lines_of, query, rows_of_path};

async fn open(folder: &Folder, path: &str) -> Result<Vec<String>, String> {
    let mut rows = rows_of_path(folder.path(path).to_str().unwrap())
        .await
        .map_err(|error| folder.without(&error))?;
    rows.sort();
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_by_extension() {
    let folder = Folder::new();
    folder.write("a.csv", "x\n1\n");
    folder.write("a.tsv", "x\ty\n1\t2\n");
    for name in ["a.json", "a.jsonl", "a.ndjson", "a.JSON"] {
        folder.write(name, "{\"x\": 1}\n");
        assert_eq!(open(&folder, name).await.unwrap(), ["1"], "{name}");
    }
    assert_eq!(open(&folder, "a.csv").await.unwrap(), ["1"]);
    assert_eq!(open(&folder, "a.tsv").await.unwrap(), ["1|2"]);
    folder.write("a.txt", "x\n1\n");
    assert_eq!(
        open(&folder, "a.txt").await.unwrap_err(),
        "a.txt: the extension says no format (csv, tsv, json, jsonl, ndjson, parquet; text also with .gz, .zst, .bz2, \
         .xz); name one: read_csv('a.txt'), read_json('a.txt') or read_parquet('a.txt')"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns() {
    let folder = Folder::new();
    for (name, value) in [
        ("a1.csv", 1),
        ("a2.csv", 2),
        ("b3.csv", 3),
        ("sub/c4.csv", 4),
        ("sub/deep/c5.csv", 5),
        (".hidden.csv", 6),
        ("_temporary/x.csv", 7),
        ("a1.csv.bak", 8),
    ] {
        folder.write(name, format!("x\n{value}\n"));
    }
    for (pattern, values) in [
        ("*.csv", vec!["1", "2", "3"]),
        ("a?.csv", vec!["1", "2"]),
        ("[ab][13].csv", vec!["1", "3"]),
        ("[!a]*.csv", vec!["3"]),
        ("{a2,b3}.csv", vec!["2", "3"]),
        ("*/*.csv", vec!["4"]),
        ("s*/d*/*.csv", vec!["5"]),
        ("**/*.csv", vec!["1", "2", "3", "4", "5"]),
        ("sub/**/*.csv", vec!["4", "5"]),
        ("{a1.csv,sub/c4.csv}", vec!["1", "4"]),
        ("sub", vec!["4", "5"]),
        ("sub/", vec!["4", "5"]),
        ("sub/../a1.csv", vec!["1"]),
    ] {
        assert_eq!(open(&folder, pattern).await.unwrap(), values, "{pattern}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_pattern_characters_is_a_name_first() {
    let folder = Folder::new();
    folder.write("x[1].csv", "a\n1\n");
    folder.write("x1.csv", "a\n2\n");
    folder.write("ä b%20?.csv", "a\n3\n");
    assert_eq!(open(&folder, "x[1].csv").await.unwrap(), ["1"]);
    assert_eq!(open(&folder, "ä b%20?.csv").await.unwrap(), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_there() {
    let folder = Folder::new();
    folder.write("a.csv", "x\n1\n");
    std::fs::create_dir(folder.path("empty")).unwrap();
    assert_eq!(
        open(&folder, "nope.csv").await.unwrap_err(),
        "nope.csv: no such file or folder"
    );
    assert_eq!(
        open(&folder, "*.parquet").await.unwrap_err(),
        "*.parquet: no file matches the pattern"
    );
    assert_eq!(open(&folder, "empty").await.unwrap_err(), "empty: the folder is empty");
    assert_eq!(
        open(&folder, "[a.csv").await.unwrap_err(),
        "pattern '[a.csv': '[' has no ']'"
    );
    let request =
        posixlake_udfs::FileScanRequest::new(posixlake_udfs::FileFormat::Json, [folder.root().to_str().unwrap()]);
    let error = query(&request, "SELECT 1").await.unwrap_err();
    assert!(
        error.contains("the folder has no .json, .jsonl or .ndjson file"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn different_formats_do_not_mix() {
    let folder = Folder::new();
    folder.write("a.csv", "x\n1\n");
    folder.write("b.json", "{\"x\": 1}\n");
    assert_eq!(
        folder.without(
            &open(&folder, "*")
                .await
                .unwrap_err()
                .replace(&folder.root().to_str().unwrap()[1..], "")
        ),
        "a.csv and b.json are of different formats; read them by patterns of one format each, as 'dir/*.csv'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_table_is_not_a_folder_of_files() {
    let folder = Folder::new();
    folder.write("t/part-0.parquet", "");
    folder.write("t/_delta_log/00000000000000000000.json", "{}");
    let error = open(&folder, "t").await.unwrap_err();
    assert_eq!(
        error,
        "t is a Delta table; its files are not its rows: read it as delta.`t`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn urls() {
    let folder = Folder::new();
    let path = folder.write("a b.csv", "x\n1\n");
    assert_eq!(rows_of_path(&format!("file://{path}")).await.unwrap(), ["1"]);
    assert_eq!(
        rows_of_path(&format!("file://{}/*.csv", folder.root().display()))
            .await
            .unwrap(),
        ["1"]
    );
    let error = rows_of_path("s3://bucket/x.csv").await.unwrap_err();
    assert!(
        error.starts_with("s3://bucket/x.csv: no store is registered for s3://bucket"),
        "{error}"
    );

    let context = crate::support::session();
    let store = std::sync::Arc::new(object_store::memory::InMemory::new());
    let put = |key: &str, text: &'static str| {
        let store = std::sync::Arc::clone(&store);
        let key = object_store::path::Path::parse(key).unwrap();
        async move {
            object_store::ObjectStoreExt::put(store.as_ref(), &key, text.into())
                .await
                .unwrap()
        }
    };
    put("d/1.csv", "x\n1\n").await;
    put("d/2.csv", "x\n2\n").await;
    context.register_object_store(&url::Url::parse("mem://bucket").unwrap(), store.clone());
    for path in ["mem://bucket/d", "mem://bucket/d/*.csv", "mem://bucket/**/*.csv"] {
        let table = posixlake_udfs::open_path(&context.state(), path).await.unwrap();
        let batches = context.read_table(table).unwrap().collect().await.unwrap();
        assert_eq!(lines_of(&batches).len(), 2, "{path}");
    }
    let error = posixlake_udfs::open_path(&context.state(), "mem://bucket/d/3.csv")
        .await
        .unwrap_err();
    assert_eq!(error.message(), "mem://bucket/d/3.csv: no such file or folder");
    assert_eq!(error.kind(), posixlake_udfs::FileErrorKind::NotFound);
}

async fn packed(compression: &str, bytes: &[u8]) -> Vec<u8> {
    use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
    use tokio::io::AsyncWriteExt;
    macro_rules! pack {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(bytes).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match compression {
        "gz" => pack!(GzipEncoder),
        "zst" => pack!(ZstdEncoder),
        "bz2" => pack!(BzEncoder),
        _ => pack!(XzEncoder),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_files_of_every_kind_and_several_members() {
    let folder = Folder::new();
    let text: String = (0..5_000).map(|id| format!("{id},text {id}\n")).collect();
    let lines: String = (0..100).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    for extension in ["gz", "zst", "bz2", "xz"] {
        let mut file = packed(extension, b"id,t\n").await;
        file.extend(packed(extension, text.as_bytes()).await);
        let path = folder.write(&format!("x.csv.{extension}"), &file);
        for chunk in [100, 1 << 20] {
            let request = csv(&path, []).with_chunk_bytes(chunk);
            let sum = query(&request, "SELECT count(*), sum(id), max(t) FROM t")
                .await
                .unwrap();
            assert_eq!(lines_of(&sum), ["5000|12497500|text 999"], "{extension}");
        }
        folder.write(
            &format!("x.jsonl.{extension}"),
            packed(extension, lines.as_bytes()).await,
        );
        assert_eq!(
            open(&folder, &format!("x.jsonl.{extension}")).await.unwrap().len(),
            100,
            "{extension}"
        );
        // The same bytes under a name that does not say it.
        let plain = folder.write("x.dat", &file);
        let name = [("gz", "gzip"), ("zst", "zstd"), ("bz2", "bzip2")];
        let name = name
            .iter()
            .find(|(short, _)| *short == extension)
            .map_or("xz", |(_, name)| *name);
        let count = query(&csv(&plain, [("compression", name)]), "SELECT count(*) FROM t")
            .await
            .unwrap();
        assert_eq!(lines_of(&count), ["5000"], "{extension}");
    }
    let damaged = folder.write("y.csv.gz", b"id\n1\n");
    let error = folder.without(&query(&csv(&damaged, []), "SELECT 1").await.unwrap_err());
    assert!(
        error.starts_with("y.csv.gz: damaged, or not packed by gzip ("),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_share_the_partitions() {
    use datafusion::physical_plan::ExecutionPlanProperties;
    let folder = Folder::new();
    for file in 0..7 {
        folder.write(&format!("{file}.csv"), format!("x\n{file}\n"));
    }
    let context = crate::support::session();
    let table = posixlake_udfs::open_path(&context.state(), folder.path("*.csv").to_str().unwrap())
        .await
        .unwrap();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    assert_eq!(plan.output_partitioning().partition_count(), 2);
    let rows = open(&folder, "*.csv").await.unwrap();
    assert_eq!(rows, ["0", "1", "2", "3", "4", "5", "6"]);
}
