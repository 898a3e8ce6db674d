//! A server gets calls with good heads and any arguments.
#![no_main]

use std::sync::Arc;

use posixlake_nfs::FileSystem;

#[allow(dead_code)]
#[path = "../../tests/support/decoding.rs"]
mod decoding;
#[allow(dead_code)]
#[path = "../../tests/support/memory.rs"]
mod memory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let files = memory::Memory::default();
    files.put("data.csv", b"id,name\n1,a\n".to_vec());
    let files: Arc<dyn FileSystem> = Arc::new(files);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(decoding::conversation(files, &decoding::stream_of_calls(data)));
});
