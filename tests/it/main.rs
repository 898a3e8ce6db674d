//! What posixlake does, seen from outside.

mod cli;
mod concurrency;
mod conformance;
mod explain;
mod slt;
mod support;
