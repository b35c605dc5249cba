//! The pipeline: orders requests, makes them transactions, applies what is durable, and answers.
//!
//! ZooKeeper: `PrepRequestProcessor`, `SyncRequestProcessor` and `FinalRequestProcessor` in one, without their threads. A
//! machine: requests and the news that a batch is durable come in with the moment of the turn; batches to write and messages
//! for the session shards go out. One batch is *filling* while another is being written and a third applied.
//!
//! Invariants: steps are answered in the order they were taken; the tree changes only in [`Pipeline::durable`], and only by
//! transactions that are durable; the messages of a batch are handed out before its version is published.
//!
//! Absent here: rings, the log's file, clocks.

mod connections;
mod outbox;
mod quota_notes;
mod stage;

use std::collections::VecDeque;
use std::ops::Range;

use engine::auth::AuthIds;
use engine::prep::{Prep, Prepared, Request, Room};
use engine::read::{ReadRequest, serve};
use engine::reaper::ReaperConfig;
use engine::rules::Rules;
use engine::session::SessionTracker;
use engine::state::State;
use engine::tree::TreeView;
use jute::{CreateSessionTxn, Field, Op, PathRequest, Record, SessionId, Xid, Zxid};
use net::figures::PipelineFigures;
use net::message::{Deliver, DeliverItem, Forward, ForwardItem};
use wal::{Batch, batch::Records};

use connections::Connections;
pub use connections::Owner;
use outbox::{Outbox, Sink};
pub use quota_notes::QuotaNote;
use quota_notes::QuotaNotes;
use stage::{Asker, Stage, Step};

/// Bytes of transactions after which the pipeline takes no more requests until the batch is on its way.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Batches given out and not yet durable: one that is written, and one that is applied.
pub const OUT_MAX: usize = 2;

/// Sessions that one turn expires at most, so that a mass expiry leaves room for others.
const EXPIRED_PER_TURN_MAX: usize = 256;

/// Transactions from one kept digest to the next. Source: `DataTree.DIGEST_LOG_INTERVAL`.
const DIGEST_EVERY: i64 = 128;

/// Digests kept. Source: `DataTree.DIGEST_LOG_LIMIT`.
const DIGESTS_MAX: usize = 1024;

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
    state: State,
    prep: Prep,
    rules: Rules,
    sessions: SessionTracker<Owner>,
    shards: Vec<Connections>,
    filling: Stage,
    /// Those whose batch was given out by [`Pipeline::next_batch`], oldest first; at most [`OUT_MAX`].
    out: VecDeque<Stage>,
    /// To be filled again.
    spare: Vec<Stage>,
    /// Whether [`Pipeline::publish`] is owed.
    unpublished: bool,
    outbox: Outbox,
    reaping: Reaping,
    /// When to look for containers and TTL znodes next, monotonic milliseconds.
    reap_at_ms: u64,
    /// Found and not yet deleted, last first.
    to_reap: Vec<Vec<u8>>,
    figures: PipelineFigures,
    quota_notes: QuotaNotes,
    /// At most [`DIGESTS_MAX`]; the oldest goes.
    digests: VecDeque<(Zxid, u64)>,
}

impl Pipeline {
    /// Starts on a tree, for `shards` session shards. Every session of the tree has a whole timeout from now on.
    pub fn new(
        state: State,
        rules: Rules,
        mut sessions: SessionTracker<Owner>,
        reaping: Reaping,
        shards: usize,
        now_ms: u64,
    ) -> Self {
        let count = state.tree().look(TreeView::session_count);
        for at in 0..count {
            let session = state.tree().look(|view| view.session_at(at));
            sessions.open(now_ms, session.id, session.timeout_ms as i32);
        }
        let applied = state.tree().zxid();
        Self {
            prep: Prep::new(rules.clone(), &state),
            state,
            rules,
            sessions,
            shards: std::iter::repeat_with(Connections::default).take(shards).collect(),
            filling: Stage::default(),
            out: VecDeque::new(),
            spare: Vec::new(),
            unpublished: false,
            outbox: Outbox::new(shards, applied),
            reap_at_ms: now_ms + reaping.interval_ms,
            reaping,
            to_reap: Vec::new(),
            figures: PipelineFigures::default(),
            quota_notes: QuotaNotes::default(),
            digests: VecDeque::new(),
        }
    }

    /// The tree and what follows from it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The tree, to take its image between two batches.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The sessions and their owners.
    pub fn sessions(&self) -> &SessionTracker<Owner> {
        &self.sessions
    }

    /// What it has done.
    pub fn figures(&self) -> &PipelineFigures {
        &self.figures
    }

    /// The same, for what the driver measures, and to forget it.
    pub fn figures_mut(&mut self) -> &mut PipelineFigures {
        &mut self.figures
    }

    /// The tree's digests after some of the last transactions. Source: `ZooKeeperServer.getDigestLog`.
    pub fn digests(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.digests.iter().copied()
    }

    /// Whether another [`Forward`] may be taken in this turn.
    pub fn has_room(&self) -> bool {
        self.filling.batch.len_bytes() + self.filling.bytes.len() < BATCH_BYTES_MAX
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
            self.sessions.touch_again(seen_ms, session);
        }
        let bytes = |at: &Range<u32>| &forward.bytes[at.start as usize..at.end as usize];
        self.figures.prep_processor_request_queued += forward.items.len() as u64;
        self.figures.prep_processor_queue_size.add(forward.items.len() as u64);
        for item in &forward.items {
            match item {
                ForwardItem::Connect { conn, session, password, timeout_ms, auth } => {
                    let owner = Owner { shard, conn: *conn };
                    if *session == SessionId::NONE {
                        let session = self.open_session(moment, owner, *timeout_ms);
                        self.shards[shard].open(*conn, session, auth.clone());
                    } else if bytes(password) == jute::password(*session)
                        && self.attach(moment, owner, *session, *timeout_ms)
                    {
                        self.shards[shard].open(*conn, *session, auth.clone());
                    } else {
                        self.filling.steps.push(Step::Refuse { owner });
                    }
                }
                ForwardItem::Auth { conn, auth } => {
                    self.shards[shard].set_auth(*conn, auth.clone());
                }
                ForwardItem::Request { conn, session, xid, op, body } => {
                    let asker = Asker { owner: Owner { shard, conn: *conn }, xid: *xid };
                    self.request(moment, asker, *session, *op, bytes(body));
                }
                ForwardItem::Fence { conn, xid } => {
                    let asker = Asker { owner: Owner { shard, conn: *conn }, xid: *xid };
                    self.filling.steps.push(Step::Echo { asker });
                }
                ForwardItem::Gone { conn, session } => {
                    self.shards[shard].close(*conn);
                    self.sessions.release(*session, &Owner { shard, conn: *conn });
                }
            }
        }
    }

    fn open_session(&mut self, moment: Moment, owner: Owner, timeout_ms: i32) -> SessionId {
        let session = self.sessions.next_id();
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
        if !self.sessions.touch(moment.now_ms, session, timeout_ms) {
            return false;
        }
        if let Ok(Some(before)) = self.sessions.set_owner(session, owner) {
            self.shards[before.shard].close(before.conn);
            self.filling.steps.push(Step::Close { owner: before });
        }
        self.filling.steps.push(Step::Attach { owner, session, timeout_ms });
        true
    }

    fn request(&mut self, moment: Moment, asker: Asker, session: SessionId, op: Op, body: &[u8]) {
        let Owner { shard, conn } = asker.owner;
        // A connection that has ended, or whose session has moved: nothing is to happen, and nobody is to hear of it.
        let Some((owned, auth)) = self.shards[shard].find(conn) else { return };
        if owned != session {
            return;
        }
        self.sessions.touch_again(moment.now_ms, session);
        match op {
            Op::Ping => self.filling.steps.push(Step::Echo { asker }),
            Op::Create
            | Op::Create2
            | Op::CreateContainer
            | Op::CreateTtl
            | Op::Delete
            | Op::SetData
            | Op::SetAcl
            | Op::Multi
            | Op::Reconfig
            | Op::CloseSession => {
                if op == Op::CloseSession {
                    self.sessions.set_closing(session);
                }
                let auth = auth.clone();
                let request = Request { session, cxid: asker.xid, op, body, auth: &auth };
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

    /// Appends the transaction that a request becomes, if it becomes one.
    fn prepare(&mut self, moment: Moment, request: &Request<'_>) -> Prepared {
        let out = self.filling.batch.begin();
        let prepared = self.prep.prepare(&self.state, moment.wall_ms, request, out);
        match prepared {
            Prepared::Txn(zxid) => {
                self.filling.batch.finish(zxid);
                self.figures.outstanding_changes_queued += 1;
            }
            Prepared::Refused(_) => self.filling.batch.cancel(),
        }
        for exceeded in self.prep.exceeded() {
            self.quota_notes.take(moment.now_ms, exceeded, &mut self.figures);
        }
        prepared
    }

    /// Asks for something itself, which is nobody's request. Whether it became a transaction, whose step is the caller's.
    fn ask(&mut self, moment: Moment, session: SessionId, op: Op, body: &[u8]) -> bool {
        let nobody = AuthIds::default();
        let request = Request { session, cxid: Xid(0), op, body, auth: &nobody };
        matches!(self.prepare(moment, &request), Prepared::Txn(_))
    }

    /// When to call [`Pipeline::deadline`] if nothing else happens, monotonic milliseconds.
    pub fn next_deadline(&self) -> u64 {
        self.sessions.next_deadline().map_or(self.reap_at_ms, |at| at.min(self.reap_at_ms))
    }

    /// Ends the sessions whose time is up, and asks for the deletes of containers and TTL znodes that are due.
    pub fn deadline(&mut self, moment: Moment) {
        let mut expired = Vec::new();
        self.sessions.expire(moment.now_ms, EXPIRED_PER_TURN_MAX, &mut expired);
        self.figures.stale_sessions_expired += expired.len() as u64;
        for session in expired {
            if self.ask(moment, session, Op::CloseSession, &[]) {
                self.filling.steps.push(Step::Txn { asker: None });
            }
        }
        if self.reap_at_ms <= moment.now_ms {
            self.reap(moment);
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
            let perishables = self.state.perishables();
            self.to_reap = perishables.due(self.state.tree(), moment.wall_ms, self.reaping.config);
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
        !self.filling.batch.is_empty()
    }

    /// The batch to write next, if something waits. An empty one needs no write: only answers wait. Batches come back by
    /// [`Pipeline::durable`] in their order; at most [`OUT_MAX`] are out.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.filling.steps.is_empty() {
            return None;
        }
        assert!(self.out.len() < OUT_MAX);
        let next = self.spare.pop().unwrap_or_default();
        let mut stage = std::mem::replace(&mut self.filling, next);
        let batch = std::mem::take(&mut stage.batch);
        self.out.push_back(stage);
        Some(batch)
    }

    /// The oldest batch that is out is durable: applies it, and answers. Readers see none of it until [`Pipeline::publish`];
    /// every shard's message is to be handed over in between.
    pub fn durable(&mut self, moment: Moment, batch: Batch) {
        assert!(!self.unpublished);
        self.unpublished = true;
        let Some(mut stage) = self.out.pop_front() else { unreachable!("the batch was out") };
        let mut entries = batch.records();
        let changes = !batch.is_empty();
        if changes {
            self.state.begin();
        }
        let mut applied = self.state.tree().zxid();
        for step in stage.steps.drain(..) {
            self.step(moment, step, &stage.bytes, &mut entries, &mut applied);
        }
        assert!(entries.next().is_none(), "every transaction has its step");
        self.outbox.seal(applied);
        if changes {
            let count = u64::from(batch.count());
            self.figures.sync_processor_request_queued += count;
            self.figures.sync_processor_batch_size.add(count);
            self.figures.sync_processor_queue_size.add(u64::from(self.filling.batch.count()));
            self.figures.outstanding_changes_removed += count;
        }
        stage.batch = batch;
        stage.clear();
        self.spare.push(stage);
    }

    /// Shows readers what [`Pipeline::durable`] did.
    pub fn publish(&mut self) {
        assert!(self.unpublished);
        self.unpublished = false;
        let applied = self.outbox.applied();
        if self.state.tree().zxid() < applied {
            self.state.commit(applied);
            self.prep.applied(applied);
        }
    }

    /// What a shard is told of the batch; none if it is nothing.
    pub fn deliver(&mut self, shard: usize) -> Option<Deliver> {
        self.outbox.take(shard)
    }

    /// Gives a message's memory back.
    pub fn recycle(&mut self, shard: usize, spent: Deliver) {
        self.outbox.recycle(shard, spent);
    }

    fn step(
        &mut self,
        moment: Moment,
        step: Step,
        bytes: &[u8],
        entries: &mut Records<'_>,
        applied: &mut Zxid,
    ) {
        match step {
            Step::Txn { asker } => self.apply(moment, asker, entries, applied),
            Step::Open { owner, session, timeout_ms } => {
                self.apply(moment, None, entries, applied);
                self.sessions.open(moment.now_ms, session, timeout_ms);
                // A connection that has gone meanwhile leaves its session to expire.
                if self.shards[owner.shard].find(owner.conn).is_some() {
                    let before = self.sessions.set_owner(session, owner);
                    assert_eq!(before, Ok(None), "a new session has no connection yet");
                }
                let conn = owner.conn;
                self.outbox.push(owner, DeliverItem::Connected { conn, session, timeout_ms });
            }
            Step::Attach { owner, session, timeout_ms } => {
                let conn = owner.conn;
                self.outbox.push(owner, DeliverItem::Connected { conn, session, timeout_ms });
            }
            Step::Refuse { owner } => {
                self.outbox.push(owner, DeliverItem::Refused { conn: owner.conn });
            }
            Step::Close { owner } => {
                self.outbox.push(owner, DeliverItem::Close { conn: owner.conn });
            }
            Step::Refusal { asker, code } => self.outbox.reply(asker, *applied, code),
            Step::Echo { asker } => {
                self.outbox.body();
                self.outbox.reply(asker, *applied, jute::Code::Ok);
            }
            Step::Read { asker, session, op, body } => {
                self.read(asker, session, op, &bytes[body], *applied);
            }
        }
    }

    fn apply(
        &mut self,
        moment: Moment,
        asker: Option<Asker>,
        entries: &mut Records<'_>,
        applied: &mut Zxid,
    ) {
        let Some((_, entry)) = entries.next() else {
            unreachable!("every step has its transaction")
        };
        let mut sink = Sink::new(&mut self.outbox, asker);
        let done = match self.state.apply(entry, &mut sink) {
            Ok(done) => done,
            // What is on the disk cannot be done: nothing may be served from this tree any more.
            Err(error) => panic!("a transaction that was prepared here cannot be applied: {error}"),
        };
        *applied = done.header.zxid;
        let latency_ms = moment.wall_ms.saturating_sub(done.header.time_ms).max(0);
        self.figures.propagation_latency.add(latency_ms as u64);
        if applied.0 % DIGEST_EVERY == 0 {
            if self.digests.len() == DIGESTS_MAX {
                self.digests.pop_front();
            }
            self.digests.push_back((*applied, self.state.tree().look(TreeView::digest)));
        }
        if let Some(asker) = asker {
            self.outbox.reply(asker, done.header.zxid, done.code);
        }
        for session in self.outbox.closed() {
            let owner = self.sessions.remove(session);
            // Whoever asked for it hears of it by the reply.
            if let Some(owner) = owner.filter(|&it| asker.is_none_or(|asker| asker.owner != it)) {
                self.shards[owner.shard].close(owner.conn);
                self.outbox.push(owner, DeliverItem::Close { conn: owner.conn });
            }
        }
    }

    /// Answers a read at its place between transactions.
    fn read(&mut self, asker: Asker, session: SessionId, op: Op, body: &[u8], applied: Zxid) {
        let Owner { shard, conn } = asker.owner;
        let Some((_, auth)) = self.shards[shard].find(conn) else { return };
        let request = ReadRequest { op, body, session, auth };
        let out = self.outbox.body();
        let served = self.state.tree().look(|view| serve(view, &self.rules, &request, out));
        self.outbox.reply(asker, applied, served.code);
    }
}

#[cfg(test)]
mod tests;
