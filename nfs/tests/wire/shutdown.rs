//! The end: what was begun is finished, within a limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posixlake_nfs::rpc::Options;
use tokio::net::TcpStream;

use crate::support::gate::Gate;
use crate::support::memory::Memory;
use crate::support::{LONG, NFS, Running, call, local, root, start, status};

fn gated() -> (Running, Gate) {
    let (gate, hook) = Gate::new(None);
    (start(local(), Memory::new(Some(hook))), gate)
}

#[tokio::test]
async fn calls_under_way_are_answered() {
    let (running, gate) = gated();
    let (mut busy, mut idle) = (running.wire().await, running.wire().await);
    for xid in 0..5 {
        busy.send(&call(xid, NFS, 3, 1, &root())).await;
    }
    gate.wait(5).await;
    let server = Arc::clone(&running.server);
    let ending = tokio::spawn(async move { server.shutdown(LONG).await });
    // An idle connection is closed at once, and there are no new ones.
    assert_eq!(idle.reply().await, None);
    assert!(TcpStream::connect(running.address).await.is_err());
    // Too late.
    busy.send(&call(9, NFS, 3, 1, &root())).await;
    assert!(busy.silent().await && !ending.is_finished());
    gate.open();
    for _ in 0..5 {
        assert_eq!(status(&busy.reply().await.unwrap()[24..]), 0);
    }
    assert_eq!(busy.reply().await, None);
    assert!(ending.await.unwrap());
    assert_eq!(running.server.counters().connections, 0);
}

#[tokio::test]
async fn calls_that_do_not_end_are_left() {
    let (running, gate) = gated();
    let mut busy = running.wire().await;
    busy.send(&call(1, NFS, 3, 1, &root())).await;
    gate.wait(1).await;
    let begun = Instant::now();
    assert!(!running.server.shutdown(Duration::from_millis(200)).await);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(busy.reply().await, None);
}

#[tokio::test]
async fn calls_that_wait_for_room_are_left_too() {
    let (gate, hook) = Gate::new(None);
    let options = Options { memory: 1, ..local() };
    let running = start(options, Memory::new(Some(hook)));
    let (mut busy, mut waiting) = (running.wire().await, running.wire().await);
    busy.send(&call(1, NFS, 3, 1, &root())).await;
    gate.wait(1).await;
    waiting.send(&call(1, NFS, 3, 1, &root())).await;
    assert!(waiting.silent().await);
    assert!(!running.server.shutdown(Duration::from_millis(100)).await);
    assert_eq!(waiting.reply().await, None);
}

#[tokio::test]
async fn one_that_never_served_can_be_shut_down() {
    let server = posixlake_nfs::rpc::Server::bind(local(), Arc::new(Memory::default())).unwrap();
    assert!(server.shutdown(LONG).await);
    server.serve().await;
    assert!(TcpStream::connect(server.addresses()[0]).await.is_err());
}
