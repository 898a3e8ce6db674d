//! What calls cost. `cargo test --release -p posixlake-nfs --lib -- --ignored --nocapture scratch::tests::speed`.

use std::time::Instant;

use super::*;

/// The median of what a call takes.
async fn time<T>(what: &str, count: u64, mut call: impl AsyncFnMut(u64) -> T) -> Vec<T> {
    let (mut results, mut times) = (Vec::new(), Vec::new());
    for number in 0..count {
        let begin = Instant::now();
        results.push(call(number).await);
        times.push(begin.elapsed());
    }
    times.sort();
    println!("  {what}: {:?}", times[times.len() / 2]);
    results
}

async fn measure(root: &Path, options: Options) {
    let scratch = Scratch::open(root.join("scratch"), options.clone()).unwrap();
    println!("{:?}, sync_metadata {}", options.ownership, options.sync_metadata);
    let here = &orders();
    let count = if options.sync_metadata { 500 } else { 5000 };
    let ids = time("CREATE", count, async |number| {
        scratch.make(here, &number.to_string()).await
    })
    .await;
    let begin = Instant::now();
    let create = |number| {
        let scratch = scratch.clone();
        tokio::spawn(async move { scratch.make(&orders(), &format!("more-{number}")).await })
    };
    for task in (0..count).map(create).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!("  CREATE, many at once, mean: {:?}", begin.elapsed() / count as u32);
    time("GETATTR", count, async |number| {
        scratch.attributes(ids[number as usize]).await.unwrap()
    })
    .await;
    time("LOOKUP", count, async |number| {
        scratch.lookup(here, number.to_string().as_bytes()).await.unwrap()
    })
    .await;
    for with_attributes in [false, true] {
        let what = format!("list of {} names, with attributes {with_attributes}", 2 * count);
        time(&what, 5, async |_| {
            scratch.list(here, with_attributes).await.unwrap().len()
        })
        .await;
    }
    time("RENAME", count, async |number| {
        let (from, to) = (number.to_string(), format!("new-{number}"));
        let (effect, _) = scratch.rename((here, from.as_bytes()), (here, to.as_bytes())).await;
        effect.result.unwrap();
    })
    .await;
    let (id, data) = (ids[0], Bytes::from(vec![7; 1 << 20]));
    time("WRITE of 1 MiB, UNSTABLE", 256, async |number| {
        let written = scratch
            .write(id, number << 20, data.clone(), stable_how::UNSTABLE)
            .await;
        written.result.unwrap();
    })
    .await;
    time("READ of 1 MiB", 256, async |number| {
        scratch.read(id, number << 20, 1 << 20).await.unwrap()
    })
    .await;
    time("READ of 4 KiB", 5000, async |number| {
        scratch.read(id, number << 12, 1 << 12).await.unwrap()
    })
    .await;
    time("WRITE of 4 KiB, FILE_SYNC", 200, async |number| {
        let data = data.slice(..4096);
        scratch
            .write(ids[1], number << 12, data, stable_how::FILE_SYNC)
            .await
            .result
            .unwrap();
    })
    .await;
    time("REMOVE", count, async |number| {
        scratch
            .remove(here, format!("new-{number}").as_bytes())
            .await
            .result
            .unwrap();
    })
    .await;
    drop(scratch);
    let begin = Instant::now();
    let one = Options {
        open_files: 1,
        ..options
    };
    let scratch = Scratch::open(root.join("scratch"), one).unwrap();
    println!("  open, {} names: {:?}", scratch.usage().objects, begin.elapsed());
    let ids: Vec<_> = scratch
        .list(here, false)
        .await
        .unwrap()
        .into_iter()
        .map(|listed| listed.id)
        .collect();
    time("READ of nothing, reopened each time", 5000, async |number| {
        scratch.read(ids[number as usize % 2], 0, 1 << 12).await.unwrap()
    })
    .await;
    time("READ of nothing, kept open", 5000, async |_| {
        scratch.read(ids[0], 0, 1 << 12).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures, for who changes this module: cargo test -p posixlake-nfs figures -- --ignored --nocapture"]
async fn figures() {
    for ownership in ownerships() {
        for sync_metadata in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let options = Options {
                sync_metadata,
                ..options(ownership)
            };
            measure(root.path(), options).await;
        }
    }
}
