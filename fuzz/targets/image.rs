//! Images of a snapshot: header, table, and the pages as a tree.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, fuzz::image));
