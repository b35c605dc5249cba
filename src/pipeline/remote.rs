//! What learners' clients ask of the leader.
//!
//! ZooKeeper: `LearnerHandler`, the checks of owners in `PrepRequestProcessor`. A learner is told of a request's end by its
//! transaction alone, so that every one becomes a transaction; one that is refused becomes an error.

use engine::auth::AuthIds;
use engine::planted::{self, Bug};
use engine::prep::{Prepared, Request};
use jute::{Code, CreateSessionTxn, Op, Record as _, SessionId, Xid};
use quorum::wire::Touch;
use quorum::zab::{Link, Validity};

use super::stage::Step;
use super::{Home, Moment, Pipeline};

/// A request of a learner's client.
#[derive(Clone, Copy, Debug)]
pub struct RemoteRequest<'a> {
    /// Whose.
    pub session: SessionId,
    /// The client's number for it.
    pub cxid: Xid,
    /// What.
    pub op: Op,
    /// The record behind the request header.
    pub body: &'a [u8],
    /// The ids of the client's connection.
    pub auth: &'a AuthIds,
}

impl Pipeline {
    /// Takes a request that a learner has forwarded. An op that changes nothing is not the leader's, and is dropped.
    pub fn take_remote(&mut self, moment: Moment, link: Link, remote: &RemoteRequest<'_>) {
        let RemoteRequest { session, cxid, op, body, auth } = *remote;
        let opens = op == Op::CreateSession;
        if !op.is_write() && !opens && op != Op::CloseSession || self.is_exhausted() {
            return;
        }
        let request = Request { session, cxid, op, body, auth };
        let home = Home::There(link);
        self.applier.figures.prep_processor_request_queued += 1;
        if opens {
            let timeout_ms = CreateSessionTxn::decode(body).map_or(0, |it| it.timeout_ms);
            self.applier.sessions.open(moment.now_ms, session, timeout_ms);
            self.applier.sessions.set_owner(session, home).ok();
        } else if op != Op::CloseSession
            && !self.applier.may_be_local_elsewhere(session)
            && !planted::has(Bug::ForgetOwner)
            && (!planted::has(Bug::EphemeralAfterClose) || self.applier.sessions.is_open(session))
            && let Err(code) = self.applier.sessions.check(session, &home)
        {
            return self.refuse_remote(moment, &request, code);
        }
        self.applier.sessions.touch_again(moment.now_ms, session);
        if op == Op::CloseSession {
            self.applier.sessions.set_closing(session);
        }
        match self.prepare(moment, &request) {
            Prepared::Txn(_) => self.filling.steps.push(Step::Txn { asker: None }),
            Prepared::Refused(code) => self.refuse_remote(moment, &request, code),
        }
    }

    fn refuse_remote(&mut self, moment: Moment, request: &Request<'_>, code: Code) {
        self.turn_page();
        let out = self.filling.batch.begin();
        let state = &self.applier.state;
        let zxid = self.prep.fail(state, moment.wall_ms, request, code, out);
        self.filling.batch.finish(zxid);
        self.applier.figures.outstanding_changes_queued += 1;
        self.filling.steps.push(Step::Txn { asker: None });
    }

    /// A learner's clients showed life.
    pub fn touched(&mut self, moment: Moment, touch: Touch) {
        self.applier.sessions.touch(moment.now_ms, touch.session, touch.timeout_ms);
    }

    /// A client wants to go on with a session at a learner: if it lives, it is there from now on, and its connection here ends. `None`: nobody
    /// can say, since the epoch's last zxid is given out; a session whose time is up now may have no end in it.
    pub fn revalidate(&mut self, moment: Moment, link: Link, touch: Touch) -> Option<Validity> {
        let Touch { session, timeout_ms } = touch;
        if !self.applier.sessions.touch(moment.now_ms, session, timeout_ms) {
            return (!self.is_exhausted()).then_some(Validity::Expired);
        }
        let before = self.applier.sessions.set_owner(session, Home::There(link));
        if let Ok(Some(Home::Here(before))) = before {
            self.applier.cut(before);
        }
        Some(Validity::Alive)
    }
}
