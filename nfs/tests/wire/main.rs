//! The NFS server as clients see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod connections;
mod duplicates;
mod listing;
mod malformed;
mod procedures;
mod random;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
