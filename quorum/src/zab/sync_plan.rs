//! How a learner gets the leader's history: which of DIFF, TRUNC and SNAP.
//!
//! ZooKeeper: `LearnerHandler.syncFollower`, `queueCommittedProposals`. Pure functions of facts.
//!
//! *Why the end of a log says enough.* A zxid names its whole past: every log that holds a transaction holds the same in front
//! of it. Epoch E proposes only once its leader's first history is on a quorum, so whoever leads later has that history, and
//! whoever holds a transaction of E does too. So the last of our transactions that is not above a learner's last is in its log:
//! within an epoch because a log holds the beginning of what was proposed, across epochs because it ends the later epoch's
//! first history. **Differs:** the reference sends everything in that last case, and in that of a counter of 0 above its own.

use jute::Zxid;

use super::History;

/// What a learner needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncPlan {
    /// What follows the learner's last.
    Diff {
        /// The learner's last.
        from: Zxid,
    },
    /// To forget what it has behind a transaction, and what follows that.
    Trunc {
        /// The last that both have.
        to: Zxid,
    },
    /// The learner's last is in front of what is in memory: the log on the disk says which, or an image is sent.
    AskLog,
}

impl SyncPlan {
    /// Decides for a learner whose log ends with `last`; ours is `history`, of which `settled` and before goes to learners as
    /// committed.
    ///
    /// What is outstanding is taken from the learner and proposed again: a learner acks what is proposed to it, and only that.
    pub(crate) fn choose(last: Zxid, settled: Zxid, history: &History) -> Self {
        if last.counter() != 0 && settled < last {
            return Self::Trunc { to: settled };
        }
        let floor = history.floor(last.min(settled));
        floor.map_or(Self::AskLog, |floor| Self::from_floor(last, floor))
    }

    /// Decides when the last of our settled transactions up to and including `last` is known to be `floor`.
    ///
    /// A counter of 0 is no transaction: the learner has seen an epoch begin, and has all that was in front of it.
    pub(crate) fn from_floor(last: Zxid, floor: Zxid) -> Self {
        assert!(floor <= last, "the floor {floor} of {last}");
        if floor == last || last.counter() == 0 {
            Self::Diff { from: last }
        } else {
            Self::Trunc { to: floor }
        }
    }
}

#[cfg(test)]
mod tests;
