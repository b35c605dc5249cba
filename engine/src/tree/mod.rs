//! The znode tree in the arena: the writer's side.
//!
//! ZooKeeper: `DataTree`, `DataNode`, without watches and quotas. [`TreeView`] is the reading side, for
//! the writer and for every [`crate::arena::Reader`] alike. Operations here are single steps (a znode comes,
//! goes, gets data): which of them a transaction takes, and with what numbers, is apply's.
//!
//! Invariants: a znode record never moves while the znode lives; every znode but the root is in the index
//! under its whole path, and in its parent's list at the place it remembers; the tree digest in the header
//! is the sum of the digests in the records.
//!
//! Absent: checks of ACLs, versions and names. The caller has made them.

mod acl;
mod digest;
#[cfg(all(test, not(loom)))]
mod hammer;
mod initial;
mod session;
mod stat;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(all(test, not(loom)))]
mod twin;
mod view;
mod write;
mod znode;

pub use self::{
    acl::{AclId, OPEN_ACL, READ_ACL},
    digest::DIGEST_VERSION,
    session::Session,
    stat::{Owner, StatPersisted},
    view::{Counters, TreeView},
    znode::Znode,
};

pub(crate) use self::{
    digest::{of as digest_of, prefix as digest_prefix},
    view::Facts,
};

use alloc::vec::Vec;

use jute::Zxid;

use crate::arena::{Arena, Full, ImageSource, Memory, OpenError, Reader, Torn, sure};

/// The one writer of the tree.
///
/// Every change lies between [`Tree::begin`] and [`Tree::commit`].
#[derive(Debug)]
pub struct Tree {
    arena: Arena,
    /// A path being rebuilt.
    path: Vec<u8>,
}

impl Tree {
    /// Makes the tree that ZooKeeper starts with: /, /zookeeper, /zookeeper/quota and /zookeeper/config.
    /// `memory` is all zero; `seed` keys the hash of paths, take it from chance.
    ///
    /// # Errors
    /// [`OpenError::Size`].
    pub fn format(memory: Memory, seed: [u64; 2]) -> Result<Self, OpenError> {
        let mut tree = Self { arena: Arena::format(memory, seed)?, path: Vec::new() };
        tree.begin();
        tree.plant().expect("the smallest region holds the first tree");
        tree.commit(Zxid::ZERO);
        Ok(tree)
    }

    /// Takes over a region whose first words are an image.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(memory: Memory) -> Result<Self, OpenError> {
        Ok(Self { arena: Arena::open(memory)?, path: Vec::new() })
    }

    /// Opens a batch: readers wait or turn away until [`Tree::commit`]. A batch may be one transaction.
    pub fn begin(&mut self) {
        self.arena.begin();
    }

    /// Closes a batch: readers see all of it. `zxid` is the last transaction applied.
    pub fn commit(&mut self, zxid: Zxid) {
        self.arena.commit(zxid);
    }

    /// The tree as it is, changes of an open batch included. The writer's reads are never torn:
    /// see [`Tree::look`].
    #[inline]
    pub fn view(&self) -> TreeView<'_> {
        TreeView::new(self.arena.view())
    }

    /// Reads what cannot be torn, because nobody else writes.
    #[inline]
    #[track_caller]
    pub fn look<'a, T>(&'a self, read: impl FnOnce(TreeView<'a>) -> Result<T, Torn>) -> T {
        sure(read(self.view()))
    }

    /// A handle for another thread's reads.
    pub fn reader(&self) -> Reader {
        self.arena.reader()
    }

    /// The transaction that was applied last.
    pub fn zxid(&self) -> Zxid {
        self.arena.zxid()
    }

    /// The arena: room that is left, pages copied aside.
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Takes over all that `other` holds. See [`Arena::replace`].
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn replace(&mut self, other: &Self) -> Result<(), Full> {
        self.arena.replace(&other.arena)
    }

    /// Begins an image of the tree as it is. See [`Arena::begin_image`].
    pub fn begin_image(&mut self) -> ImageSource {
        self.arena.begin_image()
    }

    /// Room that is left.
    pub fn headroom(&self) -> crate::arena::Headroom {
        self.arena.headroom()
    }

    /// Opens a session, or changes the timeout of one that is there.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn open_session(&mut self, id: jute::SessionId, timeout_ms: u32) -> Result<(), Full> {
        session::open(&mut self.arena, id, timeout_ms)
    }

    /// Forgets a session, whose ephemerals the caller has removed. Gives whether it was there.
    pub fn close_session(&mut self, id: jute::SessionId) -> bool {
        session::close(&mut self.arena, id)
    }
}
