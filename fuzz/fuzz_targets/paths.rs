//! Paths to keys in payloads, and filters of event types.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_model::fuzz::paths(data));
