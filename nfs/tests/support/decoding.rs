//! What must hold for any bytes. Fuzz targets and a seeded run in the tests feed it.

use std::net::SocketAddr;
use std::sync::Arc;

use posixlake_nfs::FileSystem;
use posixlake_nfs::rpc::{Options, raw};

/// The largest record that a server takes.
const LARGEST: usize = (1 << 20) + (64 << 10);

/// A stream is cut into the same records whatever the pieces it comes in.
pub(crate) fn records(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else {
        return;
    };
    let good = |head: &[u8]| head.len() % 2 == usize::from(piece % 2);
    let whole = raw::records(stream, usize::MAX, good);
    let pieces = raw::records(stream, usize::from(piece), good);
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|record| record.len() <= LARGEST));
    assert!(whole.iter().map(|record| record.len()).sum::<usize>() <= stream.len());
}

/// Any record is a call or is none.
pub(crate) fn head(data: &[u8]) {
    raw::call(data);
}

/// Any bytes are arguments or are none; the first byte says of which procedure.
pub(crate) fn arguments(data: &[u8]) {
    let Some((&procedure, bytes)) = data.split_first() else {
        return;
    };
    raw::arguments(u32::from(procedure), bytes);
    raw::other_arguments(u32::from(procedure), bytes);
}

/// A client that sends anything gets whole replies, at most one for each record, and no server is lost over it.
pub(crate) async fn conversation(files: Arc<dyn FileSystem>, stream: &[u8]) {
    let address = SocketAddr::from(([127, 0, 0, 1], 700));
    let sent = raw::conversation(Options::default(), files, address, stream).await;
    let mut rest = sent.as_slice();
    let mut replies = 0;
    while let Some((mark, after)) = rest.split_first_chunk::<4>() {
        let mark = u32::from_be_bytes(*mark);
        assert!(mark >> 31 == 1);
        let length = usize::try_from(mark & 0x7fff_ffff).unwrap_or(usize::MAX);
        assert!(length >= 20 && length % 4 == 0 && length <= LARGEST);
        let reply = after.get(..length);
        // Bytes 4 to 8: a reply.
        assert!(reply.is_some_and(|reply| reply.get(4..8) == Some(&[0, 0, 0, 1])));
        rest = after.get(length..).unwrap_or_default();
        replies += 1;
    }
    assert!(rest.is_empty());
    assert!(replies <= stream.len() / 4);
}

/// A stream of calls with good heads, whose procedures and arguments `data` has: for each a procedure, a length, and as many bytes. An odd length stands for
/// the handle of the root before the bytes.
pub(crate) fn stream_of_calls(data: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = data;
    let mut xid = 0_u32;
    while let Some(([procedure, length], after)) = rest.split_first_chunk::<2>() {
        let (arguments, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let mut call = Vec::new();
        for word in [xid, 0, 2, 100_003, 3, u32::from(procedure % 24), 0, 0, 0, 0] {
            call.extend_from_slice(&word.to_be_bytes());
        }
        if length % 2 == 1 {
            call.extend_from_slice(b"\0\0\0\x10memory01\0\0\0\0\0\0\0\x01");
        }
        call.extend_from_slice(arguments);
        call.resize(call.len().next_multiple_of(4), 0);
        let mark = u32::try_from(call.len()).unwrap_or(0) | 1 << 31;
        stream.extend_from_slice(&mark.to_be_bytes());
        stream.append(&mut call);
        // Some are repeated.
        xid += u32::from(procedure % 3 != 0);
    }
    stream
}
