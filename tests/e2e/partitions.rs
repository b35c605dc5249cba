//! Servers on machines of their own that suffer one fault after the other, the leader two times of three, under load; then all is judged.
//!
//! A round begins and ends with the load flowing: a fault that nobody felt proves nothing. `RK_ROUNDS=50` makes more rounds, `RK_SERVERS=5` five
//! servers, `RK_FIRST=7` begins with another fault. What happens is in `faults`, what must be true in `load`.
//!
//! Where a reference server observes, it suffers every second time. Where members change, one of four servers observes: in each round, during the
//! fault, it is made a voter, or where all vote another one, and often the leader, an observer.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::faults::{FAULTS, Fault, Members, World, recover};
use crate::load::{self, Syncs};
use crate::reconfig::{await_line, join_somehow};
use crate::server::Kind;
use crate::wire::Chance;

/// Steps of the load that must come through before and behind a fault.
const FLOW: u64 = 200;

/// In a long run a server sleeps as long as this now and then. Milliseconds.
const LONG_PAUSE: u64 = 60_000;

/// Rounds that make a run long.
const LONG: u64 = 40;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let ours = || {
        let servers = number("RK_SERVERS", 3);
        let kinds = vec![Kind::Ringkeeper; servers as usize];
        suffer(&kinds, Members::Stay, number("RK_ROUNDS", 5), Syncs::Linearizable)
    };
    let mixed = |other| {
        let rounds = number("RK_ROUNDS", 3);
        let kinds = [Kind::Ringkeeper, other, Kind::Ringkeeper];
        suffer(&kinds, Members::Stay, rounds, Syncs::Hasty)
    };
    vec![
        trial("partitions_lose_nothing_and_end", ours),
        trial("partitions_while_members_change_lose_nothing_and_end", || {
            change_meanwhile(number("RK_ROUNDS", 3))
        }),
        trial("partitions_of_a_java_observer_of_ours_lose_nothing_and_end", || {
            let kinds = [Kind::Ringkeeper, Kind::Ringkeeper, Kind::Ringkeeper, Kind::Reference];
            suffer(&kinds, Members::Observe, number("RK_ROUNDS", 3), Syncs::Linearizable)
        }),
        trial("partitions_of_a_mixed_ensemble_lose_nothing_and_end", move || {
            mixed(Kind::Reference)
        }),
        trial("partitions_of_a_mixed_ensemble_with_java_3_8_lose_nothing_and_end", move || {
            mixed(Kind::Older)
        }),
    ]
}

fn number(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |it| it.parse().unwrap_or_else(|_| panic!("{name} is `{it}`")))
}

/// What happens in a round, and for how long.
fn choose(round: u64, rounds: u64, chance: &mut Chance) -> (Fault, Duration) {
    let fault = match (number("RK_FIRST", 0) + round) as usize % FAULTS.len() {
        _ if LONG <= rounds && round % 20 == 19 => Fault::Paused(LONG_PAUSE),
        next => FAULTS[next],
    };
    (fault, Duration::from_millis(500 + chance.below(3_500)))
}

fn suffer(kinds: &[Kind], members: Members, rounds: u64, syncs: Syncs) -> anyhow::Result<()> {
    let (world, mut ensemble) = World::build(kinds, members)?;
    let mut chance = Chance::new(rounds);
    load::during(&mut ensemble, syncs, |ensemble, load| {
        for round in 0..rounds {
            load.flow(FLOW).with_context(|| format!("before round {round}"))?;
            recover(ensemble)?;
            let leader = ensemble.leader()?;
            let victim = match chance.below(3) {
                _ if members == Members::Observe => [kinds.len() - 1, leader][round as usize % 2],
                0 => (leader + 1) % ensemble.servers.len(),
                _ => leader,
            };
            let (fault, last) = choose(round, rounds, &mut chance);
            let (who, led) = (victim + 1, leader + 1);
            println!("round {round}: server {who} {fault:?} for {last:?}, led by {led}");
            world.suffer(ensemble, victim, fault, last)?;
            recover(ensemble)?;
            let behind = || format!("behind round {round}: {fault:?} of {who}");
            load.flow(FLOW).with_context(behind)?;
        }
        Ok(())
    })
}

fn change_meanwhile(rounds: u64) -> anyhow::Result<()> {
    let (world, mut ensemble) = World::build(&[Kind::Ringkeeper; 4], Members::Change)?;
    let addresses: Vec<_> = (0..4).map(|it| ensemble.address(it)).collect();
    let mut chance = Chance::new(rounds);
    let mut observer = 3;
    load::during(&mut ensemble, Syncs::Linearizable, |ensemble, load| {
        for round in 0..rounds {
            load.flow(FLOW).with_context(|| format!("before round {round}"))?;
            recover(ensemble)?;
            let leader = ensemble.leader()?;
            let other = |chance: &mut Chance| (leader + 1 + chance.below(3) as usize) % 4;
            let role = if round % 2 == 0 { "participant" } else { "observer" };
            if role == "observer" {
                observer = if chance.below(2) == 0 { leader } else { other(&mut chance) };
            }
            let victim = match chance.below(4) {
                0 => other(&mut chance),
                1 => observer,
                _ => leader,
            };
            let line = line(ensemble, observer, role)?;
            let (fault, last) = choose(round, rounds, &mut chance);
            let (who, led) = (victim + 1, leader + 1);
            println!("round {round}: server {who} {fault:?} for {last:?}, led by {led}; {line}");
            thread::scope(|scope| {
                let asking = scope.spawn(|| {
                    thread::sleep(last / 4);
                    join_somehow(&addresses, &line)
                });
                world.suffer(ensemble, victim, fault, last)?;
                asking.join().expect("it does not panic")
            })?;
            recover(ensemble)?;
            for number in 0..4 {
                await_line(ensemble, number, &line)?;
            }
            let behind = || format!("behind round {round}: {fault:?} of {who}, {line}");
            load.flow(FLOW).with_context(behind)?;
        }
        Ok(())
    })
}

/// A member's line with this role.
fn line(ensemble: &Ensemble, number: usize, role: &str) -> anyhow::Result<String> {
    let begin = format!("server.{}=", number + 1);
    let line = ensemble.lines.lines().find(|it| it.starts_with(&begin));
    let line = line.context("a member has a line")?;
    Ok(line.replace("participant", role).replace("observer", role))
}
