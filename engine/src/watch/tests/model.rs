//! The dullest watch tables that are right: one ordered map, searched from end to end. And chance from a seed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use jute::EventType;

use super::super::{Subject, Table, WatchKind, Watcher, WatcherType};
use super::Step;
use super::matrix::{KINDS, TYPES};

/// What one watcher heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) watcher: u32,
    pub(super) kind: EventType,
    pub(super) path: Vec<u8>,
    pub(super) subject: Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Standard,
    Persistent,
    Recursive,
}

/// Entries: table, path, watcher; and the modes there.
#[derive(Debug, Default)]
pub(super) struct Model {
    entries: BTreeMap<(Table, Vec<u8>, u32), BTreeSet<Mode>>,
}

impl Model {
    pub(super) fn add(&mut self, watcher: u32, path: &[u8], kind: WatchKind) -> bool {
        let (tables, mode): (&[Table], _) = match kind {
            WatchKind::Data | WatchKind::Exist => (&[Table::Data], Mode::Standard),
            WatchKind::Child => (&[Table::Child], Mode::Standard),
            WatchKind::Persistent => (&[Table::Data, Table::Child], Mode::Persistent),
            WatchKind::PersistentRecursive => (&[Table::Data], Mode::Recursive),
        };
        let mut added = false;
        for &table in tables {
            let modes = self.entries.entry((table, path.to_vec(), watcher)).or_default();
            added |= modes.insert(mode);
        }
        added
    }

    fn meant(kind: WatcherType) -> Vec<(Table, Mode)> {
        match kind {
            WatcherType::Children => [(Table::Child, Mode::Standard)].to_vec(),
            WatcherType::Data => [(Table::Data, Mode::Standard)].to_vec(),
            WatcherType::Persistent => {
                [(Table::Data, Mode::Persistent), (Table::Child, Mode::Persistent)].to_vec()
            }
            WatcherType::PersistentRecursive => [(Table::Data, Mode::Recursive)].to_vec(),
            WatcherType::Any => {
                let modes = [Mode::Standard, Mode::Persistent, Mode::Recursive];
                modes.iter().flat_map(|&mode| [(Table::Data, mode), (Table::Child, mode)]).collect()
            }
        }
    }

    pub(super) fn remove(&mut self, watcher: u32, path: &[u8], kind: WatcherType) -> bool {
        let mut removed = false;
        for (table, mode) in Self::meant(kind) {
            if let Some(modes) = self.entries.get_mut(&(table, path.to_vec(), watcher)) {
                removed |= modes.remove(&mode);
            }
        }
        self.entries.retain(|_, modes| !modes.is_empty());
        removed
    }

    pub(super) fn contains(&self, watcher: u32, path: &[u8], kind: WatcherType) -> bool {
        Self::meant(kind).iter().any(|(table, mode)| {
            let modes = self.entries.get(&(*table, path.to_vec(), watcher));
            modes.is_some_and(|modes| modes.contains(mode))
        })
    }

    pub(super) fn remove_all(&mut self, watcher: u32) {
        self.entries.retain(|(_, _, it), _| *it != watcher);
    }

    pub(super) fn trigger(&mut self, kind: EventType, path: &[u8]) -> Vec<Event> {
        let data = self.fire(Table::Data, path);
        let event = |watcher: &u32, kind, path: &[u8], subject| {
            let path = path.to_vec();
            Event { watcher: *watcher, kind, path, subject }
        };
        let mut events: Vec<Event> =
            data.iter().map(|it| event(it, kind, path, Subject::Node)).collect();
        if kind == EventType::NodeDeleted {
            let child = self.fire(Table::Child, path);
            events.extend(child.difference(&data).map(|it| event(it, kind, path, Subject::Node)));
        }
        if kind != EventType::NodeDataChanged && path != b"/" {
            let slash = path.iter().rposition(|&byte| byte == b'/').unwrap();
            let above = if slash == 0 { b"/" } else { &path[..slash] };
            let children = EventType::NodeChildrenChanged;
            let child = self.fire(Table::Child, above);
            events.extend(child.iter().map(|it| event(it, children, above, Subject::Parent)));
        }
        events
    }

    fn fire(&mut self, fired_table: Table, path: &[u8]) -> BTreeSet<u32> {
        let mut fired = BTreeSet::new();
        for ((table, watched, watcher), modes) in &mut self.entries {
            if *table != fired_table {
                continue;
            }
            if watched == path {
                fired.insert(*watcher);
                modes.remove(&Mode::Standard);
            } else if fired_table == Table::Data
                && is_above(watched, path)
                && modes.contains(&Mode::Recursive)
            {
                fired.insert(*watcher);
            }
        }
        self.entries.retain(|_, modes| !modes.is_empty());
        fired
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Watchers, paths, pairs of the data table.
    pub(super) fn summary(&self) -> (usize, usize, usize) {
        let data: Vec<_> =
            self.entries.keys().filter(|(table, _, _)| *table == Table::Data).collect();
        let watchers: BTreeSet<_> = data.iter().map(|(_, _, watcher)| watcher).collect();
        let paths: BTreeSet<_> = data.iter().map(|(_, path, _)| path).collect();
        (watchers.len(), paths.len(), data.len())
    }

    pub(super) fn by_path(&self) -> Vec<(Vec<u8>, Vec<Watcher>)> {
        let mut rows: BTreeMap<Vec<u8>, Vec<Watcher>> = BTreeMap::new();
        for (table, path, watcher) in self.entries.keys() {
            if *table == Table::Data {
                rows.entry(path.clone()).or_default().push(Watcher(*watcher));
            }
        }
        rows.into_iter().collect()
    }
}

fn is_above(ancestor: &[u8], path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(ancestor) else { return false };
    ancestor == b"/" || rest.first() == Some(&b'/')
}

/// A stream of numbers from a seed.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

/// So many watchers take part in random histories.
pub(super) const WATCHERS: u32 = 12;

const PATHS: [&str; 9] =
    ["/", "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/ab", "/b", "/b/a", "/zookeeper/quota"];

impl Chance {
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(end)) as u32
    }

    pub(super) fn step(&mut self) -> Step {
        let watcher = self.below(WATCHERS);
        let path = PATHS[self.below(PATHS.len() as u32) as usize];
        match self.below(100) {
            0..60 => Step::Add(watcher, path, KINDS[self.below(5) as usize]),
            60..75 => Step::Remove(watcher, path, TYPES[self.below(5) as usize]),
            75..77 => Step::RemoveAll(watcher),
            77..85 => Step::Trigger(EventType::NodeCreated, path),
            85..93 => Step::Trigger(EventType::NodeDataChanged, path),
            _ => Step::Trigger(EventType::NodeDeleted, path),
        }
    }
}
