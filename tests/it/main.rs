//! What posixlake does, seen from outside.

mod cli;
mod concurrency;
mod conformance;
mod explain;
mod reference;
mod slt;
mod support;
