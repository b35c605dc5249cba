//! Servers whose addresses change while another fault is on, under load: a name that means another machine's address from now on, and a
//! reconfiguration that says another name.
//!
//! A machine's address of before is gone without a word: whoever still talks to it hears nothing, not even that nobody is there. Clients go to
//! addresses that stay. `RK_ROUNDS` and `RK_FIRST` are as in `partitions`. Without namespaces there is nothing to try.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::faults::{ELECTION_PORT, Members, QUORUM_PORT, World, host, recover};
use crate::load::{self, Syncs};
use crate::namespaces::Namespaces;
use crate::partitions::{FLOW, Plan};
use crate::reconfig::{await_line, join_somehow};
use crate::server::Kind;
use crate::wire::Chance;

/// Servers.
const COUNT: usize = 3;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let plan = Plan { members: Members::Move, rounds: 4, first: 1 };
    vec![trial("partitions_while_addresses_move_lose_nothing_and_end", move || {
        move_meanwhile(plan.asked())
    })]
}

/// Where the servers are.
struct Places<'a> {
    net: &'a Namespaces,
    /// The name of each, how often it was given another, and what it means.
    at: Vec<(usize, Ipv4Addr)>,
}

impl<'a> Places<'a> {
    fn new(net: &'a Namespaces) -> anyhow::Result<Self> {
        let at = (0..COUNT).map(|it| Ok((0, net.give_address(it)?)));
        let places = Self { net, at: at.collect::<anyhow::Result<_>>()? };
        places.tell(Duration::ZERO)?;
        Ok(places)
    }

    /// Every machine comes to know what names mean, one after the other.
    fn tell(&self, pause: Duration) -> anyhow::Result<()> {
        let named = self.at.iter().enumerate();
        let hosts: Vec<_> = named.map(|(number, it)| (host(number, it.0), it.1)).collect();
        for number in 0..COUNT {
            self.net.name_hosts(number, &hosts)?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// A server's machine gets another address, which its name means from then on; it dies with the old one.
    fn move_machine(
        &mut self,
        ensemble: &mut Ensemble,
        moving: usize,
        pause: Duration,
    ) -> anyhow::Result<()> {
        self.net.take_address(moving, self.at[moving].1)?;
        thread::sleep(pause);
        let server = &mut ensemble.servers[moving];
        let runs = server.process().is_some();
        if runs {
            server.kill()?;
        }
        self.at[moving].1 = self.net.give_address(moving)?;
        self.tell(pause)?;
        if runs { ensemble.servers[moving].launch() } else { Ok(()) }
    }

    /// A server's machine has one more address, with a name of its own; the line that says it, and the address of before.
    fn rename(&mut self, ensemble: &Ensemble, moving: usize) -> anyhow::Result<(String, Ipv4Addr)> {
        let before = self.at[moving].1;
        self.at[moving] = (self.at[moving].0 + 1, self.net.give_address(moving)?);
        self.tell(Duration::ZERO)?;
        let host = host(moving, self.at[moving].0);
        let (number, client) = (moving + 1, ensemble.address(moving));
        let ports = format!("{QUORUM_PORT}:{ELECTION_PORT}");
        Ok((format!("server.{number}={host}:{ports}:participant;{client}"), before))
    }
}

fn move_meanwhile(plan: Plan) -> anyhow::Result<()> {
    let (world, mut ensemble) = World::prepare(&[Kind::Ringkeeper; COUNT], plan.members)?;
    let Some(net) = world.net() else { return Ok(()) };
    let mut places = Places::new(net)?;
    ensemble.launch_all(&[Kind::Ringkeeper; COUNT])?;
    for number in 0..COUNT {
        ensemble.await_service(number)?;
    }
    let clients: Vec<_> = (0..COUNT).map(|it| ensemble.address(it)).collect();
    let mut chance = Chance::new(plan.rounds);
    load::during(&mut ensemble, Syncs::Linearizable, |ensemble, load| {
        for round in 0..plan.rounds {
            load.flow(FLOW).with_context(|| format!("before round {round}"))?;
            recover(ensemble)?;
            let leader = ensemble.leader()?;
            // Each the leader every second time.
            let [moving, victim] = [(); 2].map(|()| match chance.below(4) {
                0 => (leader + 1) % COUNT,
                1 => (leader + 2) % COUNT,
                _ => leader,
            });
            let (fault, last) = plan.choose(round, &mut chance);
            let last = fault.lasts(last);
            let by = if round % 2 == 0 { "its name" } else { "reconfig" };
            let story = format!(
                "round {round}: server {} {fault:?} for {last:?}, led by {}; {} moves by {by}",
                victim + 1,
                leader + 1,
                moving + 1
            );
            println!("{story}");
            let pause = last / 6;
            if round % 2 == 0 {
                world.suffer_while(ensemble, victim, fault, |ensemble| {
                    thread::sleep(pause);
                    places.move_machine(ensemble, moving, pause)?;
                    thread::sleep(pause);
                    Ok(())
                })?;
                recover(ensemble).context(story.clone())?;
            } else {
                let (line, before) = places.rename(ensemble, moving)?;
                thread::scope(|scope| {
                    let asking = scope.spawn(|| {
                        thread::sleep(pause);
                        join_somehow(&clients, &line)
                    });
                    world.suffer(ensemble, victim, fault, last)?;
                    asking.join().expect("it does not panic")
                })?;
                recover(ensemble).context(story.clone())?;
                for number in 0..COUNT {
                    await_line(ensemble, number, &line)?;
                }
                net.take_address(moving, before)?;
            }
            load.flow(FLOW).with_context(|| format!("behind {story}"))?;
        }
        Ok(())
    })
}
