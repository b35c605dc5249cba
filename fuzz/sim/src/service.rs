//! What a server does for its clients: the program's session shard, pipeline, learner and tree, with the world around them.
//!
//! ZooKeeper: `ZooKeeperServer` and its kinds. The machines are the program's own ([`Shard`], [`Pipeline`], [`Learning`],
//! [`Applier`]); here is what its thread does for them between an election and the next. It lives as long as its process.
//!
//! *Absent:* reads without a leader.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::apply::ApplyError;
use engine::arena::Memory;
use engine::auth::{AclCheck, AuthConfig};
use engine::map::MapSeed;
use engine::reaper::ReaperConfig;
use engine::rules::{self, Reconfig, Rules};
use engine::session::SessionTracker;
use engine::state::State;
use engine::tree::{Tree, TreeView};
use jute::{Record as _, SessionId, TxnHeader, Zxid};
use net::admission::{Admission, AdmissionSettings};
use net::message::{ConnId, Deliver, DeliverItem, Forward};
use net::shard::{Inbox, Output, Shard, ShardSettings};
use net::words::Serving;
use quorum::config::ReconfigRules;
use quorum::{Peer, PeerState, Sid};
use ringkeeper::pipeline::{
    Applier, Learning, LocalPolicy, LocalSessions, Membership, Mode, Moment, Pipeline, Reaping,
    ToLeader,
};
use ringkeeper::reader::ArenaReader;
use snapshot::Beside;
use snapshot::java::{Decoder, Encoder, ExtendedTypes};
use wal::Batch;

/// Words of a tree's region: 256 KiB.
const WORDS: usize = Memory::WORDS_MIN;

/// Keys of hashes: chance that is the same in every run.
const SEED: [u64; 2] = [1, 2];

thread_local! {
    /// Regions that no server uses.
    static SPARE: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// The memory of one server's tree, from one process of it to the next.
#[derive(Debug)]
pub struct Region(Memory);

impl Default for Region {
    fn default() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| Memory::leaked(WORDS)))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        SPARE.with_borrow_mut(|it| it.push(self.0));
    }
}

impl Region {
    /// A tree with nothing in it. Whoever had one here before has none.
    fn tree(&self) -> Tree {
        for word in self.0.words {
            word.store(0, Ordering::Relaxed);
        }
        let tree = Tree::format(self.0, SEED);
        tree.unwrap_or_else(|err| unreachable!("the region has its size: {err}"))
    }
}

/// What the pipeline says to the shard and the shard has not heard.
#[derive(Debug, Default)]
pub struct Queue(VecDeque<Deliver>);

impl Inbox for Queue {
    fn next(&mut self) -> Option<Deliver> {
        self.0.pop_front()
    }

    fn spent(&mut self, deliver: Deliver) {
        drop(deliver);
    }
}

/// The role, as clients meet it.
#[derive(Debug)]
pub enum Role {
    /// It serves nobody.
    Idle(Box<Applier>),
    /// It leads.
    Leading(Box<Pipeline>),
    /// It follows or observes.
    Learning(Box<Learning>),
    /// Between two.
    Changing,
}

/// Something for a client's connection.
#[derive(Debug)]
pub enum Said {
    /// Bytes.
    Bytes(ConnId, Vec<u8>),
    /// It is closed.
    Close(ConnId),
}

/// One process's share in clients.
#[derive(Debug)]
pub struct Service {
    /// What it does for them.
    pub role: Role,
    /// Their connections.
    pub shard: Shard<ArenaReader>,
    /// What the shard is to hear.
    pub inbox: Queue,
    /// Of a leader: batches that are offered and not applied, oldest first.
    out: VecDeque<Batch>,
    /// Of a leader: every local `sync` up to this one is answered by the quorum.
    pub synced: u64,
}

impl Service {
    /// A process that begins with this image of the tree, or with none.
    pub fn new(
        region: &Region,
        sid: Sid,
        tick_ms: u64,
        moment: Moment,
        image: Option<(Zxid, &[u8])>,
        policy: LocalPolicy,
    ) -> Self {
        let mut tree = region.tree();
        if let Some((zxid, bytes)) = image {
            let mut decoder = Decoder::signed(ExtendedTypes::On);
            tree.begin();
            let taken = decoder.push(&mut tree, bytes);
            assert!(taken.is_ok() && decoder.is_done(), "an image of ours: {taken:?}");
            tree.commit(zxid);
        }
        let state = State::new(tree);
        let seed = MapSeed { low: SEED[0], high: SEED[1] };
        let reader = ArenaReader::new(state.tree().reader(), rules_of_all());
        let first = SessionId::first(sid.0 as u8, moment.wall_ms);
        let sessions = SessionTracker::new(tick_ms as u32, first, seed);
        let mut applier = Applier::new(state, rules_of_all(), sessions, 1, moment.now_ms);
        applier.set_mode(Mode::Looking);
        let locals = SessionTracker::new(tick_ms as u32, first, seed);
        applier.set_local(LocalSessions::new(policy, locals));
        let settings = ShardSettings {
            tick_ms,
            timeout_ms_min: 2 * tick_ms as i32,
            timeout_ms_max: 20 * tick_ms as i32,
            ..ShardSettings::default()
        };
        let admission = Arc::new(Admission::new(AdmissionSettings::default(), 0, 1));
        let mut shard = Shard::new(settings, reader, admission, seed);
        shard.set_serving(Serving::Not);
        let (inbox, out) = (Queue::default(), VecDeque::new());
        Self { role: Role::Idle(Box::new(applier)), shard, inbox, out, synced: 0 }
    }

    /// The tree and who is connected.
    pub fn applier(&self) -> &Applier {
        match &self.role {
            Role::Idle(applier) => applier,
            Role::Leading(pipeline) => pipeline.applier(),
            Role::Learning(learning) => learning.applier(),
            Role::Changing => unreachable!("a change of role is over at once"),
        }
    }

    fn applier_mut(&mut self) -> &mut Applier {
        match &mut self.role {
            Role::Idle(applier) => applier,
            Role::Leading(pipeline) => pipeline.applier_mut(),
            Role::Learning(learning) => learning.applier_mut(),
            Role::Changing => unreachable!("a change of role is over at once"),
        }
    }

    fn take_role(&mut self) -> Applier {
        match std::mem::replace(&mut self.role, Role::Changing) {
            Role::Idle(applier) => *applier,
            Role::Leading(pipeline) => pipeline.into_applier(),
            Role::Learning(learning) => learning.into_applier(),
            Role::Changing => unreachable!("a change of role is over at once"),
        }
    }

    /// The last transaction in the tree, and what the tree amounts to.
    pub fn tree(&self) -> (Zxid, u64) {
        let tree = self.applier().state().tree();
        (tree.zxid(), tree.look(TreeView::digest))
    }

    /// Why the tree is of no use.
    pub fn diverged(&self) -> Option<ApplyError> {
        self.applier().diverged()
    }

    /// An image of the tree.
    pub fn image(&self) -> Rc<[u8]> {
        let (mut encoder, mut bytes) = (Encoder::signed(), Vec::new());
        encoder.fill(self.applier().state().tree(), usize::MAX, &mut bytes);
        bytes.into()
    }

    /// Applies what is decided while nobody is served.
    pub fn catch_up<'a>(&mut self, txns: impl Iterator<Item = &'a [u8]>) {
        let mut batch = Batch::default();
        for txn in txns {
            let header = TxnHeader::decode(txn).unwrap_or_else(|err| panic!("{err}"));
            batch.push(header.zxid, |out| out.extend_from_slice(txn));
        }
        self.applier_mut().replay(|apply| apply(batch.records()));
    }

    /// A leader's image takes the place of the tree.
    pub fn replace(&mut self, moment: Moment, zxid: Zxid, bytes: &[u8]) {
        let beside = Beside::fresh(WORDS * size_of::<u64>(), SEED);
        let mut beside = beside.unwrap_or_else(|err| panic!("{err}"));
        let mut decoder = Decoder::signed(ExtendedTypes::On);
        let taken = beside.take(&mut decoder, bytes);
        assert!(taken.is_ok() && decoder.is_done(), "an image of ours: {taken:?}");
        beside.set_zxid(zxid);
        self.applier_mut().replace(moment.now_ms, &beside);
    }

    /// Begins to serve, with everything applied that was decided before.
    pub fn serve(&mut self, moment: Moment, peer: &Peer) {
        let mode = match peer.state() {
            PeerState::Looking => Mode::Looking,
            PeerState::Leading { .. } => Mode::Leader,
            PeerState::Following { .. } => Mode::Follower,
            PeerState::Observing { .. } => Mode::Observer,
        };
        let mut applier = self.take_role();
        applier.settle();
        applier.start_over(moment.now_ms);
        applier.set_mode(mode);
        let config = peer.views().committed();
        let shown = applier.show_config(config, moment.wall_ms);
        assert!(shown.is_ok(), "the region has room");
        applier.tell_all(|| DeliverItem::Serve(Serving::ReadWrite));
        self.synced = 0;
        self.role = match peer.next_zxid().filter(|_| mode == Mode::Leader) {
            Some(first) => {
                let mut pipeline = Pipeline::new(applier, REAPING, moment.now_ms);
                pipeline.begin_epoch(first);
                let views = peer.views().clone();
                pipeline.set_membership(Membership::new(ReconfigRules::default(), views));
                Role::Leading(Box::new(pipeline))
            }
            None => Role::Learning(Box::new(Learning::new(applier))),
        };
    }

    /// The role has ended, and its clients with it.
    pub fn end_role(&mut self, moment: Moment) {
        let mut applier = self.take_role();
        applier.start_over(moment.now_ms);
        applier.set_mode(Mode::Looking);
        applier.tell_all(|| DeliverItem::Stop);
        self.out.clear();
        self.role = Role::Idle(Box::new(applier));
    }

    /// A client connects.
    pub fn accept(&mut self, now_ms: u64) -> Option<ConnId> {
        self.shard.accept(now_ms, SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).ok()
    }

    /// Gives the role what the shard says. The numbers of local syncs among it, of a leader.
    pub fn take(&mut self, moment: Moment, forward: &Forward) -> std::ops::RangeInclusive<u64> {
        match &mut self.role {
            Role::Leading(pipeline) => {
                let before = pipeline.syncs();
                pipeline.take(moment, 0, forward);
                return before + 1..=pipeline.syncs();
            }
            Role::Learning(learning) => learning.take(moment, 0, forward),
            Role::Idle(_) | Role::Changing => {}
        }
        #[expect(clippy::reversed_empty_ranges, reason = "none")]
        let none = 1..=0;
        none
    }

    /// What a learner's clients want of the leader.
    pub fn to_leader(&mut self) -> Vec<ToLeader> {
        match &mut self.role {
            Role::Learning(learning) => learning.to_leader().collect(),
            _ => Vec::new(),
        }
    }

    /// What is new waits for the shard. Whether anything was.
    pub fn collect(&mut self) -> bool {
        let mut any = false;
        while let Some(deliver) = self.applier_mut().deliver(0) {
            any = true;
            self.inbox.0.push_back(deliver);
        }
        any
    }

    /// Whether something waits for the shard.
    pub fn has_news(&self) -> bool {
        !self.inbox.0.is_empty()
    }

    /// The shard hears what is new.
    pub fn drain(&mut self, now_ms: u64) {
        self.shard.drain(now_ms, &mut self.inbox);
    }

    /// What the shard sends, and whom it closes.
    pub fn said(&mut self, now_ms: u64) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            let before = said.len();
            while let Some(conn) = self.shard.next_unsent() {
                let bytes = self.shard.unsent(conn).to_vec();
                self.shard.sent(now_ms, conn, bytes.len());
                said.push(Said::Bytes(conn, bytes));
            }
            while let Some(output) = self.shard.next_output() {
                if let Output::Close { conn } = output {
                    said.push(Said::Close(conn));
                }
            }
            if said.len() == before {
                return said;
            }
        }
    }

    /// A leader's next batch is on its way from now on: its transactions.
    pub fn next_batch(&mut self) -> Vec<(Zxid, Rc<[u8]>)> {
        let Role::Leading(pipeline) = &mut self.role else { return Vec::new() };
        let waits = !pipeline.has_transactions() && !self.out.is_empty();
        if waits || !pipeline.has_room_out() {
            return Vec::new();
        }
        let Some(batch) = pipeline.next_batch() else { return Vec::new() };
        let txns = batch.records().map(|(zxid, txn)| (zxid, Rc::from(txn))).collect();
        self.out.push_back(batch);
        txns
    }

    /// A leader applies its oldest batch if that is decided, up to `upto`. Whether it did.
    pub fn apply_batch(&mut self, moment: Moment, upto: Zxid) -> bool {
        let Role::Leading(pipeline) = &mut self.role else { return false };
        let Some(batch) = self.out.front() else { return false };
        let is_decided = batch.last_zxid().is_none_or(|it| it <= upto);
        if !is_decided || self.synced < pipeline.awaited_sync() {
            return false;
        }
        let Some(batch) = self.out.pop_front() else { return false };
        pipeline.durable(moment, batch);
        if pipeline.applier().diverged().is_some() {
            return false;
        }
        self.inbox.0.extend(pipeline.applier_mut().deliver(0));
        pipeline.publish();
        true
    }

    /// A learner applies what is decided.
    pub fn apply<'a>(&mut self, moment: Moment, txns: impl Iterator<Item = &'a [u8]>) {
        let Role::Learning(learning) = &mut self.role else { return };
        learning.begin();
        txns.for_each(|it| learning.decided(moment, it));
        learning.end();
        if learning.applier().diverged().is_none() {
            self.inbox.0.extend(learning.applier_mut().deliver(0));
            learning.publish();
        }
    }

    /// When it wants to look at the clock, monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let role = match &self.role {
            Role::Leading(pipeline) => Some(pipeline.next_deadline()),
            Role::Learning(learning) => learning.applier().local_deadline(),
            Role::Idle(_) | Role::Changing => None,
        };
        [role, self.shard.next_deadline()].into_iter().flatten().min()
    }

    /// Looks at it.
    pub fn deadline(&mut self, moment: Moment) {
        match &mut self.role {
            Role::Leading(pipeline) if pipeline.next_deadline() <= moment.now_ms => {
                pipeline.deadline(moment);
            }
            Role::Learning(learning) => learning.deadline(moment),
            _ => {}
        }
        self.shard.deadline(moment.now_ms);
    }
}

fn rules_of_all() -> Rules {
    let auth = AuthConfig { acl: AclCheck::Skip, ..AuthConfig::default() };
    let extended_types = rules::ExtendedTypes::On;
    Rules { auth, reconfig: Reconfig::On, extended_types, ..Rules::default() }
}

const REAPING: Reaping = Reaping {
    interval_ms: 300,
    per_minute_max: 6_000,
    config: ReaperConfig { never_used_ms_max: 0 },
};
