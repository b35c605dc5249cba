//! How long the end of each session would be: one transaction lists every path of its ephemerals.
//!
//! ZooKeeper: none; a session with too many ephemerals takes every learner with it when it ends (ZOOKEEPER-4306).
//!
//! Invariant: what stands here for a session is what the overlay and the tree say; a session that is not here has no ephemeral
//! that is not in the tree yet.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use jute::SessionId;

/// Bytes that a path takes in the transaction that ends its session.
pub(super) fn path_len(path: &[u8]) -> usize {
    size_of::<i32>() + path.len()
}

/// Bytes of paths by session, of those that have had an ephemeral from this leader.
#[derive(Debug, Default)]
pub(super) struct Owned {
    lens: BTreeMap<SessionId, usize>,
    /// What the multi in the making has done, of sessions that are not here too.
    undo: Option<Vec<Undo>>,
}

#[derive(Debug)]
enum Undo {
    Added(SessionId, usize),
    Taken(SessionId, usize),
}

impl Owned {
    /// Bytes that the session's ephemerals take; `count` counts them the first time.
    pub(super) fn len_of(&mut self, session: SessionId, count: impl FnOnce() -> usize) -> usize {
        *self.lens.entry(session).or_insert_with(count)
    }

    /// The session will have one more.
    pub(super) fn add(&mut self, session: SessionId, path: &[u8]) {
        let len = path_len(path);
        self.change(session, |it| it + len);
        if let Some(undo) = &mut self.undo {
            undo.push(Undo::Added(session, len));
        }
    }

    /// The session will have one less.
    pub(super) fn take(&mut self, session: SessionId, path: &[u8]) {
        let len = path_len(path);
        self.change(session, |it| less(it, len));
        if let Some(undo) = &mut self.undo {
            undo.push(Undo::Taken(session, len));
        }
    }

    /// The session is over.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.lens.remove(&session);
    }

    /// From now on, remember what is done.
    pub(super) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// What was done since [`Owned::begin`] stays.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// What was done since [`Owned::begin`] is undone.
    pub(super) fn roll_back(&mut self) {
        for undo in self.undo.take().unwrap_or_default().into_iter().rev() {
            match undo {
                Undo::Added(session, len) => self.change(session, |it| less(it, len)),
                Undo::Taken(session, len) => self.change(session, |it| it + len),
            }
        }
    }

    fn change(&mut self, session: SessionId, change: impl FnOnce(usize) -> usize) {
        if let Some(len) = self.lens.get_mut(&session) {
            *len = change(*len);
        }
    }
}

fn less(all: usize, len: usize) -> usize {
    assert!(len <= all, "{len} bytes of paths are taken from {all}");
    all - len
}

#[cfg(all(test, not(loom)))]
impl super::Prep {
    /// Asserts the invariant.
    pub(crate) fn check_owned(&self, tree: &crate::tree::Tree) {
        for (&session, &len) in &self.owned.lens {
            let paths = self.overlay.ephemerals(tree, session);
            assert_eq!(len, paths.iter().map(|it| path_len(it)).sum::<usize>(), "{session:?}");
        }
    }
}
