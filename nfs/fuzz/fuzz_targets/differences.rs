//! An edit is any text.
#![no_main]

#[path = "../../tests/support/differences.rs"]
mod differences;

libfuzzer_sys::fuzz_target!(|data: &[u8]| differences::differences(data));
