//! Servers in network namespaces of their own: killed, paused, cut off, and heard by nobody or deaf, under load.
//!
//! Each client holds one session and an ephemeral, creates znodes, and counts a shared counter up by its version. Then: everything
//! acknowledged is on every server; each version of the counter was acknowledged to one client at most; no session has seen it go back; every
//! session lives. A round begins and ends with the load flowing. `RK_ROUNDS=50` makes more rounds, `RK_SERVERS=5` five servers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::ensemble::{Ensemble, asked, check, connect, trial, write_id};
use crate::namespaces::Namespaces;
use crate::nomad::{Nomad, flow};
use crate::server::{FOR_JUDGES, Kind, Server};
use crate::wire::{Body, Chance, Fields, op};

/// Clients.
const CLIENTS: usize = 3;

/// Operations that must come through before and behind a fault.
const FLOW: u64 = 60;

const COUNTER: &str = "/counter";

const BAD_VERSION: i32 = -103;

/// Two seconds without a word from a peer are its end.
const LINES: &str = "initLimit=20\nsyncLimit=4\n";

const CLIENT_PORT: u16 = 2181;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let ours = move || {
        let servers = number("RK_SERVERS", 3);
        suffer(&vec![Kind::Ringkeeper; servers as usize], number("RK_ROUNDS", 5))
    };
    let mixed = || {
        let kinds = [Kind::Ringkeeper, Kind::Reference, Kind::Ringkeeper];
        suffer(&kinds, number("RK_ROUNDS", 3))
    };
    vec![
        trial("partitions_lose_nothing_and_end", ours),
        trial("partitions_of_a_mixed_ensemble_lose_nothing_and_end", mixed),
    ]
}

fn number(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(otherwise, |it| it.parse().unwrap_or_else(|_| panic!("{name} is `{it}`")))
}

/// What happens to a server.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL, and a start.
    Killed,
    /// SIGSTOP for so many milliseconds.
    Paused(u64),
    /// Nothing passes between it and the others.
    CutOff,
    /// It hears the others, and they do not hear it.
    Mute,
    /// They hear it, and it does not hear them.
    Deaf,
}

struct World {
    ensemble: Ensemble,
    /// None where the system gives no namespaces: then servers are killed and paused.
    net: Option<Namespaces>,
}

impl World {
    fn build(kinds: &[Kind]) -> anyhow::Result<Self> {
        let net = match Namespaces::build(kinds.len()) {
            Ok(net) => net,
            Err(error) => {
                println!(
                    "servers are killed and paused only, because there is no partition: {error:#}"
                );
                let ensemble = Ensemble::start_with(kinds, 0, LINES)?;
                return Ok(Self { ensemble, net: None });
            }
        };
        let mut lines = format!("{FOR_JUDGES}{LINES}");
        for number in 0..kinds.len() {
            let address = net.address(number);
            lines.push_str(&format!("server.{}={address}:2888:3888\n", number + 1));
        }
        let mut servers = Vec::new();
        for (number, &kind) in kinds.iter().enumerate() {
            let address = SocketAddr::from((net.address(number), CLIENT_PORT));
            let mut server = Server::prepare_at(kind, address, &lines)?;
            server.live_in(net.name(number));
            write_id(&server, number + 1)?;
            server.launch()?;
            servers.push(server);
        }
        let ensemble = Ensemble { servers, lines };
        for number in 0..kinds.len() {
            ensemble.await_service(number)?;
        }
        Ok(Self { ensemble, net: Some(net) })
    }

    fn suffer(&mut self, victim: usize, fault: Fault, last: Duration) -> anyhow::Result<()> {
        let others: Vec<_> = (0..self.ensemble.servers.len()).filter(|it| *it != victim).collect();
        let (mute, deaf) = match fault {
            Fault::Killed => {
                self.ensemble.servers[victim].kill()?;
                thread::sleep(last);
                return self.ensemble.servers[victim].launch();
            }
            Fault::Paused(ms) => {
                self.signal(victim, Signal::STOP)?;
                thread::sleep(Duration::from_millis(ms));
                return self.signal(victim, Signal::CONT);
            }
            Fault::CutOff => (true, true),
            Fault::Mute => (true, false),
            Fault::Deaf => (false, true),
        };
        let mut lost = Vec::new();
        for other in others {
            lost.extend(mute.then_some((victim, other)));
            lost.extend(deaf.then_some((other, victim)));
        }
        let Some(net) = &self.net else {
            return self.suffer(victim, Fault::Paused(last.as_millis() as u64), last);
        };
        for &(from, to) in &lost {
            net.lose(from, to)?;
        }
        thread::sleep(last);
        for &(from, to) in &lost {
            net.deliver(from, to)?;
        }
        Ok(())
    }

    fn signal(&self, victim: usize, signal: Signal) -> anyhow::Result<()> {
        let process = self.ensemble.servers[victim].process().context("it runs")?;
        let pid = Pid::from_raw(process.id() as i32).context("a process has a number")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// What one client knows in the end.
#[derive(Default)]
struct History {
    /// Created, and acknowledged.
    paths: Vec<String>,
    /// Versions of the counter that this client's sets have made, and that were acknowledged.
    counted: Vec<i32>,
}

fn suffer(kinds: &[Kind], rounds: u64) -> anyhow::Result<()> {
    let mut world = World::build(kinds)?;
    let addresses: Vec<_> = (0..kinds.len()).map(|it| world.ensemble.address(it)).collect();
    let mut first = connect(&world.ensemble, 0)?;
    asked(&mut first, op::CREATE, &Body::default().create(COUNTER, b"", 0))?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let at = number % addresses.len();
        clients.push(Nomad::new(addresses.clone(), at, connect(&world.ensemble, at)?));
    }
    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let told = thread::scope(|scope| {
        let load = |(number, client)| {
            let (over, done) = (&over, &done);
            scope.spawn(move || live(number, client, over, done))
        };
        let running: Vec<_> = clients.into_iter().enumerate().map(load).collect();
        let ended = play(&mut world, rounds, &done);
        over.store(true, Ordering::Relaxed);
        let told = running.into_iter().map(|it| it.join().expect("a client does not panic"));
        let told = told.collect::<anyhow::Result<Vec<_>>>();
        ended?;
        told
    });
    let told = told.with_context(|| world.ensemble.logs())?;
    judge(&world.ensemble, told)
}

/// One fault after the other.
fn play(world: &mut World, rounds: u64, done: &AtomicU64) -> anyhow::Result<()> {
    let mut chance = Chance::new(rounds);
    for round in 0..rounds {
        flow(done, FLOW).with_context(|| format!("before round {round}"))?;
        let fault = match round % 5 {
            0 => Fault::CutOff,
            1 => Fault::Killed,
            2 => Fault::Mute,
            3 => Fault::Paused([50, 700, 3_000, 8_000][chance.below(4) as usize]),
            _ => Fault::Deaf,
        };
        let leader = world.ensemble.leader()?;
        // The leader two times of three.
        let victim = match chance.below(3) {
            0 => (leader + 1) % world.ensemble.servers.len(),
            _ => leader,
        };
        let last = Duration::from_millis(500 + chance.below(4_000));
        println!(
            "round {round}: server {} {fault:?} for {last:?}, led by {}",
            victim + 1,
            leader + 1
        );
        world.suffer(victim, fault, last)?;
        for number in 0..world.ensemble.servers.len() {
            world.ensemble.await_service(number)?;
        }
        flow(done, FLOW)
            .with_context(|| format!("behind round {round}: {fault:?} of {}", victim + 1))?;
    }
    Ok(())
}

/// Creates and counts until it is over.
fn live(
    number: usize,
    mut client: Nomad,
    over: &AtomicBool,
    done: &AtomicU64,
) -> anyhow::Result<History> {
    let mut told = History { paths: vec![format!("/session-{number}")], ..History::default() };
    client.create(&told.paths[0], 1)?;
    let mut seen = -1;
    while !over.load(Ordering::Relaxed) {
        let path = format!("/from-{number}-{}", told.paths.len());
        client.create(&path, 0)?;
        told.paths.push(path);
        let version = version(&mut client)?;
        ensure!(seen <= version, "client {number} saw version {seen}, and then {version}");
        seen = version;
        let count = Body::default().buffer(COUNTER.as_bytes()).buffer(b"x").int(version);
        // Of an answer that was lost nothing is known, so it is asked once.
        match client.ask_once(op::SET_DATA, &count)? {
            Some(0) => {
                told.counted.push(version + 1);
                seen = version + 1;
            }
            Some(BAD_VERSION) | None => {}
            Some(err) => bail!("the counter: error {err}"),
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(told)
}

/// The counter's version, as this client is shown it.
fn version(client: &mut Nomad) -> anyhow::Result<i32> {
    let reply = client.ask(op::EXISTS, &Body::default().buffer(COUNTER.as_bytes()).byte(0))?;
    ensure!(reply.err == 0, "the counter is gone: error {}", reply.err);
    version_of(&reply.body)
}

/// The data version in a stat: behind two zxids and two times.
fn version_of(stat: &[u8]) -> anyhow::Result<i32> {
    let mut fields = Fields(stat);
    for _ in 0..4 {
        fields.long()?;
    }
    Ok(fields.int()?)
}

fn judge(ensemble: &Ensemble, told: Vec<History>) -> anyhow::Result<()> {
    let mut versions = BTreeSet::new();
    for version in told.iter().flat_map(|it| &it.counted) {
        ensure!(versions.insert(*version), "version {version} was acknowledged to two clients");
    }
    let paths: Vec<_> = told.into_iter().flat_map(|it| it.paths).collect();
    for number in 0..ensemble.servers.len() {
        check(ensemble, number, &paths)?;
        let mut client = connect(ensemble, number)?;
        asked(&mut client, op::SYNC, &Body::default().buffer(b"/"))?;
        let body = Body::default().buffer(COUNTER.as_bytes()).byte(0);
        let last = version_of(&asked(&mut client, op::EXISTS, &body)?)?;
        let counted = versions.last().copied().unwrap_or(0);
        ensure!(counted <= last, "server {} has {last} of {counted} counts", number + 1);
    }
    println!("{} creates and {} counts acknowledged", paths.len(), versions.len());
    Ok(())
}
