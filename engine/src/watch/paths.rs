//! The paths that are watched, each kept once, under a number.
//!
//! Invariant: the index holds exactly the slots in use; the lowest free number is used first, so that the slots can
//! shrink from their end.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::BuildHasher as _;

use hashbrown::HashTable;

use super::ids::Ids;
use super::{RECURSIVE, Table};
use crate::map::MapSeed;

/// A watched path and who watches it, per table.
#[derive(Debug, Default)]
pub(super) struct PathSlot {
    /// Empty if the slot is free; there is no empty path among those in use but one that nobody can trigger.
    pub(super) path: Box<[u8]>,
    /// Watchers with their modes.
    pub(super) sets: [Ids; 2],
    /// How many entries of the data table are recursive.
    pub(super) recursive: u32,
}

impl PathSlot {
    /// Appends the recursive watchers.
    pub(super) fn recursive_into(&self, out: &mut Vec<u32>) {
        if self.recursive == 0 {
            return;
        }
        let entries = self.sets[Table::Data as usize].iter();
        out.extend(entries.filter(|&(_, tag)| tag & RECURSIVE != 0).map(|(watcher, _)| watcher));
    }

    fn is_unwatched(&self) -> bool {
        self.sets.iter().all(Ids::is_empty)
    }
}

/// The paths.
#[derive(Debug)]
pub(super) struct Paths {
    seed: MapSeed,
    /// Numbers of the slots in use, by the hash of their paths.
    index: HashTable<u32>,
    slots: Vec<PathSlot>,
    free: BTreeSet<u32>,
}

impl Paths {
    pub(super) fn new(seed: MapSeed) -> Self {
        Self { seed, index: HashTable::new(), slots: Vec::new(), free: BTreeSet::new() }
    }

    /// The number of `path`, if it is watched.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        if self.index.is_empty() {
            return None;
        }
        let hash = self.seed.hash_one(path);
        self.index.find(hash, |&idx| &*self.slots[idx as usize].path == path).copied()
    }

    /// The number of `path`, which may be new: somebody must then watch it, or [`Paths::release`] it.
    pub(super) fn intern(&mut self, path: &[u8]) -> u32 {
        if let Some(idx) = self.find(path) {
            return idx;
        }
        let idx = self.free.pop_first().unwrap_or_else(|| {
            self.slots.push(PathSlot::default());
            self.slots.len() as u32 - 1
        });
        self.slots[idx as usize].path = path.into();
        let (seed, slots) = (self.seed, &self.slots);
        let hash = seed.hash_one(path);
        self.index.insert_unique(hash, idx, |&idx| seed.hash_one(&*slots[idx as usize].path));
        idx
    }

    /// Lets go of a path if nobody watches it any more.
    pub(super) fn release(&mut self, idx: u32) {
        let slot = &mut self.slots[idx as usize];
        if !slot.is_unwatched() {
            return;
        }
        assert_eq!(slot.recursive, 0, "nobody watches path {idx}, but some do so recursively");
        let hash = self.seed.hash_one(&*slot.path);
        let entry = self.index.find_entry(hash, |&it| it == idx);
        assert!(entry.is_ok_and(|entry| entry.remove().0 == idx), "path {idx} is not in the index");
        *slot = PathSlot::default();
        self.free.insert(idx);
        self.shrink();
    }

    pub(super) fn at(&self, idx: u32) -> &PathSlot {
        &self.slots[idx as usize]
    }

    pub(super) fn at_mut(&mut self, idx: u32) -> &mut PathSlot {
        &mut self.slots[idx as usize]
    }

    /// The slots in use, in no order that means anything.
    pub(super) fn slots(&self) -> impl Iterator<Item = &PathSlot> {
        self.slots.iter().filter(|slot| !slot.is_unwatched())
    }

    /// How many paths there are.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        assert_eq!(self.index.len() + self.free.len(), self.slots.len());
        self.index.len()
    }

    /// How many slots there are, free ones too.
    #[cfg(test)]
    pub(super) fn slots_kept(&self) -> usize {
        self.slots.len()
    }

    /// Gives back what lies free at the end.
    fn shrink(&mut self) {
        while self.free.last().is_some_and(|&idx| idx as usize + 1 == self.slots.len()) {
            self.free.pop_last();
            self.slots.pop();
        }
        if KEPT < self.slots.capacity() && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        if KEPT < self.index.capacity() && self.index.len() < self.index.capacity() / 8 {
            let (seed, slots) = (self.seed, &self.slots);
            let rehash = |&idx: &u32| seed.hash_one(&*slots[idx as usize].path);
            self.index.shrink_to(self.index.len() * 2, rehash);
        }
    }
}

/// So many slots stay when unused.
const KEPT: usize = 1024;
