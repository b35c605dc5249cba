//! What the tree will be: znodes and sessions that transactions not yet applied touch.
//!
//! ZooKeeper: `outstandingChanges`, `outstandingChangesForPath`, `ChangeRecord`.
//!
//! Invariants: a slot's zxid is that of the last transaction that touched its znode, and `queue` has that pair; an older
//! pair of the same slot means nothing; slots are found by the hash of their path, and told apart by the path.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashTable;
use jute::{SessionId, Zxid};

use crate::tree::{AclId, Facts, Owner, StatPersisted, Tree, digest_of};

/// Where a znode that is there, or is not, has its place in the overlay. Good until something else is put there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    hash: u64,
    slot: Option<u32>,
}

/// A znode as it will be.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) stat: StatPersisted,
    pub(super) child_count: u32,
    pub(super) acl: Guard,
    /// Bytes; 0 for null.
    pub(super) data_len: usize,
    /// The CRC of path and data.
    pub(super) prefix: u32,
    /// Its share in the tree's digest.
    pub(super) digest: u32,
    pub(super) share: Share,
}

/// Whether a znode has a share in the tree's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Some,
    /// It lies below /zookeeper.
    None,
}

/// A znode's ACL.
#[derive(Clone, Debug)]
pub(super) enum Guard {
    /// The tree has it.
    Kept(AclId),
    /// It is new: a jute list.
    New(Arc<[u8]>),
}

impl Known {
    fn of(key: Key, facts: &Facts) -> Self {
        Self {
            key,
            stat: facts.stat,
            child_count: facts.child_count,
            acl: Guard::Kept(facts.acl),
            data_len: facts.data_len,
            prefix: facts.prefix,
            digest: facts.digest,
            share: if facts.is_digested { Share::Some } else { Share::None },
        }
    }

    /// Computes the share anew, from the header and the CRC.
    pub(super) fn refresh_digest(&mut self) {
        if self.share == Share::Some {
            self.digest = digest_of(self.prefix, &self.stat);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    slots: Vec<Slot>,
    free: Vec<u32>,
    table: HashTable<u32>,
    /// Who touched what, in order.
    queue: VecDeque<(Zxid, u32)>,
    /// Ephemerals that were created, in order.
    births: VecDeque<(Zxid, SessionId, u32)>,
    sessions: BTreeMap<SessionId, (Zxid, SessionState)>,
    session_queue: VecDeque<(Zxid, SessionId)>,
    /// What the transaction in the making has replaced; kept only within a multi.
    undo: Option<Vec<Undo>>,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    path: Vec<u8>,
    zxid: Zxid,
    /// `None`: it will not be there.
    known: Option<Known>,
}

/// What a slot held before it was touched; nothing, if it was not there.
#[derive(Debug)]
struct Undo {
    slot: u32,
    before: Option<(Zxid, Option<Known>)>,
}

/// What a session will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Open,
    Closed,
}

impl Overlay {
    /// How many znodes are here.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The znode at `path`, as it will be; its key, if it will not be there.
    pub(super) fn look(&self, tree: &Tree, path: &[u8]) -> Result<Known, Key> {
        let path = canonical(path);
        let hash = tree.look(|it| it.hash(path));
        if let Some(slot) = self.slot(hash, path) {
            let key = Key { hash, slot: Some(slot) };
            let known = self.slots[slot as usize].known.clone().ok_or(key)?;
            return Ok(Known { key, ..known });
        }
        let key = Key { hash, slot: None };
        let znode = tree.look(|it| it.find_hashed(path, hash)).ok_or(key)?;
        Ok(Known::of(key, &tree.look(|it| it.facts(znode))))
    }

    /// The znode at `path`, which has this key, will be so after `zxid`.
    pub(super) fn put(&mut self, key: Key, path: &[u8], zxid: Zxid, known: Option<Known>) {
        let Key { hash, slot: found } = key;
        let slot = found.unwrap_or_else(|| self.take_slot(hash, canonical(path)));
        let there = &mut self.slots[slot as usize];
        let before = (there.zxid, core::mem::replace(&mut there.known, known));
        there.zxid = zxid;
        if let Owner::Session(session) =
            there.known.as_ref().map_or(Owner::Nobody, |it| it.stat.owner)
            && there.known.as_ref().is_some_and(|it| it.stat.czxid == zxid.0)
        {
            self.births.push_back((zxid, session, slot));
        }
        if found.is_none() || before.0 != zxid {
            self.queue.push_back((zxid, slot));
        }
        if let Some(undo) = &mut self.undo {
            undo.push(Undo { slot, before: found.map(|_| before) });
        }
    }

    /// The tree holds every transaction up to `zxid`.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        while let Some(&(touched, slot)) = self.queue.front()
            && touched <= zxid
        {
            self.queue.pop_front();
            if self.slots[slot as usize].zxid == touched {
                self.drop_slot(slot);
            }
        }
        while self.births.front().is_some_and(|it| it.0 <= zxid) {
            self.births.pop_front();
        }
        while let Some(&(touched, session)) = self.session_queue.front()
            && touched <= zxid
        {
            self.session_queue.pop_front();
            if self.sessions.get(&session).is_some_and(|it| it.0 == touched) {
                self.sessions.remove(&session);
            }
        }
    }

    /// From now on, remember how things were.
    pub(super) fn begin(&mut self) {
        assert!(self.undo.is_none(), "a multi within a multi");
        self.undo = Some(Vec::new());
    }

    /// What was done since [`Overlay::begin`] stays.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// What was done since [`Overlay::begin`], all of it by `zxid`, is undone.
    pub(super) fn roll_back(&mut self, zxid: Zxid) {
        for Undo { slot, before } in self.undo.take().unwrap_or_default().into_iter().rev() {
            match before {
                None => self.drop_slot(slot),
                Some((zxid, known)) => {
                    let there = &mut self.slots[slot as usize];
                    (there.zxid, there.known) = (zxid, known);
                }
            }
        }
        while self.queue.back().is_some_and(|it| it.0 == zxid) {
            self.queue.pop_back();
        }
        while self.births.back().is_some_and(|it| it.0 == zxid) {
            self.births.pop_back();
        }
    }

    /// What the session will be, if a transaction not yet applied says so.
    pub(super) fn session_is_open(&self, session: SessionId) -> Option<bool> {
        if self.sessions.is_empty() {
            return None;
        }
        self.sessions.get(&session).map(|it| it.1 == SessionState::Open)
    }

    /// The session will be so after `zxid`.
    pub(super) fn put_session(&mut self, session: SessionId, zxid: Zxid, state: SessionState) {
        self.sessions.insert(session, (zxid, state));
        self.session_queue.push_back((zxid, session));
    }

    /// The ephemerals that the session will have.
    pub(super) fn ephemerals(&self, tree: &Tree, session: SessionId) -> Vec<Vec<u8>> {
        let mut paths: Vec<_> = self.kept_ephemerals(tree, session).collect();
        let mut seen = BTreeSet::new();
        for &(zxid, owner, number) in &self.births {
            let slot = &self.slots[number as usize];
            let born_here = slot.known.as_ref().is_some_and(|it| it.stat.czxid == zxid.0);
            if owner != session || !born_here || !slot.is_of(session) || !seen.insert(number) {
                continue;
            }
            let znode = tree.look(|it| it.find(&slot.path));
            let owner = znode.map(|znode| tree.look(|it| it.stat(znode)).owner);
            if owner != Some(Owner::Session(session)) {
                paths.push(slot.path.clone());
            }
        }
        paths
    }

    /// Those of the session's ephemerals in the tree that it will still have.
    pub(super) fn kept_ephemerals(
        &self,
        tree: &Tree,
        session: SessionId,
    ) -> impl Iterator<Item = Vec<u8>> {
        let known = tree.look(|it| it.session(session));
        let all = known.into_iter().flat_map(|it| (0..it.ephemeral_count).map(move |i| (it, i)));
        all.filter_map(move |(known, i)| {
            let mut path = Vec::new();
            tree.look(|it| it.path(it.ephemeral(known, i)?, &mut path));
            let hash = tree.look(|it| it.hash(&path));
            let slot = self.slot(hash, &path).map(|it| &self.slots[it as usize]);
            slot.is_none_or(|it| it.is_of(session)).then_some(path)
        })
    }

    fn slot(&self, hash: u64, path: &[u8]) -> Option<u32> {
        let is_it = |&slot: &u32| self.slots[slot as usize].path == path;
        self.table.find(hash, is_it).copied()
    }

    fn take_slot(&mut self, hash: u64, path: &[u8]) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { hash, path: Vec::new(), zxid: Zxid::ZERO, known: None });
            self.slots.len() as u32 - 1
        });
        let there = &mut self.slots[slot as usize];
        there.hash = hash;
        there.zxid = Zxid::ZERO;
        there.path.clear();
        there.path.extend_from_slice(path);
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |&slot| slots[slot as usize].hash);
        slot
    }

    fn drop_slot(&mut self, slot: u32) {
        let there = &mut self.slots[slot as usize];
        there.known = None;
        let found = self.table.find_entry(there.hash, |&it| it == slot);
        if let Ok(entry) = found {
            entry.remove();
        }
        self.free.push(slot);
    }
}

impl Slot {
    fn is_of(&self, session: SessionId) -> bool {
        self.known.as_ref().is_some_and(|it| it.stat.owner == Owner::Session(session))
    }
}

/// The root has one name here.
fn canonical(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"/" } else { path }
}
