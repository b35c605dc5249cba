//! Where things lie in the region's header: its first two pages.
//!
//! A change here, or in the shape of any record, is a new [`LAYOUT`].

use super::{Offset, PAGE_WORDS, blocks::CLASS_COUNT};
use crate::index::INDEX_WORDS;

/// The first word of an image: "RINGKEEP".
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"RINGKEEP");
/// The version of everything that is written into the region.
pub(crate) const LAYOUT: u64 = 1;
/// Words of the header.
pub(crate) const HEADER_WORDS: u64 = 2 * PAGE_WORDS as u64;

/// The single words of the header.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Word {
    /// [`MAGIC`].
    Magic = 0,
    /// [`LAYOUT`].
    Layout,
    /// First half of the hash key.
    Seed0,
    /// Second half of the hash key.
    Seed1,
    /// The transaction that was applied last.
    Zxid,
    /// First word that was never handed out. Whole pages.
    PageBump,
    /// First word of the chunk for small blocks that was never handed out.
    SmallBump,
    /// End of that chunk.
    SmallEnd,
    /// Words in blocks that are in use.
    LiveWords,
    /// Words in blocks on free lists.
    FreeWords,

    /// Znodes, as ZooKeeper counts them: the root twice.
    Znodes = 16,
    /// Ephemeral znodes.
    Ephemerals,
    /// Open sessions.
    Sessions,
    /// Path and data bytes, as ZooKeeper counts them: the root's path is both "" and "/".
    DataBytes,
    /// Sum of the digests of all znodes.
    Digest,
    /// Container znodes.
    Containers,
    /// TTL znodes.
    Ttls,
    /// Distinct ACL lists.
    Acls,

    /// The znode "/".
    Root = 24,
    /// The znode "/zookeeper".
    Zookeeper,
    /// All sessions: head of the list; its length in the word behind.
    SessionListHead,
    /// ACL lists by id: head of the list; its length in the word behind.
    AclListHead = 28,
    /// The id that was freed last, 0 if none is free.
    AclFreeId = 30,

    /// Heads of the free lists, one for each size class.
    FreeLists = 64,
    /// The index of znodes by path.
    ZnodeIndex = 320,
    /// The index of sessions by id.
    SessionIndex = 448,
    /// The index of ACL lists by content.
    AclIndex = 576,
}

impl Word {
    /// Where it lies.
    pub(crate) const fn at(self) -> Offset {
        Offset::new(self as u64)
    }
}

const _: () = assert!(Word::FreeLists as u64 + CLASS_COUNT as u64 <= Word::ZnodeIndex as u64);
const _: () = assert!(INDEX_WORDS <= 128);
const _: () = assert!(Word::AclIndex as u64 + INDEX_WORDS <= HEADER_WORDS);
