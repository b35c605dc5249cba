//! Quotas: which subtrees have one, what they hold, and whether a request would exceed it.
//!
//! ZooKeeper: `Quotas`, `PathTrie`, and what `DataTree` and `ZooKeeperServer.checkQuota` do with them. Limits are the
//! data of `/zookeeper/quota<path>/zookeeper_limits`, usage that of `.../zookeeper_stats`; clients create both. Usage is
//! counted when a transaction is applied, on every server by itself. Only the longest matching path counts.
//!
//! Differs: text in these znodes that is no quota stops a server of the reference; here it reads as no limit, no usage.

mod stats;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use jute::Code;

pub use stats::StatsTrack;

use crate::arena::Full;
use crate::tree::{Tree, Znode};

/// The subtrees that have a quota. Kept beside the tree, follows from it.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    /// Without components that are blank, as the reference's trie has them.
    roots: BTreeSet<Vec<u8>>,
}

/// A limit that a request would exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The subtree whose quota it is.
    pub root: Vec<u8>,
    /// What is limited.
    pub what: Limited,
    /// What there would be.
    pub wanted: i64,
    /// What there may be.
    pub limit: i64,
    /// Whether it is refused.
    pub hardness: Hardness,
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limited {
    /// Znodes, the root of the subtree among them.
    Count,
    /// Bytes of data.
    Bytes,
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hardness {
    /// It is noted.
    Soft,
    /// The request is refused with [`Code::QuotaExceeded`].
    Hard,
}

/// What a subtree may hold and what it holds. A limit of −1 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// The subtree.
    pub root: Vec<u8>,
    /// Znodes that it may hold; the hard limit, if there is one.
    pub count_limit: i64,
    /// Bytes of data that it may hold; the hard limit, if there is one.
    pub bytes_limit: i64,
    /// Znodes that it holds.
    pub count: i64,
    /// Bytes of data that it holds.
    pub bytes: i64,
}

/// What a request adds to a subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
}

/// Where quotas are kept.
const QUOTA: &[u8] = b"/zookeeper/quota";
const LIMITS: &[u8] = b"zookeeper_limits";
const STATS: &[u8] = b"zookeeper_stats";

impl Quotas {
    /// Those of a tree that was just loaded.
    pub fn of(tree: &Tree) -> Self {
        let mut quotas = Self::default();
        let Some(top) = tree.look(|it| it.find(QUOTA)) else { return quotas };
        let mut next = Some(top);
        let mut path = Vec::new();
        while let Some(znode) = next {
            path.clear();
            tree.look(|it| it.path(znode, &mut path));
            if let Some(root) = quota_root(&path, LIMITS) {
                quotas.roots.insert(normal(root));
            }
            next = tree.look(|it| it.next_below(top, znode));
        }
        quotas
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// What each of them allows and holds, by path. Those without usage are left out, as they are not enforced either.
    pub fn uses(&self, tree: &Tree) -> Vec<QuotaUse> {
        let usage = |root: &Vec<u8>| {
            let find = |name| tree.look(|it| it.find(&znode_path(root, name)));
            let (limits, usage) = (stats_of(tree, find(LIMITS)?), stats_of(tree, find(STATS)?));
            Some(QuotaUse {
                root: root.clone(),
                count_limit: limits.count_limit().0,
                bytes_limit: limits.bytes_limit().0,
                count: usage.count,
                bytes: usage.bytes,
            })
        };
        self.roots.iter().filter_map(usage).collect()
    }

    /// The subtree whose quota counts for `path`. Source: `DataTree.getMaxPrefixWithQuota`.
    pub(crate) fn root_of(&self, path: &[u8]) -> Option<&[u8]> {
        if self.roots.is_empty() {
            return None;
        }
        let path = normal(path);
        let mut prefix = path.as_slice();
        while !prefix.is_empty() {
            if let Some(root) = self.roots.get(prefix) {
                return Some(root);
            }
            let slash = prefix.iter().rposition(|&byte| byte == b'/');
            prefix = &prefix[..slash.unwrap_or(0)];
        }
        None
    }

    /// A znode was created with `bytes` of data.
    pub(crate) fn created(
        &mut self,
        tree: &mut Tree,
        path: &[u8],
        bytes: usize,
    ) -> Result<(), Full> {
        if let Some(root) = quota_root(path, LIMITS) {
            self.roots.insert(normal(root));
        }
        if let Some(root) = quota_root(path, STATS) {
            count_anew(tree, root)?;
        }
        self.grew(tree, path, Growth { count: 1, bytes: bytes as i64 })
    }

    /// A znode was removed that had `bytes` of data.
    pub(crate) fn removed(
        &mut self,
        tree: &mut Tree,
        path: &[u8],
        bytes: usize,
    ) -> Result<(), Full> {
        if let Some(root) = quota_root(path, LIMITS) {
            self.roots.remove(&normal(root));
        }
        self.grew(tree, path, Growth { count: -1, bytes: -(bytes as i64) })
    }

    /// What is at `path` has grown. Source: `DataTree.updateQuotaStat`.
    pub(crate) fn grew(&self, tree: &mut Tree, path: &[u8], growth: Growth) -> Result<(), Full> {
        let Some(root) = self.root_of(path) else { return Ok(()) };
        let Some(znode) = tree.look(|it| it.find(&znode_path(root, STATS))) else { return Ok(()) };
        let mut stats = stats_of(tree, znode);
        stats.count = stats.count.wrapping_add(growth.count);
        stats.bytes = stats.bytes.wrapping_add(growth.bytes);
        tree.set_data_only(znode, Some(&stats.encode()))
    }

    /// Whether `path` may grow so. Looks at usage as applied: what is outstanding does not count.
    ///
    /// Source: `ZooKeeperServer.checkQuota`.
    ///
    /// # Errors
    /// The code. What is exceeded is appended to `notes` either way: at most the count and the bytes.
    pub(crate) fn check(
        &self,
        tree: &Tree,
        path: &[u8],
        growth: Growth,
        notes: &mut Vec<Exceeded>,
    ) -> Result<(), Code> {
        let Some(root) = self.root_of(path) else { return Ok(()) };
        let find = |name| tree.look(|it| it.find(&znode_path(root, name)));
        let (Some(limits), Some(usage)) = (find(LIMITS), find(STATS)) else { return Ok(()) };
        let (limits, usage) = (stats_of(tree, limits), stats_of(tree, usage));
        let count = (Limited::Count, growth.count, usage.count, limits.count_limit());
        let bytes = (Limited::Bytes, growth.bytes, usage.bytes, limits.bytes_limit());
        for (what, grown, used, (limit, hardness)) in [count, bytes] {
            let wanted = used.wrapping_add(grown);
            if grown == 0 || limit < 0 || wanted <= limit {
                continue;
            }
            notes.push(Exceeded { root: root.to_vec(), what, wanted, limit, hardness });
            if hardness == Hardness::Hard {
                return Err(Code::QuotaExceeded);
            }
        }
        Ok(())
    }
}

/// What `path` says about a quota: `<path>` of `/zookeeper/quota<path>/<name>`.
fn quota_root<'a>(path: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let root = path.strip_prefix(QUOTA)?.strip_suffix(name)?.strip_suffix(b"/")?;
    root.starts_with(b"/").then_some(root)
}

fn znode_path(root: &[u8], name: &[u8]) -> Vec<u8> {
    [QUOTA, root, b"/", name].concat()
}

/// The path without components that are blank.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        if component.iter().any(|&byte| b' ' < byte) {
            out.push(b'/');
            out.extend_from_slice(component);
        }
    }
    out
}

fn stats_of(tree: &Tree, znode: Znode) -> StatsTrack {
    let mut text = Vec::new();
    tree.look(|it| it.data(znode, &mut text));
    StatsTrack::parse(&text)
}

/// Counts what is below `root`, itself among it, into its usage. Source: `DataTree.updateQuotaForPath`.
fn count_anew(tree: &mut Tree, root: &[u8]) -> Result<(), Full> {
    let mut stats = StatsTrack::none();
    if let Some(top) = tree.look(|it| it.find(root)) {
        let mut next = Some(top);
        while let Some(znode) = next {
            stats.count += 1;
            stats.bytes += tree.look(|it| it.data_len(znode)).unwrap_or(0) as i64;
            next = tree.look(|it| it.next_below(top, znode));
        }
    }
    let Some(znode) = tree.look(|it| it.find(&znode_path(root, STATS))) else { return Ok(()) };
    tree.set_data_only(znode, Some(&stats.encode()))
}
