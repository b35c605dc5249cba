//! The rules of watches, and the table beside the dullest one that is right.

mod matrix;
mod model;

use alloc::vec::Vec;

use jute::EventType;

use self::model::{Event, Model};
use super::{
    Firing, Subject, TooManyWatches, WatchKind, WatchSummary, WatchTable, Watcher, WatcherType,
};
use crate::map::MapSeed;

const SEED: MapSeed = MapSeed { low: 1, high: 2 };
const ONE: Watcher = Watcher(1);
const TWO: Watcher = Watcher(2);

fn table() -> WatchTable {
    WatchTable::new(SEED, u32::MAX)
}

fn add(table: &mut WatchTable, watcher: Watcher, path: &[u8], kind: WatchKind) -> bool {
    table.add(watcher, path, kind).unwrap()
}

fn heard(table: &mut WatchTable, kind: EventType, path: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    table.trigger(kind, path, |Firing { watcher, kind, path, subject }| {
        events.push(Event { watcher: watcher.0, kind, path: path.to_vec(), subject });
    });
    events
}

fn event(watcher: Watcher, kind: EventType, path: &[u8], subject: Subject) -> Event {
    Event { watcher: watcher.0, kind, path: path.to_vec(), subject }
}

#[test]
fn a_deletion_is_told_once_to_who_watches_both_tables() {
    let mut table = table();
    add(&mut table, ONE, b"/a", WatchKind::Data);
    add(&mut table, ONE, b"/a", WatchKind::Child);
    add(&mut table, TWO, b"/a", WatchKind::Child);
    let deleted = EventType::NodeDeleted;
    let expected =
        [event(ONE, deleted, b"/a", Subject::Node), event(TWO, deleted, b"/a", Subject::Node)];
    assert_eq!(heard(&mut table, deleted, b"/a"), expected);
    assert_eq!(table.count(), 0);
}

#[test]
fn a_watcher_of_a_znode_and_its_ancestors_hears_of_a_change_once() {
    let mut table = table();
    for path in [b"/".as_slice(), b"/a", b"/a/b"] {
        add(&mut table, ONE, path, WatchKind::PersistentRecursive);
    }
    add(&mut table, ONE, b"/a/b", WatchKind::Data);
    add(&mut table, TWO, b"/a/b", WatchKind::Data);
    add(&mut table, Watcher(0), b"/", WatchKind::PersistentRecursive);
    let created = EventType::NodeCreated;
    let expected =
        [Watcher(0), ONE, TWO].map(|watcher| event(watcher, created, b"/a/b", Subject::Node));
    assert_eq!(heard(&mut table, created, b"/a/b"), expected);
    assert_eq!(heard(&mut table, created, b"/a/b"), expected[..2]);
}

#[test]
fn a_path_that_only_begins_alike_is_no_ancestor() {
    let mut table = table();
    add(&mut table, ONE, b"/a", WatchKind::PersistentRecursive);
    assert_eq!(heard(&mut table, EventType::NodeCreated, b"/ab"), []);
    assert_eq!(heard(&mut table, EventType::NodeCreated, b"/a/b").len(), 1);
}

#[test]
fn the_creation_of_a_child_of_the_root_tells_the_root() {
    let mut table = table();
    add(&mut table, ONE, b"/", WatchKind::Child);
    let expected = [event(ONE, EventType::NodeChildrenChanged, b"/", Subject::Parent)];
    assert_eq!(heard(&mut table, EventType::NodeCreated, b"/a"), expected);
}

#[test]
fn no_event_but_a_change_of_a_znode_fires_anything() {
    let mut table = table();
    add(&mut table, ONE, b"/a", WatchKind::Persistent);
    assert_eq!(heard(&mut table, EventType::None, b"/a"), []);
    assert_eq!(heard(&mut table, EventType::NodeChildrenChanged, b"/a"), []);
}

#[test]
fn a_watcher_at_its_limit_gets_no_watch_and_keeps_what_it_has() {
    let mut table = WatchTable::new(SEED, 3);
    add(&mut table, ONE, b"/a", WatchKind::Data);
    add(&mut table, ONE, b"/b", WatchKind::Data);
    let full = Err(TooManyWatches { count: 2, max: 3 });
    assert_eq!(table.add(ONE, b"/new", WatchKind::Persistent), full);
    assert!(add(&mut table, ONE, b"/a", WatchKind::Persistent));
    assert!(add(&mut table, ONE, b"/a", WatchKind::PersistentRecursive), "the entry is there");
    assert!(!add(&mut table, ONE, b"/b", WatchKind::Exist));
    assert!(table.add(ONE, b"/new", WatchKind::Child).is_err());
    assert!(add(&mut table, TWO, b"/new", WatchKind::Child));
    assert_eq!((table.count(), table.count_of(ONE), table.count_of(TWO)), (4, 3, 1));
}

#[test]
fn a_million_watchers_that_come_and_go_leave_nothing() {
    let mut table = table();
    for round in 0..1_000_000_u32 {
        let path = round.to_be_bytes();
        add(&mut table, Watcher(round % 64), &path, WatchKind::Persistent);
        add(&mut table, Watcher(round % 64), b"/same", WatchKind::Data);
        if 32 <= round {
            table.remove_all(Watcher((round - 32) % 64));
        }
    }
    for watcher in 0..64 {
        table.remove_all(Watcher(watcher));
    }
    assert_eq!((table.count(), table.summary()), (0, WatchSummary::default()));
    assert_eq!(table.paths.in_use(), 0);
    assert_eq!(table.paths.slots_kept(), 0);
}

#[test]
fn memory_goes_back_when_watches_have_fired() {
    let mut table = table();
    let path = |n: u32| n.to_be_bytes();
    for n in 0..100_000 {
        add(&mut table, Watcher(n % 7), &path(n), WatchKind::Data);
    }
    assert_eq!(table.paths.in_use(), 100_000);
    for n in 0..99_999 {
        assert_eq!(heard(&mut table, EventType::NodeDataChanged, &path(n)).len(), 1);
    }
    let last = Watcher(99_999 % 7);
    assert!(table.contains(last, &path(99_999), WatcherType::Data));
    assert_eq!((table.count(), table.count_of(last), table.paths.in_use()), (1, 1, 1));
    table.remove_all(last);
    assert_eq!(table.paths.slots_kept(), 0);
}

#[test]
fn the_dumps_show_the_data_table_in_order() {
    let mut table = table();
    add(&mut table, TWO, b"/b", WatchKind::Data);
    add(&mut table, TWO, b"/a", WatchKind::Persistent);
    add(&mut table, ONE, b"/b", WatchKind::PersistentRecursive);
    add(&mut table, ONE, b"/c", WatchKind::Child);
    let by_path: Vec<_> = table.by_path().collect();
    assert_eq!(
        by_path,
        [(b"/a".as_slice(), [TWO].to_vec()), (b"/b".as_slice(), [ONE, TWO].to_vec())]
    );
    let by_watcher: Vec<_> = table.by_watcher().collect();
    assert_eq!(
        by_watcher,
        [(ONE, [b"/b".as_slice()].to_vec()), (TWO, [b"/a".as_slice(), b"/b"].to_vec())]
    );
    assert_eq!(table.summary(), WatchSummary { watchers: 2, paths: 2, watches: 3 });
    assert_eq!(table.count(), 5);
}

/// One step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u32, &'static str, WatchKind),
    Remove(u32, &'static str, WatcherType),
    RemoveAll(u32),
    Trigger(EventType, &'static str),
}

fn step_both(table: &mut WatchTable, model: &mut Model, step: Step) {
    match step {
        Step::Add(watcher, path, kind) => {
            let added = add(table, Watcher(watcher), path.as_bytes(), kind);
            assert_eq!(added, model.add(watcher, path.as_bytes(), kind), "{step:?}");
        }
        Step::Remove(watcher, path, kind) => {
            let had = table.contains(Watcher(watcher), path.as_bytes(), kind);
            assert_eq!(had, model.contains(watcher, path.as_bytes(), kind), "{step:?}");
            let removed = table.remove(Watcher(watcher), path.as_bytes(), kind);
            assert_eq!(removed, model.remove(watcher, path.as_bytes(), kind), "{step:?}");
        }
        Step::RemoveAll(watcher) => {
            table.remove_all(Watcher(watcher));
            model.remove_all(watcher);
        }
        Step::Trigger(kind, path) => {
            let events = heard(table, kind, path.as_bytes());
            assert_eq!(events, model.trigger(kind, path.as_bytes()), "{step:?}");
        }
    }
}

fn compare(table: &WatchTable, model: &Model) {
    let summary = table.summary();
    assert_eq!(table.count(), model.count());
    assert_eq!((summary.watchers, summary.paths, summary.watches), model.summary());
    let by_path: Vec<_> = table.by_path().map(|(path, set)| (path.to_vec(), set)).collect();
    assert_eq!(by_path, model.by_path());
    let mut paths: Vec<_> = table.data_paths().collect();
    paths.sort_unstable();
    assert!(paths.iter().eq(by_path.iter().map(|(path, _)| path)));
    assert_eq!(paths.len(), table.summary().paths);
    let pairs = |rows: usize, (_, paths): (Watcher, Vec<&[u8]>)| rows + paths.len();
    assert_eq!(table.by_watcher().fold(0, pairs), summary.watches);
}

#[test]
fn every_history_of_four_steps_is_the_models() {
    let steps = matrix::short_steps();
    for first in &steps {
        for second in &steps {
            for third in &steps {
                for fourth in &steps {
                    let (mut table, mut model) = (table(), Model::default());
                    for &step in [first, second, third, fourth] {
                        step_both(&mut table, &mut model, step);
                    }
                    assert_eq!(table.count(), model.count());
                }
            }
        }
    }
}

#[test]
fn long_random_histories_are_the_models() {
    for seed in 0..20 {
        let mut chance = model::Chance(seed);
        let (mut table, mut model) = (table(), Model::default());
        for round in 0..5_000 {
            step_both(&mut table, &mut model, chance.step());
            if round % 100 == 0 {
                compare(&table, &model);
            }
        }
        for watcher in 0..model::WATCHERS {
            table.remove_all(Watcher(watcher));
        }
        assert_eq!((table.count(), table.paths.in_use()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_path_with_thousands_of_watchers_is_the_models() {
    let (mut table, mut model) = (table(), Model::default());
    let mut chance = model::Chance(7);
    for round in 0..12_000_u32 {
        let kind = matrix::KINDS[chance.below(5) as usize];
        step_both(&mut table, &mut model, Step::Add(chance.below(4_000), "/a", kind));
        match round % 1_500 {
            700 => {
                step_both(&mut table, &mut model, Step::Trigger(EventType::NodeDataChanged, "/a"));
            }
            1_400 => {
                step_both(&mut table, &mut model, Step::Trigger(EventType::NodeDeleted, "/a/b"));
            }
            _ => {}
        }
    }
    compare(&table, &model);
    step_both(&mut table, &mut model, Step::Trigger(EventType::NodeDeleted, "/a"));
    for watcher in 0..4_000 {
        step_both(&mut table, &mut model, Step::Remove(watcher, "/a", WatcherType::Any));
    }
    assert_eq!((table.count(), table.paths.in_use()), (0, 0));
}
