//! The mount of posixlake without the engine: [`rpc`] speaks NFSv3 to clients and hands each call to a [`FileSystem`].

pub mod file_system;
pub mod lake;
pub mod render;

pub use file_system::{
    Caller, Effect, Entry, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written,
};
