//! The pipeline: orders requests, makes them transactions, applies what is durable, and answers.
//!
//! ZooKeeper: `PrepRequestProcessor`, `SyncRequestProcessor` and `FinalRequestProcessor` in one, without their threads. A
//! machine: requests and the news that a batch is durable come in with the moment of the turn; batches to write and messages
//! for the session shards go out. One batch is *filling* while another is being written and a third applied.
//!
//! Invariants: steps are answered in the order they were taken; the tree changes only in [`Pipeline::durable`], and only by
//! transactions that are durable; the messages of a batch are handed out before its version is published.
//!
//! Absent here: rings, the log's file, clocks; the tree and what is told of it are the [`Applier`]'s.

mod applier;
mod connections;
mod learning;
mod local;
mod membership;
mod outbox;
mod quota_notes;
mod read_only;
mod remote;
mod stage;

use std::collections::VecDeque;
use std::ops::Range;

use engine::ahead::{self, AHEAD, Entries};
use engine::auth::AuthIds;
use engine::prep::{Prep, Prepared, Request, Room};
use engine::reaper::ReaperConfig;
use engine::state::State;
use jute::{Code, CreateSessionTxn, Field, Op, PathRequest, Record, SessionId, Xid, Zxid};
use net::message::{DeliverItem, Forward, ForwardItem};
use wal::{Batch, batch::Records};

use applier::Changes;
pub use applier::{Applier, Mode};
pub use connections::{Home, Owner};
pub use learning::{Learning, ToLeader};
use local::Judged;
pub use local::{LocalPolicy, LocalSessions};
pub use membership::Membership;
pub use quota_notes::QuotaNote;
use quota_notes::QuotaNotes;
pub use read_only::ReadOnly;
pub use remote::RemoteRequest;
use stage::{Asker, Stage, Step};

/// Bytes of transactions after which the pipeline takes no more requests until the batch is on its way. What one turn of a shard asks beyond goes into batches behind
/// it: so a batch is longer by one transaction at most, and the log takes it.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Batches given out and not yet applied. Alone, a server needs two: one that is written and one that is applied; a leader has as
/// many as it takes until a quorum answers.
pub const OUT_MAX: usize = 64;

/// The counter of the last transaction of an epoch: the reference's leader gives up at the one behind it.
const EPOCH_END: i64 = 0xffff_fffe;

/// Sessions that one turn looks at to expire them at most, so that a mass expiry leaves room for others.
const EXPIRED_PER_TURN_MAX: usize = 256;

/// The moment of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Wall milliseconds since 1970.
    pub wall_ms: i64,
}

/// When containers and TTL znodes are looked for, and how fast they go.
#[derive(Clone, Copy, Debug)]
pub struct Reaping {
    /// Milliseconds between two looks, at least 1. Source: `znode.container.checkIntervalMs`.
    pub interval_ms: u64,
    /// Deletes per minute at most, at least 1. Source: `znode.container.maxPerMinute`.
    pub per_minute_max: u64,
    /// Which znodes.
    pub config: ReaperConfig,
}

/// Orders, preps, applies. One per server.
#[derive(Debug)]
pub struct Pipeline {
    applier: Applier,
    prep: Prep,
    filling: Stage,
    /// Those that are full, oldest first: to be given out before `filling`.
    full: VecDeque<Stage>,
    /// [`BATCH_BYTES_MAX`].
    batch_bytes_max: usize,
    /// Those whose batch was given out by [`Pipeline::next_batch`], oldest first; at most [`OUT_MAX`].
    out: VecDeque<Stage>,
    /// To be filled again.
    spare: Vec<Stage>,
    reaping: Reaping,
    /// When to look for containers and TTL znodes next, monotonic milliseconds.
    reap_at_ms: u64,
    /// Found and not yet deleted, last first.
    to_reap: Vec<Vec<u8>>,
    /// `sync`s of clients here so far, and refusals of sessions that are not known.
    syncs: u64,
    quota_notes: QuotaNotes,
    /// The last zxid that may be given out; `None` alone, where the counter runs into the next epoch's numbers.
    epoch_end: Option<Zxid>,
    /// Of a leader.
    membership: Option<Membership>,
}

impl Pipeline {
    /// Orders what comes behind the transactions that are applied.
    pub fn new(applier: Applier, reaping: Reaping, now_ms: u64) -> Self {
        Self {
            prep: Prep::new(applier.rules.clone(), &applier.state),
            applier,
            filling: Stage::default(),
            full: VecDeque::new(),
            batch_bytes_max: BATCH_BYTES_MAX,
            out: VecDeque::new(),
            spare: Vec::new(),
            reap_at_ms: now_ms + reaping.interval_ms,
            reaping,
            to_reap: Vec::new(),
            syncs: 0,
            quota_notes: QuotaNotes::default(),
            epoch_end: None,
            membership: None,
        }
    }

    /// There is an ensemble, whose members can change.
    pub fn set_membership(&mut self, membership: Membership) {
        self.membership = Some(membership);
    }

    /// The ensemble, if its members can change.
    pub fn membership_mut(&mut self) -> Option<&mut Membership> {
        self.membership.as_mut()
    }

    /// The tree, the connections, the figures.
    pub fn applier(&self) -> &Applier {
        &self.applier
    }

    /// The same, for the driver: between two batches, or between [`Pipeline::durable`] and [`Pipeline::publish`].
    pub fn applier_mut(&mut self) -> &mut Applier {
        &mut self.applier
    }

    /// Gives the role up: what was ordered and is not applied has nobody to answer to.
    pub fn into_applier(self) -> Applier {
        self.applier
    }

    /// The next transaction is `first`, the first of a new leader's epoch. Nothing is ordered yet.
    pub fn begin_epoch(&mut self, first: Zxid) {
        self.prep.begin_epoch(Zxid(first.0 - 1));
        self.epoch_end = Some(Zxid(first.0 & !0xffff_ffff | EPOCH_END));
    }

    /// Whether the epoch's last zxid is given out. Then nothing more is ordered, and whoever asks is not answered: the leader is
    /// about to give its epoch up.
    ///
    /// Source: `Leader.propose`, `XidRolloverException`.
    fn is_exhausted(&self) -> bool {
        self.epoch_end == Some(self.prep.last_zxid())
    }

    /// `sync`s that clients of this server have asked for. That a session is over is one too: a leader that has been deposed and has not heard of it
    /// does not know those of the next epoch.
    ///
    /// **Differs:** the reference's leader says so at once.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// The last `sync` in the oldest batch that is out: it must be confirmed before [`Pipeline::durable`]. 0 if there is none.
    pub fn awaited_sync(&self) -> u64 {
        self.out.front().map_or(0, |it| it.last_sync)
    }

    /// Whether another batch may be given out.
    pub fn has_room_out(&self) -> bool {
        self.out.len() < OUT_MAX
    }

    /// Whether another [`Forward`] may be taken in this turn.
    pub fn has_room(&self) -> bool {
        let waiting = self.filling.batch.len_bytes() + self.filling.bytes.len();
        self.full.is_empty() && waiting < self.batch_bytes_max
    }

    /// From now on there is this much room, on the disk and in memory.
    pub fn set_room(&mut self, room: Room) {
        self.prep.set_room(room);
    }

    /// What is to be said of quotas that requests have exceeded.
    pub fn quota_notes(&mut self) -> impl Iterator<Item = QuotaNote> {
        self.quota_notes.drain()
    }

    /// Takes one turn of a session shard.
    pub fn take(&mut self, moment: Moment, shard: usize, forward: &Forward) {
        for &(session, seen_ms) in &forward.touched {
            if !self.applier.touch_local(seen_ms, session) {
                self.applier.sessions.touch_again(seen_ms, session);
            }
        }
        let bytes = |at: &Range<u32>| forward.body(at);
        let figures = &mut self.applier.figures;
        figures.prep_processor_request_queued += forward.items.len() as u64;
        figures.prep_processor_queue_size.add(forward.items.len() as u64);
        for (number, item) in forward.items.iter().enumerate() {
            if number.is_multiple_of(AHEAD) {
                self.look_ahead(forward, number);
            }
            if self.is_exhausted() {
                return;
            }
            match item {
                ForwardItem::Connect { conn, session, password, timeout_ms, auth } => {
                    let owner = Owner { shard, conn: *conn };
                    if *session == SessionId::NONE && self.applier.opens_local() {
                        self.applier.open_local(moment, owner, *timeout_ms, auth.clone());
                    } else if *session == SessionId::NONE {
                        let session = self.open_session(moment, owner, *timeout_ms);
                        self.applier.open(owner, session, auth.clone());
                    } else if bytes(password) != jute::password(*session) {
                        self.filling.steps.push(Step::Refuse { owner });
                    } else if self.applier.attach_local(
                        moment,
                        owner,
                        (*session, *timeout_ms),
                        auth,
                    ) {
                        // It is answered.
                    } else if self.attach(moment, owner, *session, *timeout_ms) {
                        self.applier.open(owner, *session, auth.clone());
                    } else {
                        self.next_sync();
                        self.filling.steps.push(Step::Refuse { owner });
                    }
                }
                ForwardItem::Auth { conn, auth } => {
                    self.applier.set_auth(Owner { shard, conn: *conn }, auth.clone());
                }
                ForwardItem::Request { conn, session, xid, op, body } => {
                    let asker = Asker { owner: Owner { shard, conn: *conn }, xid: *xid };
                    self.request(moment, asker, *session, *op, bytes(body));
                }
                ForwardItem::Gone { conn } => {
                    self.applier.close(Owner { shard, conn: *conn });
                }
            }
        }
    }

    /// Asks memory for what the items from `number` on will need.
    fn look_ahead(&self, forward: &Forward, number: usize) {
        let requests = forward.items[number..].iter().take(AHEAD).filter_map(|it| match it {
            ForwardItem::Request { op, body, .. } => Some((*op, forward.body(body))),
            _ => None,
        });
        self.applier.state().tree().look(|view| {
            ahead::look(view, requests.clone());
            Ok(())
        });
    }

    fn open_session(&mut self, moment: Moment, owner: Owner, timeout_ms: i32) -> SessionId {
        let session = self.applier.sessions.next_id();
        let mut body = Vec::new();
        CreateSessionTxn { timeout_ms }.encode(&mut body);
        let made = self.ask(moment, session, Op::CreateSession, &body);
        assert!(made, "a new session is always a transaction");
        self.filling.steps.push(Step::Open { owner, session, timeout_ms });
        session
    }

    /// A session goes on with another connection, if it is alive; the one before is closed.
    fn attach(
        &mut self,
        moment: Moment,
        owner: Owner,
        session: SessionId,
        timeout_ms: i32,
    ) -> bool {
        if !self.applier.sessions.touch(moment.now_ms, session, timeout_ms) {
            return false;
        }
        let before = self.applier.sessions.set_owner(session, Home::Here(owner));
        if let Ok(Some(Home::Here(before))) = before {
            // Behind the answers to what it has asked, its reads too, for which it must still be known.
            self.filling.steps.push(Step::Close { owner: before });
        }
        self.filling.steps.push(Step::Attach { owner, session, timeout_ms });
        true
    }

    fn request(&mut self, moment: Moment, asker: Asker, session: SessionId, op: Op, body: &[u8]) {
        // A connection that has ended, or whose session has moved: nothing is to happen, and nobody is to hear of it.
        let Some((owned, auth)) = self.applier.find(asker.owner) else { return };
        if owned != session {
            return;
        }
        let auth = auth.clone();
        let request = Request { session, cxid: asker.xid, op, body, auth: &auth };
        if let Some(code) = self.prep.refuses(&self.applier.state, &request) {
            if !self.applier.touch_local(moment.now_ms, session) {
                self.applier.sessions.touch_again(moment.now_ms, session);
            }
            return self.filling.steps.push(Step::Early { asker, code });
        }
        if self.applier.touch_local(moment.now_ms, session) {
            let judged = self.applier.judge_local(op, body);
            if !self.judged(moment, asker, session, judged) {
                return;
            }
        }
        match self.applier.sessions.owner(session) {
            Some(Home::There(_)) => {
                self.filling.steps.push(Step::Refusal { asker, code: Code::SessionMoved });
                return;
            }
            // It is about to be closed.
            Some(Home::Here(owner)) if *owner != asker.owner => return,
            _ => {}
        }
        self.applier.sessions.touch_again(moment.now_ms, session);
        if op == Op::Sync {
            self.next_sync();
        }
        match op {
            Op::Ping => self.filling.steps.push(Step::Echo { asker }),
            op if op.is_write() || op == Op::CloseSession => {
                if op == Op::CloseSession {
                    self.applier.sessions.set_closing(session);
                }
                let step = match self.prepare(moment, &request) {
                    Prepared::Txn(_) => Step::Txn { asker: Some(asker) },
                    Prepared::Refused(code) => Step::Refusal { asker, code },
                };
                self.filling.steps.push(step);
            }
            _ => {
                let body = self.filling.keep(body);
                self.filling.steps.push(Step::Read { asker, session, op, body });
            }
        }
    }

    /// What follows in this batch waits for a quorum.
    fn next_sync(&mut self) {
        self.syncs += 1;
        self.filling.last_sync = self.syncs;
    }

    /// A request of a local session: whether it goes on as that of a global one does.
    fn judged(&mut self, moment: Moment, asker: Asker, session: SessionId, judged: Judged) -> bool {
        let step = match judged {
            Judged::Alike => return true,
            Judged::Upgrade => {
                self.upgrade(moment, session);
                return !self.is_exhausted();
            }
            Judged::Refused => Step::Refusal { asker, code: Code::EphemeralOnLocalSession },
            Judged::End => {
                self.applier.end_local(session);
                Step::Echo { asker }
            }
        };
        self.filling.steps.push(step);
        false
    }

    /// Makes a local session a global one.
    fn upgrade(&mut self, moment: Moment, session: SessionId) {
        let Some(timeout_ms) = self.applier.upgrade_local(moment.now_ms, session) else { return };
        let mut body = Vec::new();
        CreateSessionTxn { timeout_ms }.encode(&mut body);
        if self.ask(moment, session, Op::CreateSession, &body) {
            self.filling.steps.push(Step::Txn { asker: None });
        }
    }

    /// Begins another batch if this one is full. What was ordered before stays before what follows.
    fn turn_page(&mut self) {
        if self.batch_bytes_max <= self.filling.batch.len_bytes() {
            let next = self.spare.pop().unwrap_or_default();
            self.full.push_back(std::mem::replace(&mut self.filling, next));
        }
    }

    /// Appends the transaction that a request becomes, if it becomes one.
    fn prepare(&mut self, moment: Moment, request: &Request<'_>) -> Prepared {
        self.turn_page();
        let out = self.filling.batch.begin();
        let (state, wall_ms) = (&self.applier.state, moment.wall_ms);
        let prepared = match &mut self.membership {
            Some(ensemble) if request.op == Op::Reconfig => {
                let before = self.prep.last_reconfig();
                let decide = |zxid| ensemble.decide(request.body, zxid, before);
                self.prep.prepare_reconfig(state, wall_ms, request, decide, out)
            }
            _ => self.prep.prepare(state, wall_ms, request, out),
        };
        match prepared {
            Prepared::Txn(zxid) => {
                self.filling.batch.finish(zxid);
                self.applier.figures.outstanding_changes_queued += 1;
            }
            Prepared::Refused(_) => self.filling.batch.cancel(),
        }
        for exceeded in self.prep.exceeded() {
            self.quota_notes.take(moment.now_ms, exceeded, &mut self.applier.figures);
        }
        prepared
    }

    /// Asks for something itself, which is nobody's request. Whether it became a transaction, whose step is the caller's.
    fn ask(&mut self, moment: Moment, session: SessionId, op: Op, body: &[u8]) -> bool {
        if self.is_exhausted() {
            return false;
        }
        let nobody = AuthIds::default();
        let request = Request { session, cxid: Xid(0), op, body, auth: &nobody };
        matches!(self.prepare(moment, &request), Prepared::Txn(_))
    }

    /// When to call [`Pipeline::deadline`] if nothing else happens, monotonic milliseconds.
    pub fn next_deadline(&self) -> u64 {
        let sessions = [self.applier.sessions.next_deadline(), self.applier.local_deadline()];
        sessions.into_iter().flatten().fold(self.reap_at_ms, u64::min)
    }

    /// Ends the sessions whose time is up, and asks for the deletes of containers and TTL znodes that are due.
    pub fn deadline(&mut self, moment: Moment) {
        self.applier.expire_local(moment.now_ms);
        self.expire(moment);
        if self.reap_at_ms <= moment.now_ms {
            self.reap(moment);
        }
    }

    /// Ends sessions whose time is up; the end of one may be as long as a batch.
    fn expire(&mut self, moment: Moment) {
        let mut expired = Vec::new();
        for _ in 0..EXPIRED_PER_TURN_MAX {
            if !self.has_room() {
                return;
            }
            self.applier.sessions.expire(moment.now_ms, 1, &mut expired);
            let Some(session) = expired.pop() else { continue };
            self.applier.figures.stale_sessions_expired += 1;
            if self.ask(moment, session, Op::CloseSession, &[]) {
                self.filling.steps.push(Step::Txn { asker: None });
            }
        }
    }

    /// Deletes one of what was found, or looks again.
    fn reap(&mut self, moment: Moment) {
        if let Some(path) = self.to_reap.pop() {
            let mut body = Vec::new();
            PathRequest { path: Some(&path) }.write(&mut body);
            if self.ask(moment, SessionId::NONE, Op::DeleteContainer, &body) {
                self.filling.steps.push(Step::Txn { asker: None });
            }
        } else {
            let state = &self.applier.state;
            let due = state.perishables().due(state.tree(), moment.wall_ms, self.reaping.config);
            self.to_reap = due;
            self.to_reap.reverse();
        }
        let pause_ms = if self.to_reap.is_empty() {
            self.reaping.interval_ms
        } else {
            60_000 / self.reaping.per_minute_max
        };
        self.reap_at_ms = moment.now_ms + pause_ms;
    }

    /// Whether the next batch has transactions to write. If not, only answers wait for it.
    pub fn has_transactions(&self) -> bool {
        !self.full.is_empty() || !self.filling.batch.is_empty()
    }

    /// How many transactions wait to be given out, in the next batch and those behind it.
    pub fn filled(&self) -> u32 {
        self.full.iter().map(|it| it.batch.count()).sum::<u32>() + self.filling.batch.count()
    }

    /// The batch to write next, if something waits. An empty one needs no write: only answers wait. Batches come back by
    /// [`Pipeline::durable`] in their order; at most [`OUT_MAX`] are out.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.full.is_empty() && self.filling.steps.is_empty() {
            return None;
        }
        assert!(self.out.len() < OUT_MAX);
        let mut stage = self.full.pop_front().unwrap_or_else(|| {
            let next = self.spare.pop().unwrap_or_default();
            std::mem::replace(&mut self.filling, next)
        });
        let batch = std::mem::take(&mut stage.batch);
        self.out.push_back(stage);
        Some(batch)
    }

    /// The oldest batch that is out is durable: applies it, and answers. Readers see none of it until [`Pipeline::publish`];
    /// every shard's message is to be handed over in between.
    pub fn durable(&mut self, moment: Moment, batch: Batch) {
        let Some(mut stage) = self.out.pop_front() else { unreachable!("the batch was out") };
        let mut entries = Entries::new(batch.records());
        let changes = if batch.is_empty() { Changes::None } else { Changes::Some };
        self.applier.begin(changes);
        for step in stage.steps.drain(..) {
            self.step(moment, step, &stage.bytes, &mut entries);
        }
        assert!(entries.next(self.applier.state()).is_none(), "every transaction has its step");
        self.applier.end();
        if changes == Changes::Some {
            let count = u64::from(batch.count());
            let waiting = u64::from(self.filled());
            let figures = &mut self.applier.figures;
            figures.sync_processor_request_queued += count;
            figures.sync_processor_batch_size.add(count);
            figures.sync_processor_queue_size.add(waiting);
            figures.outstanding_changes_removed += count;
        }
        stage.batch = batch;
        stage.clear();
        self.spare.push(stage);
    }

    /// Shows readers what [`Pipeline::durable`] did.
    pub fn publish(&mut self) {
        if let Some(applied) = self.applier.publish() {
            self.prep.applied(applied);
        }
    }

    fn step(
        &mut self,
        moment: Moment,
        step: Step,
        bytes: &[u8],
        entries: &mut Entries<Records<'_>>,
    ) {
        let applier = &mut self.applier;
        let mut entry = |state: &State| match entries.next(state) {
            Some((_, entry)) => entry,
            None => unreachable!("every step has its transaction"),
        };
        match step {
            Step::Txn { asker } => {
                let entry = entry(applier.state());
                applier.apply(moment, asker, entry);
            }
            Step::Open { owner, session, timeout_ms } => {
                let entry = entry(applier.state());
                applier.apply(moment, None, entry);
                applier.opened(moment, owner, session, timeout_ms);
            }
            Step::Attach { owner, session, timeout_ms } => {
                applier.connected(owner, session, timeout_ms);
            }
            Step::Refuse { owner } => {
                applier.outbox.push(owner, DeliverItem::Refused { conn: owner.conn });
            }
            Step::Close { owner } => applier.cut(owner),
            Step::Refusal { asker, code } => applier.answer(asker, code),
            Step::Early { asker, code } => applier.refuse(asker, code),
            Step::Echo { asker } => applier.answer(asker, Code::Ok),
            Step::Read { asker, session, op, body } => {
                applier.read(asker, session, op, &bytes[body]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
