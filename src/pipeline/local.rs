//! Local sessions: known to this server alone, made without a transaction, and gone with the role that made them.
//!
//! ZooKeeper: `LocalSessionTracker`, `UpgradeableSessionTracker`, `QuorumZooKeeperServer.checkUpgradeSession`. A local session cannot own
//! ephemerals: the first one that it wants makes it a global session of the same id, or is refused.
//!
//! Invariant: a session is local or global, never both. Absent here: who asks the leader for the global one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use engine::auth::AuthIds;
use engine::planted::{self, Bug};
use engine::rules::UnknownSessions;
use engine::session::{ExpiryRow, SessionTracker};
use jute::{CreateMode, CreateRequest, MultiOps, Op, Record as _, SessionId};

use super::{Applier, Home, Moment, Owner};

/// What new sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalPolicy {
    /// Global, at once. In read-only mode they are local all the same.
    Off,
    /// Local, for ever: ephemerals are refused. Source: `localSessionsEnabled`.
    Refusing,
    /// Local until their first ephemeral. Source: `localSessionsUpgradingEnabled`.
    Upgrading,
}

/// The local sessions of one server.
#[derive(Debug)]
pub struct LocalSessions {
    policy: LocalPolicy,
    tracker: SessionTracker<Home>,
    /// Global sessions that have ended while this role lasts, the last of them: they are not to pass for local ones of others.
    ended: BTreeSet<SessionId>,
    /// The same, oldest first.
    ended_order: VecDeque<SessionId>,
}

/// So many ended sessions are known: what one of them asked must then have come.
const ENDED_MAX: usize = 1 << 16;

impl LocalSessions {
    /// None yet; `tracker` is to track nothing yet. Ids are given out with those of global sessions.
    pub fn new(policy: LocalPolicy, tracker: SessionTracker<Home>) -> Self {
        Self { policy, tracker, ended: BTreeSet::new(), ended_order: VecDeque::new() }
    }
}

/// What a request of a local session comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The same as one of a global session.
    Alike,
    /// It ends the session, here and now.
    End,
    /// It wants an ephemeral, and may not.
    Refused,
    /// It wants an ephemeral, and the session is to become a global one first.
    Upgrade,
}

impl Applier {
    /// Has local sessions from now on. To be said before a role orders anything.
    pub fn set_local(&mut self, local: LocalSessions) {
        self.rules.unknown_sessions = match local.policy {
            LocalPolicy::Off => UnknownSessions::Expired,
            LocalPolicy::Refusing | LocalPolicy::Upgrading => UnknownSessions::Local,
        };
        self.local = Some(local);
    }

    /// How many local sessions there are.
    pub(crate) fn local_count(&self) -> usize {
        self.local.as_ref().map_or(0, |it| it.tracker.len())
    }

    /// Local sessions by the moment they expire at; `None` if there are to be none.
    pub fn local_rows(&self) -> Option<Vec<ExpiryRow>> {
        let local = self.local.as_ref().filter(|it| it.policy != LocalPolicy::Off);
        local.map(|it| it.tracker.expiry_rows())
    }

    /// Whether new sessions are local ones.
    pub(super) fn opens_local(&self) -> bool {
        self.local.as_ref().is_some_and(|it| it.policy != LocalPolicy::Off)
    }

    /// Makes a local session and answers its handshake.
    pub(super) fn open_local(
        &mut self,
        moment: Moment,
        owner: Owner,
        timeout_ms: i32,
        auth: Arc<AuthIds>,
    ) {
        let session = self.sessions.next_id();
        let Some(local) = &mut self.local else { unreachable!("a member has local sessions") };
        local.tracker.open(moment.now_ms, session, timeout_ms);
        let before = local.tracker.set_owner(session, Home::Here(owner));
        assert_eq!(before, Ok(None), "a new session has no connection yet");
        self.open(owner, session, auth);
        self.connected(owner, session, timeout_ms);
    }

    /// A handshake goes on with a local session; the connection that it had is closed. False, and nothing happens, if it is none.
    pub(super) fn attach_local(
        &mut self,
        moment: Moment,
        owner: Owner,
        (session, timeout_ms): (SessionId, i32),
        auth: &Arc<AuthIds>,
    ) -> bool {
        let Some(local) = &mut self.local else { return false };
        if !local.tracker.touch(moment.now_ms, session, timeout_ms) {
            return false;
        }
        if let Ok(Some(Home::Here(before))) = local.tracker.set_owner(session, Home::Here(owner)) {
            self.cut(before);
        }
        self.open(owner, session, Arc::clone(auth));
        self.connected(owner, session, timeout_ms);
        true
    }

    /// A session showed life: whether it is a local one.
    pub(super) fn touch_local(&mut self, now_ms: u64, session: SessionId) -> bool {
        self.local.as_mut().is_some_and(|it| it.tracker.touch_again(now_ms, session))
    }

    /// Whether the session may be a local one of another server, by its id: then a request of its is not to be refused for being
    /// unknown. Source: `LeaderSessionTracker.checkSession`. Differs: one that was global and has ended is none, and what it asked
    /// before comes too late; the reference does it.
    pub(super) fn may_be_local_elsewhere(&self, session: SessionId) -> bool {
        let server = |id: SessionId| id.0 >> 56;
        self.opens_local()
            && (planted::has(Bug::PassForLocal)
                || !self.local.as_ref().is_some_and(|it| it.ended.contains(&session)))
            && self.sessions.timeout_ms(session).is_none()
            && server(session) != server(self.sessions.peek_id())
    }

    /// Where a session's connection is, local or global.
    pub fn home(&self, session: SessionId) -> Option<&Home> {
        let local = || self.local.as_ref().and_then(|it| it.tracker.owner(session));
        self.sessions.owner(session).or_else(local)
    }

    /// A local session has ended.
    pub(super) fn end_local(&mut self, session: SessionId) {
        if let Some(local) = &mut self.local {
            local.tracker.remove(session);
        }
    }

    /// A global session has ended.
    pub(super) fn note_ended(&mut self, session: SessionId) {
        let Some(local) = self.local.as_mut().filter(|it| it.policy != LocalPolicy::Off) else {
            return;
        };
        if local.ended.insert(session) {
            local.ended_order.push_back(session);
        }
        if ENDED_MAX < local.ended_order.len()
            && let Some(oldest) = local.ended_order.pop_front()
        {
            local.ended.remove(&oldest);
        }
    }

    /// When to call `expire_local` if nothing else happens, monotonic milliseconds.
    pub fn local_deadline(&self) -> Option<u64> {
        self.local.as_ref().and_then(|it| it.tracker.next_deadline())
    }

    /// Ends the local sessions whose time is up.
    pub(super) fn expire_local(&mut self, now_ms: u64) {
        let Some(local) = &mut self.local else { return };
        let mut expired = Vec::new();
        local.tracker.expire(now_ms, usize::MAX, &mut expired);
        let owners: Vec<_> = expired.iter().map(|&it| local.tracker.remove(it)).collect();
        self.figures.stale_sessions_expired += expired.len() as u64;
        for owner in owners {
            if let Some(Home::Here(owner)) = owner {
                self.cut(owner);
            }
        }
    }

    /// The role has ended, and every local session with it.
    pub(super) fn clear_local(&mut self) {
        if planted::has(Bug::KeepLocals) {
            return;
        }
        if let Some(local) = &mut self.local {
            local.tracker.clear();
            local.ended.clear();
            local.ended_order.clear();
        }
    }

    /// A local session is a global one from now on: its timeout, with which the leader is to be asked for it. Milliseconds.
    pub(super) fn upgrade_local(&mut self, now_ms: u64, session: SessionId) -> Option<i32> {
        let local = self.local.as_mut()?;
        let timeout_ms = local.tracker.timeout_ms(session)?;
        let owner = if planted::has(Bug::EndLocally) {
            local.tracker.owner(session).copied()
        } else {
            local.tracker.remove(session)
        };
        self.sessions.open(now_ms, session, timeout_ms);
        if let Some(owner) = owner {
            let before = self.sessions.set_owner(session, owner);
            assert_eq!(before, Ok(None), "a session that was local has no other connection");
        }
        Some(timeout_ms)
    }

    /// What a request of a local session comes to.
    pub(super) fn judge_local(&self, op: Op, body: &[u8]) -> Judged {
        if op == Op::CloseSession {
            return Judged::End;
        }
        if !makes_ephemeral(op, body) {
            return Judged::Alike;
        }
        match self.local.as_ref().map(|it| it.policy) {
            Some(LocalPolicy::Upgrading) => Judged::Upgrade,
            _ => Judged::Refused,
        }
    }
}

/// Whether a request would make an ephemeral.
fn makes_ephemeral(op: Op, body: &[u8]) -> bool {
    match op {
        Op::Create | Op::Create2 => CreateRequest::decode(body)
            .is_ok_and(|it| CreateMode::from_flags(it.flags).is_some_and(CreateMode::is_ephemeral)),
        Op::Multi if planted::has(Bug::UpgradeWithoutMulti) => false,
        Op::Multi => MultiOps::decode(body).is_ok_and(|mut ops| {
            ops.any(|(op, body)| op != Op::Multi && makes_ephemeral(op, body))
        }),
        _ => false,
    }
}
