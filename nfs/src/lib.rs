//! The mount of posixlake without the engine: [`rpc`] speaks NFSv3 to clients and hands each call to a [`FileSystem`]; [`mount`] is one whose files are the
//! tables of a [`lake`].

mod call;
pub mod diff;
pub mod failpoint;
pub mod file_system;
pub mod lake;
pub mod mount;
pub mod render;
pub mod rpc;
pub mod scratch;

pub use file_system::{
    Caller, Data, Effect, Entry, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written,
};
