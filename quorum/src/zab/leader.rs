//! The leader: finds an epoch, brings learners to its history, and then proposes and commits.
//!
//! ZooKeeper: `Leader`. The phases are in [`discovery`], [`synchronization`] and [`broadcast`]; a learner is a [`handler`]; one of two voters
//! that goes on by itself is [`alone`].
//!
//! Invariants: LEADERINFO leaves when the epoch is durable here; the own ack of anything counts when it is durable here; nothing
//! is proposed before a quorum has acked NEWLEADER; commits ascend without a gap. *Absent:* what a transaction means.

mod alone;
mod broadcast;
mod counts;
mod discovery;
mod handler;
mod rounds;
mod standing_in;
mod synchronization;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use jute::Zxid;

use crate::wire::{Message, PacketKind};
use crate::{Epoch, Moment, Permit, Sid, Views};

use super::io::{Group, Input, Link, Output, Packet, To, WriteId};
use super::planted::Bug;
use super::{LeaveReason, LinkError, Phase, Replica, Step};
pub use counts::LearnerCounts;
use handler::{Handler, Stage};
use rounds::{Awaited, Rounds};

/// What is proposed and not committed.
#[derive(Clone, Debug, Hash)]
struct Outstanding {
    zxid: Zxid,
    /// Whose quorums it needs.
    views: Arc<Views>,
    /// Whether it changes the members.
    is_reconfig: bool,
}

/// An own write that others wait for.
#[derive(Clone, Copy, Debug, Hash)]
struct OwnAppend {
    write: WriteId,
    zxid: Zxid,
    since: Moment,
}

/// A server that was elected.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Leader {
    phase: Phase,
    /// Until when the phase must be over.
    phase_until: Moment,
    /// The epoch to propose; grows until `offered`.
    epoch: Epoch,
    /// Set when the epoch is decided: the write of the own promise.
    offered: Option<WriteId>,
    /// Set when a quorum has promised: the write of the own current epoch.
    sealed: Option<WriteId>,
    /// Current epoch and last transaction at the beginning: no learner may be ahead of that.
    summary: (Epoch, Zxid),
    /// Voters that named their accepted epoch, until one is decided.
    named: BTreeSet<Sid>,
    /// Voters that promised the epoch; only this server once enough have.
    promised: BTreeSet<Sid>,
    /// Voters that have the history, until that is enough.
    acked: BTreeSet<Sid>,
    /// The next id of a learner without one.
    anonymous: i64,
    /// The last that goes to learners as committed: the end of the first history, then the last committed.
    settled: Zxid,
    /// Invariant: zxids ascend, all of this epoch, all above `settled`.
    outstanding: VecDeque<Outstanding>,
    own: VecDeque<OwnAppend>,
    /// Everything up to here is durable here.
    own_acked: Zxid,
    rounds: Rounds,
    /// What the oracle has said in this role. What it said before was about the election: those who voted are about to come.
    permit: Permit,
    /// Ticks of the broadcast phase.
    tick: u64,
    /// Half ticks to the next tick.
    halves: u8,
    half_at: Moment,
    /// What a follower promised, if that is later than this epoch.
    outpaced: Option<Epoch>,
    /// Who should lead now, if it is somebody else: nothing is committed any more.
    designated: Option<Sid>,
    /// Planted only: acks of those whose connection has gone.
    ghosts: Vec<(Sid, Zxid)>,
    /// In the order of connections; a server has one at most.
    handlers: Vec<Handler>,
}

impl Leader {
    /// Begins with discovery.
    pub(crate) fn elected(step: &mut Step<'_>) -> Self {
        let last = step.replica.history.last();
        let epoch = step.replica.accepted.max(Epoch::of(last)).next();
        let mut leader = Self::new(step, epoch, last);
        leader.decide_epoch(step);
        leader
    }

    fn new(step: &Step<'_>, epoch: Epoch, settled: Zxid) -> Self {
        let replica = &*step.replica;
        Self {
            phase: Phase::Discovery,
            phase_until: step.now + replica.settings.init_time(),
            epoch,
            offered: None,
            sealed: None,
            summary: (replica.current, settled),
            named: BTreeSet::from([replica.sid]),
            promised: BTreeSet::new(),
            acked: BTreeSet::new(),
            handlers: Vec::new(),
            anonymous: -1,
            settled,
            outstanding: VecDeque::new(),
            own: VecDeque::new(),
            own_acked: settled,
            rounds: Rounds::default(),
            permit: Permit::default(),
            tick: 0,
            halves: 0,
            half_at: step.now + replica.settings.tick / 2,
            outpaced: None,
            designated: None,
            ghosts: Vec::new(),
        }
    }

    /// What learners may forget from memory.
    pub(crate) fn settled(&self) -> Zxid {
        self.settled
    }

    /// Where it is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The epoch that it leads, or means to lead.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The zxid of the next proposal, if proposals are taken.
    pub(crate) fn next_zxid(&self, replica: &Replica) -> Option<Zxid> {
        let serves = self.phase == Phase::Broadcast && self.designated.is_none();
        let next = replica.history.last().max(replica.settings.before_first(self.epoch)).next();
        (serves && next.counter() != u32::MAX).then_some(next)
    }

    /// When to be called if nothing else happens.
    pub(crate) fn next_deadline(&self) -> Moment {
        if self.phase == Phase::Broadcast {
            self.half_at
        } else {
            self.half_at.min(self.phase_until)
        }
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`LeaveReason`]: this server leads no longer.
    pub(crate) fn step(
        &mut self,
        step: &mut Step<'_>,
        input: Input<'_>,
    ) -> Result<(), LeaveReason> {
        match input {
            Input::Deadline => self.deadline(step)?,
            Input::Searches { sid } => self.deserted(step, sid)?,
            Input::Oracle { permit } => self.permitted(step, permit),
            Input::Accepted { link } => {
                let limits = step.replica.settings;
                let until = self.tick + u64::from(limits.init_limit + limits.sync_limit);
                let at = self.handlers.partition_point(|it| it.link < link);
                self.handlers.insert(at, Handler::new(link, step.now, until));
            }
            Input::Closed { link } => self.forget(step, link),
            Input::Packet { link, message } => {
                if let Some(idx) = self.find(link)
                    && let Err(why) = self.packet(step, idx, &message)
                {
                    self.close(step, link, why);
                }
            }
            Input::Durable { .. } => self.durable(step),
            Input::LogFloor { link, floor } => self.log_floor(step, link, floor),
            Input::LogStreamed { link } => self.log_streamed(step, link),
            Input::SnapshotChosen { link, zxid } => self.snapshot_chosen(step, link, zxid),
            Input::SnapshotSent { link } => self.snapshot_sent(step, link),
            Input::Propose { zxid, txn } => self.propose(step, zxid, txn),
            Input::Sync { from } => self.answer_confirmed(step, Awaited::Sync(from)),
            Input::Revalidated { link, session, valid } => {
                self.revalidated(step, link, session, valid);
            }
            // Asked for when this server still followed.
            Input::Connected { link, .. } => {
                step.out.push(Output::Close { link, why: Some(LinkError::NotLeading) });
            }
            // Not a leader's: the driver finds touches and sessions at its own tracker.
            Input::Elected { .. }
            | Input::Learned { .. }
            | Input::ConnectFailed { .. }
            | Input::Diverged
            | Input::SnapshotPart { .. }
            | Input::SnapshotReceived { .. }
            | Input::Touch(_)
            | Input::Revalidate(_) => {}
        }
        self.check(step);
        Ok(())
    }

    /// Gives the role up.
    pub(crate) fn leave(self, step: &mut Step<'_>) {
        for handler in self.handlers {
            step.out.push(Output::Close { link: handler.link, why: None });
        }
    }

    fn find(&self, link: Link) -> Option<usize> {
        self.handlers.iter().position(|it| it.link == link)
    }

    /// Takes a packet of a learner.
    fn packet(
        &mut self,
        step: &mut Step<'_>,
        idx: usize,
        message: &Message<'_>,
    ) -> Result<(), LinkError> {
        let limit = u64::from(step.replica.settings.sync_limit);
        let handler = &mut self.handlers[idx];
        handler.heard_at = step.now;
        // The grace of a learner that syncs is longer than that of one that serves.
        if Stage::Acked <= handler.stage {
            handler.in_step_until = self.tick + limit;
        }
        let (stage, link) = (handler.stage, handler.link);
        match *message {
            Message::FollowerInfo { accepted, info } => {
                self.named(step, idx, (Group::Followers, accepted, info))
            }
            Message::ObserverInfo { accepted, info } => {
                self.named(step, idx, (Group::Observers, accepted, info))
            }
            Message::AckEpoch { zxid, current } => self.promised(step, idx, zxid, current),
            Message::Ack { zxid } => self.ack(step, idx, zxid),
            Message::Ping { touches, .. } => {
                self.ping_answered(step, idx);
                if touches.is_some() {
                    step.out.push(Output::Touched { link });
                }
                Ok(())
            }
            Message::Revalidate(touch) if Stage::Acked <= stage => {
                step.out.push(Output::Revalidate { link, touch });
                Ok(())
            }
            Message::Request { .. } if Stage::Acked <= stage => {
                step.out.push(Output::Request { link });
                Ok(())
            }
            Message::Request { .. } => Err(LinkError::OutOfTurn { kind: PacketKind::Request }),
            Message::Revalidate(_) => Err(LinkError::OutOfTurn { kind: PacketKind::Revalidate }),
            // Ignored wherever it comes, as by the reference.
            _ => Ok(()),
        }
    }

    /// A write is durable.
    fn durable(&mut self, step: &mut Step<'_>) {
        if self.offered.is_some_and(|it| step.replica.is_durable(it)) {
            self.offer(step);
        }
        if self.phase == Phase::Synchronization
            && self.sealed.is_some_and(|it| step.replica.is_durable(it))
        {
            self.acked.insert(step.replica.sid);
            self.establish(step);
        }
        if self.phase == Phase::Broadcast {
            self.own_durable(step);
        }
    }

    /// Closes a learner's connection.
    fn close(&mut self, step: &mut Step<'_>, link: Link, why: LinkError) {
        if self.find(link).is_some() {
            step.out.push(Output::Close { link, why: Some(why) });
            self.forget(step, link);
        }
    }

    fn forget(&mut self, step: &mut Step<'_>, link: Link) {
        if step.replica.has(Bug::KeepAcksOfTheGone) {
            let handlers = self.handlers.iter().filter(|it| it.link == link);
            self.ghosts.extend(handlers.map(|it| (it.sid, it.acked)));
        }
        self.handlers.retain(|it| it.link != link);
        self.rounds.forget(link);
        // What waited for the answer waits no longer.
        self.commit_ready(step);
    }

    /// Looks at the clock.
    fn deadline(&mut self, step: &mut Step<'_>) -> Result<(), LeaveReason> {
        if self.phase != Phase::Broadcast && self.phase_until <= step.now {
            return Err(LeaveReason::NoQuorum { phase: self.phase });
        }
        if step.now < self.half_at {
            return Ok(());
        }
        self.half_at = step.now + step.replica.settings.tick / 2;
        self.close_the_silent(step);
        if self.phase == Phase::Broadcast {
            self.half_tick(step)?;
        }
        for idx in 0..self.handlers.len() {
            self.ping(step, idx);
        }
        Ok(())
    }

    /// Closes the connections of learners that were not heard in time, or did not ack in time.
    fn close_the_silent(&mut self, step: &mut Step<'_>) {
        let settings = step.replica.settings;
        let mut late = Vec::new();
        for handler in &self.handlers {
            let serves = Stage::Acked <= handler.stage;
            let limit = if serves { settings.sync_time() } else { settings.init_time() };
            let slow = handler
                .slow
                .waiting()
                .filter(|&(_, since)| serves && settings.sync_time() < step.now.since(since));
            if handler.is_awaited() && limit < step.now.since(handler.heard_at) {
                late.push((handler.link, LinkError::Silent));
            } else if let Some((zxid, _)) = slow {
                late.push((handler.link, LinkError::SlowAck { zxid }));
            }
        }
        for (link, why) in late {
            self.close(step, link, why);
        }
    }

    /// How long the oldest own append has waited.
    fn own_delay(&self, now: Moment) -> Duration {
        self.own.front().map_or(Duration::ZERO, |it| now.since(it.since))
    }

    fn check(&self, step: &Step<'_>) {
        let head = self.outstanding.front();
        assert!(head.is_none_or(|it| self.settled < it.zxid) || cfg!(planted));
        assert!(self.phase != Phase::Broadcast || self.settled <= step.replica.history.last());
    }
}

/// Sends to the learners that have joined.
fn to_group(step: &mut Step<'_>, group: Group, packet: Packet) {
    step.out.push(Output::Send { to: To::Group(group), packet });
}
