//! The decoders by themselves, for tests that feed them what no client sends. Not part of the interface.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::unbounded_channel;

use super::arguments::Arguments;
use super::message::Call;
use super::mount::MountCall;
use super::options::Options;
use super::portmap;
use super::record::{Assembler, Step};
use super::reply::Reply;
use super::service::{Admission, Peer, Service};
use crate::FileSystem;

/// The records of a stream that comes in pieces of at most `piece` bytes, up to the first fault.
pub fn records(mut stream: &[u8], piece: usize, mut good: impl FnMut(&[u8]) -> bool) -> Vec<Bytes> {
    let mut assembler = Assembler::default();
    let mut records = Vec::new();
    loop {
        match assembler.next(&mut good) {
            Ok(Step::Record(record)) => records.push(record),
            Ok(Step::More(needed)) if !stream.is_empty() => {
                let room = assembler.room(needed);
                let free = room.capacity() - room.len();
                let (now, later) = stream.split_at(piece.max(1).min(free).min(stream.len()));
                room.extend_from_slice(now);
                stream = later;
            }
            Ok(Step::More(_)) | Err(_) => return records,
        }
    }
}

/// Whether `record` is a call with good credentials.
pub fn call(record: &[u8]) -> bool {
    Call::decode(record).is_ok()
}

/// Whether `bytes` are arguments of a procedure of NFS, as the trace shows them.
pub fn arguments(procedure: u32, bytes: &[u8]) -> Option<String> {
    match Arguments::decode(procedure, &Bytes::copy_from_slice(bytes)) {
        Some(Ok(arguments)) => Some(arguments.to_string()),
        _ => None,
    }
}

/// Whether `bytes` are arguments of procedures of MOUNT and of the port mapper.
pub fn other_arguments(procedure: u32, bytes: &[u8]) -> (bool, bool) {
    (
        matches!(MountCall::decode(procedure, bytes), Some(Ok(_))),
        matches!(portmap::run(1, procedure, bytes, 2049), Some(Ok(_))),
    )
}

/// What a server sends to a client that sends `stream`; calls are done one after the other.
pub async fn conversation(options: Options, files: Arc<dyn FileSystem>, address: SocketAddr, stream: &[u8]) -> Vec<u8> {
    let service = Service::new(options, files);
    let peer = Peer {
        address,
        local_port: 2049,
    };
    let (sender, _queue) = unbounded_channel();
    let mut sent = Vec::new();
    for record in records(stream, usize::MAX, |head| service.vet(peer, head)) {
        match service.admit(peer, &record, &sender) {
            Admission::Malformed => break,
            Admission::UnderWay => {}
            Admission::Answered(reply) => write(&reply, &mut sent),
            Admission::Job(job) => write(&service.run(job).await.0, &mut sent),
        }
    }
    sent
}

fn write(reply: &Reply, out: &mut Vec<u8>) {
    let mut slices: Vec<IoSlice<'_>> = Vec::new();
    reply.slices(&mut slices);
    for slice in slices {
        out.extend_from_slice(&slice);
    }
}
