//! URLs that customers type, and the policy about where they may lead.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_destinations::fuzz::address(data));
