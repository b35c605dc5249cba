//! The tree as ZooKeeper's servers write it: the stream that follows SNAP, and the files `snapshot.<zxid>`; and their log.
//!
//! ZooKeeper: `SerializeUtils.serializeSnapshot`, `DataTree.serialize`, `FileSnap`, `SnapStream`. Pure but for [`mod@file`] and [`mod@log`], which read and
//! write through what they are given, and `packed`, which opens files. The stream is: sessions, the table of ACLs, znodes with parents first, and "/". A file has a header before it, and
//! behind it a checksum, then the digest with a checksum, then the last zxid with one (docs/disk.md).
//!
//! **Differs:** what is written here is one exact state. Who encodes holds a tree that does not change meanwhile: an image that was loaded
//! aside, because the tree that serves changes with every batch, and a walk over it would have to stop the writer for as long as it takes.
//!
//! Absent: writing compressed files.

mod decode;
mod encode;
pub mod file;
pub mod log;
pub(crate) mod packed;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, ExtendedTypes, StreamError};
pub use encode::Encoder;

/// What a leader sends behind the stream: a string of these letters, so that a learner knows that it came whole. Source: `LearnerHandler.run`.
pub const SIGNATURE: &[u8] = b"BenWasHere";

/// Bytes of a `StatPersisted`.
const STAT_LEN: usize = 60;
