//! Bytes to records and back: client and transaction records, ids, paths, codes.
#![no_std]
#![forbid(unsafe_code)]
