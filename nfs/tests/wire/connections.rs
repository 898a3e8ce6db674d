//! Connections: many, idle, broken, unwelcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use posixlake_nfs::rpc::{Options, parse_network};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::memory::{Hook, Memory};
use crate::support::{NFS, Wire, call, local, record, root, start, status};

async fn connections(running: &crate::support::Running, expected: u64) {
    for _ in 0..500 {
        if running.server.counters().connections == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} connections, not {expected}", running.server.counters().connections);
}

#[tokio::test]
async fn a_port_scan_does_no_harm() {
    let running = start(local(), Memory::default());
    let mut client = running.wire().await;
    for turn in 0..300 {
        let stream = TcpStream::connect(running.address).await.unwrap();
        if turn % 2 == 0 {
            // Closing resets.
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }
    assert_eq!(status(&client.nfs(1, 1, &root()).await), 0);
    connections(&running, 1).await;
}

#[tokio::test]
async fn thousands_of_idle_connections() {
    let running = start(local(), Memory::default());
    let mut idle = Vec::new();
    for number in 0..3000_u32 {
        let mut wire = running.wire().await;
        if number % 3 == 0 {
            assert_eq!(wire.nfs(number, 0, &[]).await, [0u8; 0]);
        }
        idle.push(wire);
    }
    connections(&running, 3000).await;
    for (number, wire) in idle.iter_mut().enumerate().step_by(100) {
        assert_eq!(status(&wire.nfs(u32::try_from(number).unwrap(), 1, &root()).await), 0);
    }
    drop(idle);
    connections(&running, 0).await;
}

#[tokio::test]
async fn too_many_connections_are_closed() {
    let options = Options {
        connections: 3,
        ..local()
    };
    let running = start(options, Memory::default());
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut wire = running.wire().await;
        wire.nfs(1, 0, &[]).await;
        first.push(wire);
    }
    let mut fourth = running.wire().await;
    assert_eq!(fourth.0.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(running.server.counters().refused, 1);
    first.pop();
    connections(&running, 2).await;
    running.wire().await.nfs(1, 0, &[]).await;
}

#[tokio::test]
async fn hosts_that_are_no_clients_are_closed() {
    let options = Options {
        clients: vec![parse_network("10.0.0.0/8").unwrap()],
        ..local()
    };
    let running = start(options, Memory::default());
    let mut wire = running.wire().await;
    assert_eq!(wire.0.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(running.server.counters().accepted, 0);
}

#[tokio::test]
async fn both_families_on_one_port() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: no IPv6");
        return;
    };
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let options = Options {
        listen: vec![
            ([127, 0, 0, 1], port).into(),
            ([0_u16, 0, 0, 0, 0, 0, 0, 1], port).into(),
        ],
        ..local()
    };
    let running = start(options, Memory::default());
    for address in running.server.addresses() {
        let mut wire = Wire(TcpStream::connect(address).await.unwrap());
        assert_eq!(status(&wire.nfs(1, 1, &root()).await), 0);
    }
}

#[tokio::test]
async fn a_client_that_has_nothing_more_to_say_still_gets_its_reply() {
    let running = start(local(), Memory::default());
    let mut wire = running.wire().await;
    wire.send(&call(1, NFS, 3, 1, &root())).await;
    wire.0.shutdown().await.unwrap();
    assert!(wire.reply().await.is_some());
    assert_eq!(wire.reply().await, None);
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_in_the_socket() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let hook: Hook = {
        let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
        Arc::new(move |_, _| {
            let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
            Box::pin(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        })
    };
    let options = Options {
        // Four small calls.
        connection_memory: 64 << 10,
        // Ten of all connections.
        memory: 160 << 10,
        ..local()
    };
    let running = start(options, Memory::new(Some(hook)));
    let mut wires = Vec::new();
    for _ in 0..4 {
        let mut wire = running.wire().await;
        for xid in 0..100 {
            wire.0.write_all(&record(&call(xid, NFS, 3, 1, &root()))).await.unwrap();
        }
        wires.push(wire);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(now.load(Ordering::SeqCst), 10);
    gate.add_permits(400);
    for wire in &mut wires {
        for _ in 0..100 {
            assert_eq!(status(&wire.reply().await.unwrap()[24..]), 0);
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 10);
}
