//! The handshake's records.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::connect));
