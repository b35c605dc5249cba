//! The stream that a leader of ZooKeeper's sends behind SNAP, and its log files.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::snap));
