//! What comes in may not make the server allocate more than it is worth.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test that cannot go on has failed"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::AsyncWriteExt;

#[path = "support/mod.rs"]
mod support;

use support::memory::Memory;
use support::{NFS, Running, call, local, opaque, record, root, start, words};

struct Counting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);

// Counts what it hands to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), SeqCst);
        HELD.fetch_add(layout.size(), SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Sends `stream`, waits for what comes of it, and says the largest allocation since.
async fn largest(running: &Running, stream: &[u8]) -> usize {
    let mut wire = running.wire().await;
    LARGEST.store(0, SeqCst);
    let _closed = wire.0.write_all(stream).await;
    wire.0.shutdown().await.ok();
    while wire.reply().await.is_some() {}
    LARGEST.load(SeqCst)
}

/// The tests measure one process: they are one.
#[tokio::test]
async fn allocations_are_bounded() {
    let running = start(local(), Memory::default());
    running.wire().await.nfs(1, 0, &[]).await;
    let small = 64 << 10;

    let unix = |body: &[u8]| record(&[words(&[1, 0, 2, NFS, 3, 1, 1]), opaque(body), words(&[0, 0]), root()].concat());
    let huge = u32::MAX;
    for stream in [
        // Records that say they are large.
        words(&[huge]),
        words(&[1 << 31 | 1 << 20]),
        words(&[1 << 30]),
        [record(&call(1, NFS, 3, 0, &[])), words(&[1 << 31 | 1 << 20])].concat(),
        // Groups, names of machines, authenticators.
        unix(&words(&[0, 0, 0, 0, huge])),
        unix(&words(&[0, huge, 0, 0, 0])),
        record(&words(&[1, 0, 2, NFS, 3, 1, 1, huge])),
        // Handles, names, data, targets.
        record(&call(1, NFS, 3, 1, &words(&[huge]))),
        record(&call(1, NFS, 3, 3, &[root(), words(&[huge])].concat())),
        record(&call(1, NFS, 3, 7, &[root(), words(&[0, 0, huge, 0, huge])].concat())),
        record(&call(
            1,
            NFS,
            3,
            10,
            &[root(), opaque(b"a"), words(&[0; 6]), words(&[huge])].concat(),
        )),
        // Replies as large as the client likes.
        record(&call(1, NFS, 3, 6, &[root(), words(&[0, 0, huge])].concat())),
        record(&call(1, NFS, 3, 16, &[root(), words(&[0, 0, 0, 0, huge])].concat())),
        record(&call(
            1,
            NFS,
            3,
            17,
            &[root(), words(&[0, 0, 0, 0, huge, huge])].concat(),
        )),
    ] {
        let largest = largest(&running, &stream).await;
        assert!(
            largest <= small + 64,
            "{largest} bytes for {:?}",
            &stream[..stream.len().min(60)]
        );
    }

    // A record in many pieces is as large as a record may be.
    let limit = (1 << 20) + (64 << 10);
    let head = call(1, NFS, 3, 7, &[root(), words(&[0, 0, 1 << 20, 0, 1 << 20])].concat());
    let first = record(&call(1, NFS, 3, 0, &[]));
    let mut pieces = [first, words(&[u32::try_from(head.len()).unwrap()]), head].concat();
    for _ in 0..1023 {
        pieces.extend_from_slice(&[words(&[1024]), vec![7; 1024]].concat());
    }
    pieces.extend_from_slice(&[words(&[1 << 31 | 1024]), vec![7; 1024]].concat());
    let largest = largest(&running, &pieces).await;
    assert!(largest > 1 << 20 && largest <= limit, "{largest}");

    // Idle connections.
    let mut idle = Vec::with_capacity(1000);
    for _ in 0..10 {
        running.wire().await.nfs(1, 0, &[]).await;
    }
    let before = HELD.load(SeqCst);
    for _ in 0..1000 {
        let mut wire = running.wire().await;
        wire.nfs(1, 1, &root()).await;
        idle.push(wire);
    }
    let each = (HELD.load(SeqCst) - before) / 1000;
    assert!(each < 12 << 10, "{each} bytes for an idle connection");
    println!("{each} bytes for an idle connection");
}
