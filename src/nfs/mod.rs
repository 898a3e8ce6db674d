//! The mount: tables as files, edits as statements. Names, staging and rendering are `posixlake_nfs`'s; this is the engine behind them, and the commands.

mod lake;
mod server;
mod system;
mod users;

pub use server::{Serving, serve};
