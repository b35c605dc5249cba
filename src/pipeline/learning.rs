//! A learner's order of requests: writes go to the leader, and what it has decided comes back.
//!
//! ZooKeeper: `FollowerRequestProcessor`, `ObserverRequestProcessor`, `CommitProcessor`, `LearnerSessionTracker`. A machine like the
//! [`super::Pipeline`]: turns of session shards and decided transactions come in, words for the leader and messages for the shards
//! go out.
//!
//! Invariants: what a connection asks is answered in its order; a request behind a write or sync of its connection waits for that.
//!
//! Absent here: expiry, which is the leader's; the link to it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use engine::auth::AuthIds;
use engine::planted::{self, Bug};
use jute::{Code, CreateSessionTxn, Op, Record as _, SessionId, TxnHeader, Xid};
use net::message::{DeliverItem, Forward, ForwardItem};
use quorum::wire::Touch;
use quorum::zab::{Link, Validity};

use super::applier::Changes;
use super::stage::Asker;
use super::{Applier, Home, Judged, Moment, Owner};

/// What the leader is to be told.
#[derive(Clone, Debug)]
pub enum ToLeader {
    /// A request, to be made a transaction.
    Request {
        /// Whose.
        session: SessionId,
        /// The client's number for it; 0 for a new session.
        cxid: Xid,
        /// What.
        op: Op,
        /// The record behind the request header.
        body: Vec<u8>,
        /// The ids of the client's connection.
        auth: Arc<AuthIds>,
    },
    /// A `sync`; [`Learning::synced`] answers it.
    Sync {
        /// The number that is answered.
        id: u64,
        /// Whose.
        session: SessionId,
        /// The client's number for it.
        cxid: Xid,
        /// The record behind the request header.
        body: Vec<u8>,
    },
    /// A client wants to go on with a session; [`Learning::session_is`] answers it.
    Revalidate(Touch),
    /// A client showed life.
    Touch(Touch),
}

/// Something that a connection waits for.
#[derive(Debug)]
enum Waiting {
    /// A transaction with this number.
    Write { xid: Xid },
    /// The leader's word.
    Sync { xid: Xid, id: u64, session: SessionId, body: Vec<u8>, done: Done },
    /// Its turn, to be answered with this code.
    Answer { xid: Xid, code: Code },
    /// Its turn, to end a local session.
    End { xid: Xid, session: SessionId },
    /// Its turn.
    Read { xid: Xid, session: SessionId, op: Op, body: Vec<u8> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Yes,
    No,
}

/// A handshake that waits for the leader.
#[derive(Debug)]
struct Handshake {
    owner: Owner,
    timeout_ms: i32,
    auth: Arc<AuthIds>,
}

/// Orders what a learner's clients ask. One per role.
#[derive(Debug)]
pub struct Learning {
    applier: Applier,
    /// Of connections that wait for something.
    waiting: BTreeMap<Owner, VecDeque<Waiting>>,
    /// New sessions whose transaction is not decided.
    opening: BTreeMap<SessionId, Handshake>,
    /// Sessions that the leader was asked about, in order; none where the connection has gone.
    asked: BTreeMap<SessionId, VecDeque<Option<Handshake>>>,
    /// Who waits for which `sync`.
    syncs: BTreeMap<u64, Owner>,
    next_sync: u64,
    to_leader: Vec<ToLeader>,
}

impl Learning {
    /// Serves behind the transactions that are applied.
    pub fn new(applier: Applier) -> Self {
        Self {
            applier,
            waiting: BTreeMap::new(),
            opening: BTreeMap::new(),
            asked: BTreeMap::new(),
            syncs: BTreeMap::new(),
            next_sync: 0,
            to_leader: Vec::new(),
        }
    }

    /// The tree, the connections, the figures.
    pub fn applier(&self) -> &Applier {
        &self.applier
    }

    /// The same, for the driver, between two batches.
    pub fn applier_mut(&mut self) -> &mut Applier {
        &mut self.applier
    }

    /// Gives the role up.
    pub fn into_applier(self) -> Applier {
        self.applier
    }

    /// What the leader is to be told, in order.
    pub fn to_leader(&mut self) -> std::vec::Drain<'_, ToLeader> {
        self.to_leader.drain(..)
    }

    /// Looks at the clock: global sessions are the leader's to expire.
    pub fn deadline(&mut self, moment: Moment) {
        self.applier.sessions.postpone(moment.now_ms);
        self.applier.expire_local(moment.now_ms);
    }

    /// Takes one turn of a session shard.
    pub fn take(&mut self, moment: Moment, shard: usize, forward: &Forward) {
        for &(session, seen_ms) in &forward.touched {
            if !self.applier.touch_local(seen_ms, session) {
                self.touch(session);
            }
        }
        let bytes = |at: &Range<u32>| forward.body(at);
        for item in &forward.items {
            match item {
                ForwardItem::Connect { conn, session, password, timeout_ms, auth } => {
                    let owner = Owner { shard, conn: *conn };
                    let auth = Arc::clone(auth);
                    let handshake = Handshake { owner, timeout_ms: *timeout_ms, auth };
                    self.connect(moment, *session, bytes(password), handshake);
                }
                ForwardItem::Auth { conn, auth } => {
                    self.applier.set_auth(Owner { shard, conn: *conn }, Arc::clone(auth));
                }
                ForwardItem::Request { conn, session, xid, op, body } => {
                    let asker = Asker { owner: Owner { shard, conn: *conn }, xid: *xid };
                    self.request(moment, asker, *session, *op, bytes(body));
                }
                ForwardItem::Gone { conn } => {
                    self.forget(Owner { shard, conn: *conn });
                }
            }
        }
    }

    fn touch(&mut self, session: SessionId) {
        if planted::has(Bug::ForgetTouches) {
            return;
        }
        if let Some(timeout_ms) = self.applier.sessions.timeout_ms(session) {
            self.to_leader.push(ToLeader::Touch(Touch { session, timeout_ms }));
        }
    }

    fn forget(&mut self, owner: Owner) {
        self.applier.close(owner);
        self.opening.retain(|_, it| it.owner != owner);
        // The answer is still to come, and is not for the next who asks.
        for handshake in self.asked.values_mut().flatten() {
            if handshake.as_ref().is_some_and(|it| it.owner == owner) {
                *handshake = None;
            }
        }
        for waiting in self.waiting.remove(&owner).unwrap_or_default() {
            if let Waiting::Sync { id, .. } = waiting {
                self.syncs.remove(&id);
            }
        }
    }

    /// A session goes on with another connection: this one is closed.
    fn cut(&mut self, owner: Owner) {
        self.applier.cut(owner);
        self.forget(owner);
    }

    fn connect(
        &mut self,
        moment: Moment,
        session: SessionId,
        password: &[u8],
        handshake: Handshake,
    ) {
        let owner = handshake.owner;
        let timeout_ms = handshake.timeout_ms;
        if session == SessionId::NONE && self.applier.opens_local() {
            self.applier.open_local(moment, owner, timeout_ms, handshake.auth);
        } else if session == SessionId::NONE {
            let session = self.applier.sessions.next_id();
            self.ask_for_session(session, timeout_ms);
            self.opening.insert(session, handshake);
        } else if password != jute::password(session) {
            self.applier.outbox.push(owner, DeliverItem::Refused { conn: owner.conn });
        } else if !self.applier.attach_local(moment, owner, (session, timeout_ms), &handshake.auth)
        {
            self.give_up_handshakes(session);
            // What the connection before it still asks would reach the leader behind this, and pass for a request of this one.
            if let Some(&Home::Here(before)) = self.applier.sessions.owner(session) {
                self.cut(before);
            }
            // The same is true of what it asked at an observer of this follower. One that is unknown here yet is noted with the answer.
            self.applier.sessions.set_owner(session, Home::Here(owner)).ok();
            self.to_leader.push(ToLeader::Revalidate(Touch { session, timeout_ms }));
            self.asked.entry(session).or_default().push_back(Some(handshake));
        }
    }

    /// A client of an observer of this follower wants to go on with a session: it has no connection here any more.
    pub fn moves_to(&mut self, link: Link, session: SessionId) {
        self.give_up_handshakes(session);
        let before = self.applier.sessions.set_owner(session, Home::There(link));
        if let Ok(Some(Home::Here(before))) = before {
            self.cut(before);
        }
    }

    /// The session goes on elsewhere than where its connections that wait for the leader's word are.
    fn give_up_handshakes(&mut self, session: SessionId) {
        let asked = self.asked.get_mut(&session).into_iter().flatten();
        for Handshake { owner, .. } in asked.filter_map(Option::take) {
            self.applier.outbox.push(owner, DeliverItem::Close { conn: owner.conn });
        }
    }

    /// Whether a request of an observer's client may go on to the leader: not once its session has moved to another observer, or here.
    /// The leader knows them all by the one link to this follower, and would take it for one of the connection that has the session
    /// now. Differs: the reference passes it on.
    pub fn may_pass(&self, link: Link, session: SessionId, op: Op) -> bool {
        let owner = || self.applier.sessions.owner(session);
        !op.is_write() || owner().is_none_or(|it| *it == Home::There(link))
    }

    /// Asks the leader for a global session.
    fn ask_for_session(&mut self, session: SessionId, timeout_ms: i32) {
        let mut body = Vec::new();
        CreateSessionTxn { timeout_ms }.encode(&mut body);
        let (op, auth) = (Op::CreateSession, Arc::default());
        self.to_leader.push(ToLeader::Request { session, cxid: Xid(0), op, body, auth });
    }

    fn request(&mut self, moment: Moment, asker: Asker, session: SessionId, op: Op, body: &[u8]) {
        let Asker { owner, xid } = asker;
        // A connection that has ended, or whose session has moved.
        let Some((owned, auth)) = self.applier.find(owner) else { return };
        if owned != session && session != SessionId::NONE {
            return;
        }
        let auth = Arc::clone(auth);
        // What it waits for could change who may do this, and is to be answered first.
        if !self.waiting.contains_key(&owner)
            && let Some(code) = self.applier.refuses(&auth, op, body)
        {
            if !self.applier.touch_local(moment.now_ms, session) {
                self.touch(session);
            }
            return self.applier.refuse(asker, code);
        }
        if self.applier.touch_local(moment.now_ms, session) {
            let waiting = match self.applier.judge_local(op, body) {
                Judged::Alike => None,
                Judged::End => Some(Waiting::End { xid, session }),
                Judged::Refused => {
                    Some(Waiting::Answer { xid, code: Code::EphemeralOnLocalSession })
                }
                Judged::Upgrade => {
                    if let Some(timeout_ms) = self.applier.upgrade_local(moment.now_ms, session) {
                        self.ask_for_session(session, timeout_ms);
                    }
                    None
                }
            };
            if let Some(waiting) = waiting {
                self.waiting.entry(owner).or_default().push_back(waiting);
                return self.go_on(owner);
            }
        }
        if op.is_write() || op == Op::CloseSession {
            self.waiting.entry(owner).or_default().push_back(Waiting::Write { xid });
            let body = body.to_vec();
            self.to_leader.push(ToLeader::Request { session, cxid: xid, op, body, auth });
            return;
        }
        let body = body.to_vec();
        if op == Op::Sync && !planted::has(Bug::SyncAtLearner) {
            self.next_sync += 1;
            let id = self.next_sync;
            self.syncs.insert(id, owner);
            self.to_leader.push(ToLeader::Sync { id, session, cxid: xid, body: body.clone() });
            let waiting = Waiting::Sync { xid, id, session, body, done: Done::No };
            self.waiting.entry(owner).or_default().push_back(waiting);
        } else {
            let waiting = Waiting::Read { xid, session, op, body };
            self.waiting.entry(owner).or_default().push_back(waiting);
            self.go_on(owner);
        }
    }

    /// Answers what waits for nothing any more.
    fn go_on(&mut self, owner: Owner) {
        let Some(queue) = self.waiting.get_mut(&owner) else { return };
        loop {
            match queue.front() {
                None => break,
                Some(Waiting::Write { .. } | Waiting::Sync { done: Done::No, .. }) => return,
                Some(_) => {}
            }
            match queue.pop_front() {
                Some(Waiting::Sync { xid, session, body, .. }) => {
                    self.applier.read(Asker { owner, xid }, session, Op::Sync, &body);
                }
                Some(Waiting::Read { xid, op: Op::Ping, .. }) => {
                    self.applier.answer(Asker { owner, xid }, Code::Ok);
                }
                Some(Waiting::Read { xid, session, op, body }) => {
                    self.applier.read(Asker { owner, xid }, session, op, &body);
                }
                Some(Waiting::Answer { xid, code }) => {
                    self.applier.answer(Asker { owner, xid }, code);
                }
                Some(Waiting::End { xid, session }) => {
                    self.applier.end_local(session);
                    self.applier.answer(Asker { owner, xid }, Code::Ok);
                }
                Some(Waiting::Write { .. }) | None => unreachable!("it was just looked at"),
            }
        }
        self.waiting.remove(&owner);
    }

    /// Begins a batch of decided transactions. See [`Applier`].
    pub fn begin(&mut self) {
        self.applier.begin(Changes::Some);
    }

    /// Applies a decided transaction; whoever asked for it here is answered.
    pub fn decided(&mut self, moment: Moment, entry: &[u8]) {
        let Ok(header) = TxnHeader::decode(entry) else {
            unreachable!("what is logged has a header")
        };
        let asker = self.asker(&header);
        self.applier.apply(moment, asker, entry);
        if header.op == Op::CreateSession.number()
            && let Some(handshake) = self.opening.remove(&header.client)
        {
            let Handshake { owner, timeout_ms, auth } = handshake;
            self.applier.open(owner, header.client, auth);
            self.applier.opened(moment, owner, header.client, timeout_ms);
        }
        if let Some(asker) = asker {
            self.go_on(asker.owner);
        }
    }

    /// Who waits here for a transaction.
    fn asker(&mut self, header: &TxnHeader) -> Option<Asker> {
        let Some(&Home::Here(owner)) = self.applier.home(header.client) else {
            return None;
        };
        let queue = self.waiting.get_mut(&owner)?;
        let is_asked =
            matches!(queue.front(), Some(Waiting::Write { xid }) if xid.0 == header.cxid);
        if !is_asked {
            return None;
        }
        queue.pop_front();
        Some(Asker { owner, xid: Xid(header.cxid) })
    }

    /// Ends the batch: the messages can be taken.
    pub fn end(&mut self) {
        self.applier.end();
    }

    /// Shows readers what the batch did.
    pub fn publish(&mut self) {
        self.applier.publish();
    }

    /// What was committed when this `sync` began is applied.
    pub fn synced(&mut self, id: u64) {
        let Some(owner) = self.syncs.remove(&id) else { return };
        for waiting in self.waiting.get_mut(&owner).into_iter().flatten() {
            if let Waiting::Sync { id: its, done, .. } = waiting
                && *its == id
            {
                *done = Done::Yes;
            }
        }
        self.go_on(owner);
    }

    /// The leader has answered for a session.
    pub fn session_is(&mut self, moment: Moment, session: SessionId, valid: Validity) {
        let Some(queue) = self.asked.get_mut(&session) else { return };
        let handshake = queue.pop_front().flatten();
        if queue.is_empty() {
            self.asked.remove(&session);
        }
        let Some(Handshake { owner, timeout_ms, auth }) = handshake else { return };
        if valid == Validity::Expired {
            self.applier.outbox.push(owner, DeliverItem::Refused { conn: owner.conn });
            return;
        }
        self.applier.sessions.open(moment.now_ms, session, timeout_ms);
        let before = self.applier.sessions.set_owner(session, Home::Here(owner));
        if let Ok(Some(Home::Here(before))) = before {
            self.cut(before);
        }
        self.applier.open(owner, session, auth);
        self.applier.connected(owner, session, timeout_ms);
    }
}
