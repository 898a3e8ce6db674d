//! One connection: a reader that starts calls, a writer that sends replies.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::record::{Assembler, Step};
use super::reply::Reply;
use super::service::{Admission, Job, Peer, Service};

/// What memory under way is counted in.
const UNIT: usize = 16 << 10;

/// Replies that are written with one system call.
const BATCH: usize = 16;

/// How long a connection whose replies are sent waits for the client to close it.
const LINGER: Duration = Duration::from_millis(500);

/// Where the replies of a connection go.
pub(crate) type Sender = UnboundedSender<Outgoing>;

/// A reply, and the room that its call takes until it is written.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) reply: Reply,
    /// Given back when it is dropped.
    pub(crate) _room: Option<Room>,
}

/// How far a server is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No further calls are read; those under way are answered.
    Draining,
    /// Connections are closed whatever is under way.
    Cut,
}

/// Memory that calls may take.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    units: Arc<Semaphore>,
    all: usize,
}

/// Memory that one call takes: of its connection's and of the server's.
#[derive(Debug)]
pub(crate) struct Room {
    _connection: OwnedSemaphorePermit,
    _server: OwnedSemaphorePermit,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let all = bytes.div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    /// Waits until there are `bytes`. A call that is larger than all there is takes it all.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.all)).ok()?;
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: Peer,
    service: Arc<Service>,
    memory: Memory,
    mut phase: watch::Receiver<Phase>,
) {
    let stall = service.options.stall;
    let (mut read, write) = stream.into_split();
    let (sender, queue) = unbounded_channel();
    let mut writer = tokio::spawn(write_replies(write, queue, stall));
    let reader = Reader {
        peer,
        own: Memory::new(service.options.connection_memory),
        service,
        server: memory,
        sender,
    };
    let mut cut = phase.clone();
    // A reader may be waiting for room that calls which never end take.
    let ended = tokio::select! {
        ended = reader.read(&mut read, &mut phase) => ended,
        _ = cut.wait_for(|phase| *phase == Phase::Cut) => "the server ends",
    };
    tracing::debug!(client = %peer.address, "connection ends: {ended}");
    let cut = tokio::select! {
        _ = &mut writer => false,
        _ = cut.wait_for(|phase| *phase == Phase::Cut) => true,
    };
    if cut {
        writer.abort();
    } else {
        linger(&read).await;
    }
}

/// Reads what still comes: a socket that is closed over unread bytes is reset, and the last replies may be lost with it.
async fn linger(read: &OwnedReadHalf) {
    let mut waste = [0; 1024];
    let rest = async {
        loop {
            match read.try_read(&mut waste) {
                Ok(0) => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if read.readable().await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    };
    // Whether the client closed or the time is over makes no difference.
    let _ended = timeout(LINGER, rest).await;
}

struct Reader {
    peer: Peer,
    service: Arc<Service>,
    own: Memory,
    server: Memory,
    sender: Sender,
}

impl Reader {
    /// Starts calls until the stream ends; says why it did.
    async fn read(self, read: &mut OwnedReadHalf, phase: &mut watch::Receiver<Phase>) -> &'static str {
        let mut assembler = Assembler::default();
        loop {
            match assembler.next(|head| self.service.vet(self.peer, head)) {
                Ok(Step::Record(record)) => {
                    if !self.take(&record, &mut assembler).await {
                        return self.malformed("what came is no call");
                    }
                    if *phase.borrow() != Phase::Serving {
                        return "the server stops";
                    }
                }
                Ok(Step::More(needed)) => {
                    let idle = assembler.is_idle();
                    tokio::select! {
                        biased;
                        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return "the server stops",
                        () = self.sender.closed() => return "replies cannot be sent",
                        ready = readable(read, idle, self.service.options.stall) => if !ready {
                            return "a record stalled";
                        },
                    }
                    match read.try_read_buf(assembler.room(needed)) {
                        Ok(0) => return "the client closed it",
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return "it broke",
                    }
                }
                Err(error) => {
                    tracing::debug!(client = %self.peer.address, "{error}");
                    return self.malformed("what came is too large");
                }
            }
        }
    }

    fn malformed(&self, why: &'static str) -> &'static str {
        self.service.tally.malformed.fetch_add(1, Relaxed);
        why
    }

    /// Acts on a record; says whether it was a call.
    async fn take(&self, record: &Bytes, assembler: &mut Assembler) -> bool {
        match self.service.admit(self.peer, record, &self.sender) {
            Admission::Malformed => return false,
            Admission::Answered(reply) => {
                // Replies to calls that are not done count too: who sends these and reads nothing is not read from.
                let room = self.room(record.len()).await;
                send(&self.sender, reply, room);
            }
            Admission::UnderWay => assembler.prove(),
            Admission::Job(job) => {
                assembler.prove();
                let room = self.room(job.size()).await;
                tokio::spawn(perform(Arc::clone(&self.service), job, self.sender.clone(), room));
            }
        }
        true
    }

    async fn room(&self, bytes: usize) -> Option<Room> {
        Some(Room {
            _connection: self.own.take(bytes).await?,
            _server: self.server.take(bytes).await?,
        })
    }
}

async fn perform(service: Arc<Service>, job: Job, sender: Sender, room: Option<Room>) {
    let (reply, waiting) = service.run(job).await;
    for other in waiting.iter().filter(|other| !other.same_channel(&sender)) {
        send(other, reply.clone(), None);
    }
    send(&sender, reply, room);
}

/// A connection that is gone needs no reply.
fn send(sender: &Sender, reply: Reply, room: Option<Room>) {
    let _gone = sender.send(Outgoing { reply, _room: room });
}

/// Waits for bytes: for ever between records, for `stall` within one.
async fn readable(read: &OwnedReadHalf, idle: bool, stall: Duration) -> bool {
    if idle {
        // An error shows in the read that follows.
        let _ready = read.readable().await;
        return true;
    }
    timeout(stall, read.readable()).await.is_ok()
}

async fn write_replies(mut write: OwnedWriteHalf, mut queue: UnboundedReceiver<Outgoing>, stall: Duration) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if let Err(error) = write_batch(&write, &batch, stall).await {
            tracing::debug!("replies cannot be sent: {error}");
            return;
        }
        batch.clear();
        if queue.is_empty() {
            // An idle connection keeps no buffer.
            batch = Vec::new();
        }
    }
    // The client may have closed first.
    let _closed = write.shutdown().await;
}

async fn write_batch(write: &OwnedWriteHalf, batch: &[Outgoing], stall: Duration) -> io::Result<()> {
    let mut slices = Vec::with_capacity(3 * batch.len());
    for outgoing in batch {
        outgoing.reply.slices(&mut slices);
    }
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match write.try_write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => timeout(stall, write.writable()).await??,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
