//! The watches of one session shard: who wants to hear of what, and who hears of a change.
//!
//! ZooKeeper: `DataTree`'s two `WatchManager`s. There are two tables: *data* (getData, exists and both persistent
//! kinds) and *child* (getChildren and persistent ones). A watcher has at most one entry per path and table, and an
//! entry has up to three modes side by side: standard, which goes when it fires; persistent; persistent recursive,
//! which also hears of every znode below, but never that children changed.
//!
//! Invariants: a path is interned once and is there exactly while somebody watches it; what a path's set says of a
//! watcher, the watcher's own set says of the path; the counts are those of the sets. Watchers hear in the order of
//! their numbers, so nothing depends on the order of a hash table.
//!
//! Absent here: connections, ACLs (the caller drops what a watcher may not hear), the tree.

mod ids;
mod paths;

use alloc::vec::Vec;
use core::mem;

use jute::{EventType, parent};

use self::ids::Ids;
use self::paths::Paths;
use crate::map::MapSeed;

/// Whoever watches: a connection, by its slot in the shard's table. Below 2^29; memory grows with the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watcher(pub u32);

/// What a client asks for when it leaves a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// getData, and exists on a znode that is there. Fires once.
    Data,
    /// exists on a znode that is not there. Fires once. Kept as [`WatchKind::Data`].
    Exist,
    /// getChildren. Fires once.
    Child,
    /// addWatch, mode 0: data and children, until removed.
    Persistent,
    /// addWatch, mode 1: the znode and all below it, until removed. Never tells that children changed.
    PersistentRecursive,
}

impl WatchKind {
    /// The kind that an addWatch asks for. Source: `ZooDefs.AddWatchModes`.
    pub fn from_add_mode(mode: i32) -> Option<Self> {
        match mode {
            0 => Some(Self::Persistent),
            1 => Some(Self::PersistentRecursive),
            _ => None,
        }
    }

    fn mode(self) -> u8 {
        match self {
            Self::Data | Self::Exist | Self::Child => STANDARD,
            Self::Persistent => PERSISTENT,
            Self::PersistentRecursive => RECURSIVE,
        }
    }

    fn tables(self) -> &'static [Table] {
        match self {
            Self::Data | Self::Exist | Self::PersistentRecursive => &[Table::Data],
            Self::Child => &[Table::Child],
            Self::Persistent => &[Table::Data, Table::Child],
        }
    }
}

/// Which watches removeWatches and checkWatches mean. Source: `Watcher.WatcherType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherType {
    /// [`WatchKind::Child`].
    Children = 1,
    /// [`WatchKind::Data`] and [`WatchKind::Exist`].
    Data = 2,
    /// All of them.
    Any = 3,
    /// [`WatchKind::Persistent`].
    Persistent = 4,
    /// [`WatchKind::PersistentRecursive`].
    PersistentRecursive = 5,
}

impl WatcherType {
    /// The type with this number on the wire; the reference answers any other with `BadArguments`.
    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Children),
            2 => Some(Self::Data),
            3 => Some(Self::Any),
            4 => Some(Self::Persistent),
            5 => Some(Self::PersistentRecursive),
            _ => None,
        }
    }

    /// Tables and modes that this type means.
    fn entries(self) -> &'static [(Table, u8)] {
        match self {
            Self::Children => &[(Table::Child, STANDARD)],
            Self::Data => &[(Table::Data, STANDARD)],
            Self::Any => &[(Table::Data, ANY_MODE), (Table::Child, ANY_MODE)],
            Self::Persistent => &[(Table::Data, PERSISTENT), (Table::Child, PERSISTENT)],
            Self::PersistentRecursive => &[(Table::Data, RECURSIVE)],
        }
    }
}

/// Whose ACL says who may hear of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The changed znode's.
    Node,
    /// Its parent's.
    Parent,
}

/// One event for one watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing<'a> {
    /// Who hears it.
    pub watcher: Watcher,
    /// What it hears.
    pub kind: EventType,
    /// The znode in the event.
    pub path: &'a [u8],
    /// Whose READ permission the watcher needs; without it, the event is dropped (the watch has gone all the same).
    pub subject: Subject,
}

/// A watcher has as many watches as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} watches, {max} are allowed")]
pub struct TooManyWatches {
    /// How many it has.
    pub count: u32,
    /// How many it may have.
    pub max: u32,
}

/// The figures of the word `wchs`: the data table alone, as in the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Watchers that have a watch. Differs: the reference also counts those whose watches have all fired.
    pub watchers: usize,
    /// Paths that are watched.
    pub paths: usize,
    /// Pairs of both.
    pub watches: usize,
}

/// The watches of one session shard.
#[derive(Debug)]
pub struct WatchTable {
    paths: Paths,
    /// By [`Watcher`].
    watchers: Vec<Watched>,
    /// How many entries the two tables hold.
    counts: [usize; 2],
    /// How many watchers have an entry in the data table.
    data_watchers: usize,
    /// How many paths have one.
    data_paths: usize,
    /// How many entries are recursive. While it is 0, nobody looks at ancestors.
    recursive: usize,
    /// Most entries that one watcher may have.
    max_per_watcher: u32,
    /// Who hears of the change at hand; kept for its memory.
    fired: Vec<u32>,
    /// The same for the second table.
    fired_child: Vec<u32>,
}

/// What one watcher watches: path numbers, per table.
#[derive(Debug, Default)]
struct Watched {
    sets: [Ids; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Data = 0,
    Child = 1,
}

impl WatchTable {
    /// An empty table. `max_per_watcher` bounds the entries of one watcher; a persistent watch has two.
    pub fn new(seed: MapSeed, max_per_watcher: u32) -> Self {
        Self {
            paths: Paths::new(seed),
            watchers: Vec::new(),
            counts: [0; 2],
            data_watchers: 0,
            data_paths: 0,
            recursive: 0,
            max_per_watcher,
            fired: Vec::new(),
            fired_child: Vec::new(),
        }
    }

    /// Adds a watch; false if it was there. `path` is taken as it is: a client may watch what can never exist.
    ///
    /// # Errors
    /// [`TooManyWatches`]; nothing was added then.
    pub fn add(
        &mut self,
        watcher: Watcher,
        path: &[u8],
        kind: WatchKind,
    ) -> Result<bool, TooManyWatches> {
        assert!(watcher.0 < ids::LIMIT, "watcher {} is above the limit", watcher.0);
        let slot = watcher.0 as usize;
        if self.watchers.len() <= slot {
            self.watchers.resize_with(slot + 1, Watched::default);
        }
        let idx = self.paths.intern(path);
        let own = &self.watchers[slot].sets;
        let count = (own[0].len() + own[1].len()) as u32;
        let missing = |table: &&Table| own[**table as usize].tag(idx).is_none();
        let wanted = kind.tables().iter().filter(missing).count() as u32;
        if 0 < wanted && self.max_per_watcher < count.saturating_add(wanted) {
            self.paths.release(idx);
            return Err(TooManyWatches { count, max: self.max_per_watcher });
        }
        let mut added = false;
        for &table in kind.tables() {
            added |= self.add_entry(watcher, idx, table, kind.mode());
        }
        Ok(added)
    }

    /// Removes watches; false if there was none. Source: `DataTree.removeWatch`.
    pub fn remove(&mut self, watcher: Watcher, path: &[u8], watcher_type: WatcherType) -> bool {
        let Some(idx) = self.paths.find(path) else { return false };
        let mut removed = false;
        for &(table, modes) in watcher_type.entries() {
            removed |= self.remove_entry(watcher, idx, table, modes);
        }
        self.paths.release(idx);
        removed
    }

    /// Whether there are such watches. Source: `DataTree.containsWatcher`.
    pub fn contains(&self, watcher: Watcher, path: &[u8], watcher_type: WatcherType) -> bool {
        let Some(idx) = self.paths.find(path) else { return false };
        watcher_type.entries().iter().any(|&(table, modes)| {
            let tag = self.paths.at(idx).sets[table as usize].tag(watcher.0);
            tag.is_some_and(|tag| tag & modes != 0)
        })
    }

    /// Removes every watch of a watcher, in time of their number.
    pub fn remove_all(&mut self, watcher: Watcher) {
        let Some(own) = self.watchers.get_mut(watcher.0 as usize) else { return };
        let own = mem::take(own);
        if !own.sets[Table::Data as usize].is_empty() {
            self.data_watchers -= 1;
        }
        for (table, set) in own.sets.iter().enumerate() {
            self.counts[table] -= set.len();
            for (idx, _) in set.iter() {
                let slot = self.paths.at_mut(idx);
                let tag = slot.sets[table].remove(watcher.0);
                let recursive = tag.is_some_and(|tag| tag & RECURSIVE != 0);
                slot.recursive -= u32::from(recursive);
                self.recursive -= usize::from(recursive);
                if table == Table::Data as usize && slot.sets[table].is_empty() {
                    self.data_paths -= 1;
                }
                self.paths.release(idx);
            }
        }
    }

    /// A znode was created or deleted, or its data was set: calls `fire` for every event that follows, in the order in
    /// which the reference sends them to any one connection, and removes the watches that fire once.
    ///
    /// Source: `DataTree.createNode`, `deleteNode`, `setData`, `WatchManager.triggerWatch`. Other kinds are nothing
    /// that happens to a znode: they fire nothing.
    pub fn trigger(&mut self, kind: EventType, path: &[u8], mut fire: impl FnMut(Firing<'_>)) {
        if !matches!(
            kind,
            EventType::NodeCreated | EventType::NodeDeleted | EventType::NodeDataChanged
        ) {
            return;
        }
        let mut fired = mem::take(&mut self.fired);
        let mut fired_child = mem::take(&mut self.fired_child);
        fired.clear();
        self.fire_data(path, &mut fired);
        for &watcher in &fired {
            let watcher = Watcher(watcher);
            fire(Firing { watcher, kind, path, subject: Subject::Node });
        }
        if kind == EventType::NodeDeleted {
            fired_child.clear();
            self.fire_table(path, Table::Child, &mut fired_child);
            for &watcher in &fired_child {
                // Who heard it from the data table does not hear it again, even if it was not allowed to.
                if fired.binary_search(&watcher).is_err() {
                    let watcher = Watcher(watcher);
                    fire(Firing { watcher, kind, path, subject: Subject::Node });
                }
            }
        }
        if let Some(path) = parent(path)
            && kind != EventType::NodeDataChanged
        {
            let kind = EventType::NodeChildrenChanged;
            fired_child.clear();
            self.fire_table(path, Table::Child, &mut fired_child);
            for &watcher in &fired_child {
                let watcher = Watcher(watcher);
                fire(Firing { watcher, kind, path, subject: Subject::Parent });
            }
        }
        fired.shrink_to(SCRATCH);
        fired_child.shrink_to(SCRATCH);
        (self.fired, self.fired_child) = (fired, fired_child);
    }

    /// How many entries there are, in both tables. Source: `DataTree.getWatchCount`.
    pub fn count(&self) -> usize {
        self.counts.iter().sum()
    }

    /// How many entries a watcher has, in both tables.
    pub fn count_of(&self, watcher: Watcher) -> usize {
        let own = self.watchers.get(watcher.0 as usize);
        own.map_or(0, |own| own.sets.iter().map(Ids::len).sum())
    }

    /// The figures of `wchs`, without counting.
    pub fn summary(&self) -> WatchSummary {
        WatchSummary {
            watchers: self.data_watchers,
            paths: self.data_paths,
            watches: self.counts[Table::Data as usize],
        }
    }

    /// The rows of `wchc`: every watcher of the data table, ascending, with its paths, ascending.
    pub fn by_watcher(&self) -> impl Iterator<Item = (Watcher, Vec<&[u8]>)> {
        self.watchers.iter().enumerate().filter_map(|(watcher, own)| {
            let set = &own.sets[Table::Data as usize];
            let mut paths: Vec<&[u8]> =
                set.iter().map(|(idx, _)| &*self.paths.at(idx).path).collect();
            paths.sort_unstable();
            (!paths.is_empty()).then_some((Watcher(watcher as u32), paths))
        })
    }

    /// The paths of the data table, each once, in any order: [`WatchSummary::paths`] of them.
    pub fn data_paths(&self) -> impl Iterator<Item = &[u8]> {
        let watched = self.paths.slots().filter(|slot| !slot.sets[Table::Data as usize].is_empty());
        watched.map(|slot| &*slot.path)
    }

    /// The rows of `wchp`: every path of the data table, ascending, with its watchers, ascending.
    pub fn by_path(&self) -> impl Iterator<Item = (&[u8], Vec<Watcher>)> {
        let mut slots: Vec<_> = self.paths.slots().collect();
        slots.sort_unstable_by_key(|slot| &slot.path);
        slots.into_iter().filter_map(|slot| {
            let set = &slot.sets[Table::Data as usize];
            let watchers: Vec<Watcher> = set.iter().map(|(watcher, _)| Watcher(watcher)).collect();
            (!watchers.is_empty()).then_some((&*slot.path, watchers))
        })
    }

    fn add_entry(&mut self, watcher: Watcher, idx: u32, table: Table, mode: u8) -> bool {
        let slot = self.paths.at_mut(idx);
        let set = &mut slot.sets[table as usize];
        let before = set.tag(watcher.0);
        let tag = before.unwrap_or(0) | mode;
        if before == Some(tag) {
            return false;
        }
        if table == Table::Data && set.is_empty() {
            self.data_paths += 1;
        }
        set.insert(watcher.0, tag);
        if mode == RECURSIVE {
            slot.recursive += 1;
            self.recursive += 1;
        }
        if before.is_none() {
            let own = &mut self.watchers[watcher.0 as usize].sets[table as usize];
            if table == Table::Data && own.is_empty() {
                self.data_watchers += 1;
            }
            own.insert(idx, 0);
            self.counts[table as usize] += 1;
        }
        true
    }

    fn remove_entry(&mut self, watcher: Watcher, idx: u32, table: Table, modes: u8) -> bool {
        let slot = self.paths.at_mut(idx);
        let set = &mut slot.sets[table as usize];
        let Some(before) = set.tag(watcher.0) else { return false };
        let tag = before & !modes;
        if before == tag {
            return false;
        }
        if before & !tag & RECURSIVE != 0 {
            slot.recursive -= 1;
            self.recursive -= 1;
        }
        if tag != 0 {
            set.insert(watcher.0, tag);
            return true;
        }
        set.remove(watcher.0);
        if table == Table::Data && set.is_empty() {
            self.data_paths -= 1;
        }
        self.forget(watcher.0, idx, table);
        true
    }

    /// Takes the path out of the watcher's own set.
    fn forget(&mut self, watcher: u32, idx: u32, table: Table) {
        let own = &mut self.watchers[watcher as usize].sets[table as usize];
        let removed = own.remove(idx);
        assert!(removed.is_some(), "watcher {watcher} does not know that it watches path {idx}");
        self.counts[table as usize] -= 1;
        if table == Table::Data && own.is_empty() {
            self.data_watchers -= 1;
        }
    }

    /// Who hears of a change of `path` from the data table, ascending, each once.
    fn fire_data(&mut self, path: &[u8], fired: &mut Vec<u32>) {
        self.fire_table(path, Table::Data, fired);
        if self.recursive == 0 {
            return;
        }
        let own = fired.len();
        let mut above = parent(path);
        while let Some(path) = above {
            if let Some(idx) = self.paths.find(path) {
                self.paths.at(idx).recursive_into(fired);
            }
            above = parent(path);
        }
        if own < fired.len() {
            fired.sort_unstable();
            fired.dedup();
        }
    }

    /// Who watches `path` itself in one table, ascending; removes what fires once.
    fn fire_table(&mut self, path: &[u8], table: Table, fired: &mut Vec<u32>) {
        let Some(idx) = self.paths.find(path) else { return };
        let set = &mut self.paths.at_mut(idx).sets[table as usize];
        let was_empty = set.is_empty();
        let mut gone = 0;
        let watchers = &mut self.watchers;
        let mut data_watchers = 0;
        set.clear_bits(STANDARD, |watcher, left| {
            fired.push(watcher);
            if left == 0 {
                let own = &mut watchers[watcher as usize].sets[table as usize];
                let removed = own.remove(idx);
                assert!(removed.is_some(), "watcher {watcher} does not know path {idx}");
                gone += 1;
                data_watchers += usize::from(own.is_empty());
            }
        });
        let now_empty = set.is_empty();
        self.counts[table as usize] -= gone;
        if table == Table::Data {
            self.data_watchers -= data_watchers;
            self.data_paths -= usize::from(!was_empty && now_empty);
        }
        self.paths.release(idx);
    }
}

/// Fires once. Modes are bits of an entry's tag.
const STANDARD: u8 = 1;
/// Fires until removed.
const PERSISTENT: u8 = 2;
/// Fires until removed, and for what happens below.
const RECURSIVE: u8 = 4;
const ANY_MODE: u8 = STANDARD | PERSISTENT | RECURSIVE;

/// So many watchers a scratch list may keep room for.
const SCRATCH: usize = 1 << 16;

#[cfg(test)]
mod tests;
