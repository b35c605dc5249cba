//! Broadcast: propose, collect acks, commit in order; ping, and see that a quorum is in step.
//!
//! ZooKeeper: `Leader.propose`, `processAck`, `tryToCommit`, `processSync`, the loop of `lead`. An ack of a zxid is one of all
//! before it: a learner logs in order. Every ack goes through one count: what a quorum has is found from the learners' marks.

use alloc::sync::Arc;
use core::time::Duration;

use jute::{SessionId, Zxid};

use crate::wire::{PROTOCOL_VERSION, RESUMING_PROTOCOL};
use crate::{QuorumConfig, Sid, Views};

use super::super::io::{Group, Link, Output, Packet, Plain, SyncFrom, To, Validity};
use super::super::planted::Bug;
use super::super::{LeaveReason, LinkError, Phase, Replica, Step, replica::inspect};
use super::{Awaited, Leader, Outstanding, OwnAppend, Stage, to_group};

/// How long a leader that has named another, or whose epoch ends, stays, so that the answers to who asked leave. Learners of one that has named another
/// leave at once.
///
/// **Differs:** the reference stays until its learners are no quorum.
const FAREWELL: Duration = Duration::from_millis(20);

/// Who hears of commits.
struct ToldOfCommits {
    /// Whether every follower takes the last of a run for all of it.
    in_runs: bool,
    /// Whether there are observers, which get each transaction.
    observers: bool,
}

impl Leader {
    /// Offers a transaction to all, and to the own log. The driver gives only what [`Leader::next_zxid`] allowed.
    pub(super) fn propose(&mut self, step: &mut Step<'_>, zxid: Zxid, txn: &[u8]) {
        let next = self.next_zxid(step.replica);
        assert_eq!(next, Some(zxid), "the pipeline proposes what comes next");
        let Ok(config) = inspect(zxid, txn) else {
            unreachable!(
                "the pipeline's transactions carry their zxids, and configurations that can be read"
            )
        };
        let write = step.replica.append(zxid, txn, step.out);
        if let Some(config) = &config {
            step.replica.propose_config(config, step.out);
        }
        let views = Arc::clone(&step.replica.views);
        self.outstanding.push_back(Outstanding { zxid, views, is_reconfig: config.is_some() });
        self.own.push_back(OwnAppend { write, zxid, since: step.now });
        for handler in &mut self.handlers {
            if handler.is_joined() && handler.group == Group::Followers {
                handler.slow.sent(zxid, step.now);
            }
        }
        to_group(step, Group::Followers, Packet::Proposal { zxid });
        if step.replica.has(Bug::AckBeforeDurable) {
            self.own_acked = zxid;
        }
    }

    /// Own appends are durable.
    pub(super) fn own_durable(&mut self, step: &mut Step<'_>) {
        while let Some(own) = self.own.pop_front_if(|it| step.replica.is_durable(it.write)) {
            self.own_acked = own.zxid;
        }
        self.commit_ready(step);
    }

    /// A learner acks: NEWLEADER, or everything up to a proposal.
    pub(super) fn ack(
        &mut self,
        step: &mut Step<'_>,
        idx: usize,
        zxid: Zxid,
    ) -> Result<(), LinkError> {
        let last = step.replica.history.last().max(self.epoch.zxid());
        if last < zxid {
            return Err(LinkError::Gap { zxid, last });
        }
        let handler = &mut self.handlers[idx];
        if handler.stage == Stage::Synced && zxid == self.epoch.zxid() {
            self.new_leader_acked(step, idx);
        } else if handler.is_joined() && zxid.counter() != 0 {
            // An ack that overtook that of NEWLEADER is kept, and counts when that comes.
            handler.acked = handler.acked.max(zxid);
            handler.slow.acked(zxid);
            self.commit_ready(step);
        }
        Ok(())
    }

    /// Up to where a voter's log is durable.
    fn mark(&self, step: &Step<'_>, sid: Sid) -> Zxid {
        if sid == step.replica.sid {
            return self.own_acked;
        }
        let early = step.replica.has(Bug::CountEarlyAcks);
        let counts = |stage| Stage::Acked <= stage || early && Stage::Synced <= stage;
        let handlers = self.handlers.iter().filter(|it| it.sid == sid && counts(it.stage));
        let followers = handlers.filter(|it| it.group == Group::Followers);
        let ghosts = self.ghosts.iter().filter(|it| it.0 == sid).map(|it| it.1);
        followers.map(|it| it.acked).chain(ghosts).max().unwrap_or_default()
    }

    /// The last transaction that quorums of `views` have.
    fn quorum_mark(&self, step: &Step<'_>, views: &Views) -> Zxid {
        let mut quorums = Zxid::ZERO;
        for mark in views.each_voter().map(|it| self.mark(step, it)) {
            if quorums < mark && self.has_quorum(step, views, |it| mark <= self.mark(step, it)) {
                quorums = mark;
            }
        }
        quorums
    }

    /// Commits what has its quorums, in order, and answers the syncs between.
    pub(super) fn commit_ready(&mut self, step: &mut Step<'_>) {
        loop {
            self.commit_upto_sync(step);
            if !self.answer_syncs(step) {
                break;
            }
        }
        if self.phase == Phase::Broadcast
            && self.outstanding.is_empty()
            && self.next_zxid(step.replica).is_none()
        {
            self.half_at = self.half_at.min(step.now + FAREWELL);
        }
    }

    /// Commits what has its quorums up to where a learner's sync is to be answered.
    fn commit_upto_sync(&mut self, step: &mut Step<'_>) {
        let bound = self.rounds.bound();
        while self.phase == Phase::Broadcast && self.designated.is_none() {
            let Some(head) = self.outstanding.front() else { break };
            let views = Arc::clone(&head.views);
            let mark = self.quorum_mark(step, &views);
            let mark = bound.map_or(mark, |it| it.min(mark));
            let fits = |it: &mut Outstanding| it.zxid <= mark && Arc::ptr_eq(&it.views, &views);
            let mut any = false;
            if step.replica.has(Bug::CommitOutOfOrder) && self.outstanding.len() > 1 {
                self.outstanding.swap(0, 1);
            }
            let to = self.told_of_commits(step);
            while self.designated.is_none()
                && let Some(head) = self.outstanding.pop_front_if(fits)
            {
                any = true;
                assert!(self.settled < head.zxid || cfg!(planted));
                if head.is_reconfig && step.replica.is_reconfigurable() {
                    self.commit_run(step, &to);
                    self.settled = head.zxid;
                    self.commit_change(step, &head);
                } else {
                    self.settled = head.zxid;
                    Self::tell_of_commit(step, &to, head.zxid);
                }
            }
            if !any {
                break;
            }
            self.commit_run(step, &to);
        }
    }

    /// Who hears of commits, and how.
    fn told_of_commits(&self, step: &Step<'_>) -> ToldOfCommits {
        let joined = || self.handlers.iter().filter(|it| it.is_joined());
        let mut followers = joined().filter(|it| it.group == Group::Followers);
        ToldOfCommits {
            in_runs: followers.all(|it| it.takes_batches(step.replica.settings.protocol))
                && !step.replica.has(Bug::CommitOutOfOrder),
            observers: joined().any(|it| it.group == Group::Observers),
        }
    }

    /// A transaction is decided: tells those who hear of each by itself.
    fn tell_of_commit(step: &mut Step<'_>, to: &ToldOfCommits, zxid: Zxid) {
        if !to.in_runs {
            to_group(step, Group::Followers, Packet::Plain(Plain::Commit { zxid }));
        }
        if to.observers {
            to_group(step, Group::Observers, Packet::Inform { zxid });
        }
    }

    /// Everything up to `settled` is decided: applies it, and tells those to whom the last of a run is enough.
    fn commit_run(&self, step: &mut Step<'_>, to: &ToldOfCommits) {
        if to.in_runs && step.replica.committed < self.settled {
            let plain = Plain::Commit { zxid: self.settled };
            to_group(step, Group::Followers, Packet::Plain(plain));
        }
        step.replica.commit(self.settled, step.out);
    }

    /// A change of members is decided.
    fn commit_change(&mut self, step: &mut Step<'_>, proposal: &Outstanding) {
        let zxid = proposal.zxid;
        step.replica.commit(zxid, step.out);
        let config = Arc::clone(proposal.views.last_seen());
        let designated = self.designate(step, &config, zxid);
        step.replica.commit_config(&config, step.out);
        let plain = Plain::CommitAndActivate { zxid, designated };
        to_group(step, Group::Followers, Packet::Plain(plain));
        to_group(step, Group::Observers, Packet::InformAndActivate { zxid, designated });
        self.hand_over(step, designated);
        // What follows needs the quorums of today.
        for it in &mut self.outstanding {
            it.views = Arc::clone(&step.replica.views);
        }
    }

    /// Who should lead under a new configuration: this server if it votes there under its address, else the voter that has
    /// acked up to `zxid`, and most of what follows.
    ///
    /// Source: `Leader.getDesignatedLeader`.
    pub(super) fn designate(&self, step: &Step<'_>, config: &QuorumConfig, zxid: Zxid) -> Sid {
        let sid = step.replica.sid;
        let addresses = |config: &QuorumConfig| {
            config.member(sid).map(|it| it.quorum_addresses().collect::<alloc::vec::Vec<_>>())
        };
        let same = addresses(config) == addresses(step.replica.views.committed());
        if config.verifier().is_voter(sid) && same {
            return sid;
        }
        let voters = config.verifier().voters().iter().copied().filter(|&it| it != sid);
        let marks = voters.map(|it| (self.mark(step, it), it));
        let best = marks.filter(|&(mark, _)| zxid <= mark).max();
        best.map_or(sid, |(_, it)| it)
    }

    /// Commits nothing more if somebody else should lead, and leaves when everybody has had the time to hear of it.
    pub(super) fn hand_over(&mut self, step: &Step<'_>, designated: Sid) {
        if designated != step.replica.sid {
            self.designated = Some(designated);
            self.half_at = self.half_at.min(step.now + FAREWELL);
        }
    }

    /// Whether a learner's session lives. That it is over is told when a quorum still follows: to a leader that has been deposed and has not
    /// heard of it, the sessions of the next epoch are unknown.
    ///
    /// **Differs:** the reference answers at once.
    pub(super) fn revalidated(
        &mut self,
        step: &mut Step<'_>,
        link: Link,
        session: SessionId,
        valid: Validity,
    ) {
        let waits = valid == Validity::Expired || self.rounds.holds_session_of(link);
        if waits {
            self.answer_confirmed(step, Awaited::Session { link, session, valid });
        } else if self.find(link).is_some() {
            step.send(To::Link(link), Plain::Revalidated { session, valid });
        }
    }

    /// Somebody waits for what was proposed before, and for a quorum.
    pub(super) fn answer_confirmed(&mut self, step: &mut Step<'_>, what: Awaited) {
        let is_gone = what.link().is_some_and(|it| self.find(it).is_none());
        if self.phase == Phase::Broadcast && !is_gone {
            let last = step.replica.history.last();
            self.rounds.push(what, last);
            self.next_round(step);
            self.commit_ready(step);
        }
    }

    /// Begins a round if one is due.
    fn next_round(&mut self, step: &mut Step<'_>) {
        if !self.rounds.is_due() {
            return;
        }
        self.rounds.begin();
        for idx in 0..self.handlers.len() {
            self.ping(step, idx);
            let pings = &mut self.handlers[idx].pings;
            pings.wanted = pings.sent;
        }
        self.confirm(step);
    }

    /// Sends a ping to a learner that has joined. Only one that serves answers.
    pub(super) fn ping(&mut self, step: &mut Step<'_>, idx: usize) {
        let handler = &mut self.handlers[idx];
        if handler.is_joined() {
            let zxid = step.replica.history.last().max(self.epoch.zxid());
            step.send(To::Link(handler.link), Plain::Ping { zxid });
        }
        if handler.stage == Stage::UpToDate {
            handler.pings.sent += 1;
        }
    }

    /// A learner answers a ping.
    pub(super) fn ping_answered(&mut self, step: &mut Step<'_>, idx: usize) {
        let handler = &mut self.handlers[idx];
        if handler.stage == Stage::UpToDate && handler.pings.answered < handler.pings.sent {
            handler.pings.answered += 1;
        }
        if self.rounds.is_under_way() {
            self.confirm(step);
        }
    }

    /// Ends the round under way if a quorum has answered, and begins the next if one is due.
    fn confirm(&mut self, step: &mut Step<'_>) {
        let answered = |sid| {
            let mut handlers = self.handlers.iter().filter(|it| it.sid == sid);
            handlers.any(|it| it.stage == Stage::UpToDate && it.pings.wanted <= it.pings.answered)
        };
        let replica = &step.replica;
        if replica.has(Bug::SyncWithoutQuorum)
            || self.has_quorum(step, &replica.views, |it| it == replica.sid || answered(it))
        {
            self.rounds.confirm();
            self.commit_ready(step);
            self.next_round(step);
        }
    }

    /// Whether there were any.
    fn answer_syncs(&mut self, step: &mut Step<'_>) -> bool {
        let mut any = false;
        while let Some(what) = self.rounds.pop(self.settled) {
            any = true;
            match what {
                Awaited::Sync(SyncFrom::Local(id)) => step.out.push(Output::Synced { id }),
                Awaited::Sync(SyncFrom::Learner(link)) => step.send(To::Link(link), Plain::Sync),
                Awaited::Session { link, session, valid } => {
                    step.send(To::Link(link), Plain::Revalidated { session, valid });
                }
            }
        }
        any
    }

    /// Half a tick has passed. Every second time: is a quorum in step, and is the own disk?
    pub(super) fn half_tick(&mut self, step: &mut Step<'_>) -> Result<(), LeaveReason> {
        if let Some(designated) = self.designated {
            return Err(LeaveReason::Reconfigured { designated });
        }
        // **Differs:** beside a reference server as leader such a follower stays outside until the next election.
        if let Some(accepted) = self.outpaced {
            return Err(LeaveReason::Outpaced { accepted });
        }
        if self.next_zxid(step.replica).is_none() && self.outstanding.is_empty() {
            return Err(self.roll_over(step));
        }
        self.halves = (self.halves + 1) % 2;
        if self.halves == 1 {
            return Ok(());
        }
        self.tick += 1;
        if step.replica.settings.sync_time() < self.own_delay(step.now) {
            return Err(LeaveReason::SlowDisk);
        }
        let replica = &step.replica;
        if self.has_quorum(step, &replica.views, |it| it == replica.sid || self.is_in_step(it))
            || replica.has(Bug::LeadAlone)
        {
            Ok(())
        } else {
            Err(LeaveReason::QuorumLost)
        }
    }

    /// The counter is at its end, and everything is committed. If all that are here are ours, this server leads the next epoch too, and says so with
    /// that epoch's LEADERINFO: they come back to it at once, and nobody elects.
    fn roll_over(&self, step: &mut Step<'_>) -> LeaveReason {
        if self.handlers.iter().any(|it| it.protocol < RESUMING_PROTOCOL) {
            return LeaveReason::Rollover;
        }
        let epoch = self.epoch.next();
        for group in [Group::Followers, Group::Observers] {
            let protocol = PROTOCOL_VERSION;
            to_group(step, group, Packet::Plain(Plain::LeaderInfo { epoch, protocol }));
        }
        LeaveReason::Resumed { leader: step.replica.sid }
    }

    fn is_in_step(&self, sid: Sid) -> bool {
        let mut handlers = self.handlers.iter().filter(|it| it.sid == sid);
        handlers.any(|it| it.group == Group::Followers && self.tick <= it.in_step_until)
    }

    /// The servers that follow and are in step, whether they vote or not. Source: `Leader.isQuorumSynced`.
    ///
    /// **Differs:** who is an observer from now on and still connected as a follower does not count: if it came back before the
    /// next change is agreed, it could not ack that.
    pub(crate) fn synced<'a>(&'a self, replica: &'a Replica) -> impl Iterator<Item = Sid> + 'a {
        let config = replica.views.committed();
        let observes = |sid| config.member(sid).is_some_and(|it| !it.is_participant());
        let joined = self.handlers.iter().filter(|it| it.is_joined()).map(|it| it.sid);
        joined.filter(move |&it| self.is_in_step(it) && !observes(it))
    }
}
