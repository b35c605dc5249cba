//! The world: servers, connections, clients and time.
//!
//! One event after the other, by time and then by order of making; everything that is left to chance is drawn from the seed's
//! streams. So a seed is a run.
//!
//! Longer than most: the state of a run, its loop and when it is over are one thing; what events do is in the files below.

mod clients;
mod conns;
mod disks;
mod faults;
mod members;
mod perform;
mod serving;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{Hash as _, Hasher};
use std::time::Duration;

use jute::{SessionId, Zxid};
use quorum::election::links;
use quorum::server::{self, Outputs, Server};
use quorum::wire::NotificationError;
use quorum::zab::{Input, Link, Output};
use quorum::{Moment, Sid};

use crate::chance::{Chance, Stream};
use crate::checker::Checker;
use crate::client::Client;
use crate::disk::Health;
use crate::net::{Conn, Port, Walls};
use crate::node::Node;
use crate::plan::Plan;
use crate::violation::Violation;
use clients::Wire;
pub use members::MembersFiles;
pub use serving::{Carried, Later};

/// How long an ensemble without faults may take until all agree and a write is acknowledged.
const LIVENESS: Duration = Duration::from_mins(1);

/// How long a local session lives without a client at most, by whatever clock: twenty ticks, and some.
const LOCAL_LIFE: Duration = Duration::from_secs(5);

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Event {
    /// Bytes reach an end.
    Arrive { conn: u64, side: usize },
    /// An end hears that the connection is no more.
    Lost { conn: u64, side: usize },
    /// A server's attempt to connect ends, or begins again.
    Connect { node: usize, life: u64, to: Sid, port: Port, tries: u8 },
    /// A frame has left.
    Written { node: usize, life: u64, conn: u64 },
    /// Writes are done.
    Disk { node: usize, life: u64 },
    /// A log may have rested for so long that it is sealed.
    Rest { node: usize, life: u64 },
    /// A server looks at the clock.
    Wake { node: usize, life: u64 },
    /// A server that searches is told that anybody leads.
    Appoint { node: usize, life: u64 },
    /// A parcel reaches an end of a client's connection.
    Wire { wire: u64, side: usize },
    /// A turn of a session shard.
    Shard { node: usize, life: u64 },
    /// A turn of a leader's pipeline.
    Pump { node: usize, life: u64 },
    /// The driver of a leader answers about a learner.
    Answer { node: usize, life: u64, link: u64, what: Answer },
    /// A client does something.
    Client { client: usize },
    /// Somebody wants other members.
    Change,
    /// Something goes wrong.
    Fault,
    /// A server starts.
    Start { node: usize },
    /// Everything is mended.
    Heal,
    /// A wall falls.
    Fall { wall: u64 },
    /// A disk is well again.
    Well { node: usize },
    /// The disks that are still ill are well again, or have new ones in their place.
    Repair,
}

/// What a leader's driver was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Answer {
    Floor { zxid: Zxid },
    Log { after: Zxid, upto: Zxid },
    Choose,
    Image,
}

/// What a run was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inputs that machines took.
    pub steps: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Writes acknowledged to clients.
    pub acked: u64,
    /// Epochs that began to serve.
    pub epochs: u64,
    /// Faults.
    pub faults: u64,
    /// Syncs answered.
    pub syncs: u64,
    /// Reads answered.
    pub reads: u64,
    /// Watch events.
    pub events: u64,
    /// Times that a client went on with its session.
    pub moves: u64,
    /// Sessions made.
    pub sessions: u64,
    /// Connections with a local session.
    pub locals: u64,
    /// Of local sessions, those that became global ones.
    pub upgrades: u64,
    /// Sessions that leaders ended for their silence.
    pub expired: u64,
    /// Learners brought up by an image, and by the log on the disk.
    pub images: u64,
    /// By the log on the disk.
    pub streams: u64,
    /// Truncations.
    pub truncs: u64,
    /// Requests of observers' clients that followers passed on.
    pub passed: u64,
    /// Times that a server took other members.
    pub changes: u64,
    /// Writes that a disk did not make, and said so.
    pub write_errors: u64,
    /// Starts that were refused, as the disk is damaged.
    pub refusals: u64,
    /// Seals written.
    pub seals: u64,
    /// Starts that were refused as a log's last frame is bad, and sealed.
    pub sealed_refusals: u64,
    /// Starts with a disk that was emptied.
    pub blanks: u64,
    /// Simulated milliseconds.
    pub millis: u64,
    /// What the run amounts to: equal for equal runs.
    pub trace: u64,
}

/// A run that broke a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule.
    pub violation: Violation,
    /// How far it came.
    pub summary: Summary,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    now: Moment,
    queue: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    made: u64,
    nodes: Vec<Node>,
    conns: BTreeMap<u64, Conn>,
    conn_count: u64,
    walls: BTreeMap<u64, Walls>,
    wall_count: u64,
    clients: Vec<Client>,
    wires: BTreeMap<u64, Wire>,
    wire_count: u64,
    checker: Checker,
    net: Chance,
    disk: Chance,
    load: Chance,
    faults: Chance,
    election: Chance,
    members: Chance,
    damage: Chance,
    clocks: Chance,
    wire_chance: Chance,
    walls_chance: Chance,
    /// Whether things go wrong.
    is_stormy: bool,
    healed_at: Option<Moment>,
    /// Whether some disks are ill though everything else is mended.
    is_ailing: bool,
    /// A leader that is walled off, and until when: clients go there.
    lure: Option<(usize, Moment)>,
    /// When all were first at the end of the history at once, since everything was mended.
    agreed_at: Option<Moment>,
    /// When clients were told that their sessions are over.
    left_at: BTreeMap<SessionId, Moment>,
    /// Writes acknowledged when everything was mended.
    acked_at_heal: usize,
    /// The end of the history then.
    end_at_heal: Zxid,
    summary: Summary,
    violation: Option<Violation>,
    is_told: bool,
    out: Outputs,
    #[cfg(planted)]
    bug: Option<quorum::zab::Bug>,
}

impl World {
    /// The world of a plan.
    pub fn new(plan: Plan) -> Self {
        let seed = plan.seed;
        let mut clocks = Chance::new(seed, Stream::Clocks);
        let mut world = Self {
            now: Moment::ZERO,
            queue: BinaryHeap::new(),
            made: 0,
            nodes: (0..plan.servers())
                .map(|it| {
                    let members = MembersFiles::new(&plan);
                    Node::new(Plan::sid(it), members, plan.keeping, plan.clock(&mut clocks))
                })
                .collect(),
            conns: BTreeMap::new(),
            conn_count: 0,
            walls: BTreeMap::new(),
            wall_count: 0,
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            wires: BTreeMap::new(),
            wire_count: 0,
            checker: Checker::new(plan.settings.first_counter),
            net: Chance::new(seed, Stream::Net),
            disk: Chance::new(seed, Stream::Disk),
            load: Chance::new(seed, Stream::Load),
            faults: Chance::new(seed, Stream::Faults),
            election: Chance::new(seed, Stream::Election),
            members: Chance::new(seed, Stream::Members),
            damage: Chance::new(seed, Stream::Damage),
            clocks,
            wire_chance: Chance::new(seed, Stream::Wires),
            walls_chance: Chance::new(seed, Stream::WallClocks),
            is_stormy: true,
            healed_at: None,
            is_ailing: false,
            lure: None,
            agreed_at: None,
            left_at: BTreeMap::new(),
            acked_at_heal: 0,
            end_at_heal: Zxid::ZERO,
            summary: Summary::default(),
            violation: None,
            is_told: false,
            out: Outputs::default(),
            #[cfg(planted)]
            bug: None,
            plan,
        };
        world.checker.replay.locals.set_policy(world.plan.sessions);
        for node in 0..world.nodes.len() {
            world.after(Duration::from_millis(1), Event::Start { node });
        }
        for client in 0..world.clients.len() {
            world.after(Duration::from_millis(20), Event::Client { client });
        }
        world.after(world.plan.fault_every, Event::Fault);
        if let Some(every) = world.plan.change_every {
            world.after(every, Event::Change);
        }
        world.after(world.plan.faults_for, Event::Heal);
        world
    }

    /// Puts a bug into every server.
    #[cfg(planted)]
    #[must_use]
    pub fn with_bug(mut self, bug: quorum::zab::Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Tells every event on standard output.
    #[must_use]
    pub fn told(mut self) -> Self {
        self.is_told = true;
        self
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first [`Violation`], and how far the run came.
    pub fn run(mut self) -> Result<Summary, Box<Failure>> {
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            self.now = at;
            self.mix_event(&event);
            self.happen(event);
            if let Some(violation) = self.violation {
                return self.failed(violation);
            }
            if let Some(healed_at) = self.healed_at {
                if self.is_settled() {
                    break;
                }
                if LIVENESS < self.now.since(healed_at) {
                    return self.failed(self.unsettled());
                }
            }
        }
        match self.checker.check_acked().and_then(|()| self.check_trees()) {
            Err(violation) => self.failed(violation),
            Ok(()) => Ok(self.summary()),
        }
    }

    /// Every tree is what replay makes of the history, sessions and all.
    fn check_trees(&self) -> Result<(), Violation> {
        let end = self.checker.end();
        for it in &self.nodes {
            if let Some(service) = it.service.as_ref().filter(|it| it.tree().0 == end)
                && !self.checker.replay.is(service.applier().state())
            {
                return Err(Violation::NotTheReplayed { sid: it.sid });
            }
        }
        Ok(())
    }

    fn failed(&self, violation: Violation) -> Result<Summary, Box<Failure>> {
        Err(Box::new(Failure { violation, summary: self.summary() }))
    }

    fn summary(&self) -> Summary {
        Summary {
            committed: self.checker.committed(),
            acked: self.checker.acked_count() as u64,
            sessions: self.checker.replay.session_count() as u64,
            upgrades: self.checker.replay.upgrade_count() as u64,
            millis: self.now.micros() / 1_000,
            ..self.summary
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { conn, side } => self.arrive(conn, side),
            Event::Lost { conn, side } => self.lost(conn, side),
            Event::Connect { node, life, to, port, tries } => {
                if self.is_here(node, life, event) {
                    self.connect(node, to, port, tries);
                }
            }
            Event::Written { node, life, conn } => {
                if self.is_here(node, life, event) {
                    let conn = links::Conn(conn);
                    self.step_links(node, links::Input::Written { conn });
                }
            }
            Event::Disk { node, life } => self.disk_done(node, life),
            Event::Rest { node, life } => self.rest(node, life),
            Event::Wake { node, life } => self.wake(node, life),
            Event::Appoint { node, life } => self.appoint(node, life),
            Event::Pump { node, life } => self.pump(node, life),
            Event::Wire { wire, side } => self.wire(wire, side),
            Event::Shard { node, life } => {
                if self.is_here(node, life, event) {
                    self.settle(node);
                }
            }
            Event::Answer { node, life, link, what } => self.answer(node, life, Link(link), what),
            Event::Client { client } => self.client(client),
            Event::Change => self.change(),
            Event::Fault => self.fault(),
            Event::Start { node } => self.start(node),
            Event::Heal => self.heal(),
            Event::Fall { wall } => {
                self.walls.remove(&wall);
            }
            Event::Well { node } => self.nodes[node].disk.health = Health::Good,
            Event::Repair => self.repair(),
        }
    }

    /// Makes an event.
    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, at: Moment, event: Event) {
        self.made += 1;
        self.queue.push(Reverse((at, self.made, event)));
    }

    /// Whether the server is in this life; one that sleeps gets the event when it wakes.
    fn is_here(&mut self, node: usize, life: u64, event: Event) -> bool {
        let it = &self.nodes[node];
        if it.server.is_none() || it.life != life {
            return false;
        }
        if self.now < it.paused_until {
            self.at(it.paused_until, event);
            return false;
        }
        true
    }

    /// A server's role takes an input.
    fn step(&mut self, node: usize, input: Input<'_>) {
        self.turn(node, |server, now, out| server.step(now, server::Input::Zab(input), out));
    }

    /// The connections of a server's election take an input.
    fn step_links(&mut self, node: usize, input: links::Input) {
        self.turn(node, |server, now, out| server.step(now, server::Input::Links(input), out));
    }

    /// A turn of a server: its machines step, what they order is done, and what follows from that.
    fn turn(
        &mut self,
        node: usize,
        step: impl FnOnce(&mut Server, Moment, &mut Outputs) -> Result<(), NotificationError>,
    ) {
        self.take_step(node, step);
        self.settle(node);
    }

    /// What is between the machines of a server goes on until nothing does.
    fn settle(&mut self, node: usize) {
        loop {
            self.tend(node);
            let Some(later) = self.nodes[node].later.pop_front() else { break };
            self.take_input(node, later.input());
        }
        self.end_turn(node);
    }

    /// A server's role takes an input, within its turn.
    fn take_input(&mut self, node: usize, input: Input<'_>) {
        self.take_step(node, |server, now, out| server.step(now, server::Input::Zab(input), out));
    }

    /// The machines of a server step, and what they order is done.
    fn take_step(
        &mut self,
        node: usize,
        step: impl FnOnce(&mut Server, Moment, &mut Outputs) -> Result<(), NotificationError>,
    ) {
        if self.nodes[node].server.is_none() {
            return;
        }
        self.summary.steps += 1;
        let mut out = std::mem::take(&mut self.out);
        let now = self.nodes[node].clock.shows(self.now);
        let Some(server) = &mut self.nodes[node].server else { return };
        if step(server, now, &mut out).is_err() {
            self.fail(Violation::BadPacket);
        }
        let life = self.nodes[node].life;
        for output in out.zab.drain(..) {
            self.mix(&output);
            if self.is_told {
                self.tell(node, &output);
            }
            // A crash may come between any two things that a step orders.
            if self.is_stormy
                && matches!(output, Output::Write { .. } | Output::Send { .. })
                && self.disk.hits(self.plan.crash_per_mille)
                && self.disk.hits(100)
            {
                self.crash(node);
            }
            if !self.lives(node, life) {
                break;
            }
            self.perform(node, output);
        }
        for output in out.links.drain(..) {
            if self.lives(node, life) {
                self.perform_link(node, output);
            }
        }
        out.zab.clear();
        self.out = out;
    }

    /// Whether a server is up, and in this life.
    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].server.is_some()
    }

    /// What a driver does at the end of a turn: sends, writes, sets its alarm.
    fn end_turn(&mut self, node: usize) {
        self.flush(node);
        if self.nodes[node].disk.begin(&mut self.disk) {
            let life = self.nodes[node].life;
            let delay = self.disk_delay(node);
            self.after(delay, Event::Disk { node, life });
        }
        let service = self.service_deadline(node);
        let it = &mut self.nodes[node];
        let machines = it.server.as_ref().and_then(Server::next_deadline);
        let deadline = [machines, service].into_iter().flatten().min();
        if let Some(at) = deadline.map(|it_at| it.clock.when(it_at))
            && it.wake_at.is_none_or(|before| at < before || before <= self.now)
        {
            it.wake_at = Some(at);
            let life = it.life;
            self.at(at.max(self.now), Event::Wake { node, life });
        }
    }

    fn wake(&mut self, node: usize, life: u64) {
        if !self.is_here(node, life, Event::Wake { node, life }) {
            return;
        }
        self.nodes[node].wake_at = None;
        self.look_at_clock(node);
        let it = &self.nodes[node];
        let due = it.server.as_ref().and_then(Server::next_deadline);
        if due.is_some_and(|at| at <= it.clock.shows(self.now)) {
            self.turn(node, |server, now, out| server.step(now, server::Input::Deadline, out));
        } else {
            self.settle(node);
        }
    }

    /// A server that searches is told that anybody leads, be it nobody's choice: what follows must refuse that.
    fn appoint(&mut self, node: usize, life: u64) {
        if self.is_stormy && self.lives(node, life) && self.nodes[node].paused_until <= self.now {
            let leader = Plan::sid(self.election.index(self.plan.voters));
            self.turn(node, |server, now, out| {
                server.appoint(now, leader, out);
                Ok(())
            });
        }
    }

    fn fail(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Whether all agree, and something was written since everything was mended.
    fn is_settled(&mut self) -> bool {
        let agrees = !self.is_ailing
            && self.acked_at_heal < self.checker.acked_count()
            && self.behind() == 0;
        if agrees {
            self.agreed_at.get_or_insert(self.now);
        }
        agrees
            && self.orphan().is_none()
            && self.healed_at.is_some_and(|it| self.idlers_rest(it))
            && self.checker.replay.unreaped(self.end_at_heal).is_none()
    }

    /// Every idle client has since kept its session for as long as two timeouts on one connection.
    fn idlers_rest(&self, since: Moment) -> bool {
        let rests = |it: &Client| {
            let long = Duration::from_millis(it.timeout_ms as u64 * 2);
            it.is_connected && long < self.now.since(since.max(it.connected_at))
        };
        self.clients[..self.plan.idlers].iter().all(rests)
    }

    /// A session that no client goes on with: it is to end for its silence.
    fn orphan(&self) -> Option<SessionId> {
        let has_client = |it: &SessionId| self.clients.iter().any(|client| client.session == *it);
        let locals = self.nodes.iter().filter_map(|it| it.service.as_ref());
        let locals = locals.flat_map(|it| it.applier().local_rows().unwrap_or_default());
        let locals = locals.flat_map(|it| it.sessions).filter(|it| !self.is_just_left(*it));
        self.checker.replay.alive().chain(locals).find(|it| !has_client(it))
    }

    /// Whether a client left the session in calm weather, and so lately that it may live. Of local ones there is always one where clients move: each
    /// move leaves one.
    fn is_just_left(&self, session: SessionId) -> bool {
        let (left_at, healed_at) = (self.left_at.get(&session), self.healed_at);
        left_at.is_some_and(|&it| {
            healed_at.is_some_and(|healed_at| healed_at < it) && self.now.since(it) < LOCAL_LIFE
        })
    }

    /// Servers that are not at the end of the history.
    fn behind(&self) -> usize {
        let end = self.checker.committed();
        let last = self.checker.end();
        let has_tree = |it: &Node| it.service.as_ref().is_some_and(|it| it.tree().0 == last);
        let at_end = |it: &&Node| it.serving.is_some() && it.applied.count == end && has_tree(it);
        self.nodes.len() - self.nodes.iter().filter(at_end).count()
    }

    fn unsettled(&self) -> Violation {
        let wait_s = LIVENESS.as_secs();
        if self.checker.acked_count() <= self.acked_at_heal {
            return Violation::NoProgress { wait_s };
        }
        if self.agreed_at.is_some()
            && let Some(session) = self.orphan()
        {
            return Violation::NotExpired { session, wait_s };
        }
        if self.agreed_at.is_some() {
            return match self.checker.replay.unreaped(self.end_at_heal) {
                Some(zxid) => Violation::NotReaped { zxid, wait_s },
                None => Violation::NoRest { wait_s },
            };
        }
        let all = self.nodes.len();
        Violation::NoAgreement { count: all - self.behind(), all, wait_s }
    }

    /// Most of what is mixed, and without making words of it.
    fn mix_event(&mut self, event: &Event) {
        let mut mixer = Mixer(self.summary.trace ^ self.now.micros());
        event.hash(&mut mixer);
        self.summary.trace = mixer.0;
    }

    fn mix(&mut self, what: &impl std::fmt::Debug) {
        use std::fmt::Write;
        let mut mixer = Mixer(self.summary.trace ^ self.now.micros());
        if write!(mixer, "{what:?}").is_err() {
            unreachable!("a mixer takes everything");
        }
        self.summary.trace = mixer.0;
    }

    #[expect(clippy::print_stdout, reason = "asked for")]
    fn tell(&self, node: usize, output: &Output) {
        println!("{:?} server {}: {output:?}", self.now, self.nodes[node].sid);
    }
}

/// Anything to a number.
struct Mixer(u64);

impl Mixer {
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for &word in words {
            self.add(u64::from_be_bytes(word));
        }
        let last = rest.iter().fold(rest.len() as u64, |sum, &it| sum << 8 | u64::from(it));
        self.add(last);
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl std::fmt::Write for Mixer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
