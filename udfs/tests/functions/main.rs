//! The functions of the crate, from outside: through a session, on files in a temporary folder.

mod csv;
mod support;
