//! Discovery: an epoch that nobody promised before, and a quorum that promises it.
//!
//! ZooKeeper: `Leader.getEpochToPropose`, `waitForEpochAck`. Only voters of the agreed configuration count.

use jute::Zxid;

use crate::wire::{BATCHING_PROTOCOL, LearnerInfo, PROTOCOL_VERSION, PacketKind};
use crate::{Epoch, Sid};

use super::super::io::{Group, Plain, To};
use super::super::planted::Bug;
use super::super::{LeaveReason, LinkError, Phase, Step};
use super::{Leader, Stage};

impl Leader {
    /// A learner says who it is and what it promised last.
    pub(super) fn named(
        &mut self,
        step: &mut Step<'_>,
        idx: usize,
        (group, accepted, info): (Group, Epoch, LearnerInfo),
    ) -> Result<(), LinkError> {
        if self.handlers[idx].stage != Stage::Accepted {
            return Err(LinkError::OutOfTurn { kind: PacketKind::FollowerInfo });
        }
        if info.protocol < PROTOCOL_VERSION {
            return Err(LinkError::OldProtocol { protocol: info.protocol });
        }
        let ours = step.replica.views.committed().version();
        if let Some(theirs) = info.config_version.filter(|&it| ours < it) {
            return Err(LinkError::ConfigAhead { theirs, ours });
        }
        let sid = info.sid.unwrap_or_else(|| {
            self.anonymous -= 1;
            Sid(self.anonymous + 1)
        });
        let link = self.handlers[idx].link;
        let before = self.handlers.iter().find(|it| it.sid == sid).map(|it| it.link);
        let handler = &mut self.handlers[idx];
        (handler.sid, handler.group, handler.stage) = (sid, group, Stage::Named);
        handler.protocol = info.protocol;
        if let Some(before) = before {
            self.close(step, before, LinkError::Replaced { sid });
        }
        if self.offered.is_none() {
            if self.epoch <= accepted && !step.replica.has(Bug::EpochFromOwn) {
                self.epoch = accepted.next();
            }
            if group == Group::Followers || step.replica.has(Bug::CountObservers) {
                self.named.insert(sid);
            }
            self.decide_epoch(step);
        } else if self.epoch < accepted && group == Group::Followers {
            self.outpaced = Some(accepted);
        }
        if self.offered.is_some_and(|it| step.replica.is_durable(it)) {
            self.offer_to(step, link);
        }
        Ok(())
    }

    /// A server that voted for this one searches again: it may have found this one not leading yet, or have heard of a better one. While no quorum has said what it
    /// promised, there is a limit to how long others are waited for then.
    ///
    /// Source: `Leader.reportLookingSid`.
    pub(super) fn deserted(&self, step: &Step<'_>, sid: Sid) -> Result<(), LeaveReason> {
        // The phase began with the role.
        let waits = (step.now + step.replica.settings.init_time()).since(self.phase_until);
        let most = step.replica.settings.epoch_wait.filter(|_| self.offered.is_none());
        if most.is_some_and(|it| it < waits) { Err(LeaveReason::Disloyal { sid }) } else { Ok(()) }
    }

    /// Decides the epoch once a quorum has said what it promised last.
    pub(super) fn decide_epoch(&mut self, step: &mut Step<'_>) {
        let committed = crate::Views::new(step.replica.views.committed().clone());
        if self.offered.is_none()
            && self.has_quorum(step, &committed, |it| self.named.contains(&it))
        {
            self.offered = Some(step.replica.accept(self.epoch, step.out));
            self.named.clear();
        }
    }

    /// The epoch is durable here: tells it to all who wait, and promises it.
    pub(super) fn offer(&mut self, step: &mut Step<'_>) {
        let waiting = self.handlers.iter().filter(|it| it.stage == Stage::Named);
        let links: alloc::vec::Vec<_> = waiting.map(|it| it.link).collect();
        for link in links {
            self.offer_to(step, link);
        }
        if self.promised.insert(step.replica.sid) {
            self.phase_until = step.now + step.replica.settings.init_time();
            self.seal(step);
        }
    }

    fn offer_to(&mut self, step: &mut Step<'_>, link: super::Link) {
        if let Some(idx) = self.find(link) {
            self.handlers[idx].stage = Stage::Offered;
            self.handlers[idx].heard_at = step.now;
            let batches = self.handlers[idx].takes_batches(step.replica.settings.protocol);
            let protocol = if batches { BATCHING_PROTOCOL } else { PROTOCOL_VERSION };
            step.send(To::Link(link), Plain::LeaderInfo { epoch: self.epoch, protocol });
        }
    }

    /// A learner promises the epoch, and says how far it is.
    pub(super) fn promised(
        &mut self,
        step: &mut Step<'_>,
        idx: usize,
        zxid: Zxid,
        current: Option<Epoch>,
    ) -> Result<(), LinkError> {
        let handler = &mut self.handlers[idx];
        if handler.stage != Stage::Offered {
            return Err(LinkError::OutOfTurn { kind: PacketKind::AckEpoch });
        }
        let (sid, group, link) = (handler.sid, handler.group, handler.link);
        // Once a quorum has promised, nothing that it lacks can have been committed: who is ahead then is cut back.
        if let (Phase::Discovery, Some(theirs)) = (self.phase, current) {
            let (ours, ours_zxid) = self.summary;
            if (ours, ours_zxid) < (theirs, zxid) && !step.replica.has(Bug::LeadTheAhead) {
                return Err(LinkError::LearnerAhead { theirs, zxid, ours, ours_zxid });
            }
            let counts = group == Group::Followers || step.replica.has(Bug::CountObservers);
            if counts && zxid != Zxid(-1) {
                self.promised.insert(sid);
            }
        }
        handler.last = zxid;
        handler.stage = Stage::Promised;
        self.seal(step);
        if self.phase != Phase::Discovery
            && self.find(link).is_some_and(|idx| self.handlers[idx].stage == Stage::Promised)
        {
            self.synchronize(step, link);
        }
        Ok(())
    }

    /// Ends discovery once a quorum has promised the epoch.
    pub(super) fn seal(&mut self, step: &mut Step<'_>) {
        let committed = crate::Views::new(step.replica.views.committed().clone());
        if self.phase != Phase::Discovery
            || !self.promised.contains(&step.replica.sid)
            || !self.has_quorum(step, &committed, |it| self.promised.contains(&it))
        {
            return;
        }
        self.phase = Phase::Synchronization;
        self.promised.retain(|&it| it == step.replica.sid);
        self.phase_until = step.now + step.replica.settings.init_time();
        self.sealed = Some(step.replica.establish(self.epoch, step.out));
        self.name_config(step);
        let waiting = self.handlers.iter().filter(|it| it.stage == Stage::Promised);
        let links: alloc::vec::Vec<_> = waiting.map(|it| it.link).collect();
        for link in links {
            self.synchronize(step, link);
        }
    }

    /// Gives a configuration without a version one, which NEWLEADER carries.
    ///
    /// Source: `Leader.lead`.
    fn name_config(&self, step: &mut Step<'_>) {
        let views = &step.replica.views;
        if views.committed().version() == 0 && views.last_seen().version() == 0 {
            let config = (**views.committed()).clone().with_version(self.epoch.zxid().0);
            step.replica.propose_config(&alloc::sync::Arc::new(config), step.out);
        }
    }
}
