//! The table functions of a stock session.

use crate::support::{Folder, sql};

#[tokio::test(flavor = "multi_thread")]
async fn read_files_with_pairs_of_options() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "1,x\n2,y\n");
    let lines = sql(&format!(
        "SELECT column2 FROM read_csv('{path}', 'header', false) WHERE column1 = 2"
    ))
    .await;
    assert_eq!(lines.unwrap(), ["y"]);
    let path = folder.write("x.txt", "{\"a\": 1}");
    assert_eq!(sql(&format!("SELECT * FROM read_json('{path}')")).await.unwrap(), ["1"]);
    let path = folder.path("x.parquet");
    sql(&format!("COPY (SELECT 1 AS a) TO '{}'", path.display()))
        .await
        .unwrap();
    assert_eq!(
        sql(&format!("SELECT * FROM read_parquet('{}')", path.display()))
            .await
            .unwrap(),
        ["1"]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn work_on_a_runtime_of_one_thread() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "a\n1\n");
    assert_eq!(sql(&format!("SELECT * FROM read_csv('{path}')")).await.unwrap(), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuse_what_they_do_not_take() {
    assert_eq!(
        sql("SELECT * FROM read_csv()").await.unwrap_err(),
        "read_csv wants a path: read_csv('…')"
    );
    assert_eq!(
        sql("SELECT * FROM read_csv('x', 'header')").await.unwrap_err(),
        "read_csv: options come as pairs of name and value, and one is alone"
    );
    assert_eq!(
        sql("SELECT * FROM read_csv('x', 1, 2)").await.unwrap_err(),
        "read_csv: 1 is not the name of an option; pairs of name and value follow the path"
    );
    assert_eq!(
        sql("SELECT * FROM read_csv('/no/such.csv')").await.unwrap_err(),
        "/no/such.csv: no such file or folder"
    );
}
