//! What each kind of watch hears of, and what takes it away, written out.

use alloc::vec::Vec;

use jute::EventType;

use super::super::{WatchKind, WatcherType};
use super::{ONE, Step, TWO, add, heard, table};

pub(super) const KINDS: [WatchKind; 5] = [
    WatchKind::Data,
    WatchKind::Exist,
    WatchKind::Child,
    WatchKind::Persistent,
    WatchKind::PersistentRecursive,
];

pub(super) const TYPES: [WatcherType; 5] = [
    WatcherType::Children,
    WatcherType::Data,
    WatcherType::Any,
    WatcherType::Persistent,
    WatcherType::PersistentRecursive,
];

/// Steps of which all short histories are made.
pub(super) fn short_steps() -> Vec<Step> {
    let mut steps = [Step::RemoveAll(1)].to_vec();
    for kind in [KINDS[0], KINDS[2], KINDS[3], KINDS[4]] {
        steps.extend(["/", "/a", "/a/b"].map(|path| Step::Add(1, path, kind)));
        steps.push(Step::Add(2, "/a", kind));
    }
    steps.extend(TYPES.map(|kind| Step::Remove(1, "/a", kind)));
    for kind in [EventType::NodeCreated, EventType::NodeDataChanged, EventType::NodeDeleted] {
        steps.push(Step::Trigger(kind, "/a"));
    }
    steps.push(Step::Trigger(EventType::NodeCreated, "/a/b"));
    steps.push(Step::Trigger(EventType::NodeDeleted, "/a/b"));
    steps
}

const C: EventType = EventType::NodeCreated;
const D: EventType = EventType::NodeDeleted;
const S: EventType = EventType::NodeDataChanged;
const K: EventType = EventType::NodeChildrenChanged;

/// Watching /p/a by a kind: what is heard of a change (event and where), and whether the watch stays.
type Row = (&'static str, EventType, [Option<EventType>; 5], [bool; 5]);

/// Columns as in [`KINDS`].
#[rustfmt::skip]
const HEARD: [Row; 12] = [
    ("/p/a",     C, [Some(C), Some(C), None,    Some(C), Some(C)], [false, false, true,  true, true]),
    ("/p/a",     S, [Some(S), Some(S), None,    Some(S), Some(S)], [false, false, true,  true, true]),
    ("/p/a",     D, [Some(D), Some(D), Some(D), Some(D), Some(D)], [false, false, false, true, true]),
    ("/p/a/b",   C, [None,    None,    Some(K), Some(K), Some(C)], [true,  true,  false, true, true]),
    ("/p/a/b",   S, [None,    None,    None,    None,    Some(S)], [true,  true,  true,  true, true]),
    ("/p/a/b",   D, [None,    None,    Some(K), Some(K), Some(D)], [true,  true,  false, true, true]),
    ("/p/a/b/c", C, [None,    None,    None,    None,    Some(C)], [true,  true,  true,  true, true]),
    ("/p/a/b/c", S, [None,    None,    None,    None,    Some(S)], [true,  true,  true,  true, true]),
    ("/p/a/b/c", D, [None,    None,    None,    None,    Some(D)], [true,  true,  true,  true, true]),
    ("/p",       C, [None,    None,    None,    None,    None   ], [true,  true,  true,  true, true]),
    ("/p",       S, [None,    None,    None,    None,    None   ], [true,  true,  true,  true, true]),
    ("/p/ab",    D, [None,    None,    None,    None,    None   ], [true,  true,  true,  true, true]),
];

#[test]
fn each_kind_hears_what_it_should_and_goes_when_it_should() {
    for (path, change, expected, stays) in HEARD {
        for (column, kind) in KINDS.into_iter().enumerate() {
            let mut table = table();
            add(&mut table, ONE, b"/p/a", kind);
            let events = heard(&mut table, change, path.as_bytes());
            let kinds: Vec<EventType> = events.iter().map(|event| event.kind).collect();
            let wanted: Vec<EventType> = expected[column].into_iter().collect();
            assert_eq!(kinds, wanted, "{kind:?} hears {change:?} of {path}");
            if wanted == [K] {
                assert_eq!(events[0].path, b"/p/a");
            }
            let still = table.contains(ONE, b"/p/a", WatcherType::Any);
            assert_eq!(still, stays[column], "{kind:?} after {change:?} of {path}");
        }
    }
}

#[test]
fn modes_on_one_path_live_and_go_side_by_side() {
    for (path, change, expected, stays) in HEARD {
        let mut table = table();
        for kind in KINDS {
            add(&mut table, ONE, b"/p/a", kind);
        }
        let mut wanted: Vec<EventType> = Vec::new();
        for it in expected.into_iter().flatten() {
            if !wanted.contains(&it) {
                wanted.push(it);
            }
        }
        let kinds: Vec<EventType> =
            heard(&mut table, change, path.as_bytes()).iter().map(|event| event.kind).collect();
        wanted.sort_by_key(|kind| *kind == K);
        assert_eq!(kinds, wanted, "{change:?} of {path}");
        let types = [TYPES[1], TYPES[1], TYPES[0], TYPES[3], TYPES[4]];
        for (column, kind) in types.into_iter().enumerate() {
            assert_eq!(table.contains(ONE, b"/p/a", kind), stays[column], "{kind:?} {path}");
        }
    }
}

/// Rows as in [`KINDS`], columns as in [`TYPES`].
#[rustfmt::skip]
const REMOVED: [[bool; 5]; 5] = [
    [false, true,  true, false, false],
    [false, true,  true, false, false],
    [true,  false, true, false, false],
    [false, false, true, true,  false],
    [false, false, true, false, true],
];

#[test]
fn each_type_removes_the_kinds_it_means_and_no_other() {
    for (row, kind) in KINDS.into_iter().enumerate() {
        for (column, watcher_type) in TYPES.into_iter().enumerate() {
            let mut table = table();
            add(&mut table, ONE, b"/a", kind);
            add(&mut table, TWO, b"/a", kind);
            let expected = REMOVED[row][column];
            assert_eq!(table.contains(ONE, b"/a", watcher_type), expected);
            assert_eq!(
                table.remove(ONE, b"/a", watcher_type),
                expected,
                "{kind:?} {watcher_type:?}"
            );
            assert_eq!(table.contains(ONE, b"/a", WatcherType::Any), !expected);
            assert!(table.contains(TWO, b"/a", WatcherType::Any));
            assert!(!table.remove(ONE, b"/b", watcher_type));
        }
    }
}

#[test]
fn removing_one_mode_leaves_the_others_firing() {
    for removed in TYPES {
        for (path, change, expected, _) in HEARD {
            let mut table = table();
            for kind in KINDS {
                add(&mut table, ONE, b"/p/a", kind);
            }
            assert!(table.remove(ONE, b"/p/a", removed));
            let column = TYPES.iter().position(|it| *it == removed).unwrap();
            let left = (0..5).filter(|&row| !REMOVED[row][column]);
            let wanted: Vec<EventType> = left.filter_map(|row| expected[row]).collect();
            let events = heard(&mut table, change, path.as_bytes());
            assert!(events.iter().all(|event| wanted.contains(&event.kind)), "{change:?} {path}");
            assert!(wanted.iter().all(|kind| events.iter().any(|event| event.kind == *kind)));
        }
    }
}
