//! What clients do while servers suffer, and what must be true of what they were answered.
//!
//! Each client is one thread with one session, which goes from server to server; at each step it does a bit of one of the works below. Each work keeps
//! a history, and is judged when all is over: the histories of all clients against each other, and against what every server shows then.
//! Of an answer that was lost it is not known whether it was done; the judges take both for possible.

mod counter;
mod ephemerals;
mod locks;
mod queue;
mod registers;
mod set;
mod watches;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use self::counter::Counter;
use self::ephemerals::Ephemerals;
use self::locks::Locks;
use self::queue::Queue;
use self::registers::Registers;
use self::set::Set;
use self::watches::Watches;
use crate::ensemble::{Ensemble, again, asked, check, connect, connect_synced};
use crate::nomad::Nomad;
use crate::process::Patience;
use crate::wire::{Body, Chance, Client, Fields, Reply, op};

/// Clients.
const CLIENTS: usize = 3;

/// Between two steps, so that histories do not grow beyond what a judge reads in seconds.
const PACE: Duration = Duration::from_millis(1);

/// What a server without room on its disk says. It was not done.
pub(crate) const REFUSED: i32 = -7;
const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;

/// Who leads decides what a sync promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// A read behind it is linearizable: every leader asks a quorum whether it still leads.
    Linearizable,
    /// A reference server may lead, which asks nobody.
    Hasty,
}

/// How far the load is, and whether it is over.
#[derive(Default)]
pub(crate) struct Load {
    over: AtomicBool,
    /// Steps that came through.
    done: AtomicU64,
}

impl Load {
    /// Waits until so many more steps have come through.
    pub(crate) fn flow(&self, count: u64) -> anyhow::Result<()> {
        let (from, patience) = (self.done.load(Ordering::Relaxed), Patience::begin());
        while self.done.load(Ordering::Relaxed) < from + count {
            let is_over = self.over.load(Ordering::Relaxed) || patience.is_over();
            ensure!(!is_over, "the load does not flow");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The judges' own tests.
pub(crate) fn trials() -> Vec<Trial> {
    let judges = [registers::trials(), queue::trials(), locks::trials(), ephemerals::trials()];
    judges.into_iter().flatten().collect()
}

/// Runs the load while `story` goes on, and judges it.
pub(crate) fn during(
    ensemble: &mut Ensemble,
    syncs: Syncs,
    story: impl FnOnce(&mut Ensemble, &Load) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let addresses: Vec<_> = (0..ensemble.servers.len()).map(|it| ensemble.address(it)).collect();
    prepare(&mut connect(ensemble, 0)?)?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let at = number % addresses.len();
        clients.push(Nomad::new(addresses.clone(), at, connect(ensemble, at)?));
    }
    let load = Load::default();
    let told = thread::scope(|scope| {
        let begin = |(number, client)| {
            let load = &load;
            scope.spawn(move || {
                let lived = live(number, client, load);
                // One that has failed ends the others too.
                load.over.store(true, Ordering::Relaxed);
                lived.with_context(|| format!("client {number}"))
            })
        };
        let running: Vec<_> = clients.into_iter().enumerate().map(begin).collect();
        let ended = story(ensemble, &load);
        load.over.store(true, Ordering::Relaxed);
        let told = running.into_iter().map(|it| it.join().expect("a client does not panic"));
        let told = told.collect::<anyhow::Result<Vec<_>>>();
        // Why a client has ended says more than that the load does not flow.
        let told = told?;
        ended.map(|()| told)
    });
    let told = told.with_context(|| ensemble.logs())?;
    judge(ensemble, syncs, &told).with_context(|| ensemble.logs())?;
    end_sessions(ensemble, told).with_context(|| ensemble.logs())
}

/// Every session lives until it is closed, and its ephemeral as long.
fn end_sessions(ensemble: &Ensemble, told: Vec<(Told, Nomad)>) -> anyhow::Result<()> {
    // Seen from elsewhere, behind a sync; connections may break, if the machine has stood still.
    let elsewhere = |op, body: &Body| {
        again(|| Ok(connect_synced(ensemble, 0)?.ask(op, body)?)).context("to look from elsewhere")
    };
    for (told, mut client) in told {
        let path = &told.paths[0];
        let ephemeral = Body::default().buffer(path.as_bytes()).byte(0);
        let err = client.ask(op::EXISTS, &ephemeral)?.err;
        ensure!(err == 0, "{path} is gone before its session: error {err}");
        client.ask(op::CLOSE_SESSION, &Body::default())?;
        let err = elsewhere(op::EXISTS, &ephemeral)?.err;
        ensure!(err == NO_NODE, "{path} outlives its session: {err}");
    }
    let children = Body::default().buffer(ephemerals::PATH.as_bytes()).byte(0);
    let left = Fields(&elsewhere(op::GET_CHILDREN, &children)?.body).strings()?;
    ensure!(left.is_empty(), "{left:?} outlive all sessions");
    Ok(())
}

/// What the works are done on.
fn prepare(client: &mut Client) -> anyhow::Result<()> {
    let locks = [locks::PATH, locks::FENCED];
    let works = [counter::PATH, set::PATH, queue::PATH, watches::PATH, ephemerals::PATH];
    for path in works.into_iter().chain(locks) {
        asked(client, op::CREATE, &Body::default().create(path, b"", 0))?;
    }
    for register in 0..registers::COUNT {
        let path = registers::path(register);
        asked(client, op::CREATE, &Body::default().create(&path, b"first", 0))?;
    }
    Ok(())
}

/// What one client knows in the end.
#[derive(Default)]
struct Told {
    /// Created, and acknowledged.
    paths: Vec<String>,
    counter: Counter,
    registers: Registers,
    set: Set,
    queue: Queue,
    locks: Locks,
    ephemerals: Ephemerals,
    watches: Watches,
}

/// Works until it is over.
fn live(number: usize, mut client: Nomad, load: &Load) -> anyhow::Result<(Told, Nomad)> {
    let mut told = Told { paths: vec![format!("/session-{number}")], ..Told::default() };
    ensure!(client.create(&told.paths[0], 1)?, "there is no room at the start");
    let mut chance = Chance::new(number as u64 + 1);
    while !load.over.load(Ordering::Relaxed) {
        match chance.below(8) {
            0 => {
                let path = format!("/from-{number}-{}", told.paths.len());
                if client.create(&path, 0)? {
                    told.paths.push(path);
                }
            }
            1 => told.counter.step(&mut client)?,
            2 => told.registers.step(number, &mut client, &mut chance)?,
            3 => told.set.step(number, &mut client, &mut chance)?,
            4 => told.queue.step(number, &mut client, &mut chance)?,
            5 => told.locks.step(number, &mut client)?,
            6 => told.ephemerals.step(number, &mut client, &mut chance)?,
            _ => told.watches.step(&mut client, &mut chance)?,
        }
        load.done.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PACE);
    }
    Ok((told, client))
}

fn judge(ensemble: &Ensemble, syncs: Syncs, told: &[(Told, Nomad)]) -> anyhow::Result<()> {
    for number in 0..ensemble.servers.len() {
        for (one, _) in told {
            check(ensemble, number, &one.paths)?;
        }
    }
    let told: Vec<_> = told.iter().map(|it| &it.0).collect();
    // Connections may break: a machine that stands still for a while makes an election.
    again(|| compare(ensemble, syncs, &told))
}

/// The clients' histories, and what every server shows.
fn compare(ensemble: &Ensemble, syncs: Syncs, told: &[&Told]) -> anyhow::Result<()> {
    let shown = (0..ensemble.servers.len()).map(|it| connect_synced(ensemble, it));
    let mut shown = shown.collect::<anyhow::Result<Vec<_>>>()?;
    let creates: usize = told.iter().map(|it| it.paths.len()).sum();
    let said = [
        counter::judge(&works(told, |it| &it.counter), &mut shown)?,
        registers::judge(&works(told, |it| &it.registers), syncs, &mut shown)?,
        set::judge(&works(told, |it| &it.set), &mut shown)?,
        queue::judge(&works(told, |it| &it.queue), &mut shown)?,
        locks::judge(&works(told, |it| &it.locks))?,
        ephemerals::judge(&works(told, |it| &it.ephemerals), &mut shown)?,
        watches::said(&works(told, |it| &it.watches)),
    ];
    println!("{creates} creates, {}", said.join(", "));
    Ok(())
}

/// The same work of each client.
fn works<'a, T>(told: &[&'a Told], of: fn(&'a Told) -> &'a T) -> Vec<&'a T> {
    told.iter().map(|it| of(it)).collect()
}

/// From the question to the answer.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Instant,
    end: Instant,
}

/// The answer to what is asked once, if it is known to be done; `Err` in the middle: it is not known.
fn done(reply: Option<Reply>) -> anyhow::Result<Result<Option<Reply>, Unknown>> {
    match reply {
        None => Ok(Err(Unknown)),
        Some(reply) if reply.err == REFUSED => Ok(Ok(None)),
        Some(reply) if reply.err == 0 => Ok(Ok(Some(reply))),
        Some(reply) => bail!("error {}", reply.err),
    }
}

/// The answer was lost.
struct Unknown;

/// The names of the children, as this session is shown them.
fn children(client: &mut Nomad, path: &str) -> anyhow::Result<Vec<String>> {
    let reply = client.ask(op::GET_CHILDREN, &Body::default().buffer(path.as_bytes()).byte(0))?;
    ensure!(reply.err == 0, "the children of {path}: error {}", reply.err);
    Ok(Fields(&reply.body).strings()?)
}

/// The same at a server, behind a sync.
fn children_shown(client: &mut Client, path: &str) -> anyhow::Result<Vec<String>> {
    let body = Body::default().buffer(path.as_bytes()).byte(0);
    Ok(Fields(&asked(client, op::GET_CHILDREN, &body)?).strings()?)
}
