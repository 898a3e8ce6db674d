//! The dialect from outside: what it reads, what it refuses and where, and that its text reads back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod corpus;
mod depth;
mod kinds;
mod noise;
mod places;
mod refusals;
mod registry;
mod round_trip;
mod spellings;
mod strategies;
mod support;
mod time_travel;
mod types;
