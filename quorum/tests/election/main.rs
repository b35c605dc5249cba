//! Elections in random worlds: many seeds, every world replayable from its own.
//!
//! A failing test names the seed; `SEED=<it> cargo test -p quorum --test election` runs that one alone.

mod world;

use fastrand::Rng;
use world::{Faults, World};

/// Runs `count` worlds, of 3 to 7 voters and up to 2 observers; `TIMES=10` makes it ten times as many.
fn worlds(count: u64, faults: Faults) {
    let times = std::env::var("TIMES").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let count: u64 = count * times;
    let only: Option<u64> = std::env::var("SEED").ok().and_then(|it| it.parse().ok());
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        let mut rng = Rng::with_seed(seed);
        let voters = 3 + rng.u64(..5) as i64;
        let observers = rng.u64(..3) as i64;
        let mut world = World::new(rng, voters, observers, faults);
        let result = world.unrest().and_then(|()| world.calm());
        if let Err(what) = result {
            panic!("seed {seed}: {voters} voters, {observers} observers: {what}");
        }
    }
}

#[test]
fn servers_that_start_together_find_one_leader() {
    worlds(60, Faults { cuts: 0, partitions: 0, crashes: 0, writes: 0 });
}

#[test]
fn a_round_has_one_leader_with_a_quorum_whatever_the_network_does() {
    worlds(100, Faults { cuts: 20, partitions: 6, crashes: 0, writes: 6 });
}

#[test]
fn servers_that_crash_and_come_back_find_one_leader_that_has_every_write() {
    worlds(100, Faults { cuts: 10, partitions: 4, crashes: 6, writes: 6 });
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let faults = Faults { cuts: 10, partitions: 4, crashes: 4, writes: 4 };
    let trace = |seed| {
        let mut world = World::new(Rng::with_seed(seed), 5, 1, faults);
        world.unrest().and_then(|()| world.calm()).map(|()| world.trace())
    };
    for seed in 1_000..1_010 {
        assert_eq!(trace(seed), trace(seed));
    }
}
