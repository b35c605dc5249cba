//! The record of every request.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::request));
