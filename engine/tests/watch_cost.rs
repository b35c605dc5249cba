//! What watches cost: memory at the size at which other servers fell over, and the time of a change that many hear.
//!
//! `cargo test --release -p engine --test watch_cost -- --nocapture` prints the figures.
#![expect(clippy::disallowed_methods, reason = "what is measured is time")]

use std::time::Instant;

use engine::map::MapSeed;
use engine::watch::{WatchKind, WatchTable, Watcher};
use jute::EventType;

const SEED: MapSeed = MapSeed { low: 3, high: 4 };

/// Resident memory of this process, bytes; 0 where the system does not say.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn path(n: u32) -> String {
    format!("/services/group-{}/member-{n:07}", n % 10)
}

#[test]
fn twelve_million_watches_fit_into_two_gib_and_fire_at_once() {
    const CLIENTS: u32 = 3_000;
    const PATHS: u32 = 4_000;
    let before = resident();
    let began = Instant::now();
    let mut table = WatchTable::new(SEED, u32::MAX);
    for n in 0..PATHS {
        let path = path(n);
        for client in 0..CLIENTS {
            table.add(Watcher(client), path.as_bytes(), WatchKind::Data).unwrap();
        }
    }
    let count = table.count();
    assert_eq!(count, 12_000_000);
    let bytes = resident() - before;
    let each = began.elapsed().as_nanos() as usize / count;
    println!("{count} watches: {} bytes each, {each} ns to add one", bytes / count);
    assert!(bytes < 2 << 30, "{bytes} bytes");

    let began = Instant::now();
    let mut heard = 0;
    table.trigger(EventType::NodeDataChanged, path(7).as_bytes(), |_| heard += 1);
    println!("one change told to {heard} watchers in {:?}", began.elapsed());
    assert_eq!(heard, CLIENTS);
    assert!(began.elapsed().as_millis() < 200);

    let began = Instant::now();
    table.remove_all(Watcher(17));
    println!("a client with {} watches left in {:?}", PATHS - 1, began.elapsed());
    for client in 0..CLIENTS {
        table.remove_all(Watcher(client));
    }
    assert_eq!(table.count(), 0);
}

#[test]
fn a_change_costs_little_more_than_its_watchers() {
    for (name, kind) in [("one-shot", WatchKind::Data), ("persistent", WatchKind::Persistent)] {
        for watchers in [0, 1, 10, 100, 1_000, 10_000] {
            let mut table = WatchTable::new(SEED, u32::MAX);
            for other in 0..1_000 {
                table.add(Watcher(other), path(other).as_bytes(), kind).unwrap();
            }
            let rounds = 200_000 / (watchers + 10);
            let (mut adding, mut firing, mut heard) = (0, 0, 0);
            for _ in 0..rounds {
                let began = Instant::now();
                for watcher in 0..watchers {
                    table.add(Watcher(watcher), b"/config/live", kind).unwrap();
                }
                let added = Instant::now();
                table.trigger(EventType::NodeDataChanged, b"/config/live", |_| heard += 1);
                firing += added.elapsed().as_nanos();
                adding += (added - began).as_nanos();
            }
            assert_eq!(heard, watchers * rounds);
            let (adding, firing) = (adding / u128::from(rounds), firing / u128::from(rounds));
            println!("{name}, {watchers} watchers: {firing} ns a trigger, {adding} ns to set them");
        }
    }
}

#[test]
fn watches_of_one_client_each_cost_no_more_than_their_paths() {
    const WATCHES: u32 = 500_000;
    let before = resident();
    let mut table = WatchTable::new(SEED, u32::MAX);
    for n in 0..WATCHES {
        table.add(Watcher(n % 1_000), path(n).as_bytes(), WatchKind::Data).unwrap();
    }
    let each = (resident() - before) / WATCHES as usize;
    println!("{WATCHES} watches of a path each: {each} bytes each");
}
