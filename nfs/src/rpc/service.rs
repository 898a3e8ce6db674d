//! From a record to a reply.

use std::any::Any;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::rpc::accept_stat;
use nfs3_types::{mount as mount_types, nfs3, portmap as portmap_types};
use tracing::Level;

use super::arguments::Arguments;
use super::connection::Sender;
use super::counters::{Count, Slot, Tally};
use super::message::{Call, CallError, arguments};
use super::mount::{MountCall, Mounts};
use super::options::Options;
use super::procedure::{self, Procedure};
use super::replies::{Key, Known, Replies};
use super::reply::{Body, Reply};
use super::run::{self, Context};
use super::xdr::Garbage;
use super::{auth, mount, portmap};
use crate::call::answered;
use crate::{Caller, FileSystem};

/// What all connections share.
pub(crate) struct Service {
    pub(crate) options: Options,
    pub(crate) tally: Tally,
    files: Arc<dyn FileSystem>,
    replies: Replies,
    mounts: Mounts,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) local_port: u16,
}

/// What is to be done about a record.
pub(crate) enum Admission {
    /// It is no call: nothing that follows it can be trusted to be one.
    Malformed,
    /// It is answered.
    Answered(Reply),
    /// It is a call that is under way.
    UnderWay,
    /// It is to be done.
    Job(Job),
}

enum Task {
    Nfs(&'static Procedure, Arguments),
    Mount(MountCall),
}

/// A call to be done.
pub(crate) struct Job {
    xid: u32,
    caller: Caller,
    task: Task,
    key: Option<Key>,
    slot: Slot,
    received: usize,
    begun: Instant,
}

impl Service {
    pub(crate) fn new(options: Options, files: Arc<dyn FileSystem>) -> Self {
        Self {
            replies: Replies::new(options.replies, options.replies_for),
            options,
            tally: Tally::default(),
            files,
            mounts: Mounts::default(),
        }
    }

    /// Whether `head`, the beginning of a large record, is that of a call to be done.
    pub(crate) fn vet(&self, peer: Peer, head: &[u8]) -> bool {
        Call::decode(head).is_ok_and(|(call, _)| {
            (call.program, call.version) == (nfs3::PROGRAM, nfs3::VERSION)
                && procedure::by_number(call.procedure).is_some()
                && auth::caller(&self.options, peer.address, call.credential).is_ok()
        })
    }

    /// Decides about a record. Where the call's reply is to be kept, `sender` takes it.
    pub(crate) fn admit(&self, peer: Peer, record: &Bytes, sender: &Sender) -> Admission {
        let (call, rest) = match Call::decode(record) {
            Ok(call) => call,
            Err(CallError::Malformed) => return Admission::Malformed,
            Err(CallError::Version { xid }) => return Admission::Answered(Reply::rpc_version(xid)),
            Err(CallError::Credential { xid, reason }) => {
                self.tally.unauthenticated.fetch_add(1, Relaxed);
                return Admission::Answered(Reply::credential(xid, reason));
            }
        };
        let bytes = arguments(record, rest);
        match (call.program, call.version) {
            (nfs3::PROGRAM, nfs3::VERSION) => self.admit_nfs(peer, record.len(), call, &bytes, sender),
            (mount_types::PROGRAM, mount_types::VERSION) => self.admit_mount(peer, record.len(), call, &bytes),
            (portmap_types::PROGRAM, portmap_types::VERSION) => {
                Admission::Answered(self.answer_portmap(peer, record.len(), &call, &bytes))
            }
            (nfs3::PROGRAM | mount_types::PROGRAM, _) => Admission::Answered(Reply::program_versions(call.xid, 3, 3)),
            (portmap_types::PROGRAM, _) => Admission::Answered(Reply::program_versions(call.xid, 2, 2)),
            _ => Admission::Answered(Reply::refused(call.xid, accept_stat::PROG_UNAVAIL)),
        }
    }

    fn admit_nfs(&self, peer: Peer, received: usize, call: Call, bytes: &Bytes, sender: &Sender) -> Admission {
        let Some(procedure) = procedure::by_number(call.procedure) else {
            return Admission::Answered(Reply::refused(call.xid, accept_stat::PROC_UNAVAIL));
        };
        let slot = Slot::nfs(call.procedure);
        let arguments = match Arguments::decode(call.procedure, bytes) {
            Some(Ok(arguments)) => arguments,
            Some(Err(Garbage)) => return self.garbage(call.xid, slot, received),
            None => return Admission::Answered(Reply::refused(call.xid, accept_stat::PROC_UNAVAIL)),
        };
        let caller = match self.caller(peer, &call, matches!(arguments, Arguments::Null)) {
            Ok(caller) => caller,
            Err(reply) => return Admission::Answered(reply),
        };
        let key = procedure
            .once
            .then(|| Key::new(peer.address.ip(), call.xid, caller.uid, call.procedure, bytes));
        if let Some(key) = key {
            match self.replies.begin(key, sender) {
                Known::Nothing => {}
                Known::UnderWay => {
                    self.tally.under_way.fetch_add(1, Relaxed);
                    tracing::debug!(client = %peer.address, "{:08x} {} repeated while under way", call.xid, procedure.name);
                    return Admission::UnderWay;
                }
                Known::Done(reply) => {
                    self.tally.answered_again.fetch_add(1, Relaxed);
                    tracing::debug!(client = %peer.address, "{:08x} {} repeated, answered again", call.xid, procedure.name);
                    return Admission::Answered(reply);
                }
            }
        }
        Admission::Job(Job {
            xid: call.xid,
            caller,
            task: Task::Nfs(procedure, arguments),
            key,
            slot,
            received,
            begun: Instant::now(),
        })
    }

    fn admit_mount(&self, peer: Peer, received: usize, call: Call, bytes: &Bytes) -> Admission {
        let slot = Slot::mount(call.procedure);
        let mount_call = match MountCall::decode(call.procedure, bytes) {
            Some(Ok(mount_call)) => mount_call,
            Some(Err(Garbage)) => return self.garbage(call.xid, slot, received),
            None => return Admission::Answered(Reply::refused(call.xid, accept_stat::PROC_UNAVAIL)),
        };
        // What tells nothing and changes nothing is anybody's.
        let open = !matches!(mount_call, MountCall::Mount(_));
        match self.caller(peer, &call, open) {
            Ok(caller) => Admission::Job(Job {
                xid: call.xid,
                caller,
                task: Task::Mount(mount_call),
                key: None,
                slot,
                received,
                begun: Instant::now(),
            }),
            Err(reply) => Admission::Answered(reply),
        }
    }

    fn answer_portmap(&self, peer: Peer, received: usize, call: &Call, bytes: &Bytes) -> Reply {
        let body = match portmap::run(call.xid, call.procedure, bytes, peer.local_port) {
            Some(body) => body,
            None => return Reply::refused(call.xid, accept_stat::PROC_UNAVAIL),
        };
        let failed = body.is_err();
        let reply = match body {
            Ok(body) => body.finish(),
            Err(Garbage) => Reply::refused(call.xid, accept_stat::GARBAGE_ARGS),
        };
        let count = Count {
            failed,
            received,
            sent: reply.size(),
            time: std::time::Duration::ZERO,
        };
        self.tally.count(Slot::portmap(call.procedure), count);
        reply
    }

    /// Who calls; `open` calls need no credentials that are believed.
    fn caller(&self, peer: Peer, call: &Call, open: bool) -> Result<Caller, Reply> {
        let caller = auth::caller(&self.options, peer.address, call.credential.clone());
        match caller {
            Ok(caller) => Ok(caller),
            Err(_) if open => Ok(auth::nobody(peer.address)),
            Err(reason) => {
                self.tally.unauthenticated.fetch_add(1, Relaxed);
                tracing::debug!(client = %peer.address, "{:08x} refused: {reason}", call.xid);
                Err(Reply::credential(call.xid, reason))
            }
        }
    }

    fn garbage(&self, xid: u32, slot: Slot, received: usize) -> Admission {
        let reply = Reply::refused(xid, accept_stat::GARBAGE_ARGS);
        let count = Count {
            failed: true,
            received,
            sent: reply.size(),
            time: std::time::Duration::ZERO,
        };
        self.tally.count(slot, count);
        Admission::Answered(reply)
    }

    /// Does a call. Says who else waits for its reply.
    pub(crate) async fn run(&self, job: Job) -> (Reply, Vec<Sender>) {
        let Job {
            xid,
            caller,
            task,
            key,
            slot,
            received,
            begun,
        } = job;
        let trace = tracing::enabled!(Level::DEBUG).then(|| summary(&task));
        let procedure = match &task {
            Task::Nfs(procedure, _) => Some(*procedure),
            Task::Mount(_) => None,
        };
        let body = match caught(self.perform(xid, &caller, task)).await {
            Ok(body) => Ok(body),
            Err(panic) => {
                self.tally.panics.fetch_add(1, Relaxed);
                tracing::error!(client = %caller.address, "a call panicked: {panic}");
                procedure
                    .map(|procedure| Body::failed(xid, procedure, nfsstat3::NFS3ERR_SERVERFAULT))
                    .ok_or(())
            }
        };
        let status = body.as_ref().map_or(nfsstat3::NFS3ERR_SERVERFAULT, Body::status);
        let reply = match body {
            Ok(body) => body.finish(),
            Err(()) => Reply::refused(xid, accept_stat::SYSTEM_ERR),
        };
        let time = begun.elapsed();
        if let Some(trace) = trace {
            tracing::debug!(client = %caller.address, uid = caller.uid, "{xid:08x} {trace}: {status} in {time:?}");
        }
        let count = Count {
            failed: status != nfsstat3::NFS3_OK,
            received,
            sent: reply.size(),
            time,
        };
        self.tally.count(slot, count);
        let done = status != nfsstat3::NFS3ERR_JUKEBOX;
        let waiting = key.map(|key| self.replies.end(key, &reply, done)).unwrap_or_default();
        (reply, waiting)
    }

    async fn perform(&self, xid: u32, caller: &Caller, task: Task) -> Body {
        match task {
            Task::Nfs(procedure, arguments) => {
                let context = Context {
                    files: &*self.files,
                    caller,
                    xid,
                };
                answered(run::run(context, procedure, arguments)).await
            }
            Task::Mount(call) => mount::run(&self.options, &*self.files, &self.mounts, caller, xid, call).await,
        }
    }
}

impl Job {
    /// About how many bytes it holds until its reply is sent.
    pub(crate) fn size(&self) -> usize {
        self.received
            + match &self.task {
                Task::Nfs(_, arguments) => arguments.reply_size(),
                Task::Mount(_) => 0,
            }
    }
}

fn summary(task: &Task) -> String {
    match task {
        Task::Nfs(procedure, arguments) => format!("{} {arguments}", procedure.name),
        Task::Mount(call) => call.to_string(),
    }
}

/// What comes of a future, or the text of its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(text(&*panic))),
        },
    )
    .await
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
        .to_owned()
}
