//! A member without a leader, for clients that are content to read: what it has applied, and nothing newer.
//!
//! ZooKeeper: `ReadOnlyZooKeeperServer`, `ReadOnlyRequestProcessor`. Its sessions are local, whatever new sessions are otherwise.
//!
//! **Differs:** the reference answers a new session with an error where `localSessionsEnabled` is not set, which no client can read.
//!
//! Absent here: when to begin, and letting in only those who ask for it, which session shards do.

use std::ops::Range;

use jute::{Code, Op, SessionId};
use net::message::{DeliverItem, Forward, ForwardItem};

use super::stage::Asker;
use super::{Applier, Moment, Owner};

/// Answers reads, refuses everything else. One per search for a leader.
#[derive(Debug)]
pub struct ReadOnly {
    applier: Applier,
}

impl ReadOnly {
    /// Serves what is applied.
    pub fn new(applier: Applier) -> Self {
        Self { applier }
    }

    /// The tree, the connections, the figures.
    pub fn applier(&self) -> &Applier {
        &self.applier
    }

    /// The same, for the driver.
    pub fn applier_mut(&mut self) -> &mut Applier {
        &mut self.applier
    }

    /// Gives the role up.
    pub fn into_applier(self) -> Applier {
        self.applier
    }

    /// Looks at the clock: sessions expire.
    pub fn deadline(&mut self, moment: Moment) {
        self.applier.expire_local(moment.now_ms);
    }

    /// Takes one turn of a session shard.
    pub fn take(&mut self, moment: Moment, shard: usize, forward: &Forward) {
        for &(session, seen_ms) in &forward.touched {
            self.applier.touch_local(seen_ms, session);
        }
        let bytes = |at: &Range<u32>| forward.body(at);
        for item in &forward.items {
            match item {
                ForwardItem::Connect { conn, session, password, timeout_ms, auth } => {
                    let owner = Owner { shard, conn: *conn };
                    let is_theirs = bytes(password) == jute::password(*session);
                    let wanted = (*session, *timeout_ms);
                    if *session == SessionId::NONE {
                        self.applier.open_local(moment, owner, *timeout_ms, auth.clone());
                    } else if is_theirs && self.applier.attach_local(moment, owner, wanted, auth) {
                        // It is answered.
                    } else {
                        self.refuse(owner, *session);
                    }
                }
                ForwardItem::Auth { conn, auth } => {
                    self.applier.set_auth(Owner { shard, conn: *conn }, auth.clone());
                }
                ForwardItem::Request { conn, session, xid, op, body } => {
                    let asker = Asker { owner: Owner { shard, conn: *conn }, xid: *xid };
                    self.applier.touch_local(moment.now_ms, *session);
                    self.request(asker, *session, *op, bytes(body));
                }
                ForwardItem::Gone { conn } => {
                    self.applier.close(Owner { shard, conn: *conn });
                }
            }
        }
    }

    /// A global session lives on elsewhere, so that its client is not told that it has expired.
    fn refuse(&mut self, owner: Owner, session: SessionId) {
        let conn = owner.conn;
        let item = match self.applier.sessions.timeout_ms(session) {
            Some(_) => DeliverItem::Close { conn },
            None => DeliverItem::Refused { conn },
        };
        self.applier.outbox.push(owner, item);
    }

    fn request(&mut self, asker: Asker, session: SessionId, op: Op, body: &[u8]) {
        match op {
            // A connection that has ended, or whose session has moved.
            _ if self.applier.find(asker.owner).is_none_or(|it| it.0 != session) => {}
            Op::Ping => self.applier.answer(asker, Code::Ok),
            Op::CloseSession => {
                self.applier.end_local(session);
                self.applier.answer(asker, Code::Ok);
            }
            op if op.is_write() || op == Op::Sync => self.applier.answer(asker, Code::NotReadOnly),
            _ => self.applier.read(asker, session, op, body),
        }
    }
}
