//! Much data, in any order.

use std::time::Duration;

use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Unpack;
use posixlake_nfs::rpc::Options;
use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::memory::Memory;
use crate::support::{NFS, call, eventually, local, opaque, pack, record, start, status, words};

const MEBIBYTE: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn writes_in_any_order_over_several_connections() {
    let files = Memory::default();
    files.put("big", b"".to_vec());
    let running = start(local(), files);
    let mut client = running.mount_as(0).await;
    let what = diropargs3 {
        dir: client.root_nfs_fh3(),
        name: (&b"big"[..]).into(),
    };
    let file = client.lookup(&LOOKUP3args { what }).await.unwrap().unwrap().object;
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut content = vec![0; 12 * MEBIBYTE + 12_345];
    random.fill_bytes(&mut content);
    // Pieces that are no multiple of anything.
    let mut pieces: Vec<(usize, Vec<u8>)> = content
        .chunks(MEBIBYTE - 1001)
        .enumerate()
        .map(|(number, piece)| (number * (MEBIBYTE - 1001), piece.to_vec()))
        .collect();
    pieces.shuffle(&mut random);
    let mut writers = JoinSet::new();
    for (number, part) in pieces.chunks(4).enumerate() {
        let mut wire = running.wire().await;
        let (part, file) = (part.to_vec(), pack(&file));
        writers.spawn(async move {
            let number = u32::try_from(number).unwrap();
            for (at, (offset, data)) in part.iter().enumerate() {
                let offset = u32::try_from(*offset).unwrap();
                let length = u32::try_from(data.len()).unwrap();
                let arguments = [&file[..], &words(&[0, offset, length, 0]), &opaque(data)].concat();
                let xid = number * 1000 + u32::try_from(at).unwrap();
                wire.send(&call(xid, NFS, 3, 7, &arguments)).await;
            }
            for _ in &part {
                let reply = wire.reply().await.unwrap();
                assert_eq!(status(&reply[24..]), 0);
            }
        });
    }
    writers.join_all().await;
    let mut read = Vec::new();
    loop {
        let args = READ3args {
            file: file.clone(),
            offset: read.len() as u64,
            count: u32::MAX,
        };
        let part = client.read(&args).await.unwrap().unwrap();
        assert!(part.data.len() <= MEBIBYTE);
        read.extend_from_slice(&part.data);
        if part.eof {
            break;
        }
    }
    assert!(read == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_right_when_hundreds_are_asked_for_at_once() {
    let files = Memory::default();
    let content: Vec<u8> = (0..3 * MEBIBYTE).map(|at| (at / 7) as u8).collect();
    files.put("big", content.clone());
    let running = start(local(), files);
    let mut wire = running.wire().await;
    let file = opaque(b"memory01\0\0\0\0\0\0\0\x02");
    let place = |xid: u32| (xid as usize * 7919 % content.len(), xid as usize * 104_729 % 300_000);
    let mut sent = Vec::new();
    for xid in 0..400 {
        let (offset, count) = place(xid);
        let numbers = words(&[0, u32::try_from(offset).unwrap(), u32::try_from(count).unwrap()]);
        sent.extend_from_slice(&record(&call(xid, NFS, 3, 6, &[&file[..], &numbers].concat())));
    }
    let (read, mut write) = wire.0.into_split();
    let writer = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write
    });
    wire.0 = read.reunite(writer.await.unwrap()).unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..400 {
        let reply = wire.reply().await.unwrap();
        let xid = status(&reply);
        assert!(seen.insert(xid));
        let (offset, count) = place(xid);
        let mut body = &reply[24..];
        let read = READ3res::unpack(&mut body).unwrap().0.unwrap();
        assert!(body.is_empty());
        let expected = &content[offset..(offset + count).min(content.len())];
        assert!(read.data.as_ref() == expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_bounded_memory_and_nobody_else() {
    let files = Memory::default();
    files.fill("big", 1 << 20);
    let options = Options {
        stall: Duration::from_millis(500),
        memory: 8 * MEBIBYTE,
        connection_memory: 4 * MEBIBYTE,
        ..local()
    };
    let running = start(options, files);
    let mut greedy = running.wire().await;
    let read = [opaque(b"memory01\0\0\0\0\0\0\0\x02"), words(&[0, 0, 1 << 20])].concat();
    for xid in 0..300 {
        // It is closed at some time.
        let _closed = greedy.0.write_all(&record(&call(xid, NFS, 3, 6, &read))).await;
    }
    let done = || running.server.counters().procedures[6].calls;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // What the sockets hold, and what may be under way.
    assert!(done() < 100, "{}", done());
    let mut other = running.wire().await;
    for xid in 0..20 {
        assert_eq!(status(&other.nfs(xid, 6, &read).await), 0);
    }
    let mut replies = 0;
    tokio::time::sleep(Duration::from_secs(1)).await;
    while greedy.reply().await.is_some() {
        replies += 1;
    }
    assert!(replies < 100);
    eventually(|| running.server.counters().connections == 1).await;
}
