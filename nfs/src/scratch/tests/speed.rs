//! What calls cost. `cargo test --release -p posixlake-nfs --lib -- --ignored --nocapture scratch::tests::speed`.

use std::time::Instant;

use super::*;

async fn measure(root: &Path, ownership: Ownership, sync_metadata: bool) {
    let options = Options {
        sync_metadata,
        ..options(ownership)
    };
    let scratch = Scratch::open(root.join("scratch"), options.clone()).unwrap();
    let count = if sync_metadata { 500 } else { 5000 };
    let report = |what: &str, count: u32, begin: Instant| {
        println!(
            "{ownership:?} sync={sync_metadata} {what}: {:?}",
            begin.elapsed() / count
        );
    };
    let begin = Instant::now();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(scratch.make(&orders(), &number.to_string()).await);
    }
    report("CREATE", count, begin);
    let begin = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let scratch = scratch.clone();
            tokio::spawn(async move { scratch.make(&orders(), &format!("more-{number}")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    report("CREATE, many at once", count, begin);
    let begin = Instant::now();
    for id in &ids {
        scratch.attributes(*id).await.unwrap();
    }
    report("GETATTR", count, begin);
    let begin = Instant::now();
    scratch.list(&orders(), true).await.unwrap();
    report("READDIRPLUS, a name", count * 2, begin);
    let begin = Instant::now();
    for number in 0..count {
        let (from, to) = (number.to_string(), format!("new-{number}"));
        let (effect, _) = scratch
            .rename((&orders(), from.as_bytes()), (&orders(), to.as_bytes()))
            .await;
        effect.result.unwrap();
    }
    report("RENAME", count, begin);
    let id = ids[0];
    let data = Bytes::from(vec![7; 1 << 20]);
    let begin = Instant::now();
    for number in 0..256 {
        let written = scratch
            .write(id, number << 20, data.clone(), stable_how::UNSTABLE)
            .await;
        written.result.unwrap();
    }
    report("WRITE 1 MiB unstable", 256, begin);
    let begin = Instant::now();
    for number in 0..256 {
        scratch.read(id, number << 20, 1 << 20).await.unwrap();
    }
    report("READ 1 MiB", 256, begin);
    let begin = Instant::now();
    for number in 0..5000 {
        scratch.read(id, number << 12, 1 << 12).await.unwrap();
    }
    report("READ 4 KiB", 5000, begin);
    let begin = Instant::now();
    for number in 0..200 {
        let data = data.slice(..4096);
        scratch
            .write(ids[1], number << 12, data, stable_how::FILE_SYNC)
            .await
            .result
            .unwrap();
    }
    report("WRITE 4 KiB FILE_SYNC", 200, begin);
    let begin = Instant::now();
    for number in 0..count {
        scratch
            .remove(&orders(), format!("new-{number}").as_bytes())
            .await
            .result
            .unwrap();
    }
    report("REMOVE", count, begin);
    drop(scratch);
    let begin = Instant::now();
    let scratch = Scratch::open(root.join("scratch"), options).unwrap();
    report("open, a name", scratch.usage().objects as u32, begin);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    for ownership in ownerships() {
        for sync_metadata in [false, true] {
            let root = tempfile::tempdir().unwrap();
            measure(root.path(), ownership, sync_metadata).await;
        }
    }
}
