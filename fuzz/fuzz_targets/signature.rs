//! Signing secrets, and what a receiver is sent as a signature.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_model::fuzz::signature(data));
