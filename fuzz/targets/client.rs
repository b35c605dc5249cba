//! What clients send: connections of a whole session shard over a small server.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::client));
