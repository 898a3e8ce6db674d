//! Tests.

mod cli;
