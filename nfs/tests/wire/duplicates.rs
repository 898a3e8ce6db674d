//! Repeated calls: the reply of the first, not a second go.

use crate::support::gate::Gate;
use crate::support::memory::Memory;
use crate::support::{NFS, Running, call, eventually, local, opaque, root, start, status, words};

fn gated(method: &'static str) -> (Running, Gate) {
    let (gate, hook) = Gate::new(Some(method));
    let files = Memory::new(Some(hook));
    files.put("a", b"content".to_vec());
    (start(local(), files), gate)
}

fn rename(xid: u32, from: &[u8], to: &[u8]) -> Vec<u8> {
    let arguments = [root(), opaque(from), root(), opaque(to)].concat();
    call(xid, NFS, 3, 14, &arguments)
}

#[tokio::test]
async fn one_that_was_done_is_answered_again() {
    let (running, gate) = gated("rename");
    gate.open();
    let (mut one, mut two) = (running.wire().await, running.wire().await);
    let first = one.ask(&rename(7, b"a", b"b")).await.unwrap();
    assert_eq!(status(&first[24..]), 0);
    // From another connection, and so from another port.
    assert_eq!(two.ask(&rename(7, b"a", b"b")).await.unwrap(), first);
    assert_eq!(one.ask(&rename(7, b"a", b"b")).await.unwrap(), first);
    assert_eq!(gate.entered(), 1);
    assert_eq!(running.server.counters().answered_again, 2);
    // The same number for another call, and another number for the same call.
    assert_eq!(status(&one.ask(&rename(7, b"b", b"c")).await.unwrap()[24..]), 0);
    assert_eq!(status(&one.ask(&rename(8, b"a", b"b")).await.unwrap()[24..]), 2);
    assert_eq!(gate.entered(), 3);
}

#[tokio::test]
async fn one_that_is_under_way_waits_with_the_first() {
    let (running, gate) = gated("rename");
    let (mut one, mut two) = (running.wire().await, running.wire().await);
    one.send(&rename(7, b"a", b"b")).await;
    gate.wait(1).await;
    one.send(&rename(7, b"a", b"b")).await;
    two.send(&rename(7, b"a", b"b")).await;
    two.send(&rename(7, b"a", b"b")).await;
    assert!(one.silent().await && two.silent().await);
    eventually(|| running.server.counters().under_way == 3).await;
    gate.open();
    // One reply each.
    let first = one.reply().await.unwrap();
    assert_eq!(status(&first[24..]), 0);
    assert_eq!(two.reply().await.unwrap(), first);
    assert!(one.silent().await && two.silent().await);
    assert_eq!(gate.entered(), 1);
}

#[tokio::test]
async fn the_reply_finds_a_client_that_connected_anew() {
    let (running, gate) = gated("rename");
    let mut one = running.wire().await;
    one.send(&rename(7, b"a", b"b")).await;
    gate.wait(1).await;
    drop(one);
    let mut two = running.wire().await;
    two.send(&rename(7, b"a", b"b")).await;
    assert!(two.silent().await);
    gate.open();
    assert_eq!(status(&two.reply().await.unwrap()[24..]), 0);
    assert_eq!(gate.entered(), 1);
}

#[tokio::test]
async fn every_change_is_done_once() {
    let running = start(local(), Memory::default());
    let (mut one, mut two) = (running.wire().await, running.wire().await);
    let at = |name: &[u8]| [root(), opaque(name)].concat();
    let nothing = words(&[0; 6]);
    let guarded = [at(b"f"), words(&[1]), nothing.clone()].concat();
    let file = {
        let result = one.nfs(1, 8, &guarded).await;
        assert_eq!(result, two.nfs(1, 8, &guarded).await);
        result[8..28].to_vec()
    };
    let write = [file.clone(), words(&[0, 0, 3, 2]), opaque(b"abc")].concat();
    for (xid, procedure, arguments) in [
        (2, 7, write),
        (3, 21, [file.clone(), words(&[0, 0, 0])].concat()),
        (4, 2, [file, words(&[0, 0, 0, 1, 0, 1, 0, 0, 0])].concat()),
        (5, 9, [at(b"d"), nothing.clone()].concat()),
        (6, 10, [at(b"l"), nothing, opaque(b"f")].concat()),
        (7, 13, at(b"d")),
        (8, 12, at(b"l")),
        (9, 14, [at(b"f"), at(b"g")].concat()),
    ] {
        let first = one.nfs(xid, procedure, &arguments).await;
        assert_eq!(status(&first), 0, "procedure {procedure}");
        // Attributes with times say whether it was done again.
        assert_eq!(
            two.nfs(xid, procedure, &arguments).await,
            first,
            "procedure {procedure}"
        );
    }
    assert_eq!(running.server.counters().answered_again, 9);
    // What only reads is done again.
    let before = one.nfs(20, 1, &root()).await;
    one.nfs(21, 12, &at(b"g")).await;
    assert_ne!(two.nfs(20, 1, &root()).await, before);
}
