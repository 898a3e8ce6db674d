//! Connections: many, idle, broken, unwelcome.

use std::time::Duration;

use posixlake_nfs::rpc::{Options, parse_network};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gate::Gate;
use crate::support::memory::Memory;
use crate::support::{NFS, Running, Wire, call, eventually, local, record, root, start, status};

async fn connections(running: &Running, expected: u64) {
    eventually(|| running.server.counters().connections == expected).await;
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
    let (gate, hook) = Gate::new(None);
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
    gate.wait(10).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(gate.entered(), 10);
    gate.open();
    for wire in &mut wires {
        for _ in 0..100 {
            assert_eq!(status(&wire.reply().await.unwrap()[24..]), 0);
        }
    }
}
