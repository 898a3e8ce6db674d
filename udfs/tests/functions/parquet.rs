//! Parquet files.

use crate::support::{Folder, lines_of, rows_of_path, session};

/// Writes the rows of a query as one Parquet file.
async fn write(folder: &Folder, name: &str, query: &str) {
    let path = folder.path(name);
    let context = session();
    let copy = format!("COPY ({query}) TO '{}' STORED AS PARQUET", path.display());
    context.sql(&copy).await.unwrap().collect().await.unwrap();
}

async fn open(folder: &Folder, path: &str) -> Result<Vec<String>, String> {
    let mut rows = rows_of_path(folder.path(path).to_str().unwrap())
        .await
        .map_err(|error| folder.without(&error))?;
    rows.sort();
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_and_several() {
    let folder = Folder::new();
    write(&folder, "1.parquet", "SELECT 1 AS a, 'x' AS b").await;
    write(&folder, "2.parquet", "SELECT 'y' AS b, 2 AS a, true AS c").await;
    write(&folder, "other.parquet", "SELECT 9 AS a").await;
    std::fs::rename(folder.path("other.parquet"), folder.path("we ird[1].parquet")).unwrap();
    assert_eq!(open(&folder, "1.parquet").await.unwrap(), ["1|x"]);
    assert_eq!(open(&folder, "?.parquet").await.unwrap(), ["1|x|∅", "2|y|true"]);
    assert_eq!(open(&folder, "we ird[1].parquet").await.unwrap(), ["9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_reach_the_files() {
    let folder = Folder::new();
    write(&folder, "1.parquet", "SELECT * FROM generate_series(1, 1000) AS s(a)").await;
    let context = session();
    let table = posixlake_udfs::open_path(&context.state(), folder.path("1.parquet").to_str().unwrap())
        .await
        .unwrap();
    context.register_table("t", table).unwrap();
    let frame = context.sql("SELECT a FROM t WHERE a = 7").await.unwrap();
    assert_eq!(lines_of(&frame.clone().collect().await.unwrap()), ["7"]);
    let plan = frame.create_physical_plan().await.unwrap();
    let plan = datafusion::physical_plan::displayable(plan.as_ref())
        .indent(false)
        .to_string();
    assert!(plan.contains("predicate=a@0 = 7"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_fit_together() {
    let folder = Folder::new();
    write(&folder, "1.parquet", "SELECT 1 AS a").await;
    write(&folder, "2.parquet", "SELECT 'x' AS a").await;
    folder.write("3.parquet", "no parquet at all");
    assert_eq!(
        open(&folder, "[12].parquet").await.unwrap_err(),
        "2.parquet: column a is STRING, and BIGINT in 1.parquet or a file after it; read them apart and CAST one"
    );
    let error = open(&folder, "3.parquet").await.unwrap_err();
    assert!(error.starts_with("3.parquet: not a readable Parquet file: "), "{error}");
}
