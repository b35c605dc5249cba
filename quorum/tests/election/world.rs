//! An ensemble on one thread: servers with their election and links, a network with faults, and a small model of what
//! follows an election, so that leaders come, write and go.
//!
//! The network has connections that keep order and may break; what a partition stops comes later, or never if the
//! connection breaks first. The model of what follows: a leader needs a quorum that promises its epoch, and refuses who
//! is ahead of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorum::election::links::{self, Conn, Links};
use quorum::election::{self, Election, History, Reconfig, Settings, Timing};
use quorum::wire::{FrameStream, Initial, ServerState};
use quorum::{Epoch, Member, Moment, QuorumConfig, Role, Sid, Views, Zxid};

/// How often what happens while there is unrest.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) cuts: u64,
    pub(crate) partitions: u64,
    pub(crate) crashes: u64,
    pub(crate) writes: u64,
}

/// A stream of chance.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed_5eed_5eed_5eed)
    }

    /// Any number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end.max(1)
    }
}

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

struct Pipe {
    caller: Sid,
    callee: Sid,
    /// Nothing arrives before what was sent earlier. By sender.
    arrives: BTreeMap<Sid, Moment>,
}

struct Server {
    role: Role,
    /// What survives a crash.
    history: History,
    accepted_epoch: Epoch,
    /// Absent while it is down.
    machines: Option<(Election, Links)>,
    /// Counts elections and crashes, so that old pulses are known.
    generation: u64,
    /// Whom it follows, once that one let it in.
    joined: Option<Sid>,
    /// Whether its epoch is established, as a leader.
    established: bool,
    pulses: u32,
    /// When its machines have something due.
    timer: Option<Moment>,
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

/// The limit of the model for a leader to gather a quorum, and for a follower to be let in. Pulses of 100 ms.
const INIT_PULSES: u32 = 20;
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
        let members: Vec<_> = world.config.members().map(|it| (it.sid, it.role)).collect();
        for (sid, role) in members {
            let history = History { last_logged: Zxid(0), current_epoch: Epoch(0) };
            let server = Server {
                role,
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
            let at = Duration::from_millis(self.rng.below(20_000));
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

    /// A moment of the network: mostly a millisecond, sometimes much longer.
    fn delay(&mut self) -> Duration {
        let micros = 200 + self.rng.below(2_000);
        Duration::from_micros(if self.rng.below(50) == 0 { micros * 100 } else { micros })
    }

    fn start(&mut self, sid: Sid) {
        let views = Views::new(Arc::clone(&self.config));
        let server = self.server(sid);
        let timing = Timing::default();
        let settings = Settings { myid: sid, role: server.role, timing, reconfig: Reconfig::Off };
        let election = Election::new(settings, views.clone(), server.history);
        server.machines = Some((election, Links::new(sid, views)));
        let wait = Duration::from_millis(self.rng.below(500));
        let generation = self.next_generation(sid);
        self.after(wait, Event::Pulse { sid, generation });
    }

    fn next_generation(&mut self, sid: Sid) -> u64 {
        let server = self.server(sid);
        server.generation += 1;
        (server.joined, server.established, server.pulses) = (None, false, 0);
        server.generation
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

    fn call(&mut self, conn: Conn, caller: Sid, callee: Sid) {
        if !self.pipes.contains_key(&conn) {
            return self.links(caller, links::Input::Refused { to: callee });
        }
        if self.is_blocked(caller, callee) || self.servers[&callee].machines.is_none() {
            self.pipes.remove(&conn);
            let cut = self.is_blocked(caller, callee);
            let wait = if cut { Duration::from_secs(5) } else { self.delay() };
            return self.after(wait, Event::Called { conn, caller, callee });
        }
        self.arrive(conn, callee, |_| Event::Called { conn, caller, callee });
        let member = self.config.member(caller).expect("a member");
        let addresses = member.election_addresses().collect();
        let initial = Initial { sid: caller, addresses };
        self.links(callee, links::Input::Accepted { conn, initial });
    }

    fn called(&mut self, conn: Conn, caller: Sid, to: Sid) {
        let there = self.pipes.contains_key(&conn);
        let input =
            if there { links::Input::Connected { to, conn } } else { links::Input::Refused { to } };
        self.links(caller, input);
    }

    fn frame(&mut self, conn: Conn, from: Sid, frame: Arc<[u8]>) {
        let Some(pipe) = self.pipes.get(&conn) else { return };
        let to = if pipe.caller == from { pipe.callee } else { pipe.caller };
        if self.is_blocked(from, to) {
            // Sent again until it gets through, or the connection breaks.
            self.after(Duration::from_millis(200), Event::Frame { conn, from, frame });
            return;
        }
        let now = self.now;
        let Some((election, links)) = &mut self.server(to).machines else { return };
        if links.owner(conn) != Some(from) {
            return;
        }
        let mut stream = FrameStream::new();
        stream.feed(&frame);
        let body = stream.next_frame().expect("a frame").expect("whole");
        let mut out = Vec::new();
        election.step(now, election::Input::Message { from, body }, &mut out).expect("a vote");
        self.elections(to, out);
    }

    /// Gives an input to a server's election.
    fn elect(&mut self, sid: Sid, input: election::Input<'_>) {
        let now = self.now;
        let Some((election, _)) = &mut self.server(sid).machines else { return };
        let mut out = Vec::new();
        election.step(now, input, &mut out).expect("no message");
        self.elections(sid, out);
    }

    fn elections(&mut self, sid: Sid, out: Vec<election::Output>) {
        for it in out {
            match it {
                election::Output::Send { to, frame } => {
                    self.links(sid, links::Input::Send { to, frame });
                }
                election::Output::Reconnect => self.links(sid, links::Input::Reconnect),
                election::Output::Elected { vote, .. } => {
                    self.trace.push(format!("{:?} {sid} {vote:?}", self.now));
                    let chosen = (vote.election_epoch, vote.candidate.leader);
                    self.choose(sid, chosen);
                    let generation = self.next_generation(sid);
                    self.after(Duration::from_millis(1), Event::Pulse { sid, generation });
                }
                election::Output::Activate { .. } => {
                    self.failure = Some("a reconfiguration".into());
                }
            }
        }
        self.set_timer(sid);
    }

    /// At most one leader of a round has a quorum behind it. A crash resets a server's clock, and so allows for two.
    fn choose(&mut self, sid: Sid, chosen: (i64, Sid)) {
        self.chosen.entry(chosen).or_default().insert(sid);
        let round = self.chosen.range((chosen.0, Sid::NEVER)..=(chosen.0, Sid(i64::MAX)));
        let verifier = self.config.verifier();
        let quorums = round.filter(|(_, by)| verifier.contains_quorum(|it| by.contains(&it)));
        let leaders: Vec<_> = quorums.map(|((_, leader), _)| *leader).collect();
        if !self.restarts && 1 < leaders.len() {
            self.failure = Some(format!("round {} has the leaders {leaders:?}", chosen.0));
        }
    }

    /// Gives an input to a server's links.
    fn links(&mut self, sid: Sid, input: links::Input) {
        let now = self.now;
        let Some((_, links)) = &mut self.server(sid).machines else { return };
        let mut out = Vec::new();
        links.step(now, input, &mut out);
        for it in out {
            match it {
                links::Output::Connect { to, .. } => {
                    self.count += 1;
                    let conn = Conn(self.count);
                    let arrives = BTreeMap::new();
                    self.pipes.insert(conn, Pipe { caller: sid, callee: to, arrives });
                    let wait = self.delay();
                    self.after(wait, Event::Call { conn, caller: sid, callee: to });
                }
                links::Output::Write { conn, frame } => {
                    self.arrive(conn, sid, |from| Event::Frame { conn, from, frame });
                    self.after(Duration::from_micros(50), Event::Written { conn, by: sid });
                }
                links::Output::Close { conn } => {
                    self.arrive(conn, sid, |from| Event::Closing { conn, from });
                }
                links::Output::Reached { sid: other } => {
                    self.elect(sid, election::Input::Reached { sid: other });
                }
                links::Output::Lost { sid: other } => {
                    self.elect(sid, election::Input::Lost { sid: other });
                }
            }
        }
        self.set_timer(sid);
    }

    /// Puts something on a connection, behind what is on it already.
    fn arrive(&mut self, conn: Conn, from: Sid, event: impl FnOnce(Sid) -> Event) {
        let at = self.now + self.delay();
        let Some(pipe) = self.pipes.get_mut(&conn) else { return };
        let last = pipe.arrives.entry(from).or_default();
        *last = at.max(*last + Duration::from_micros(1));
        let wait = last.since(self.now);
        self.after(wait, event(from));
    }

    /// The other end of a connection closed it.
    fn closing(&mut self, conn: Conn, from: Sid) {
        let Some(pipe) = self.pipes.get(&conn) else { return };
        let to = if pipe.caller == from { pipe.callee } else { pipe.caller };
        if self.is_blocked(from, to) {
            self.after(Duration::from_millis(200), Event::Closing { conn, from });
            return;
        }
        self.pipes.remove(&conn);
        self.links(to, links::Input::Closed { conn });
    }

    fn set_timer(&mut self, sid: Sid) {
        let Some((election, links)) = &self.servers[&sid].machines else { return };
        let due = [election.next_deadline(), links.next_deadline()];
        if let Some(at) = due.into_iter().flatten().min() {
            let at = at.max(self.now);
            if self.servers[&sid].timer != Some(at) {
                self.server(sid).timer = Some(at);
                self.after(at.since(self.now), Event::Timer { sid });
            }
        }
    }

    fn timer(&mut self, sid: Sid) {
        if self.servers[&sid].timer == Some(self.now) {
            self.server(sid).timer = None;
            self.elect(sid, election::Input::Deadline);
            self.links(sid, links::Input::Deadline);
        }
    }

    fn is_blocked(&self, one: Sid, other: Sid) -> bool {
        self.blocked.contains(&(one, other)) || self.blocked.contains(&(other, one))
    }

    /// A server looks after what it is.
    fn pulse(&mut self, sid: Sid, generation: u64) {
        let Some(state) = self.state(sid).filter(|_| self.servers[&sid].generation == generation)
        else {
            return;
        };
        let keep = match state {
            ServerState::Looking => false,
            ServerState::Leading => self.lead(sid),
            ServerState::Following | ServerState::Observing => self.follow(sid),
        };
        if keep {
            self.server(sid).pulses += 1;
            self.after(Duration::from_millis(100), Event::Pulse { sid, generation });
        } else {
            self.next_generation(sid);
            let history = self.server(sid).history;
            self.elect(sid, election::Input::Look { history });
        }
    }

    /// Keeps a leader as long as a quorum is with it; it writes now and then.
    fn lead(&mut self, sid: Sid) -> bool {
        let with = |it: &Sid| *it == sid || self.servers[it].joined == Some(sid);
        let with: BTreeSet<_> = self.servers.keys().copied().filter(with).collect();
        let quorum = self.config.verifier().contains_quorum(|it| with.contains(&it));
        let server = &self.servers[&sid];
        let (established, pulses) = (server.established, server.pulses);
        if established || !quorum {
            return if established { quorum } else { pulses < INIT_PULSES };
        }
        // A quorum promises an epoch that is larger than any that it promised before.
        let epoch = with.iter().map(|it| self.servers[it].accepted_epoch).max().expect("us").next();
        if let Some(other) = self.leaders.insert(epoch, sid) {
            self.failure = Some(format!("{epoch:?} has the leaders {other} and {sid}"));
        }
        let zxid = self.servers[&sid].history.last_logged;
        let ours = (self.servers[&sid].history.current_epoch, zxid);
        if ours < self.committed {
            self.failure = Some(format!("{sid} leads with {ours:?} of {:?}", self.committed));
        }
        self.server(sid).established = true;
        for it in with {
            let history = History { last_logged: zxid, current_epoch: epoch };
            let server = self.server(it);
            (server.accepted_epoch, server.history) = (epoch, history);
            self.elect(it, election::Input::Established { epoch });
        }
        self.committed = (epoch, zxid);
        true
    }

    /// Keeps a learner as long as its leader is there and takes it.
    fn follow(&mut self, sid: Sid) -> bool {
        let Some((election, _)) = &self.servers[&sid].machines else { return false };
        let leader = election.candidate().leader;
        let there =
            !self.is_blocked(sid, leader) && self.state(leader) == Some(ServerState::Leading);
        let Server { joined, pulses, history, accepted_epoch, .. } = self.servers[&sid];
        if joined.is_some() || !there {
            return there || (joined.is_none() && pulses < 5);
        }
        let leads = &self.servers[&leader];
        let (established, lead) = (leads.established, leads.history);
        let ahead = |it: History| (it.current_epoch, it.last_logged);
        if established && lead.current_epoch < accepted_epoch || ahead(lead) < ahead(history) {
            return false;
        }
        self.server(sid).joined = Some(leader);
        if established {
            let epoch = lead.current_epoch;
            let server = self.server(sid);
            (server.accepted_epoch, server.history) = (epoch, lead);
            self.elect(sid, election::Input::Established { epoch });
        }
        true
    }

    fn any_server(&mut self) -> Sid {
        let sids: Vec<_> = self.servers.keys().copied().collect();
        sids[self.rng.below(sids.len() as u64) as usize]
    }

    /// One thing goes wrong, or is mended, or is written.
    fn fault(&mut self) {
        let Faults { cuts, partitions, crashes, writes } = self.faults;
        let draw = self.rng.below(cuts + 2 * partitions + 2 * crashes + writes);
        if draw < cuts {
            self.cut();
        } else if draw < cuts + 2 * partitions {
            self.partition();
        } else if draw < cuts + 2 * partitions + 2 * crashes {
            self.crash_or_start();
        } else {
            self.write();
        }
    }

    /// A connection breaks; each end learns it at its time.
    fn cut(&mut self) {
        let conns: Vec<_> = self.pipes.keys().copied().collect();
        let Some(&conn) = conns.get(self.rng.below(conns.len() as u64) as usize) else { return };
        if let Some(pipe) = self.pipes.remove(&conn) {
            for at in [pipe.caller, pipe.callee] {
                let wait = self.delay();
                self.after(wait, Event::Hangup { conn, at });
            }
        }
    }

    /// Some pairs of servers cannot talk, or all can again.
    fn partition(&mut self) {
        if self.rng.below(2) == 0 {
            self.blocked.clear();
            return;
        }
        let sids: Vec<_> = self.servers.keys().copied().collect();
        let shape = self.rng.below(3);
        let sides: Vec<_> = sids.iter().map(|_| self.rng.below(2)).collect();
        for (idx, &one) in sids.iter().enumerate() {
            for (other_idx, &other) in sids.iter().enumerate() {
                let apart = match shape {
                    0 => sides[idx] != sides[other_idx],
                    1 => idx == 0,
                    _ => self.rng.below(4) == 0,
                };
                if apart {
                    self.blocked.insert((one, other));
                }
            }
        }
    }

    fn crash_or_start(&mut self) {
        let sid = self.any_server();
        if self.server(sid).machines.is_none() {
            self.start(sid);
            return;
        }
        self.next_generation(sid);
        let server = self.server(sid);
        (server.machines, server.timer) = (None, None);
        for other in self.servers.values_mut().filter(|it| it.joined == Some(sid)) {
            other.pulses = 0;
        }
        let gone = |pipe: &Pipe| pipe.caller == sid || pipe.callee == sid;
        let conns: Vec<_> =
            self.pipes.iter().filter(|(_, it)| gone(it)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            if let Some(pipe) = self.pipes.remove(&conn) {
                let at = if pipe.caller == sid { pipe.callee } else { pipe.caller };
                let wait = self.delay();
                self.after(wait, Event::Hangup { conn, at });
            }
        }
    }

    /// A leader with an established epoch writes; a quorum of those with it logs that, perhaps more.
    fn write(&mut self) {
        let leading = |it: &Sid| self.servers[it].established;
        let Some(leader) = self.servers.keys().copied().find(leading) else { return };
        let mut history = self.servers[&leader].history;
        let epoch = history.current_epoch;
        history.last_logged = Zxid(history.last_logged.0.max(epoch.zxid().0) + 1);
        self.server(leader).history = history;
        let with: Vec<_> = self
            .servers
            .iter()
            .filter(|(_, it)| it.joined == Some(leader))
            .map(|(sid, _)| *sid)
            .collect();
        let mut logged = BTreeSet::from([leader]);
        for sid in with {
            let reached = !self.is_blocked(sid, leader) && self.rng.below(4) != 0;
            if reached && self.servers[&sid].accepted_epoch == epoch {
                self.server(sid).history = history;
                logged.insert(sid);
            }
        }
        if self.config.verifier().contains_quorum(|it| logged.contains(&it)) {
            self.committed = self.committed.max((epoch, history.last_logged));
        }
    }
}
