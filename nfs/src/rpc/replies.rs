//! The replies of calls that must not be done twice.
//!
//! A client repeats a call whose reply it has not seen: after a while, or at once on a new connection when the old one broke. RENAME done twice is
//! NFS3ERR_NOENT the second time, so a repeated call gets the reply of the first. While that is under way, the repeated call waits with it: the reply goes
//! to the new connection too, since the old one may be gone.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Sender;
use super::reply::Reply;

/// How much of the arguments tells calls apart.
const COMPARED: usize = 256;

/// How many connections wait for the reply of one call.
const MOST_WAITING: usize = 8;

/// What a repeated call has in common with the first. The port is not part of it: a client may come from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    address: IpAddr,
    xid: u32,
    procedure: u32,
    arguments: u64,
}

impl Key {
    /// The key of a call of NFSv3.
    pub(crate) fn new(address: IpAddr, xid: u32, uid: u32, procedure: u32, arguments: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u32(uid);
        hasher.write_usize(arguments.len());
        hasher.write(arguments.get(..COMPARED).unwrap_or(arguments));
        Self {
            address: address.to_canonical(),
            xid,
            procedure,
            arguments: hasher.finish(),
        }
    }
}

/// What is known of a call.
#[derive(Debug)]
pub(crate) enum Known {
    /// Nothing: it is to be done, and is under way from here on.
    Nothing,
    /// It is under way.
    UnderWay,
    /// It was done.
    Done(Reply),
}

#[derive(Debug)]
enum Call {
    UnderWay(Vec<Sender>),
    Done(Reply),
}

#[derive(Debug, Default)]
struct Calls {
    by_key: HashMap<Key, Call>,
    /// In the order of their beginning.
    order: VecDeque<(Instant, Key)>,
}

/// The calls of the last while.
#[derive(Debug)]
pub(crate) struct Replies {
    calls: Mutex<Calls>,
    most: usize,
    kept: Duration,
}

impl Replies {
    /// Keeps at most `most` replies, for `kept`.
    pub(crate) fn new(most: usize, kept: Duration) -> Self {
        Self {
            calls: Mutex::default(),
            most,
            kept,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Calls) -> T) -> T {
        act(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a call has come, whose reply `sender` takes.
    pub(crate) fn begin(&self, key: Key, sender: &Sender) -> Known {
        self.with(|calls| {
            match calls.by_key.entry(key) {
                MapEntry::Vacant(vacant) => {
                    vacant.insert(Call::UnderWay(vec![sender.clone()]));
                    calls.order.push_back((Instant::now(), key));
                }
                MapEntry::Occupied(occupied) => match occupied.into_mut() {
                    Call::Done(reply) => return Known::Done(reply.clone()),
                    Call::UnderWay(senders) => {
                        if senders.len() < MOST_WAITING && !senders.iter().any(|it| it.same_channel(sender)) {
                            senders.push(sender.clone());
                        }
                        return Known::UnderWay;
                    }
                },
            }
            self.forget(calls);
            Known::Nothing
        })
    }

    /// Notes the reply of a call; says who waits for it. A reply that says "ask again" (`done` false) is not kept.
    pub(crate) fn end(&self, key: Key, reply: &Reply, done: bool) -> Vec<Sender> {
        let before = self.with(|calls| {
            if done {
                calls.by_key.insert(key, Call::Done(reply.clone()))
            } else {
                calls.by_key.remove(&key)
            }
        });
        match before {
            Some(Call::UnderWay(senders)) => senders,
            _ => Vec::new(),
        }
    }

    /// Forgets calls that are too old or too many, unless they are under way.
    fn forget(&self, calls: &mut Calls) {
        for _ in 0..calls.order.len() {
            let Some(&(begun, key)) = calls.order.front() else {
                return;
            };
            if calls.order.len() <= self.most && begun.elapsed() < self.kept {
                return;
            }
            calls.order.pop_front();
            if let Some(Call::UnderWay(_)) = calls.by_key.get(&key) {
                calls.order.push_back((Instant::now(), key));
            } else {
                calls.by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::rpc::reply::Body;

    fn key(xid: u32) -> Key {
        Key::new("10.0.0.1".parse().unwrap(), xid, 0, 14, b"arguments")
    }

    #[test]
    fn a_call_is_done_once() {
        let replies = Replies::new(10, Duration::from_secs(60));
        let ((first, _one), (second, _two)) = (unbounded_channel(), unbounded_channel());
        assert!(matches!(replies.begin(key(1), &first), Known::Nothing));
        assert!(matches!(replies.begin(key(1), &first), Known::UnderWay));
        assert!(matches!(replies.begin(key(1), &second), Known::UnderWay));
        let reply = Body::accepted(1).finish();
        assert_eq!(replies.end(key(1), &reply, true).len(), 2);
        assert!(matches!(replies.begin(key(1), &second), Known::Done(_)));
        for (uid, arguments) in [(0, &b"other arguments"[..]), (1, b"arguments")] {
            let other = Key::new("10.0.0.1".parse().unwrap(), 1, uid, 14, arguments);
            assert!(matches!(replies.begin(other, &first), Known::Nothing));
        }
    }

    #[test]
    fn a_call_that_was_not_done_is_done_when_it_is_repeated() {
        let replies = Replies::new(10, Duration::from_secs(60));
        let (sender, _queue) = unbounded_channel();
        assert!(matches!(replies.begin(key(1), &sender), Known::Nothing));
        assert_eq!(replies.end(key(1), &Body::accepted(1).finish(), false).len(), 1);
        assert!(matches!(replies.begin(key(1), &sender), Known::Nothing));
    }

    #[test]
    fn the_oldest_are_forgotten_but_not_while_under_way() {
        let replies = Replies::new(3, Duration::from_secs(60));
        let (sender, _queue) = unbounded_channel();
        replies.begin(key(0), &sender);
        for xid in 1..10 {
            replies.begin(key(xid), &sender);
            replies.end(key(xid), &Body::accepted(xid).finish(), true);
        }
        assert!(matches!(replies.begin(key(0), &sender), Known::UnderWay));
        assert!(matches!(replies.begin(key(9), &sender), Known::Done(_)));
        assert!(matches!(replies.begin(key(3), &sender), Known::Nothing));
        assert!(replies.with(|calls| calls.by_key.len() <= 5 && calls.order.len() == calls.by_key.len()));
    }
}
