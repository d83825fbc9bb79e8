//! Cursors and limits of lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_api::fuzz::cursor(data));
