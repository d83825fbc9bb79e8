//! Signing secrets, and signatures as a receiver gets them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_model::fuzz::signature(data));
