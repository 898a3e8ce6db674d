//! The end: what was begun is finished, within a limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::memory::{Hook, Memory};
use crate::support::{LONG, NFS, Running, call, local, root, start, status};

fn gated() -> (Running, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let hook: Hook = {
        let gate = Arc::clone(&gate);
        Arc::new(move |_, _| {
            let gate = Arc::clone(&gate);
            Box::pin(async move { gate.acquire().await.unwrap().forget() })
        })
    };
    (start(local(), Memory::new(Some(hook))), gate)
}

#[tokio::test]
async fn calls_under_way_are_answered() {
    let (running, gate) = gated();
    let (mut busy, mut idle) = (running.wire().await, running.wire().await);
    for xid in 0..5 {
        busy.send(&call(xid, NFS, 3, 1, &root())).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let server = Arc::clone(&running.server);
    let ending = tokio::spawn(async move { server.shutdown(LONG).await });
    // An idle connection is closed at once, and there are no new ones.
    assert_eq!(idle.reply().await, None);
    assert!(TcpStream::connect(running.address).await.is_err());
    // Too late.
    busy.send(&call(9, NFS, 3, 1, &root())).await;
    assert!(busy.silent().await && !ending.is_finished());
    gate.add_permits(100);
    for _ in 0..5 {
        assert_eq!(status(&busy.reply().await.unwrap()[24..]), 0);
    }
    assert_eq!(busy.reply().await, None);
    assert!(ending.await.unwrap());
    assert_eq!(running.server.counters().connections, 0);
}

#[tokio::test]
async fn calls_that_do_not_end_are_left() {
    let (running, _gate) = gated();
    let mut busy = running.wire().await;
    busy.send(&call(1, NFS, 3, 1, &root())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    assert!(!running.server.shutdown(Duration::from_millis(200)).await);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(busy.reply().await, None);
}

#[tokio::test]
async fn one_that_never_served_can_be_shut_down() {
    let server = posixlake_nfs::rpc::Server::bind(local(), Arc::new(Memory::default())).unwrap();
    assert!(server.shutdown(LONG).await);
    server.serve().await;
    assert!(TcpStream::connect(server.addresses()[0]).await.is_err());
}
