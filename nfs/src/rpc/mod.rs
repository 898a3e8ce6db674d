//! The wire side of the mount: ONC RPC over TCP (RFC 5531) with NFSv3 and MOUNT v3 (RFC 1813) and as much of the port mapper (RFC 1833, version 2) as
//! clients ask of it, all on one port.
//!
//! A [`Server`] accepts connections. Each has a reader, which cuts the stream into records of bounded size and starts one task a call, and a writer, which
//! sends replies in the order in which calls end. A connection with too much under way is not read from, so that TCP holds the client back; a call is
//! never refused for want of room, because clients turn such refusals into I/O errors.
//!
//! NFS has no identity of a connection: one client uses several, and repeats a call on a new one when the old one broke. So a repeated call is known by
//! address, transaction id, procedure and arguments, and answered from a cache of replies instead of being done twice.

mod arguments;
mod auth;
mod connection;
mod counters;
mod listing;
mod message;
mod mount;
mod names;
mod options;
mod portmap;
mod procedure;
mod record;
mod replies;
mod reply;
mod run;
mod server;
mod service;
mod xdr;

#[doc(hidden)]
pub mod raw;

pub use counters::{Counters, ProcedureCounters};
pub use options::{Options, ParseNetworkError, Squash, Trust, UserMap, parse_network};
pub use server::Server;

/// The most bytes that one READ or WRITE carries (`rtmax`, `wtmax`).
pub const LARGEST_TRANSFER: u32 = 1 << 20;
