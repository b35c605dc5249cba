//! A follower in a leader's place towards observers: it is in the last phase from the start, and decides nothing.
//!
//! ZooKeeper: `ObserverMaster`, which is to `LearnerHandler` what `Leader` is. Invariant: all learners are observers, and what is settled is what
//! the leader has said to be.

use jute::Zxid;

use crate::Epoch;
use crate::wire::Message;

use super::super::io::{Group, Input, Link, Packet, WriteId};
use super::super::planted::Bug;
use super::super::{LinkError, Phase, Step};
use super::{Leader, to_group};

impl Leader {
    /// Begins without observers.
    pub(crate) fn standing_in(step: &Step<'_>, epoch: Epoch, settled: Zxid) -> Self {
        let mut leader = Self::new(step, epoch, settled);
        leader.phase = Phase::Broadcast;
        // Long durable: the epoch is this server's own.
        leader.offered = Some(WriteId::default());
        leader.sealed = Some(WriteId::default());
        leader
    }

    /// Whether this is an observer's connection.
    pub(crate) fn has(&self, link: Link) -> bool {
        self.find(link).is_some()
    }

    /// Takes an input that is about an observer.
    pub(crate) fn stand_in(&mut self, step: &mut Step<'_>, input: Input<'_>) {
        if let Input::Packet { link, message } = input
            && !step.replica.has(Bug::CutTheAhead)
            && let Err(why) = self.may_host(&message)
        {
            return self.close(step, link, why);
        }
        let done = self.step(step, input);
        assert!(done.is_ok(), "nobody takes from it what it has not: {done:?}");
    }

    /// Followers are the leader's, and an observer that is ahead has heard from the leader what has yet to come here.
    fn may_host(&self, message: &Message<'_>) -> Result<(), LinkError> {
        match *message {
            Message::FollowerInfo { .. } => Err(LinkError::NotLeading),
            Message::AckEpoch { zxid, current }
                if self.settled < zxid && Epoch::of(zxid) == self.epoch =>
            {
                let theirs = current.unwrap_or(self.epoch);
                let (ours, ours_zxid) = (self.epoch, self.settled);
                Err(LinkError::LearnerAhead { theirs, zxid, ours, ours_zxid })
            }
            _ => Ok(()),
        }
    }

    /// A transaction is committed: `packet` says so to observers.
    pub(crate) fn inform(&mut self, step: &mut Step<'_>, zxid: Zxid, packet: Packet) {
        // Nobody was told of less.
        if self.settled < zxid {
            self.settled = zxid;
            to_group(step, Group::Observers, packet);
        }
    }

    /// Looks at the clock.
    pub(crate) fn stand_in_deadline(&mut self, step: &mut Step<'_>) {
        if self.half_at <= step.now {
            self.half_at = step.now + step.replica.settings.tick / 2;
            self.close_the_silent(step);
            for idx in 0..self.handlers.len() {
                self.ping(step, idx);
            }
        }
    }
}
