//! URLs of endpoints, and the policy of allowed addresses.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hookstream_destinations::fuzz::address(data));
