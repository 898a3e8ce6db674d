//! What a server did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{mount, portmap, procedure};

/// One procedure's numbers since the server was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcedureCounters {
    /// `NFS`, `MOUNT` or `PORTMAP`.
    pub program: &'static str,
    /// The procedure's name in its protocol, such as `READ`.
    pub procedure: &'static str,
    /// Calls answered, repeated ones not counted.
    pub calls: u64,
    /// Those of them that failed: with a status, or with arguments that were none.
    pub errors: u64,
    /// Bytes of the calls.
    pub received: u64,
    /// Bytes of the replies.
    pub sent: u64,
    /// Time from call to reply, in all.
    pub time: Duration,
}

/// A server's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// One for each procedure, called or not.
    pub procedures: Vec<ProcedureCounters>,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were closed at once: a host that may not connect, or too many.
    pub refused: u64,
    /// Repeated calls that were answered with the reply they had got.
    pub answered_again: u64,
    /// Repeated calls whose first was still under way.
    pub under_way: u64,
    /// Calls that were refused for their credentials.
    pub unauthenticated: u64,
    /// Connections that were closed because what came is not RPC, or too large.
    pub malformed: u64,
    /// Calls in which the server panicked.
    pub panics: u64,
}

#[derive(Debug, Default)]
struct Cell {
    calls: AtomicU64,
    errors: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Where a procedure is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(usize);

const MOUNT: usize = procedure::PROCEDURES.len();
const PORTMAP: usize = MOUNT + mount::PROCEDURES.len();
const SLOTS: usize = PORTMAP + portmap::PROCEDURES.len();

impl Slot {
    pub(crate) fn nfs(number: u32) -> Self {
        Self(usize::try_from(number).unwrap_or(SLOTS))
    }

    pub(crate) fn mount(number: u32) -> Self {
        Self(usize::try_from(number).unwrap_or(SLOTS).saturating_add(MOUNT))
    }

    pub(crate) fn portmap(number: u32) -> Self {
        Self(usize::try_from(number).unwrap_or(SLOTS).saturating_add(PORTMAP))
    }
}

/// One answered call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) failed: bool,
    pub(crate) received: usize,
    pub(crate) sent: usize,
    pub(crate) time: Duration,
}

/// The numbers as they change.
#[derive(Debug)]
pub(crate) struct Tally {
    cells: [Cell; SLOTS],
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) answered_again: AtomicU64,
    pub(crate) under_way: AtomicU64,
    pub(crate) unauthenticated: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            cells: std::array::from_fn(|_| Cell::default()),
            connections: AtomicU64::default(),
            accepted: AtomicU64::default(),
            refused: AtomicU64::default(),
            answered_again: AtomicU64::default(),
            under_way: AtomicU64::default(),
            unauthenticated: AtomicU64::default(),
            malformed: AtomicU64::default(),
            panics: AtomicU64::default(),
        }
    }
}

impl Tally {
    pub(crate) fn count(&self, slot: Slot, count: Count) {
        let Some(cell) = self.cells.get(slot.0) else {
            return;
        };
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        cell.calls.fetch_add(1, Relaxed);
        cell.errors.fetch_add(u64::from(count.failed), Relaxed);
        cell.received.fetch_add(number(count.received), Relaxed);
        cell.sent.fetch_add(number(count.sent), Relaxed);
        let nanoseconds = u64::try_from(count.time.as_nanos()).unwrap_or(u64::MAX);
        cell.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        let nfs = procedure::PROCEDURES.iter().map(|it| ("NFS", it.name));
        let mount = mount::PROCEDURES.iter().map(|name| ("MOUNT", *name));
        let portmap = portmap::PROCEDURES.iter().map(|name| ("PORTMAP", *name));
        let procedures = nfs.chain(mount).chain(portmap).zip(&self.cells);
        Counters {
            procedures: procedures
                .map(|((program, procedure), cell)| ProcedureCounters {
                    program,
                    procedure,
                    calls: cell.calls.load(Relaxed),
                    errors: cell.errors.load(Relaxed),
                    received: cell.received.load(Relaxed),
                    sent: cell.sent.load(Relaxed),
                    time: Duration::from_nanos(cell.nanoseconds.load(Relaxed)),
                })
                .collect(),
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            answered_again: self.answered_again.load(Relaxed),
            under_way: self.under_way.load(Relaxed),
            unauthenticated: self.unauthenticated.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            panics: self.panics.load(Relaxed),
        }
    }
}
