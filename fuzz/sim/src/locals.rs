//! Local sessions, as their clients know them: where each is, and what its server may say of it.
//!
//! ZooKeeper: `LocalSessionTracker`. One is at one server, in one role of it; it may go on there until its time is up, and
//! nowhere else unless its client has asked for an ephemeral.

use std::collections::BTreeMap;

use jute::SessionId;
use ringkeeper::pipeline::LocalPolicy;

use crate::model::Do;

/// A server in one of its roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which server.
    pub(crate) node: usize,
    /// Which role of it.
    pub(crate) stint: u64,
}

/// When and where an answer to a handshake was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeter {
    /// By whom.
    pub(crate) place: Place,
    /// By its clock, milliseconds.
    pub(crate) now_ms: u64,
}

/// A session that began as a local one.
#[derive(Clone, Copy, Debug)]
struct Local {
    place: Place,
    timeout_ms: u64,
    /// When its server last heard of it, by the clock of that.
    heard_ms: u64,
    /// Whether it has asked for an ephemeral, which makes it a global one.
    is_asked: bool,
    /// Whether it has asked for its end.
    is_ending: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Locals {
    policy: LocalPolicy,
    all: BTreeMap<SessionId, Local>,
}

impl Default for Locals {
    fn default() -> Self {
        Self { policy: LocalPolicy::Off, all: BTreeMap::new() }
    }
}

impl Locals {
    /// From now on new sessions are so.
    pub(crate) fn set_policy(&mut self, policy: LocalPolicy) {
        self.policy = policy;
    }

    /// Whether new sessions are local ones.
    pub(crate) fn are_new(&self) -> bool {
        self.policy != LocalPolicy::Off
    }

    /// Whether an ephemeral is refused.
    pub(crate) fn are_refused(&self) -> bool {
        self.policy == LocalPolicy::Refusing
    }

    /// Whether the session began as a local one.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.all.contains_key(&session)
    }

    /// A client was given a session that nobody had before. Whether that may be.
    pub(crate) fn begin(&mut self, session: SessionId, greeter: Greeter, timeout_ms: i32) -> bool {
        let Greeter { place, now_ms: heard_ms } = greeter;
        let timeout_ms = timeout_ms.max(0) as u64;
        let local = Local { place, timeout_ms, heard_ms, is_asked: false, is_ending: false };
        let is_theirs = session.0 >> 56 == place.node as i64 + 1;
        is_theirs && self.all.insert(session, local).is_none()
    }

    /// A client goes on with a session that no transaction has made. Whether that may be.
    pub(crate) fn go_on(&mut self, session: SessionId, greeter: Greeter) -> bool {
        let Some(local) = self.all.get_mut(&session) else { return false };
        if local.place == greeter.place {
            local.heard_ms = local.heard_ms.max(greeter.now_ms);
        }
        local.place == greeter.place || local.is_asked
    }

    /// Whether a server may say of a session that no transaction has made that it is over.
    pub(crate) fn may_be_over(&self, session: SessionId, greeter: Greeter) -> bool {
        let lives = |it: &Local| {
            let is_here = it.place == greeter.place && !it.is_ending;
            is_here && greeter.now_ms < it.heard_ms + it.timeout_ms
        };
        !self.all.get(&session).is_some_and(lives)
    }

    /// A session shows life at a server.
    pub(crate) fn hear(&mut self, session: SessionId, greeter: Greeter) {
        let local = self.all.get_mut(&session).filter(|it| it.place == greeter.place);
        if let Some(local) = local {
            local.heard_ms = local.heard_ms.max(greeter.now_ms);
        }
    }

    /// A session asks for something.
    pub(crate) fn ask(&mut self, session: SessionId, what: &Do) {
        if let Some(local) = self.all.get_mut(&session) {
            local.is_asked |= self.policy == LocalPolicy::Upgrading && makes_ephemeral(what);
            local.is_ending |= matches!(what, Do::Close);
        }
    }

    /// Whether a transaction may make the session.
    pub(crate) fn may_be_made(&self, session: SessionId) -> bool {
        !self.are_new() || self.all.get(&session).is_some_and(|it| it.is_asked)
    }
}

/// Whether a request would make an ephemeral.
pub(crate) fn makes_ephemeral(what: &Do) -> bool {
    match what {
        Do::Create { op: 1 | 15, flags, .. } => flags & 1 != 0,
        Do::Multi(subs) => subs.iter().any(makes_ephemeral),
        _ => false,
    }
}
