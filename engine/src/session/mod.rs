//! Which sessions live, until when, and on which connection: a pure machine on a monotonic clock.
//!
//! ZooKeeper: `SessionTrackerImpl`, `ExpiryQueue`. A session expires at the end of the tick in which its timeout
//! ends. Touching one, which every request does, only writes its new time down; the buckets of sessions by tick are
//! put right when their time comes, so a session moves once per timeout and not once per request.
//!
//! Invariants: a session stands in the bucket `queued_at`, which is not after `expires_at`; entries of a bucket that
//! this does not hold for are left over, and mean nothing. A session that is closing cannot be touched back to life.
//!
//! Absent here: wall time, passwords, who may be asked to expire sessions.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use jute::{Code, SessionId};

use crate::map::{Map, MapSeed};
use crate::planted::{self, Bug};

/// The sessions of one server. `O` says where a session's connection is.
#[derive(Debug)]
pub struct SessionTracker<O> {
    tick_ms: u64,
    next_id: SessionId,
    sessions: Map<SessionId, Tracked<O>>,
    /// By the moment at which they are looked at.
    buckets: BTreeMap<u64, VecDeque<SessionId>>,
}

#[derive(Debug)]
struct Tracked<O> {
    timeout_ms: i32,
    /// A multiple of the tick.
    expires_at: u64,
    queued_at: u64,
    life: Life,
    owner: Option<O>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// Expired, or its closeSession is on its way; still known until that is applied.
    Closing,
}

/// A row of the word `dump`: the sessions that expire at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryRow {
    /// Monotonic milliseconds.
    pub expires_at: u64,
    /// The sessions, ascending.
    pub sessions: Vec<SessionId>,
}

impl<O: Clone + PartialEq> SessionTracker<O> {
    /// Tracks nothing yet. `tick_ms` is tickTime, above 0; `first` the first id to give out.
    pub fn new(tick_ms: u32, first: SessionId, seed: MapSeed) -> Self {
        assert!(0 < tick_ms, "a tick of 0 ms never ends");
        Self {
            tick_ms: u64::from(tick_ms),
            next_id: first,
            sessions: Map::new(seed),
            buckets: BTreeMap::new(),
        }
    }

    /// Tracks nothing any more; ids go on where they were.
    pub fn clear(&mut self) {
        self.sessions.clear();
        self.buckets.clear();
    }

    /// An id for a new session. Never 0, never the mark of containers.
    ///
    /// Source: `SessionTrackerImpl.createSession`. Differs: an id that is in use, left by an earlier run whose clock was
    /// ahead, is skipped.
    pub fn next_id(&mut self) -> SessionId {
        loop {
            let id = self.next_id;
            self.next_id = id.next();
            if id != SessionId::NONE && id.0 != i64::MIN && !self.sessions.contains(&id) {
                return id;
            }
        }
    }

    /// The id that comes next, unless it is in use: its server's number is in its highest byte.
    pub fn peek_id(&self) -> SessionId {
        self.next_id
    }

    /// Tracks a session: a new one, or one from the table when the server starts, which then has its whole timeout left.
    /// One that is tracked already is only touched; false then.
    pub fn open(&mut self, now: u64, session: SessionId, timeout_ms: i32) -> bool {
        if self.sessions.contains(&session) {
            self.touch(now, session, timeout_ms);
            return false;
        }
        let expires_at = self.expiry(now, timeout_ms);
        let (life, owner) = (Life::Open, None);
        let tracked = Tracked { timeout_ms, expires_at, queued_at: expires_at, life, owner };
        self.sessions.insert(session, tracked);
        self.buckets.entry(expires_at).or_default().push_back(session);
        true
    }

    /// A sign of life at `now`: the session expires `timeout_ms` later, at the end of that tick. False, and nothing
    /// happens, if it is unknown or closing.
    ///
    /// `timeout_ms` is what the session's present connection negotiated. Source: `SessionTrackerImpl.touchSession`.
    pub fn touch(&mut self, now: u64, session: SessionId, timeout_ms: i32) -> bool {
        self.live_until(session, timeout_ms, self.expiry(now, timeout_ms))
    }

    /// As [`SessionTracker::touch`], with the timeout it has. What is told late of an earlier moment takes nothing back.
    pub fn touch_again(&mut self, now: u64, session: SessionId) -> bool {
        let Some(&Tracked { timeout_ms, expires_at, .. }) = self.sessions.get(&session) else {
            return false;
        };
        self.live_until(session, timeout_ms, self.expiry(now, timeout_ms).max(expires_at))
    }

    fn live_until(&mut self, session: SessionId, timeout_ms: i32, expires_at: u64) -> bool {
        let Some(tracked) = self.sessions.get_mut(&session) else { return false };
        if tracked.life == Life::Closing {
            return false;
        }
        tracked.timeout_ms = timeout_ms;
        tracked.expires_at = expires_at;
        if expires_at < tracked.queued_at {
            tracked.queued_at = expires_at;
            self.buckets.entry(expires_at).or_default().push_back(session);
        }
        true
    }

    /// The session's end has been asked for: it is refused from now on, and does not expire a second time.
    pub fn set_closing(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.get_mut(&session) {
            tracked.life = Life::Closing;
        }
    }

    /// The session has ended: its closeSession is applied. Gives back where its connection is.
    pub fn remove(&mut self, session: SessionId) -> Option<O> {
        self.sessions.remove(&session)?.owner
    }

    /// Appends the sessions whose time is up at `now`, and marks them as closing: each wants a closeSession. Looks at
    /// `max` sessions at most; what is left over is due at once ([`SessionTracker::next_deadline`]).
    pub fn expire(&mut self, now: u64, max: usize, out: &mut Vec<SessionId>) {
        let mut left = max;
        while let Some(mut bucket) = self.buckets.first_entry()
            && *bucket.key() <= now
            && 0 < left
        {
            left -= 1;
            let at = *bucket.key();
            let session = bucket.get_mut().pop_front();
            if bucket.get().is_empty() {
                bucket.remove();
            }
            if let Some(session) = session {
                self.look_at(session, at, out);
            }
        }
    }

    /// In place of [`SessionTracker::expire`] where another server decides: nothing expires, everything is looked at later.
    pub fn postpone(&mut self, now: u64) {
        while let Some(bucket) = self.buckets.first_entry()
            && *bucket.key() <= now
        {
            for session in bucket.remove() {
                let timeout_ms = self.timeout_ms(session).unwrap_or_default();
                let expires_at = self.expiry(now, timeout_ms);
                let Some(tracked) = self.sessions.get_mut(&session) else { continue };
                if tracked.queued_at <= now {
                    (tracked.expires_at, tracked.queued_at) = (expires_at, expires_at);
                    self.buckets.entry(expires_at).or_default().push_back(session);
                }
            }
        }
    }

    /// When to call [`SessionTracker::expire`] next; `None` while there is no session. It may then find nothing to do.
    pub fn next_deadline(&self) -> Option<u64> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    /// Whether a request of `session` that came through `owner` may go on. A session that nobody owns is `owner`'s from
    /// now on.
    ///
    /// Source: `SessionTrackerImpl.checkGlobalSession`.
    ///
    /// # Errors
    /// [`Code::SessionExpired`] if the session is unknown or closing; [`Code::SessionMoved`] if it is another's.
    pub fn check(&mut self, session: SessionId, owner: &O) -> Result<(), Code> {
        let tracked = self.open_mut(session)?;
        match &tracked.owner {
            None => tracked.owner = Some(owner.clone()),
            Some(it) if it == owner => {}
            Some(_) => return Err(Code::SessionMoved),
        }
        Ok(())
    }

    /// The session is `owner`'s from now on. Gives back whose it was, if that was another: that connection is to be
    /// closed.
    ///
    /// # Errors
    /// [`Code::SessionExpired`] if the session is unknown or closing.
    pub fn set_owner(&mut self, session: SessionId, owner: O) -> Result<Option<O>, Code> {
        let tracked = self.open_mut(session)?;
        let before = tracked.owner.replace(owner);
        Ok(before.filter(|before| Some(before) != tracked.owner.as_ref()))
    }

    /// Whose the session is, or was last: what a connection before that one asked comes too late, be this one gone too.
    pub fn owner(&self, session: SessionId) -> Option<&O> {
        self.sessions.get(&session)?.owner.as_ref()
    }

    /// The session's timeout, milliseconds; `None` if it is unknown.
    pub fn timeout_ms(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).map(|tracked| tracked.timeout_ms)
    }

    /// Whether the session is known and not closing.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|tracked| tracked.life == Life::Open)
    }

    /// How many sessions are known, closing ones too.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is known.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The rows of `dump`, ascending. Walks all sessions.
    ///
    /// Differs: the reference also counts the moments at which no session expires any more.
    pub fn expiry_rows(&self) -> Vec<ExpiryRow> {
        let mut rows: BTreeMap<u64, Vec<SessionId>> = BTreeMap::new();
        for &session in self.sessions.sorted_keys() {
            if let Some(tracked) = self.sessions.get(&session) {
                rows.entry(tracked.expires_at).or_default().push(session);
            }
        }
        rows.into_iter().map(|(expires_at, sessions)| ExpiryRow { expires_at, sessions }).collect()
    }

    /// The time of bucket `at` has come for `session`.
    fn look_at(&mut self, session: SessionId, at: u64, out: &mut Vec<SessionId>) {
        let Some(tracked) = self.sessions.get_mut(&session) else { return };
        if tracked.queued_at != at || tracked.life == Life::Closing {
            return;
        }
        if planted::has(Bug::NeverExpire) {
            tracked.expires_at = at + self.tick_ms;
        }
        if at < tracked.expires_at {
            tracked.queued_at = tracked.expires_at;
            self.buckets.entry(tracked.expires_at).or_default().push_back(session);
            return;
        }
        tracked.life = Life::Closing;
        out.push(session);
    }

    fn open_mut(&mut self, session: SessionId) -> Result<&mut Tracked<O>, Code> {
        let tracked = self.sessions.get_mut(&session);
        tracked.filter(|tracked| tracked.life == Life::Open).ok_or(Code::SessionExpired)
    }

    /// The end of the tick in which `timeout_ms` ends. Source: `ExpiryQueue.roundToNextInterval`.
    fn expiry(&self, now: u64, timeout_ms: i32) -> u64 {
        let end = now + timeout_ms.max(0) as u64;
        (end / self.tick_ms + 1) * self.tick_ms
    }
}

#[cfg(test)]
mod tests;
