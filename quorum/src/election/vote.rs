//! Votes: which is better, and which are the same.
//!
//! ZooKeeper: `Vote`, `FastLeaderElection.totalOrderPredicate`.

use jute::Zxid;

use crate::wire::{Notification, ServerState};
use crate::{Epoch, Sid};

/// Who should lead, and how far that server has come. The better candidate compares greater: epoch, then zxid, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// Its current epoch.
    pub peer_epoch: Epoch,
    /// Its last logged transaction.
    pub zxid: Zxid,
    /// Its id.
    pub leader: Sid,
}

/// What a server voted for, in which round, and what it was doing then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// For whom.
    pub candidate: Candidate,
    /// The round: the voter's logical clock.
    pub election_epoch: i64,
    /// What the voter was doing.
    pub state: ServerState,
    /// The form of the message that it came in; 0 where that does not matter.
    pub version: i32,
}

impl Vote {
    /// A vote of a searching server.
    pub fn looking(candidate: Candidate, election_epoch: i64) -> Self {
        Self { candidate, election_epoch, state: ServerState::Looking, version: 0 }
    }

    /// The vote that a message holds, with its form.
    pub fn of(notification: &Notification<'_>) -> Self {
        let Notification { leader, zxid, peer_epoch, .. } = *notification;
        Self {
            candidate: Candidate { peer_epoch, zxid, leader },
            election_epoch: notification.election_epoch,
            state: notification.state,
            version: notification.version,
        }
    }

    /// The same vote without the form of its message.
    #[must_use]
    pub fn without_version(self) -> Self {
        Self { version: 0, ..self }
    }

    /// Whether both are votes for the same leadership.
    ///
    /// With a searching server on either side everything must be equal. Between servers that have found their
    /// leader, zxid and round may have come to differ, so only leader and epoch count; and only the leader where
    /// one of the two messages is of a form from before the epoch was kept up to date.
    /// Source: `Vote.equals`.
    pub fn agrees(&self, other: &Self) -> bool {
        if [self.state, other.state].contains(&ServerState::Looking) {
            return self.candidate == other.candidate
                && self.election_epoch == other.election_epoch;
        }
        let one_is_old = (0 < self.version) != (0 < other.version);
        self.candidate.leader == other.candidate.leader
            && (one_is_old || self.candidate.peer_epoch == other.candidate.peer_epoch)
    }
}
