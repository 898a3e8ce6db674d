//! Statements that run are seen, and can be cancelled.

use std::time::{Duration, Instant};

use posixlake::ErrorKind;

use crate::support::{Lake, lines, run};

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000) AS a(x) CROSS JOIN generate_series(1, 1000000) AS b(y) \
                       WHERE a.x + b.y < 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_running_statement_is_listed_and_killed() {
    let lake = Lake::new();
    let session = lake.session().await;
    let other = session.clone();
    let endless = tokio::spawn(async move { run(&other, ENDLESS).await });
    let begun = Instant::now();
    let number = loop {
        let sql = "SELECT id FROM system.queries WHERE statement LIKE '%CROSS JOIN%' AND statement NOT LIKE '%system%'";
        let found = lines(&run(&session, sql).await.unwrap());
        if let Some(number) = found
            .iter()
            .find_map(|line| line.trim_matches([' ', '|']).parse::<u64>().ok())
        {
            break number;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never ran: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    run(&session, &format!("KILL QUERY {number}")).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), endless)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(
        error.to_string().contains(&format!("query {number} was killed")),
        "{error}"
    );
    let gone = run(&session, &format!("KILL QUERY {number}")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}
