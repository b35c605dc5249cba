//! Synchronisation: every learner gets the leader's history, and a quorum says that it has it.
//!
//! ZooKeeper: `LearnerHandler.syncFollower`, `Leader.startForwarding`, `waitForNewLeaderAck`, `startZkServer`.
//!
//! What is settled goes out as PROPOSAL and COMMIT, what is outstanding as PROPOSAL, then NEWLEADER, all in the step in which
//! the learner joins its group: nothing can be proposed in between.

use alloc::string::ToString;
use alloc::sync::Arc;

use jute::Zxid;

use super::super::io::{Group, Link, Output, Packet, Plain, To};
use super::super::planted::Bug;
use super::super::throttle::Place;
use super::super::{LinkError, Phase, Step, SyncBy, SyncKind, SyncPlan};
use super::{Handler, Leader, Stage};

impl Leader {
    /// A learner has promised, and a quorum too: brings it to the history.
    pub(super) fn synchronize(&mut self, step: &mut Step<'_>, link: Link) {
        let Some(idx) = self.find(link) else { return };
        let last = self.handlers[idx].last;
        if last < Zxid::ZERO || self.is_image_forced(step, last) {
            return self.choose_image(step, idx);
        }
        match SyncPlan::choose(last, self.settled, &step.replica.history) {
            SyncPlan::AskLog => {
                self.handlers[idx].stage = Stage::Asking;
                step.out.push(Output::AskLog { link, zxid: last });
            }
            plan => self.begin(step, idx, plan),
        }
    }

    /// Whether the learner is to get an image though it needs none, and one can be made that holds all that it has: not while learners make
    /// the quorum without which nothing is decided and no image made.
    fn is_image_forced(&self, step: &Step<'_>, last: Zxid) -> bool {
        step.replica.settings.sync_by == SyncBy::Force
            && self.phase == Phase::Broadcast
            && last.min(self.settled) <= step.replica.committed
    }

    /// Takes a place among those that are synchronised; without one an observer is sent away, and that is the answer.
    fn take_place(&mut self, step: &mut Step<'_>, idx: usize, kind: SyncKind) -> bool {
        let taken = self.handlers.iter().filter(|it| it.place.0 == Some(kind)).count() as u32;
        let max = step.replica.settings.sync_limits.max(kind);
        let Handler { link, group, .. } = self.handlers[idx];
        if group == Group::Observers && max <= taken {
            self.close(step, link, LinkError::TooManySyncs { kind, count: taken, max });
            return false;
        }
        self.handlers[idx].place = Place(Some(kind));
        true
    }

    /// The log says where a learner's last stands in it.
    pub(super) fn log_floor(&mut self, step: &mut Step<'_>, link: Link, floor: Option<Zxid>) {
        let Some(idx) = self.find(link) else { return };
        if self.handlers[idx].stage != Stage::Asking {
            return;
        }
        if let Some(floor) = floor {
            self.begin(step, idx, SyncPlan::from_floor(self.handlers[idx].last, floor));
        } else {
            self.choose_image(step, idx);
        }
    }

    /// One that holds all that the learner has; of one whose state is of no use, all that may have been committed with its help.
    fn choose_image(&mut self, step: &mut Step<'_>, idx: usize) {
        let Handler { link, last, .. } = self.handlers[idx];
        let at_least = if last < Zxid::ZERO { self.settled } else { last.min(self.settled) };
        if !self.take_place(step, idx, SyncKind::Snap) {
            return;
        }
        self.handlers[idx].stage = Stage::Choosing;
        step.out.push(Output::SendSnapshot { link, at_least });
    }

    /// DIFF or TRUNC, and what follows.
    fn begin(&mut self, step: &mut Step<'_>, idx: usize, plan: SyncPlan) {
        if !self.take_place(step, idx, SyncKind::Diff) {
            return;
        }
        let link = To::Link(self.handlers[idx].link);
        let from = match plan {
            SyncPlan::Diff { from } => {
                step.send(link, Plain::Diff { zxid: self.settled });
                from
            }
            SyncPlan::Trunc { to } if step.replica.has(Bug::SkipTrunc) => {
                step.send(link, Plain::Diff { zxid: self.settled });
                to
            }
            SyncPlan::Trunc { to } => {
                step.send(link, Plain::Trunc { zxid: to });
                to
            }
            SyncPlan::AskLog => unreachable!("the log has answered"),
        };
        self.go_on(step, idx, from);
    }

    /// The learner has, or is being sent, everything up to `sent`: the log's part next, or the memory's, which is the last.
    fn go_on(&mut self, step: &mut Step<'_>, idx: usize, sent: Zxid) {
        let history = &step.replica.history;
        if history.before() <= sent {
            self.join(step, idx, sent);
        } else {
            let upto = history.before();
            assert!(upto <= self.settled);
            self.handlers[idx].stage = Stage::Streaming { upto };
            let link = self.handlers[idx].link;
            step.out.push(Output::StreamLog { link, after: sent, upto });
        }
    }

    /// The part of the log that was asked for is in the link's queue.
    pub(super) fn log_streamed(&mut self, step: &mut Step<'_>, link: Link) {
        let Some(idx) = self.find(link) else { return };
        if let Stage::Streaming { upto } = self.handlers[idx].stage {
            self.go_on(step, idx, upto);
        }
    }

    /// An image is chosen. One that lacks what the learner has would take it away from it; one that has more than is settled
    /// could never be taken back.
    pub(super) fn snapshot_chosen(&mut self, step: &mut Step<'_>, link: Link, zxid: Zxid) {
        let Some(idx) = self.find(link) else { return };
        if self.handlers[idx].stage != Stage::Choosing {
            return;
        }
        if zxid < self.handlers[idx].last.min(self.settled) || self.settled < zxid {
            let settled = self.settled;
            return self.close(step, link, LinkError::ImageAhead { zxid, settled });
        }
        self.handlers[idx].stage = Stage::Imaging { zxid };
        step.send(To::Link(link), Plain::Snap { zxid });
        step.out.push(Output::StreamSnapshot { link });
    }

    /// The image is in the link's queue.
    pub(super) fn snapshot_sent(&mut self, step: &mut Step<'_>, link: Link) {
        let Some(idx) = self.find(link) else { return };
        if let Stage::Imaging { zxid } = self.handlers[idx].stage {
            self.go_on(step, idx, zxid);
        }
    }

    /// Sends what memory holds behind `sent`, and NEWLEADER; from here on the learner gets what its group gets.
    fn join(&mut self, step: &mut Step<'_>, idx: usize, sent: Zxid) {
        let handler = &mut self.handlers[idx];
        let to = To::Link(handler.link);
        let Some(zxids) = step.replica.history.after(sent) else {
            unreachable!("the caller looked");
        };
        let replica = &*step.replica;
        let hole = usize::from(replica.has(Bug::DiffWithHole) || replica.has(Bug::AcceptGaps));
        for zxid in zxids.skip(hole) {
            let settled = zxid <= self.settled;
            if settled || handler.group == Group::Followers {
                if !settled {
                    if step.replica.has(Bug::LoseProposalsInSync) {
                        continue;
                    }
                    handler.slow.sent(zxid, step.now);
                }
                step.out.push(Output::Send { to, packet: Packet::Proposal { zxid } });
            }
            if settled {
                let packet = Packet::Plain(Plain::Commit { zxid });
                step.out.push(Output::Send { to, packet });
            }
        }
        // What NEWLEADER carries is agreed when UPTODATE comes. A change that is proposed meanwhile is not: it comes as a proposal.
        let views = &step.replica.views;
        let serves = self.phase == Phase::Broadcast;
        let config = if serves { views.committed() } else { views.last_seen() };
        let config = config.to_string().into_bytes();
        let packet = Packet::NewLeader { epoch: self.epoch, config };
        step.out.push(Output::Send { to, packet });
        step.out.push(Output::Join { link: handler.link, group: handler.group });
        handler.stage = Stage::Synced;
        handler.heard_at = step.now;
        handler.last = self.settled;
    }

    /// A learner has the history.
    pub(super) fn new_leader_acked(&mut self, step: &mut Step<'_>, idx: usize) {
        let limit = u64::from(step.replica.settings.sync_limit);
        let handler = &mut self.handlers[idx];
        handler.stage = Stage::Acked;
        handler.place = Place::default();
        handler.acked = handler.acked.max(handler.last);
        handler.in_step_until = handler.in_step_until.max(self.tick + limit);
        let (sid, link, group) = (handler.sid, handler.link, handler.group);
        if self.phase == Phase::Broadcast {
            self.up_to_date(step, link);
            // What it acked too early counts from here on.
            self.commit_ready(step);
        } else {
            if group == Group::Followers || step.replica.has(Bug::CountObservers) {
                self.acked.insert(sid);
            }
            self.establish(step);
        }
    }

    /// Begins to serve, once a quorum has the history.
    pub(super) fn establish(&mut self, step: &mut Step<'_>) {
        let enough = step.replica.has(Bug::ServeBeforeQuorum)
            || self.has_quorum(step, &step.replica.views, |it| self.acked.contains(&it));
        if self.phase != Phase::Synchronization
            || !self.acked.contains(&step.replica.sid)
            || !enough
        {
            return;
        }
        self.phase = Phase::Broadcast;
        self.acked.clear();
        step.replica.commit(self.settled, step.out);
        let config = Arc::clone(step.replica.views.last_seen());
        if step.replica.is_reconfigurable() {
            let designated = self.designate(step, &config, self.settled);
            step.replica.commit_config(&config, step.out);
            self.hand_over(step, designated);
        }
        if self.designated.is_none() {
            step.out.push(Output::Serve { epoch: self.epoch });
        }
        let ready = self.handlers.iter().filter(|it| it.stage == Stage::Acked);
        let links: alloc::vec::Vec<_> = ready.map(|it| it.link).collect();
        for link in links {
            self.up_to_date(step, link);
        }
    }

    fn up_to_date(&mut self, step: &mut Step<'_>, link: Link) {
        if let Some(idx) = self.find(link) {
            self.handlers[idx].stage = Stage::UpToDate;
            // No answer of the past confirms a round that is under way, but one to a ping of now does: those that were asked may have
            // lost their connections, and the round would never end.
            self.handlers[idx].pings.wanted = u64::MAX;
            step.send(To::Link(link), Plain::UpToDate);
            if self.rounds.is_under_way() {
                self.ping(step, idx);
                let pings = &mut self.handlers[idx].pings;
                pings.wanted = pings.sent;
            }
        }
    }
}
