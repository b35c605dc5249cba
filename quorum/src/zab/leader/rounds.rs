//! What is answered when a quorum has said that it still follows, and what was proposed before is committed: `sync`, and that a session is over.
//!
//! ZooKeeper: `Leader.processSync`, `pendingSyncs`; `LearnerHandler`'s REVALIDATE. **Differs:** the reference answers without asking anybody, so a
//! deposed leader answers too. Here a round of pings confirms the quorum; all that arrive while one is under way share the next.

use alloc::collections::VecDeque;

use jute::{SessionId, Zxid};

use super::super::io::{Link, SyncFrom, Validity};

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Awaited {
    /// A `sync`.
    Sync(SyncFrom),
    /// What a learner asked about a session.
    Session { link: Link, session: SessionId, valid: Validity },
}

impl Awaited {
    /// The learner that waits, if one does.
    pub(super) fn link(self) -> Option<Link> {
        match self {
            Self::Sync(SyncFrom::Learner(link)) | Self::Session { link, .. } => Some(link),
            Self::Sync(SyncFrom::Local(_)) => None,
        }
    }
}

/// Who waits, and for what.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Rounds {
    /// Invariant: rounds and zxids do not descend. Bounded by what the driver lets wait.
    waiting: VecDeque<Waiting>,
    /// The last round begun.
    begun: u64,
    /// The last round that a quorum answered.
    confirmed: u64,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Waiting {
    what: Awaited,
    round: u64,
    /// Everything up to here is to be committed.
    after: Zxid,
}

impl Rounds {
    /// Somebody waits from now on, for everything up to `after`.
    pub(super) fn push(&mut self, what: Awaited, after: Zxid) {
        self.waiting.push_back(Waiting { what, round: self.begun + 1, after });
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a round is to begin: somebody waits for one, and none is under way.
    pub(super) fn is_due(&self) -> bool {
        !self.is_under_way() && self.waiting.back().is_some_and(|it| self.begun < it.round)
    }

    /// Whether answers are awaited.
    pub(super) fn is_under_way(&self) -> bool {
        self.confirmed < self.begun
    }

    /// A round begins.
    pub(super) fn begin(&mut self) {
        assert!(!self.is_under_way());
        self.begun += 1;
    }

    /// A quorum has answered the round under way.
    pub(super) fn confirm(&mut self) {
        self.confirmed = self.begun;
    }

    /// The first who need wait no longer, if everything up to `committed` is committed.
    pub(super) fn pop(&mut self, committed: Zxid) -> Option<Awaited> {
        let ready = |it: &mut Waiting| it.round <= self.confirmed && it.after <= committed;
        self.waiting.pop_front_if(ready).map(|it| it.what)
    }

    /// Whether this learner waits to hear of a session: a reference server that has observers takes such answers in the order of its questions.
    pub(super) fn holds_session_of(&self, link: Link) -> bool {
        let sessions =
            |it: &Waiting| matches!(it.what, Awaited::Session { link: its, .. } if its == link);
        self.waiting.iter().any(sessions)
    }

    /// Up to where transactions may be committed while a learner waits: its `sync` is answered in its place among the commits. A reference
    /// server that follows takes what it has asked for in the order of its own requests, and never looks back.
    pub(super) fn bound(&self) -> Option<Zxid> {
        let learners = |it: &&Waiting| matches!(it.what, Awaited::Sync(SyncFrom::Learner(_)));
        self.waiting.iter().find(learners).map(|it| it.after)
    }

    /// Forgets a learner that has gone.
    pub(super) fn forget(&mut self, link: Link) {
        self.waiting.retain(|it| it.what.link() != Some(link));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_syncs_cost_one_round_behind_the_one_that_is_under_way() {
        let local = |id| Awaited::Sync(SyncFrom::Local(id));
        let mut rounds = Rounds::default();
        rounds.push(local(0), Zxid::ZERO);
        assert!(rounds.is_due());
        rounds.begin();
        for id in 1..1_000 {
            rounds.push(local(id), Zxid::ZERO);
            assert!(!rounds.is_due());
        }
        rounds.confirm();
        assert_eq!(rounds.pop(Zxid::ZERO), Some(local(0)));
        assert_eq!(rounds.pop(Zxid::ZERO), None);
        assert!(rounds.is_due());
        rounds.begin();
        rounds.confirm();
        for id in 1..1_000 {
            assert_eq!(rounds.pop(Zxid::ZERO), Some(local(id)));
        }
        assert_eq!((rounds.waiting(), rounds.is_due()), (0, false));
    }
}
