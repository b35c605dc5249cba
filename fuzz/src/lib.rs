//! What the fuzzers call: one function per kind of bytes that come from outside. Each must return, whatever the bytes
//! are, and must not allocate more than they justify.
//!
//! `fuzz/run` builds the targets and runs each for a while; `fuzz/README.md` says what to do with what they find.
//!
//! Absent here: the fuzzer itself.

mod client;
mod disk;
mod memory;
mod records;
mod seeds;
mod snap;
mod text;
mod txn;

pub use client::client;
pub use disk::{image, segment};
pub use memory::bounded;
pub use records::{acl, connect, multi, reply, request};
pub use seeds::{Seed, seeds};
pub use snap::snap;
pub use text::{word, zoo_cfg};
pub use txn::{entry, txn};
