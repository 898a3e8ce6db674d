//! The functions of the crate, from outside: through a session, on files in a temporary folder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod csv;
mod csv_errors;
mod csv_options;
mod csv_property;
mod json;
mod parquet;
mod paths;
mod requests;
mod support;
mod table_functions;
mod zorder_key;
