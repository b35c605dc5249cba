//! Servers on machines of their own that suffer one fault after the other, the leader two times of three, under load; then all is judged.
//!
//! A round begins and ends with the load flowing: a fault that nobody felt proves nothing. `RK_ROUNDS=50` makes more rounds, `RK_FIRST=7`
//! begins with another fault. What happens is in `faults`, what must be true in `load`.
//!
//! Where a reference server observes, it suffers every second time. Where members change, one of four servers observes: in each round, during the
//! fault, it is made a voter, or where all vote another one, and often the leader, an observer.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::faults::{FAULTS, Fault, Members, World, recover};
use crate::load::{self, Syncs};
use crate::reconfig::{await_line, join_somehow};
use crate::server::Kind;
use crate::wire::Chance;

/// Steps of the load that must come through before and behind a fault.
pub(crate) const FLOW: u64 = 200;

/// Rounds of an ordinary run. Each trial begins at another fault, so that together they have nearly all.
const ROUNDS: u64 = 3;

/// The same of a mixed ensemble, where a start takes longer.
const MIXED_ROUNDS: u64 = 2;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    use Kind::{Older, Reference, Ringkeeper};
    let ours = [Ringkeeper; 5];
    let stays = |rounds, first| Plan { members: Members::Stay, rounds, first };
    let observes = |first| Plan { members: Members::Observe, rounds: MIXED_ROUNDS, first };
    let change = || {
        let plan = Plan { members: Members::Change, rounds: ROUNDS, first: 0 };
        change_meanwhile(plan.asked())
    };
    vec![
        under("", &ours[..3], stays(5, 0)),
        under("of_five_", &ours, stays(ROUNDS, 5)),
        trial("partitions_while_members_change_lose_nothing_and_end", change),
        under("of_a_java_observer_of_ours_", &[&ours[..3], &[Reference]].concat(), observes(8)),
        under("of_our_observer_of_java_", &[&[Reference; 3], &ours[..1]].concat(), observes(0)),
        under("of_two_beside_java_", &[Ringkeeper, Reference, Ringkeeper], stays(MIXED_ROUNDS, 3)),
        under("of_two_beside_java_3_8_", &[Ringkeeper, Older, Ringkeeper], stays(MIXED_ROUNDS, 11)),
        under("of_one_beside_java_", &[Reference, Ringkeeper, Reference], stays(MIXED_ROUNDS, 1)),
        under("of_one_beside_java_3_8_", &[Older, Ringkeeper, Older], stays(MIXED_ROUNDS, 14)),
    ]
}

/// What a run does, if the environment says nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) members: Members,
    pub(crate) rounds: u64,
    /// The number of its first fault.
    pub(crate) first: u64,
}

impl Plan {
    /// As the environment wants it.
    pub(crate) fn asked(self) -> Self {
        let [rounds, first] = [("RK_ROUNDS", self.rounds), ("RK_FIRST", self.first)]
            .map(|(name, otherwise)| number(name, otherwise));
        Self { rounds, first, ..self }
    }

    /// What happens in a round, and for how long.
    pub(crate) fn choose(self, round: u64, chance: &mut Chance) -> (Fault, Duration) {
        let fault = FAULTS[(self.first + round) as usize % FAULTS.len()];
        (fault, Duration::from_millis(500 + chance.below(3_500)))
    }
}

/// A run with servers of these kinds.
fn under(name: &str, kinds: &[Kind], plan: Plan) -> Trial {
    let kinds = kinds.to_vec();
    let title = format!("partitions_{name}lose_nothing_and_end");
    trial(&title, move || suffer(&kinds, plan.asked()))
}

fn number(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |it| it.parse().unwrap_or_else(|_| panic!("{name} is `{it}`")))
}

fn suffer(kinds: &[Kind], plan: Plan) -> anyhow::Result<()> {
    let Plan { members, rounds, .. } = plan;
    let (world, mut ensemble) = World::build(kinds, members)?;
    let mut chance = Chance::new(rounds);
    // Who leads decides it; an observer never does.
    let voters = kinds.len() - usize::from(members == Members::Observe);
    let is_ours = kinds[..voters].iter().all(|it| *it == Kind::Ringkeeper);
    let syncs = if is_ours { Syncs::Linearizable } else { Syncs::Hasty };
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
            let (fault, last) = plan.choose(round, &mut chance);
            let (who, led) = (victim + 1, leader + 1);
            println!("round {round}: server {who} {fault:?} for {last:?}, led by {led}");
            world.suffer(ensemble, victim, fault, last)?;
            let begin = Instant::now();
            recover(ensemble)?;
            let behind = || format!("behind round {round}: {fault:?} of {who}");
            load.flow(FLOW).with_context(behind)?;
            ensemble.tell_if_slow(behind(), begin);
        }
        Ok(())
    })
}

fn change_meanwhile(plan: Plan) -> anyhow::Result<()> {
    let Plan { members, rounds, .. } = plan;
    let (world, mut ensemble) = World::build(&[Kind::Ringkeeper; 4], members)?;
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
            let (fault, last) = plan.choose(round, &mut chance);
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
