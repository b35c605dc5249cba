//! How many learners a leader has: what operators are shown.
//!
//! ZooKeeper: the gauges of `LeaderZooKeeperServer.registerMetrics`.

use super::{Group, Leader};

/// A leader's learners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnerCounts {
    /// Connections, whatever their stage.
    pub connected: usize,
    /// Followers that get proposals, those without a vote too.
    pub synced_followers: usize,
    /// Of these, those without a vote.
    pub synced_non_voting: usize,
    /// Observers that get what is committed.
    pub synced_observers: usize,
    /// `sync`s that wait for a quorum.
    pub pending_syncs: usize,
}

impl Leader {
    /// Counts the learners; `is_voter` says who votes.
    pub(crate) fn counts(&self, is_voter: impl Fn(crate::Sid) -> bool) -> LearnerCounts {
        let joined =
            |group| self.handlers.iter().filter(move |it| it.is_joined() && it.group == group);
        LearnerCounts {
            connected: self.handlers.len(),
            synced_followers: joined(Group::Followers).count(),
            synced_non_voting: joined(Group::Followers).filter(|it| !is_voter(it.sid)).count(),
            synced_observers: joined(Group::Observers).count(),
            pending_syncs: self.rounds.waiting(),
        }
    }
}
