//! Bugs of elections, put in on purpose so that the walk of elections can show that it would find them.
//!
//! As those of ZAB (`zab/planted.rs`) they exist only in a build with `--cfg planted`.

use super::{Candidate, Election};

/// A bug. Beside each: the reference's tracker, or what was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(planted), expect(unreachable_pub, reason = "only a planted build names them"))]
pub enum Bug {
    /// A vote of an older round counts in this one.
    CountOlderRounds,
    /// A search begins in the round in which the last one ended.
    StayInRound,
    /// Candidates are compared by their zxids first, and then by their epochs. Z-2307.
    ZxidBeforeEpoch,
    /// The search ends when nobody is waited for any more, without a quorum. Z-1514.
    LeaveBeforeQuorum,
    /// Others follow a leader, and it need not have said that it leads: `checkLeader`, left out.
    JoinUnheardLeader,
    /// An observer's vote counts. Z-2959.
    CountObservers,
}

#[cfg(planted)]
impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::CountOlderRounds,
        Self::StayInRound,
        Self::ZxidBeforeEpoch,
        Self::LeaveBeforeQuorum,
        Self::JoinUnheardLeader,
        Self::CountObservers,
    ];
}

impl Election {
    /// The same with a bug, or none.
    #[cfg(planted)]
    #[must_use]
    pub fn with_bug(self, bug: Option<Bug>) -> Self {
        Self { bug, ..self }
    }

    /// Whether this bug was put in.
    #[cfg(planted)]
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this bug was put in: never.
    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the other build has one to look at")]
    pub(super) const fn has(&self, _: Bug) -> bool {
        false
    }

    /// Whether `one` is a better candidate than the other.
    pub(super) fn is_better(&self, one: Candidate, other: Candidate) -> bool {
        if self.has(Bug::ZxidBeforeEpoch) {
            return (other.zxid, other.peer_epoch, other.leader)
                < (one.zxid, one.peer_epoch, one.leader);
        }
        other < one
    }
}
