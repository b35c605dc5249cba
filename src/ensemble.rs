//! A member of an ensemble on the pipeline's thread: its [`Server`], which is the machines of election and ZAB, and what that needs around it.
//!
//! ZooKeeper: `QuorumPeer`, and the servers that its roles make. One turn: hear votes and packets, take what clients want, tell the
//! machines what is durable, offer what the pipeline has ordered, apply what is decided, and send. So a proposal leaves when
//! the local write begins, and an ack when it is done.
//!
//! Invariants: the outputs of a step are performed, in order, before the next step. What is applied is decided; nothing behind
//! it is. Clients are let in exactly while a role serves.
//!
//! Absent here: the machines (`quorum`), sockets (`net`), what requests mean (`crate::pipeline`).

mod aside;
mod asking;
mod backlog;
mod behind;
mod certificates;
mod disk;
mod forwarded;
mod incoming;
mod joining;
mod members;
mod oracle;
mod outputs;
mod role;
mod serving;
mod standing;
mod transfers;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::task::{Context, Waker};

use engine::ahead::Entries;
use engine::auth::AuthIds;
use jute::Zxid;
use net::election::ElectionPort;
use net::learners::{Arrived, LearnerPort};
use net::ring::Mailbox;
use quorum::server::{self, Outputs};
use quorum::zab::{Input, SyncFrom, WriteId};
use quorum::{Address, Server};
use snapshot::Beside;
use wal::DiskSpace;

pub(crate) use backlog::Backlog;
use backlog::{Logged, Whose};
use behind::Behind;
pub(crate) use disk::Disk;
use disk::Written;
use forwarded::LastIds;
pub(crate) use incoming::Place;
pub use joining::JoinError;
pub(crate) use joining::Joining;
pub(crate) use members::{Members, with_clients_at};
pub(crate) use oracle::Oracle;
use outputs::Deferred;
pub(crate) use role::Role;
use standing::Standing;

use crate::clock;
use crate::images::{Due, Images};
use crate::lanes::{Lane, Lanes};
use crate::pipeline::{Applier, Mode, Moment, Reaping, ToLeader};
use crate::pipeline_shard::Order;
use crate::threads::{ShardError, Turns};
use crate::upkeep::{Quiet, Upkeep};

/// What a member starts with.
pub(crate) struct Member {
    pub(crate) server: Server,
    pub(crate) votes: ElectionPort,
    pub(crate) learners: LearnerPort,
    pub(crate) disk: Disk,
    pub(crate) backlog: Backlog,
    pub(crate) applier: Applier,
    pub(crate) reaping: Reaping,
    /// If they can change.
    pub(crate) members: Option<Members>,
    pub(crate) manners: Manners,
    /// If there is one.
    pub(crate) oracle: Option<Oracle>,
}

/// How a member treats clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Milliseconds of search for a leader after which those who read only are served, if they are.
    pub(crate) read_only_after_ms: Option<u64>,
    /// Whether it serves clients when it leads.
    pub(crate) leader_serves: bool,
    /// Where followers tell observers.
    pub(crate) observer_master_port: Option<u16>,
}

/// The shard.
pub(crate) struct EnsembleShard {
    votes: ElectionPort,
    learners: LearnerPort,
    core: Core,
}

/// Everything but the ports, which are lent to it.
struct Core {
    server: Server,
    /// When the present round of a turn began: the clocks are not read for each of its steps.
    now: quorum::Moment,
    /// The same, for the pipeline.
    moment: Moment,
    role: Role,
    disk: Disk,
    backlog: Backlog,
    reaping: Reaping,
    /// If they can change.
    members: Option<Members>,
    manners: Manners,
    oracle: Option<Oracle>,
    /// When to begin to serve those who read only, monotonic milliseconds.
    read_only_at: Option<u64>,
    lanes: Lanes,
    orders: Mailbox<Order>,
    upkeep: Upkeep,
    /// Everything up to here is decided.
    committed: Zxid,
    /// Every local `sync` up to this number is answered by the quorum.
    synced: u64,
    /// Set while the pipeline's batch is offered: the last of its writes.
    proposing: Option<WriteId>,
    /// What the server orders. That of the election's connections waits here for the turn's end.
    out: Outputs,
    /// Where the election port is to be from now on.
    elects_at: Option<Vec<Address>>,
    deferred: VecDeque<Deferred>,
    /// Inputs that come behind transactions that wait to be offered.
    behind: Behind<Deferred>,
    /// Those that came with the last request of a learner's client.
    last_ids: LastIds,
    /// Memory for those that go to the leader.
    ids: Vec<u8>,
    /// Learners for which the log is asked.
    askings: Vec<asking::Asking>,
    /// Learners that are being sent a part of the log.
    streams: Vec<outputs::Stream>,
    /// The log could not be read behind this transaction: learners that are not beyond it get an image.
    unreadable_behind: Zxid,
    standing: Standing,
    /// Learners that are being sent an image.
    asides: Vec<aside::Aside>,
    /// Learners that wait for a newer image.
    wanted: Vec<aside::Wanted>,
    /// The image that this learner is being sent.
    incoming: Option<incoming::Incoming>,
    /// One that came whole, until the machine orders that it be installed: in the same step.
    received: Option<Beside>,
    /// Whether the tree here is of no use, and the machine knows.
    is_fenced: bool,
    /// Ends the sleep, from any thread.
    waker: Waker,
    stopping: bool,
}

impl EnsembleShard {
    /// Begins to look for a leader.
    pub(crate) fn new(
        member: Member,
        lanes: Vec<Lane>,
        orders: Mailbox<Order>,
        images: Images,
        slow_append_ms: u64,
    ) -> Self {
        let Member { server, votes, learners, disk, backlog, .. } = member;
        let Member { mut applier, reaping, members, manners, oracle, .. } = member;
        applier.set_mode(Mode::Looking);
        let space: DiskSpace = disk.log().space();
        let committed = server.peer().committed();
        // One that has lost its data says so from the beginning.
        let is_fenced = server.peer().vote().zxid == Zxid(-1);
        let core = Core {
            server,
            now: clock::moment(),
            moment: clock::now(),
            role: Role::Idle(Box::new(applier)),
            disk,
            backlog,
            reaping,
            members,
            manners,
            oracle,
            read_only_at: None,
            lanes: Lanes::new(lanes),
            orders,
            upkeep: Upkeep::new(images, space, slow_append_ms),
            committed,
            synced: 0,
            proposing: None,
            out: Outputs::default(),
            elects_at: None,
            deferred: VecDeque::new(),
            behind: Behind::default(),
            last_ids: LastIds::default(),
            ids: Vec::new(),
            askings: Vec::new(),
            streams: Vec::new(),
            unreadable_behind: Zxid(-2),
            standing: Standing::default(),
            asides: Vec::new(),
            wanted: Vec::new(),
            is_fenced,
            incoming: None,
            received: None,
            waker: Waker::noop().clone(),
            stopping: false,
        };
        let mut shard = Self { votes, learners, core };
        shard.core.start(&mut shard.learners);
        shard
    }

    fn hear_votes(&mut self) -> bool {
        let Self { votes, learners, core } = self;
        let mut any = false;
        votes.turn(clock::moment(), &mut |input| {
            any = true;
            core.step_server(learners, input);
        });
        any
    }

    fn hear_learners(&mut self) -> bool {
        let Self { learners, core, .. } = self;
        let mut any = false;
        learners.turn(clock::moment(), &mut |port, arrived| {
            any = true;
            core.arrived(port, arrived);
        });
        any
    }

    /// Does what the connections of the election order, until they order nothing more.
    fn send_votes(&mut self) {
        let Self { votes, learners, core } = self;
        if let Some(addresses) = core.elects_at.take()
            && let Err(error) = votes.set_own_addresses(addresses)
        {
            tracing::error!("our new election address is of no use: {error}");
        }
        let now = clock::moment();
        while !core.out.links.is_empty() {
            for output in std::mem::take(&mut core.out.links) {
                if let Some(input) = votes.perform(now, output) {
                    core.step_server(learners, server::Input::Links(input));
                }
            }
        }
    }
}

impl Turns for EnsembleShard {
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), ShardError> {
        self.core.waker.clone_from(cx.waker());
        let mut is_first = true;
        loop {
            self.core.now = clock::moment();
            self.core.moment = clock::now();
            let mut progress = self.core.take_orders(cx);
            // A vote can wait for the next turn.
            progress |= std::mem::take(&mut is_first) && self.hear_votes();
            progress |= self.hear_learners();
            let Self { learners, core, .. } = self;
            progress |= core.take_forwards(cx, learners);
            progress |= core.ask_oracle(learners);
            progress |= core.take_deadlines(learners);
            core.step_deferred(learners);
            progress |= core.take_written(cx, learners)?;
            progress |= core.propose(cx, learners)?;
            progress |= core.take_answers(learners);
            progress |= core.stream_images(learners);
            core.stream(learners);
            learners.flush();
            progress |= core.apply(cx);
            progress |= core.fence(learners);
            core.lanes.hand_out(cx, core.role.applier());
            self.send_votes();
            if !progress {
                return Ok(());
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.core.stopping && self.core.disk.is_idle()
    }

    /// Several members on one core would stand in each other's way: with one write in flight each, that cost some 5 %.
    fn may_look(&self) -> bool {
        false
    }

    fn next_deadline(&self) -> u64 {
        let core = &self.core;
        let moments = [
            core.server.next_deadline(),
            self.votes.next_deadline(),
            self.learners.next_deadline(),
        ];
        let machines = moments.into_iter().flatten().min();
        let machines_ms = machines.map_or(u64::MAX, |it| it.micros().div_ceil(1_000));
        let pipeline_ms = match &core.role {
            Role::Leading(pipeline) => pipeline.next_deadline(),
            Role::Learning(learning) => learning.applier().local_deadline().unwrap_or(u64::MAX),
            Role::ReadOnly(it) => it.applier().local_deadline().unwrap_or(u64::MAX),
            Role::Idle(_) | Role::Changing => core.read_only_at.unwrap_or(u64::MAX),
        };
        let asked = core.oracle.as_ref().filter(|_| core.server.asks_oracle());
        let oracle_ms = asked.map_or(u64::MAX, Oracle::next_deadline);
        core.upkeep.next_deadline().min(machines_ms).min(pipeline_ms).min(oracle_ms)
    }

    fn rings(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.core.disk.ring(), self.votes.fd(), self.learners.fd()]
    }
}

impl Core {
    fn arrived(&mut self, port: &mut LearnerPort, arrived: Arrived<'_>) {
        match arrived {
            Arrived::Accepted { link } => self.step(port, Input::Accepted { link }),
            Arrived::Connected { link, to } => self.step(port, Input::Connected { link, to }),
            Arrived::ConnectFailed { to } => self.step(port, Input::ConnectFailed { to }),
            Arrived::Closed { link, why } => {
                if let Some(why) = why {
                    tracing::warn!(?link, "a connection between servers was closed: {why}");
                }
                self.forget_transfers(link);
                self.step(port, Input::Closed { link });
            }
            Arrived::Packet { link, message } => {
                if let Role::Learning(learning) = &mut self.role {
                    let figures = learning.applier_mut().figures_mut();
                    standing::arrived(&message, self.committed, self.moment.wall_ms, figures);
                }
                self.step(port, Input::Packet { link, message });
            }
            Arrived::SnapshotBytes { link, bytes } => self.take_image(port, link, bytes),
            // Streams look at the queue themselves.
            Arrived::Drained { .. } => {}
        }
    }

    fn take_orders(&mut self, cx: &Context<'_>) -> bool {
        let mut any = false;
        while let std::task::Poll::Ready(order) = self.orders.poll_next(cx) {
            any = true;
            match order {
                Order::Look(look) => {
                    let member = self.standing.gauges(self.server.peer(), clock::now_ms());
                    let applier = self.role.applier();
                    applier.set_member(member);
                    look(applier);
                }
                Order::Stop => self.stopping = true,
            }
        }
        any
    }

    /// Takes what the session shards hold, as long as the role has room for it.
    fn take_forwards(&mut self, cx: &Context<'_>, port: &mut LearnerPort) -> bool {
        let mut any = false;
        if self.stopping {
            return any;
        }
        let room = self.upkeep.see_to_room(self.role.applier());
        if let Role::Leading(pipeline) = &mut self.role {
            pipeline.set_room(room);
        }
        self.tell_pipeline_of_members();
        let moment = self.moment;
        for shard in 0..self.lanes.len() {
            while self.role.has_room() {
                let Some(forward) = self.lanes.pop(shard, cx) else { break };
                any = true;
                match &mut self.role {
                    // Its clients are gone, or about to be told.
                    Role::Idle(_) | Role::Changing => {}
                    Role::Leading(pipeline) => {
                        let before = pipeline.syncs();
                        pipeline.take(moment, shard, &forward);
                        pipeline.quota_notes().for_each(crate::pipeline_shard::say);
                        let syncs = before + 1..=pipeline.syncs();
                        self.deferred.extend(syncs.map(Deferred::LocalSync));
                    }
                    Role::Learning(learning) => learning.take(moment, shard, &forward),
                    Role::ReadOnly(read_only) => read_only.take(moment, shard, &forward),
                }
                self.lanes.give_back(shard, forward);
            }
        }
        self.say_refusal();
        self.tell_leader(port);
        any
    }

    /// Sends what this learner's clients want of the leader.
    fn tell_leader(&mut self, port: &mut LearnerPort) {
        let Role::Learning(learning) = &mut self.role else { return };
        let orders: Vec<ToLeader> = learning.to_leader().collect();
        let mut ids = std::mem::take(&mut self.ids);
        for order in orders {
            match order {
                ToLeader::Request { session, cxid, op, body, auth } => {
                    forwarded::write_ids(&auth, &mut ids);
                    self.forward(port, forwarded::request(session, cxid, op, &body, &ids));
                }
                ToLeader::Sync { id, session, cxid, body } => {
                    forwarded::write_ids(&AuthIds::default(), &mut ids);
                    let op = jute::Op::Sync;
                    self.forward(port, forwarded::request(session, cxid, op, &body, &ids));
                    self.step(port, Input::Sync { from: SyncFrom::Local(id) });
                }
                ToLeader::Revalidate(touch) => self.step(port, Input::Revalidate(touch)),
                ToLeader::Touch(touch) => self.step(port, Input::Touch(touch)),
            }
        }
        self.ids = ids;
    }

    fn forward(&self, port: &mut LearnerPort, message: quorum::wire::Message<'_>) {
        if let Some(link) = self.server.peer().request_link() {
            port.send(quorum::zab::To::Link(link), &message);
        }
    }

    fn take_deadlines(&mut self, port: &mut LearnerPort) -> bool {
        let mut any = false;
        if self.server.next_deadline().is_some_and(|at| at <= self.now) {
            any = true;
            self.step_server(port, server::Input::Deadline);
        }
        let moment = clock::now();
        let quiet = if self.backlog.is_empty() { Quiet::Yes } else { Quiet::No };
        match &mut self.role {
            Role::Leading(pipeline) if pipeline.next_deadline() <= moment.now_ms => {
                any = true;
                pipeline.deadline(moment);
            }
            Role::Learning(learning) => learning.deadline(moment),
            Role::ReadOnly(read_only) => read_only.deadline(moment),
            _ => {}
        }
        if self.read_only_at.is_some_and(|at| at <= moment.now_ms) {
            self.serve_read_only(moment);
        }
        if self.upkeep.next_deadline() <= moment.now_ms {
            self.upkeep.look_around(moment, self.role.applier(), quiet);
        }
        any
    }

    /// Tells the machine what is durable.
    fn take_written(
        &mut self,
        cx: &Context<'_>,
        port: &mut LearnerPort,
    ) -> Result<bool, ShardError> {
        let mut any = false;
        while let Some(written) = self.disk.poll(cx)? {
            any = true;
            self.written(port, written);
        }
        Ok(any)
    }

    fn written(&mut self, port: &mut LearnerPort, written: Written) {
        let write = match written {
            Written::Batch { logged, last, took_ms } => {
                self.upkeep.measure_append(took_ms, &logged.batch, self.role.applier());
                let figures = self.role.applier().figures_mut();
                Standing::acked(&logged.batch, clock::wall_ms(), figures);
                self.backlog.push(logged);
                last
            }
            Written::Truncated { to, write } => {
                self.backlog.truncate(to);
                write
            }
            Written::Epoch { write } => write,
            Written::Installed { image, void_sequence, write } => {
                self.installed(&image, void_sequence);
                write
            }
        };
        self.step(port, Input::Durable { write });
    }

    /// Offers the pipeline's batch to all, and begins to write it; answers alone wait until everything before them is applied.
    fn propose(&mut self, cx: &Context<'_>, port: &mut LearnerPort) -> Result<bool, ShardError> {
        let can_propose = self.disk.is_idle() && self.server.peer().next_zxid().is_some();
        let Role::Leading(pipeline) = &mut self.role else { return Ok(false) };
        if !can_propose || !pipeline.has_room_out() {
            return Ok(false);
        }
        if !pipeline.has_transactions() && !self.backlog.is_empty() {
            return Ok(false);
        }
        let Some(batch) = pipeline.next_batch() else { return Ok(false) };
        if batch.is_empty() {
            self.backlog.push(Logged { batch, whose: Whose::Pipeline });
            return Ok(true);
        }
        self.proposing = Some(WriteId::default());
        pipeline.applier_mut().figures_mut().proposal_count += u64::from(batch.count());
        for (offered, (zxid, txn)) in (1..).zip(batch.records()) {
            self.standing.proposed(txn.len());
            self.step(port, Input::Propose { zxid, txn });
            while let Some(deferred) = self.behind.pop(offered) {
                self.step(port, deferred.input());
            }
        }
        self.behind.end_batch(batch.count());
        let last = self.proposing.take().unwrap_or_default();
        self.disk.append_batch(last, batch);
        // Begins the write; that may be over at once.
        if let Some(written) = self.disk.poll(cx)? {
            self.written(port, written);
        }
        Ok(true)
    }

    /// Applies what is decided, once every ring has room for what that says.
    fn apply(&mut self, cx: &Context<'_>) -> bool {
        let mut any = false;
        while self.lanes.have_room(cx) && self.apply_next(cx) {
            any = true;
        }
        any
    }

    fn apply_next(&mut self, cx: &Context<'_>) -> bool {
        let moment = clock::now();
        let grown = match &mut self.role {
            Role::Leading(pipeline) => {
                let decided = |it: &Logged| {
                    it.batch.last_zxid().is_none_or(|last| last <= self.committed)
                        && pipeline.awaited_sync() <= self.synced
                };
                if !self.backlog.front().is_some_and(decided) {
                    return false;
                }
                let Some(Logged { batch, whose }) = self.backlog.pop() else { return false };
                assert_eq!(whose, Whose::Pipeline, "a leader has applied what was before it");
                let txns = u64::from(batch.count());
                pipeline.applier_mut().figures_mut().commit_count += txns;
                let grown = Due { txns, bytes: batch.len_bytes() as u64 };
                self.lanes.recycle(pipeline.applier_mut());
                pipeline.durable(moment, batch);
                if pipeline.applier().diverged().is_some() {
                    return false;
                }
                self.lanes.hand_out(cx, pipeline.applier_mut());
                pipeline.publish();
                grown
            }
            Role::Learning(learning) => {
                let after = learning.applier().state().tree().zxid();
                if !self.backlog.holds(after, self.committed) {
                    return false;
                }
                let mut grown = Due { txns: 0, bytes: 0 };
                self.lanes.recycle(learning.applier_mut());
                learning.begin();
                let done = self.backlog.take_upto(after, self.committed, |decided| {
                    let mut entries = Entries::new(decided);
                    while let Some((_, entry)) = entries.next(learning.applier().state()) {
                        grown.txns += 1;
                        grown.bytes += entry.len() as u64;
                        learning.decided(moment, entry);
                    }
                });
                self.disk.take_back(done);
                learning.end();
                if learning.applier().diverged().is_some() {
                    return false;
                }
                self.lanes.hand_out(cx, learning.applier_mut());
                learning.publish();
                grown
            }
            Role::Idle(_) | Role::ReadOnly(_) | Role::Changing => return false,
        };
        self.upkeep.see_to_images(moment, grown, self.role.applier());
        true
    }
}
