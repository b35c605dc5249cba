//! Two hundred times: load, kill -9 at a random moment, start, compare; and some more times on a disk that is slow.
//!
//! Each connection changes a subtree of its own, so what it did is one sequence of changes, answered in order. What a restart
//! brings back must be that sequence cut somewhere between the last answer and the last request: nothing acknowledged is
//! missing, nothing is half there (a multi is one change), and the session with its ephemerals is there as long as it
//! was not closed. Absent here: power cuts, which kill -9 does not show; see the crash tests of `wal` and `snapshot`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::server::{Server, four_letters};
use crate::throttle::Throttle;
use crate::wire::{Body, Chance, Client, Fields, Session, op};

/// How often the server is killed at least.
const ROUNDS: u64 = 200;

/// Writes that must be done, or kills have hit nothing: as many more rounds as it takes, each twice as long as the one before.
const WRITES_MIN: i64 = 1_000;

/// How often on a slow disk.
const SLOW_ROUNDS: u64 = 25;

/// What the slow disk writes in a second: a write to the log waits, and is on its way at nearly every kill.
const SLOW_WRITES_PER_SECOND: u32 = 100;

/// A server that does not write in so many milliseconds writes nothing.
const MOMENT_MS_LAST: u64 = 100_000;

/// Connections, each with a subtree.
const CLIENTS: u64 = 4;

/// Requests of one connection on their way at once.
const IN_FLIGHT: usize = 32;

/// Small segments and frequent snapshots: kills hit their making, too.
const CONFIG: &str = "tickTime=2000\n4lw.commands.whitelist=*\nsnapCount=500\npreAllocSize=1024\n";

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("durability_two_hundred_kills_lose_nothing", kill_and_compare),
        trial("durability_kills_on_a_throttled_disk_lose_nothing", kill_on_a_slow_disk),
    ]
}

/// One change of a subtree, applied whole or not at all.
#[derive(Clone, Debug)]
enum Change {
    Create {
        name: String,
        data: Vec<u8>,
        ephemeral: Ephemeral,
    },
    Set {
        name: String,
        data: Vec<u8>,
    },
    Delete {
        name: String,
    },
    /// Sets `left` and `right` alike and creates a third, in one multi.
    Both {
        name: String,
        data: Vec<u8>,
    },
    /// Ends the session.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ephemeral {
    No,
    Yes,
}

/// What is below one subtree: data, version, and whose it is if it is ephemeral.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tree {
    znodes: BTreeMap<String, (Vec<u8>, i32, Ephemeral)>,
    closed: bool,
}

impl Tree {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create { name, data, ephemeral } => {
                self.znodes.insert(name.clone(), (data.clone(), 0, *ephemeral));
            }
            Change::Set { name, data } => self.set(name, data),
            Change::Delete { name } => {
                self.znodes.remove(name);
            }
            Change::Both { name, data } => {
                self.set("left", data);
                self.set("right", data);
                self.znodes.insert(name.clone(), (data.clone(), 0, Ephemeral::No));
            }
            Change::Close => {
                self.znodes.retain(|_, it| it.2 == Ephemeral::No);
                self.closed = true;
            }
        }
    }

    fn set(&mut self, name: &str, data: &[u8]) {
        let znode = self.znodes.get_mut(name).expect("only what is there is set");
        *znode = (data.to_vec(), znode.1 + 1, znode.2);
    }
}

/// One connection's side: what it did and what it was told.
pub(crate) struct Worker {
    pub(crate) root: String,
    chance: Chance,
    /// The subtree as the last restart showed it.
    base: Tree,
    /// Requested since.
    changes: Vec<Change>,
    /// How many of them were answered.
    pub(crate) acked: usize,
    session: Session,
    /// The greatest zxid in an answer.
    pub(crate) seen: i64,
    next: u64,
    /// Whether it never closes its session.
    pub(crate) stays: bool,
}

fn kill_and_compare() -> anyhow::Result<()> {
    let mut server = Server::start(CONFIG)?;
    let (count, acked) = rounds(&mut server, ROUNDS, 60, |_| Ok(()))?;
    println!("durability: {count} kills, zxid {acked:#x}");
    Ok(())
}

fn kill_on_a_slow_disk() -> anyhow::Result<()> {
    let mut server = Server::start(&format!("{CONFIG}fsync.warningthresholdms=5\n"))?;
    let throttle = match Throttle::new(server.dir(), SLOW_WRITES_PER_SECOND) {
        Ok(throttle) => throttle,
        Err(err) => {
            println!("not run, no control group: {err}");
            return Ok(());
        }
    };
    let (count, acked) = rounds(&mut server, SLOW_ROUNDS, 600, |server| {
        let process = server.process().context("the server runs")?;
        Ok(throttle.slow_down(process)?)
    })?;
    let slow = server.whole_log().matches("a write to the log was slow").count();
    ensure!(0 < slow, "no write was slow, and the disk is");
    drop(server);
    println!("durability: {count} kills, {slow} slow writes, zxid {acked:#x}");
    Ok(())
}

/// Loads, kills and compares so many times, each within `moment_ms_max` of a start. `prepared` hears of each server that was
/// started, before it is loaded. How often it was, and the last zxid that was answered.
fn rounds(
    server: &mut Server,
    count: u64,
    moment_ms_max: u64,
    prepared: impl Fn(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<(u64, i64)> {
    let seed = std::env::var("E2E_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let mut chance = Chance::new(seed);
    let mut workers = Vec::new();
    for number in 0..CLIENTS {
        let worker = Worker::new(number, seed, server.address());
        workers.push(worker.with_context(|| server.log())?);
    }
    let seen = |workers: &[Worker]| workers.iter().map(|it| it.seen).max().unwrap_or(0);
    let (mut round, mut moment_ms_max) = (0, moment_ms_max);
    while round < count || seen(&workers) <= WRITES_MIN {
        let told = |server: &Server| format!("round {round}, seed {seed}\n{}", server.log());
        prepared(server)?;
        let moment = Duration::from_micros(chance.below(moment_ms_max * 1_000));
        let done = one_round(server, &mut workers, &mut chance, moment);
        done.with_context(|| told(server))?;
        round += 1;
        if count <= round {
            let seen = seen(&workers);
            ensure!(moment_ms_max < MOMENT_MS_LAST, "only {seen} writes\n{}", server.log());
            moment_ms_max *= 2;
        }
    }
    Ok((round, seen(&workers)))
}

fn one_round(
    server: &mut Server,
    workers: &mut [Worker],
    chance: &mut Chance,
    moment: Duration,
) -> anyhow::Result<()> {
    let address = server.address();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for worker in &mut *workers {
            running.push(scope.spawn(move || worker.load(address)));
        }
        thread::sleep(moment);
        server.kill()?;
        for worker in running {
            worker.join().expect("a worker does not panic")?;
        }
        anyhow::Ok(())
    })?;
    if chance.below(4) == 0 {
        // Killed again while it starts.
        let mut process = server.spawn()?;
        thread::sleep(Duration::from_micros(chance.below(30_000)));
        process.kill()?;
    }
    server.begin()?;
    for worker in &mut *workers {
        worker.compare(address).with_context(|| format!("the subtree {}", worker.root))?;
    }
    let text = four_letters(address, "srvr")?;
    ensure!(text.contains("Mode: standalone"), "{text}");
    Ok(())
}

impl Worker {
    pub(crate) fn new(number: u64, seed: u64, address: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Client::connect(address)?;
        let root = format!("/worker{number}");
        let mut base = Tree::default();
        for name in ["", "/left", "/right"] {
            let body = Body::default().create(&format!("{root}{name}"), b"", 0);
            let reply = client.ask(op::CREATE, &body)?;
            ensure!(reply.err == 0, "create {root}{name}: {}", reply.err);
        }
        for name in ["left", "right"] {
            base.znodes.insert(name.into(), (Vec::new(), 0, Ephemeral::No));
        }
        let chance = Chance::new(seed * 100 + number);
        let session = client.session.clone();
        let changes = Vec::new();
        Ok(Self { root, chance, base, changes, acked: 0, session, seen: 0, next: 0, stays: false })
    }

    /// Changes the subtree until the connection breaks.
    pub(crate) fn load(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.changes.clear();
        self.acked = 0;
        let mut client = match self.reconnect(address) {
            Ok(client) => client,
            // The kill came before the answer: nothing was changed.
            Err(err) if broken(&err) => return Ok(()),
            Err(err) => return Err(err.into()),
        };
        let mut tree = self.base.clone();
        loop {
            while !tree.closed && self.changes.len() - self.acked < IN_FLIGHT {
                let change = self.choose(&tree);
                tree.apply(&change);
                let (op, body) = self.request(&change, &tree);
                client.put(op, &body);
                self.changes.push(change);
            }
            if tree.closed && self.acked == self.changes.len() {
                return Ok(());
            }
            let reply = client.flush().and_then(|()| client.reply());
            match reply {
                Ok(reply) => {
                    let change = &self.changes[self.acked];
                    ensure!(reply.err == 0, "{change:?} answered with {}", reply.err);
                    self.acked += 1;
                    self.seen = self.seen.max(reply.zxid);
                }
                Err(err) if broken(&err) => return Ok(()),
                Err(err) => return Err(err.into()),
            }
        }
    }

    /// The session of the last round, or a new one if that was closed.
    fn reconnect(&mut self, address: SocketAddr) -> io::Result<Client> {
        let client = if self.base.closed {
            Client::connect(address)?
        } else {
            let client = Client::resume(address, &self.session, self.seen)?;
            client.ok_or_else(|| io::Error::other("the session was refused"))?
        };
        self.session = client.session.clone();
        self.base.closed = false;
        Ok(client)
    }

    /// The next change, possible in `tree`.
    fn choose(&mut self, tree: &Tree) -> Change {
        self.next += 1;
        let name = format!("n{}", self.next);
        let len = if self.chance.below(20) == 0 { 9000 } else { self.chance.below(200) };
        let data = self.chance.bytes(len as usize);
        let plain = tree.znodes.keys().filter(|it| it.starts_with('n'));
        let count = plain.clone().count() as u64;
        let some = plain.clone().nth(self.chance.below(count.max(1)) as usize).cloned();
        match (self.chance.below(100), some) {
            (0..10, Some(name)) => Change::Set { name, data },
            (10..50, Some(name)) if 60 < count => Change::Delete { name },
            (50..65, _) => Change::Both { name, data },
            (65..75, _) => Change::Create { name, data, ephemeral: Ephemeral::Yes },
            (75..95, _) => Change::Set { name: "left".into(), data },
            (99, _) if self.chance.below(20) == 0 && !self.stays => Change::Close,
            _ => Change::Create { name, data, ephemeral: Ephemeral::No },
        }
    }

    /// The request for a change; `tree` is what it leads to.
    fn request(&self, change: &Change, tree: &Tree) -> (i32, Body) {
        let path = |name: &str| format!("{}/{name}", self.root);
        let set = |body: Body, name: &str, data: &[u8]| {
            let version = tree.znodes[name].1 - 1;
            body.buffer(path(name).as_bytes()).buffer(data).int(version)
        };
        let body = Body::default();
        match change {
            Change::Create { name, data, ephemeral } => {
                let flags = i32::from(*ephemeral == Ephemeral::Yes);
                (op::CREATE, body.create(&path(name), data, flags))
            }
            Change::Set { name, data } => (op::SET_DATA, set(body, name, data)),
            Change::Delete { name } => (op::DELETE, body.buffer(path(name).as_bytes()).int(-1)),
            Change::Both { name, data } => {
                let body = set(body.part(op::SET_DATA), "left", data);
                let body = body.part(op::CREATE).create(&path(name), data, 0);
                (op::MULTI, set(body.part(op::SET_DATA), "right", data).end())
            }
            Change::Close => (op::CLOSE_SESSION, body),
        }
    }

    /// The subtree must be the last one with the answered changes, and possibly some of the others in their order.
    pub(crate) fn compare(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let resumed = Client::resume(address, &self.session, self.seen)?;
        let closed = resumed.is_none();
        let mut client = match resumed {
            Some(client) => client,
            None => Client::connect(address)?,
        };
        let mut found = self.read(&mut client)?;
        found.closed = closed;
        if closed {
            client.ask(op::CLOSE_SESSION, &Body::default())?;
        }
        let mut expected = self.base.clone();
        for change in &self.changes[..self.acked] {
            expected.apply(change);
        }
        let mut after = self.acked;
        while expected != found {
            let Some(change) = self.changes.get(after) else {
                bail!("{}", self.difference(&found));
            };
            expected.apply(change);
            after += 1;
        }
        self.base = found;
        self.changes.clear();
        self.acked = 0;
        Ok(())
    }

    fn read(&self, client: &mut Client) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        let body = Body::default().buffer(self.root.as_bytes()).byte(0);
        let reply = client.ask(op::GET_CHILDREN, &body)?;
        ensure!(reply.err == 0, "children: {}", reply.err);
        let mut fields = Fields(&reply.body);
        for _ in 0..fields.int()? {
            let name = String::from_utf8(fields.buffer()?.to_vec())?;
            let path = format!("{}/{name}", self.root);
            let body = Body::default().buffer(path.as_bytes()).byte(0);
            let reply = client.ask(op::GET_DATA, &body)?;
            ensure!(reply.err == 0, "{path}, a child, is answered with {}", reply.err);
            let mut fields = Fields(&reply.body);
            let data = fields.buffer()?.to_vec();
            let _czxid = fields.long()?;
            let mzxid = fields.long()?;
            ensure!(mzxid <= reply.zxid, "{path} is of {mzxid:#x}, the reply of {:#x}", reply.zxid);
            let _times = (fields.long()?, fields.long()?);
            let version = fields.int()?;
            let _versions = (fields.int()?, fields.int()?);
            let owner = fields.long()?;
            ensure!(owner == 0 || owner == self.session.id, "{path} is owned by {owner:#x}");
            let ephemeral = if owner == 0 { Ephemeral::No } else { Ephemeral::Yes };
            tree.znodes.insert(name, (data, version, ephemeral));
        }
        Ok(tree)
    }

    /// Where what was found is not what the answered changes lead to.
    fn difference(&self, found: &Tree) -> String {
        let mut least = self.base.clone();
        for change in &self.changes[..self.acked] {
            least.apply(change);
        }
        let mut text = format!(
            "{} changes answered of {} requested since the last start; with the answered ones, closed is {}, found {}\n",
            self.acked,
            self.changes.len(),
            least.closed,
            found.closed
        );
        let show = |it: Option<&(Vec<u8>, i32, Ephemeral)>| {
            it.map(|it| format!("{} bytes, version {}, ephemeral {:?}", it.0.len(), it.1, it.2))
        };
        let names: std::collections::BTreeSet<_> =
            least.znodes.keys().chain(found.znodes.keys()).collect();
        for name in names {
            let (wanted, got) = (least.znodes.get(name), found.znodes.get(name));
            if wanted != got {
                let (wanted, got) = (show(wanted), show(got));
                text.extend([
                    name,
                    ": answered ",
                    &format!("{wanted:?}"),
                    ", found ",
                    &format!("{got:?}\n"),
                ]);
            }
        }
        text
    }
}

/// Whether the connection ended, which a kill does in several ways.
fn broken(err: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
    };
    [BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof]
        .contains(&err.kind())
}
