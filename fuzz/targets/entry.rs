//! Entries of a log, applied to a tree.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::entry));
