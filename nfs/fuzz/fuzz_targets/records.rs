#![no_main]

#[allow(dead_code)]
#[path = "../../tests/support/decoding.rs"]
mod decoding;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoding::records(data));
