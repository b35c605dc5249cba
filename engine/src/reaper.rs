//! Which containers and TTL znodes have had their time.
//!
//! ZooKeeper: `ContainerManager`, and the sets `containers` and `ttls` of `DataTree`. Absent: the requests that delete
//! them (op deleteContainer, spread over time by the driver), which look again.

#[cfg(all(test, not(loom)))]
mod tests;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::planted::{self, Bug};
use crate::tree::{Owner, Tree, TreeView, Znode};

/// The containers and TTL znodes of a tree. Kept beside the tree, follows from it.
#[derive(Clone, Debug, Default)]
pub struct Perishables {
    znodes: BTreeSet<Znode>,
}

/// When a container goes that never had a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaperConfig {
    /// Milliseconds since its data was last set; 0 for never. Source: `znode.container.maxNeverUsedIntervalMs`.
    pub never_used_ms_max: i64,
}

impl Perishables {
    /// Those of a tree that was just loaded. Looks at every znode, unless the tree's counters say that there is none.
    pub fn of(tree: &Tree) -> Self {
        let mut perishables = Self::default();
        let counters = tree.look(TreeView::counters);
        let mut left = counters.containers + counters.ttls;
        let root = tree.look(TreeView::root);
        let mut next = Some(root);
        while let (Some(znode), true) = (next, 0 < left) {
            if perishes(tree, znode) {
                perishables.znodes.insert(znode);
                left -= 1;
            }
            next = tree.look(|it| it.next_below(root, znode));
        }
        perishables
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.znodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.znodes.is_empty()
    }

    /// A znode was created.
    pub(crate) fn created(&mut self, znode: Znode, owner: Owner) {
        if matches!(owner, Owner::Container | Owner::Ttl(_)) {
            self.znodes.insert(znode);
        }
    }

    /// A znode is about to be removed.
    pub(crate) fn removed(&mut self, znode: Znode) {
        if !self.znodes.is_empty() {
            self.znodes.remove(&znode);
        }
    }

    /// The paths to delete at `now_wall_ms`, milliseconds since 1970: containers without children that had one, or were
    /// never used for too long; TTL znodes without children whose data was not set for their TTL.
    ///
    /// Source: `ContainerManager.getCandidates`.
    pub fn due(&self, tree: &Tree, now_wall_ms: i64, config: ReaperConfig) -> Vec<Vec<u8>> {
        let due = self.znodes.iter().filter(|&&it| is_due(tree, it, now_wall_ms, config));
        let path = |&znode: &Znode| {
            let mut path = Vec::new();
            tree.look(|it| it.path(znode, &mut path));
            path
        };
        due.map(path).collect()
    }
}

fn perishes(tree: &Tree, znode: Znode) -> bool {
    matches!(tree.look(|it| it.stat(znode)).owner, Owner::Container | Owner::Ttl(_))
}

fn is_due(tree: &Tree, znode: Znode, now_wall_ms: i64, config: ReaperConfig) -> bool {
    if tree.look(|it| it.child_count(znode)) != 0 {
        return false;
    }
    let stat = tree.look(|it| it.stat(znode));
    let age_ms = now_wall_ms.saturating_sub(stat.mtime);
    match stat.owner {
        Owner::Container if planted::has(Bug::NeverReap) => false,
        Owner::Container if 0 < stat.cversion || planted::has(Bug::ReapUnused) => true,
        Owner::Container => config.never_used_ms_max != 0 && config.never_used_ms_max < age_ms,
        Owner::Ttl(raw) => {
            let ttl_ms = raw & Owner::TTL_MASK;
            ttl_ms != 0 && (ttl_ms < age_ms || planted::has(Bug::ForgetTtl))
        }
        Owner::Nobody | Owner::Session(_) => false,
    }
}
