//! A follower that tells observers what it is told, so that the leader need not; and an observer's choice of whom to be told by.
//!
//! ZooKeeper: `ObserverMaster`, `QuorumPeer.findLearnerMaster`. Towards its observers such a follower is what a leader is that is already
//! in its last phase, so that a [`Leader`] is what keeps their connections. What they ask goes on to the leader, in the order of this
//! server's own, and the answers come back the same way.
//!
//! **Differs:** an observer that is ahead of this server is sent away until it is not, where the reference cuts its log; one that finds nobody else
//! is told by the leader.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use jute::Zxid;

use crate::wire::{Message, Touch, Touches};
use crate::{Moment, Sid};

use super::super::io::{Group, Input, Link, Packet, Plain, To};
use super::super::{Leader, LinkError, Settings, Step};
use super::{Learner, SyncFrom, TRIES_MAX};

/// Whether followers have observers, and observers look for such followers. Source: `observerMasterPort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ObserverMasters {
    /// Only the leader has learners.
    #[default]
    Off,
    /// Followers have observers.
    On,
}

impl Learner {
    /// Whom to connect to at the nth try: the leader, or of an observer the followers in turn and the leader last.
    pub(super) fn master(step: &Step<'_>, leader: Sid, nth: u32) -> Sid {
        let replica = &*step.replica;
        let masters = replica.settings.observer_masters;
        if !replica.is_observer() || masters == ObserverMasters::Off || TRIES_MAX <= nth + 1 {
            return leader;
        }
        let followers: Vec<_> = Self::others(step, leader).collect();
        // Observers begin at different ones, and the same one at another after each election.
        let begin = (replica.sid.0 as usize).wrapping_add(replica.accepted.0 as usize);
        let idx = begin.wrapping_add(nth as usize).checked_rem(followers.len());
        idx.map_or(leader, |idx| followers[idx])
    }

    /// The voters that do not lead.
    fn others(step: &Step<'_>, leader: Sid) -> impl Iterator<Item = Sid> {
        let myid = step.replica.sid;
        let voters = step.replica.views.committed().verifier().voters().iter().copied();
        voters.filter(move |&it| it != leader && it != myid)
    }

    /// How long to wait before the nth try: an observer does, where it would call the leader, or followers that it has called before.
    ///
    /// Source: `QuorumPeer.findLearnerMaster`.
    pub(super) fn rest(step: &Step<'_>, leader: Sid, nth: u32) -> Duration {
        let Settings { observer_masters, observer_delays, .. } = step.replica.settings;
        let is_due = match observer_masters {
            ObserverMasters::Off => nth == 0,
            ObserverMasters::On => {
                let count = Self::others(step, leader).count().max(1) as u32;
                0 < nth && nth.is_multiple_of(count)
            }
        };
        if !is_due || !step.replica.is_observer() {
            return Duration::ZERO;
        }
        let turn = u64::try_from(step.replica.accepted.0).unwrap_or(0) << 32 | u64::from(nth);
        Moment::spread(step.replica.sid, turn, observer_delays.reconnect)
    }

    /// Whether this server has observers.
    fn hosts(&self, step: &Step<'_>) -> bool {
        let wanted = step.replica.settings.observer_masters == ObserverMasters::On;
        wanted && !self.is_observer && self.request_link().is_some()
    }

    /// How many observers this server tells; `None` if it tells none.
    pub(crate) fn observer_count(&self, settings: &Settings) -> Option<usize> {
        let may = settings.observer_masters == ObserverMasters::On && !self.is_observer;
        let count = || self.hosted.as_ref().map_or(0, |it| it.counts(|_| true).synced_observers);
        may.then(count)
    }

    /// Something about an observer's connection.
    pub(super) fn host(&mut self, step: &mut Step<'_>, input: Input<'_>) {
        match input {
            Input::Accepted { .. } if self.hosts(step) => {
                let (epoch, settled) = (self.epoch, self.committed.max(step.replica.committed));
                let make = || Box::new(Leader::standing_in(step, epoch, settled));
                let hosted = self.hosted.get_or_insert_with(make);
                hosted.stand_in(step, input);
            }
            Input::Accepted { link } => {
                let why = Some(LinkError::NotLeading);
                step.out.push(super::Output::Close { link, why });
            }
            Input::Packet { link, message } => self.hosted_packet(step, link, message),
            _ => {
                if let Some(hosted) = &mut self.hosted {
                    hosted.stand_in(step, input);
                }
            }
        }
    }

    /// An observer says something.
    fn hosted_packet(&mut self, step: &mut Step<'_>, link: Link, message: Message<'_>) {
        let Some(hosted) = self.hosted.as_mut().filter(|it| it.has(link)) else { return };
        match message {
            Message::Ping { zxid, touches } => {
                for Touch { session, timeout_ms } in touches.iter().flat_map(Touches::iter) {
                    self.touched.insert(session, timeout_ms);
                }
                let message = Message::Ping { zxid, touches: None };
                hosted.stand_in(step, Input::Packet { link, message });
            }
            Message::Revalidate(touch) => {
                self.revalidate(step, touch, Some(link));
                step.out.push(super::Output::Revalidate { link, touch });
            }
            message => hosted.stand_in(step, Input::Packet { link, message }),
        }
    }

    /// Asks the leader about a session: for an observer, or for a client of this server.
    pub(super) fn revalidate(&mut self, step: &mut Step<'_>, touch: Touch, from: Option<Link>) {
        if let Some(link) = self.request_link() {
            self.asked.push_back(from);
            step.send(To::Link(link), Plain::Revalidate(touch));
        }
    }

    /// The leader's answer goes to an observer.
    pub(super) fn tell_observer(&self, step: &mut Step<'_>, link: Link, plain: Plain) {
        if self.hosted.as_ref().is_some_and(|it| it.has(link)) {
            step.send(To::Link(link), plain);
        }
    }

    /// A transaction is committed: observers hear of it.
    pub(super) fn inform(&mut self, step: &mut Step<'_>, zxid: Zxid, packet: Packet) {
        if let Some(hosted) = &mut self.hosted {
            hosted.inform(step, zxid, packet);
        }
    }

    /// The same of everything behind `before` that is committed.
    pub(super) fn inform_behind(&mut self, step: &mut Step<'_>, before: Zxid) {
        let Some(hosted) = &mut self.hosted else { return };
        let committed = self.committed;
        let behind = step.replica.history.after(before).into_iter().flatten();
        let zxids: Vec<_> = behind.take_while(|&it| it <= committed).collect();
        for zxid in zxids {
            hosted.inform(step, zxid, Packet::Inform { zxid });
        }
    }

    /// Tells all observers, if this server has any.
    pub(super) fn tell_observers(&self, step: &mut Step<'_>, plain: Plain) {
        if self.hosted.is_some() {
            step.send(To::Group(Group::Observers), plain);
        }
    }

    /// Looks at the clock for observers.
    pub(super) fn host_deadline(&mut self, step: &mut Step<'_>) {
        if let Some(hosted) = &mut self.hosted {
            hosted.stand_in_deadline(step);
        }
    }

    /// Which sync's turn it is.
    pub(super) fn synced(&mut self, step: &mut Step<'_>) {
        match self.syncs.pop_front() {
            Some(SyncFrom::Local(id)) => step.out.push(super::Output::Synced { id }),
            Some(SyncFrom::Learner(link)) => self.tell_observer(step, link, Plain::Sync),
            None => {}
        }
    }
}
