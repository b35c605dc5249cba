//! The replicated state with what follows from it: the tree, the roots of quotas, the znodes that perish.
//!
//! ZooKeeper: `ZKDatabase`. Only [`State::apply`] changes the tree, so that what is kept beside it stays true.
//!
//! Absent: the log, images, watches.

use alloc::vec::Vec;

use jute::Zxid;

use crate::apply::{Applied, Apply, ApplyError, Effects};
use crate::arena::Full;
use crate::quota::Quotas;
use crate::reaper::Perishables;
use crate::tree::Tree;

/// Whether a tree may hold more than its zxid says: some of the transactions behind it, of each the whole or a part.
///
/// ZooKeeper calls its snapshots fuzzy, since they are written while the tree changes. Once what follows is applied the tree is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fuzzy {
    /// It is the state after its zxid.
    #[default]
    No,
    /// It came from a server that does not say: digests are not compared, and what is found done is passed over.
    Yes,
}

/// Where the ensemble's configuration is. Source: `ZooDefs.CONFIG_NODE`.
pub const CONFIG: &[u8] = b"/zookeeper/config";

/// The tree, and what follows from it. One writer.
#[derive(Debug)]
pub struct State {
    pub(crate) tree: Tree,
    pub(crate) quotas: Quotas,
    pub(crate) perishables: Perishables,
    pub(crate) scratch: Scratch,
    /// The last transaction applied, in an open batch too.
    pub(crate) last: Zxid,
    pub(crate) fuzzy: Fuzzy,
}

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) acl: Vec<u8>,
    pub(crate) parent_acl: Vec<u8>,
}

impl State {
    /// Takes over a tree that was just made or loaded.
    pub fn new(tree: Tree) -> Self {
        let quotas = Quotas::of(&tree);
        let perishables = Perishables::of(&tree);
        let last = tree.zxid();
        Self { tree, quotas, perishables, scratch: Scratch::default(), last, fuzzy: Fuzzy::No }
    }

    /// Takes over all that `other` holds, between batches; exact it is until [`State::set_fuzzy`] says otherwise.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn replace(&mut self, other: &Tree) -> Result<(), Full> {
        self.tree.replace(other)?;
        self.quotas = Quotas::of(&self.tree);
        self.perishables = Perishables::of(&self.tree);
        self.last = self.tree.zxid();
        self.fuzzy = Fuzzy::No;
        Ok(())
    }

    /// Whether the tree may be ahead of its zxid.
    pub fn fuzzy(&self) -> Fuzzy {
        self.fuzzy
    }

    /// The tree came from elsewhere, or has all that it could be ahead by.
    pub fn set_fuzzy(&mut self, fuzzy: Fuzzy) {
        self.fuzzy = fuzzy;
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The tree, for images of it and its readers. Changes go through [`State::apply`].
    pub fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// The subtrees that have a quota.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The containers and TTL znodes.
    pub fn perishables(&self) -> &Perishables {
        &self.perishables
    }

    /// Opens a batch. See [`Tree::begin`].
    pub fn begin(&mut self) {
        self.tree.begin();
    }

    /// Closes a batch that ends with `zxid`. See [`Tree::commit`].
    pub fn commit(&mut self, zxid: Zxid) {
        self.tree.commit(zxid);
        self.last = self.last.max(zxid);
    }

    /// Applies one entry of the log, between [`State::begin`] and [`State::commit`].
    ///
    /// # Errors
    /// [`ApplyError`]: the entry is none, or the tree is not the one it was made for. The tree may be half changed;
    /// nothing may be served from it any more.
    pub fn apply(
        &mut self,
        entry: &[u8],
        effects: &mut impl Effects,
    ) -> Result<Applied, ApplyError> {
        Apply::entry(self, entry, effects)
    }

    /// Shows a configuration that came without a transaction: from a file, or with a new leader. Between [`State::begin`] and
    /// [`State::commit`]. Its version is the znode's mzxid. One that is shown already stays as it is.
    ///
    /// Source: `ZKDatabase.initConfigInZKDatabase`. **Differs:** no watch fires; nobody is connected when this happens.
    ///
    /// # Errors
    /// [`Full`].
    pub fn show_config(&mut self, text: &[u8], version: i64, wall_ms: i64) -> Result<(), Full> {
        // Somebody may have taken it away, who has the power to.
        let Some(znode) = self.tree.look(|it| it.find(CONFIG)) else { return Ok(()) };
        self.scratch.acl.clear();
        let shown = &mut self.scratch.acl;
        let len = self.tree.look(|it| it.data(znode, shown));
        if len.is_some() && shown == text {
            return Ok(());
        }
        self.tree.set_data(znode, Some(text), -1, Zxid(version), wall_ms)
    }
}
