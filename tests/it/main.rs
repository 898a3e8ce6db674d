//! What posixlake does, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod cli;
mod concurrency;
mod conformance;
mod explain;
mod maintenance;
mod monitoring;
mod reference;
mod slt;
mod support;
mod travel;
