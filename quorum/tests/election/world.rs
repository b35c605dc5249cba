//! An ensemble on one thread: servers with their election and links, a network with faults, and a small model of what
//! follows an election, so that leaders come, write and go.
//!
//! The same seed makes the same world. Absent here: disks and transactions.

mod epoch;
mod fault;
mod network;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use quorum::election::History;
use quorum::election::links::{self, Conn};
use quorum::wire::ServerState;
use quorum::{Epoch, Member, Moment, QuorumConfig, Sid, Zxid};

pub(crate) use fault::Faults;
use network::Pipe;
use server::Server;

/// What is on its way.
#[derive(Clone, Debug)]
enum Event {
    /// A connection attempt arrives.
    Call { conn: Conn, caller: Sid, callee: Sid },
    /// The caller learns how it went.
    Called { conn: Conn, caller: Sid, callee: Sid },
    /// A frame arrives at the end that did not send it.
    Frame { conn: Conn, from: Sid, frame: Arc<[u8]> },
    /// The frame has left.
    Written { conn: Conn, by: Sid },
    /// The other end learns that this one closed the connection.
    Closing { conn: Conn, from: Sid },
    /// An end learns that the connection is gone.
    Hangup { conn: Conn, at: Sid },
    /// A server's machines may have something due.
    Timer { sid: Sid },
    /// A server looks after its leader or followers.
    Pulse { sid: Sid, generation: u64 },
    /// Something goes wrong.
    Fault,
}

/// See the file's page.
pub(crate) struct World {
    rng: Rng,
    now: Moment,
    config: Arc<QuorumConfig>,
    servers: BTreeMap<Sid, Server>,
    pipes: BTreeMap<Conn, Pipe>,
    blocked: BTreeSet<(Sid, Sid)>,
    events: BTreeMap<(Moment, u64), Event>,
    count: u64,
    faults: Faults,
    restarts: bool,
    /// Who chose whom, by round and leader.
    chosen: BTreeMap<(i64, Sid), BTreeSet<Sid>>,
    committed: (Epoch, Zxid),
    leaders: BTreeMap<Epoch, Sid>,
    trace: Vec<String>,
    failure: Option<String>,
}

/// Healing to agreement. Ten ticks of two seconds.
const CALM: Duration = Duration::from_secs(20);

impl World {
    pub(crate) fn new(rng: Rng, voters: i64, observers: i64, faults: Faults) -> Self {
        let spec = |sid: i64| {
            let role = if voters < sid { "observer" } else { "participant" };
            Member::parse(Sid(sid), &format!("host{sid}:2888:3888:{role}")).expect("a spec")
        };
        let config = Arc::new(QuorumConfig::of_members((1..=voters + observers).map(spec)));
        let mut world = Self {
            rng,
            now: Moment::from_millis(1),
            servers: BTreeMap::new(),
            pipes: BTreeMap::new(),
            blocked: BTreeSet::new(),
            events: BTreeMap::new(),
            count: 0,
            restarts: 0 < faults.crashes,
            faults,
            chosen: BTreeMap::new(),
            committed: (Epoch(0), Zxid(0)),
            leaders: BTreeMap::new(),
            trace: Vec::new(),
            failure: None,
            config,
        };
        let members: Vec<_> = world.config.members().map(|it| it.sid).collect();
        for sid in members {
            let history = History { last_logged: Zxid(0), current_epoch: Epoch(0) };
            let server = Server {
                history,
                accepted_epoch: Epoch(0),
                machines: None,
                generation: 0,
                joined: None,
                established: false,
                pulses: 0,
                timer: None,
            };
            world.servers.insert(sid, server);
            world.start(sid);
        }
        world
    }

    /// Faults for a while; safety is checked at each step.
    pub(crate) fn unrest(&mut self) -> Result<(), String> {
        let Faults { cuts, partitions, crashes, writes } = self.faults;
        for _ in 0..cuts + partitions * 2 + crashes * 2 + writes {
            let at = Duration::from_millis(self.rng.u64(..20_000));
            self.after(at, Event::Fault);
        }
        self.run(self.now + Duration::from_secs(20))
    }

    /// Everything heals; within a bound all must agree, and stay so.
    pub(crate) fn calm(&mut self) -> Result<(), String> {
        self.blocked.clear();
        let sids: Vec<_> = self.servers.keys().copied().collect();
        for sid in sids {
            if self.server(sid).machines.is_none() {
                self.start(sid);
            }
        }
        self.run(self.now + CALM)?;
        let leader = self.agreed()?;
        self.run(self.now + Duration::from_secs(5))?;
        if self.agreed()? != leader {
            return Err(format!("{leader} does not stay the leader"));
        }
        Ok(())
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.clone()
    }

    /// The leader that all agree on.
    fn agreed(&self) -> Result<Sid, String> {
        let leading = |it: &&Sid| self.state(**it) == Some(ServerState::Leading);
        let leaders: Vec<_> = self.servers.keys().filter(leading).collect();
        let [leader] = leaders[..] else { return Err(format!("leaders: {leaders:?}")) };
        for (sid, server) in &self.servers {
            if sid != leader && server.joined != Some(*leader) {
                return Err(format!("{sid} is {:?}, not with {leader}", self.state(*sid)));
            }
        }
        Ok(*leader)
    }

    fn run(&mut self, until: Moment) -> Result<(), String> {
        while let Some(entry) = self.events.first_entry() {
            if until < entry.key().0 {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
            if let Some(what) = self.failure.take() {
                return Err(format!("at {at:?}: {what}"));
            }
        }
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Call { conn, caller, callee } => self.call(conn, caller, callee),
            Event::Called { conn, caller, callee } => self.called(conn, caller, callee),
            Event::Frame { conn, from, frame } => self.frame(conn, from, frame),
            Event::Written { conn, by } => self.links(by, links::Input::Written { conn }),
            Event::Closing { conn, from } => self.closing(conn, from),
            Event::Hangup { conn, at } => self.links(at, links::Input::Closed { conn }),
            Event::Timer { sid } => self.timer(sid),
            Event::Pulse { sid, generation } => self.pulse(sid, generation),
            Event::Fault => self.fault(),
        }
    }

    fn server(&mut self, sid: Sid) -> &mut Server {
        self.servers.get_mut(&sid).expect("a member")
    }

    fn state(&self, sid: Sid) -> Option<ServerState> {
        self.servers[&sid].machines.as_ref().map(|(election, _)| election.state())
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + wait, self.count), event);
    }
}
