//! The rules of watches, and the table beside the dullest one that is right.

use alloc::vec::Vec;

use jute::EventType;

use super::{Subject, WatchKind, WatchTable, Watcher};
use crate::map::MapSeed;

const SEED: MapSeed = MapSeed { low: 1, high: 2 };

#[test]
fn a_deletion_is_told_once_to_who_watches_both_tables() {
    let mut table = WatchTable::new(SEED, 100);
    let one = Watcher(1);
    table.add(one, b"/a", WatchKind::Data).unwrap();
    table.add(one, b"/a", WatchKind::Child).unwrap();
    let mut heard = Vec::new();
    table.trigger(EventType::NodeDeleted, b"/a", |it| heard.push((it.watcher, it.subject)));
    assert_eq!(heard, [(one, Subject::Node)]);
    assert_eq!(table.count(), 0);
}
