//! What no client sends.

use std::sync::Arc;
use std::time::Duration;

use nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_types::xdr_codec::Opaque;
use posixlake_nfs::rpc::{Options, Squash, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::memory::{Hook, Memory};
use crate::support::{MOUNT, NFS, call, local, opaque, pack, record, root, start, status, user, words};

/// What follows the transaction id: REPLY, accepted, no verifier, the reason.
fn refused(reason: &[u32]) -> Vec<u8> {
    [words(&[1, 0, 0, 0]), words(reason)].concat()
}

#[tokio::test]
async fn calls_that_are_for_others() {
    let running = start(local(), Memory::default());
    let mut wire = running.wire().await;
    let mut ask = async |body: &[u8]| wire.ask(body).await.unwrap()[4..].to_vec();
    assert_eq!(ask(&call(1, 100_227, 3, 0, &[])).await, refused(&[1]));
    assert_eq!(ask(&call(2, NFS, 2, 0, &[])).await, refused(&[2, 3, 3]));
    assert_eq!(ask(&call(3, NFS, 4, 0, &[])).await, refused(&[2, 3, 3]));
    assert_eq!(ask(&call(4, MOUNT, 1, 0, &[])).await, refused(&[2, 3, 3]));
    assert_eq!(ask(&call(5, 100_000, 4, 0, &[])).await, refused(&[2, 2, 2]));
    for procedure in [22, 23, u32::MAX] {
        assert_eq!(ask(&call(6, NFS, 3, procedure, &[])).await, refused(&[3]));
        assert_eq!(ask(&call(7, MOUNT, 3, procedure, &[])).await, refused(&[3]));
        assert_eq!(ask(&call(8, 100_000, 2, procedure, &[])).await, refused(&[3]));
    }
    let other_rpc = [words(&[9, 0, 3, NFS, 3, 0]), words(&[0; 4])].concat();
    assert_eq!(ask(&other_rpc).await, words(&[1, 1, 0, 2, 2]));
    // And the connection is as good as before.
    assert_eq!(wire.nfs(10, 0, &[]).await, [0u8; 0]);
}

#[tokio::test]
async fn arguments_that_are_too_short_or_too_long() {
    let running = start(local(), Memory::default());
    let mut wire = running.wire().await;
    let at = [root(), opaque(b"name")].concat();
    let nothing = words(&[0; 6]);
    let good: [(u32, Vec<u8>); 21] = [
        (1, root()),
        (2, [root(), nothing.clone(), words(&[0])].concat()),
        (3, at.clone()),
        (4, [root(), words(&[1])].concat()),
        (5, root()),
        (6, [root(), words(&[0, 0, 5])].concat()),
        (7, [root(), words(&[0, 0, 3, 0]), opaque(b"abc")].concat()),
        (8, [at.clone(), words(&[2, 1, 2])].concat()),
        (9, [at.clone(), nothing.clone()].concat()),
        (10, [at.clone(), nothing.clone(), opaque(b"x")].concat()),
        (11, [at.clone(), words(&[7]), nothing.clone()].concat()),
        (12, at.clone()),
        (13, at.clone()),
        (14, [at.clone(), at.clone()].concat()),
        (15, [root(), at].concat()),
        (16, [root(), words(&[0, 0, 0, 0, 512])].concat()),
        (17, [root(), words(&[0, 0, 0, 0, 512, 512])].concat()),
        (18, root()),
        (19, root()),
        (20, root()),
        (21, [root(), words(&[0, 0, 0])].concat()),
    ];
    let mut xid = 0;
    for (procedure, arguments) in good {
        let mut ask = async |arguments: &[u8]| {
            xid += 1;
            wire.ask(&call(xid, NFS, 3, procedure, arguments)).await.unwrap()[4..].to_vec()
        };
        assert_eq!(ask(&arguments).await[..20], refused(&[0]), "procedure {procedure}");
        for length in (0..arguments.len()).step_by(4) {
            assert_eq!(ask(&arguments[..length]).await, refused(&[4]), "procedure {procedure}");
        }
        assert_eq!(
            ask(&[&arguments[..], &[0; 4]].concat()).await,
            refused(&[4]),
            "procedure {procedure}"
        );
        // Lengths of handles beyond their bound, and beyond the record.
        for length in [65, 1 << 20, u32::MAX] {
            let rest = &arguments[4..];
            assert_eq!(
                ask(&[&words(&[length]), rest].concat()).await,
                refused(&[4]),
                "procedure {procedure}"
            );
        }
    }
    // A name, data and enumerations that are not what they say.
    for (procedure, tail) in [
        (3, words(&[u32::MAX, 0])),
        (7, words(&[0, 0, 3, 0, u32::MAX, 0])),
        (7, words(&[0, 0, 3, 3, 4, 0])),
        (8, [opaque(b"a"), words(&[3, 0, 0])].concat()),
        (9, [opaque(b"a"), words(&[2, 0, 0, 0, 0, 0])].concat()),
        (2, words(&[0, 0, 0, 0, 3, 0, 0])),
    ] {
        let reply = wire
            .ask(&call(900, NFS, 3, procedure, &[root(), tail].concat()))
            .await
            .unwrap();
        assert_eq!(reply[4..], refused(&[4]), "procedure {procedure}");
    }
    let nanoseconds = words(&[0, 0, 0, 0, 2, 5, 1_000_000_000, 0, 0]);
    assert_eq!(status(&wire.nfs(901, 2, &[root(), nanoseconds].concat()).await), 22);
}

#[tokio::test]
async fn streams_that_are_no_calls_end() {
    let running = start(local(), Memory::default());
    let big = call(1, NFS, 3, 22, &[0; 8192]);
    for stream in [
        record(b""),
        record(b"ab"),
        record(&words(&[1, 2, 2, NFS, 3, 0, 0, 0, 0, 0])),
        record(&words(&[1, 1, 0, 0, 0, 0])),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        words(&[u32::MAX]),
        words(&[0x7fff_ffff]),
        words(&[(1 << 31) | ((1 << 20) + (64 << 10) + 1)]),
        // No procedure, no head, and not even zeros.
        record(&big),
        record(&[0; 8192]),
        [words(&[4096]), vec![0; 4096], words(&[4096])].concat(),
        [0; 4].repeat(5000),
    ] {
        let mut wire = running.wire().await;
        // The server may close before all is written.
        let _closed = wire.0.write_all(&stream).await;
        assert_eq!(wire.reply().await, None, "{:?}", &stream[..stream.len().min(20)]);
    }
    assert_eq!(running.server.counters().malformed, 12);
    running.mount_as(0).await;
}

#[tokio::test]
async fn a_client_may_begin_with_a_large_write() {
    let running = start(local(), Memory::default());
    let data = vec![7; 1 << 20];
    let write = [root(), words(&[0, 0, 1 << 20, 0]), opaque(&data)].concat();
    assert_eq!(status(&running.wire().await.nfs(1, 7, &write).await), 21);
}

#[tokio::test]
async fn credentials() {
    let running = start(local(), Memory::default());
    let mut wire = running.wire().await;
    let with = |credential: &opaque_auth<'_>| {
        [words(&[1, 0, 2, NFS, 3, 1]), pack(credential), words(&[0, 0]), root()].concat()
    };
    let raw = |flavor, body: Vec<u8>| {
        [
            words(&[1, 0, 2, NFS, 3, 1, flavor]),
            opaque(&body),
            words(&[0, 0]),
            root(),
        ]
        .concat()
    };
    let denied = |reason| words(&[1, 1, 1, reason]);
    assert_eq!(
        status(&wire.ask(&with(&opaque_auth::default())).await.unwrap()[24..]),
        0
    );
    let many = auth_unix {
        machinename: Opaque::borrowed(b"m"),
        gids: vec![1; 16],
        ..auth_unix::default()
    };
    assert_eq!(
        status(&wire.ask(&with(&opaque_auth::auth_unix(&many))).await.unwrap()[24..]),
        0
    );
    let more = auth_unix {
        gids: vec![1; 17],
        ..many
    };
    let badcred = 1;
    for call in [
        with(&opaque_auth::auth_unix(&more)),
        raw(6, vec![]),
        raw(1, vec![]),
        raw(1, words(&[0, 0, 0, 0, u32::MAX])),
        raw(1, words(&[0, u32::MAX, 0, 0, 0])),
        raw(1, words(&[0, 0, 0, 0, 1])),
    ] {
        assert_eq!(wire.ask(&call).await.unwrap()[4..], denied(badcred));
    }
    assert_eq!(running.server.counters().unauthenticated, 6);
    // An authenticator that is longer than any may be: not a call.
    wire.send(&raw(1, vec![0; 404])).await;
    assert_eq!(wire.reply().await, None);
}

#[tokio::test]
async fn callers_from_ports_that_anybody_can_use() {
    let options = Options {
        trust: Trust::PrivilegedPorts,
        ..local()
    };
    let running = start(options, Memory::default());
    let mut wire = running.wire().await;
    let tooweak = words(&[1, 1, 1, 5]);
    assert_eq!(wire.ask(&call(1, NFS, 3, 1, &root())).await.unwrap()[4..], tooweak);
    assert_eq!(
        wire.ask(&call(2, MOUNT, 3, 1, &opaque(b"/"))).await.unwrap()[4..],
        tooweak
    );
    // Clients look whether somebody is there before they take such a port.
    assert_eq!(wire.nfs(3, 0, &[]).await, [0u8; 0]);
}

#[tokio::test]
async fn squashed_callers() {
    let options = Options {
        squash: Squash::Root { uid: 500, gid: 501 },
        map_user: Some(Arc::new(|uid| if uid == 1000 { 77 } else { uid })),
        ..local()
    };
    let running = start(options, Memory::default());
    let mut wire = running.wire().await;
    for (xid, (claimed, uid, gid)) in [(0, 500, 501), (1000, 77, 1000), (5, 5, 5)].into_iter().enumerate() {
        let name = opaque(&claimed.to_string().into_bytes());
        let call = [
            words(&[u32::try_from(xid).unwrap(), 0, 2, NFS, 3, 8]),
            pack(&user(claimed, claimed)),
            words(&[0, 0]),
            root(),
            name,
            words(&[0; 7]),
        ]
        .concat();
        let reply = wire.ask(&call).await.unwrap();
        // Status, a handle, attributes: type, mode, links, user, group.
        let attributes = &reply[24 + 4 + 4 + 20 + 4..];
        assert_eq!(attributes[12..20], words(&[uid, gid]));
    }
}

#[tokio::test]
async fn a_panic_is_the_fault_of_its_call_alone() {
    let hook: Hook = Arc::new(|method, name| {
        let bad = method == "remove" && name == b"panic";
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(!bad, "as asked");
        })
    });
    let running = start(local(), Memory::new(Some(hook)));
    let mut wire = running.wire().await;
    let remove = [root(), opaque(b"panic")].concat();
    assert_eq!(wire.nfs(1, 12, &remove).await, words(&[10006, 0, 0]));
    assert_eq!(wire.nfs(1, 12, &remove).await, words(&[10006, 0, 0]));
    assert_eq!(status(&wire.nfs(2, 1, &root()).await), 0);
    assert_eq!(running.server.counters().panics, 1);
}

#[tokio::test]
async fn a_record_that_stalls_is_given_up() {
    let options = Options {
        stall: Duration::from_millis(200),
        ..local()
    };
    let running = start(options, Memory::default());
    let mut idle = running.wire().await;
    let mut wire = running.wire().await;
    wire.0.write_all(&record(&call(1, NFS, 3, 0, &[]))[..20]).await.unwrap();
    assert_eq!(wire.0.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(idle.nfs(1, 0, &[]).await, [0u8; 0]);
}
