//! From LEADERINFO to UPTODATE.
//!
//! ZooKeeper: `Learner.registerWithLeader`, `syncWithLeader`.

use alloc::sync::Arc;

use jute::Zxid;

use crate::wire::{BATCHING_PROTOCOL, Message, PROTOCOL_VERSION, PacketKind};
use crate::{Epoch, QuorumConfig};

use super::super::io::{Output, Plain, To, Write};
use super::super::planted::Bug;
use super::super::{LeaveReason, LinkError, Step, replica::parse_config};
use super::{Learner, Stage, out_of_turn};

impl Learner {
    /// Takes a packet before serving.
    pub(super) fn sync(
        &mut self,
        step: &mut Step<'_>,
        message: &Message<'_>,
    ) -> Result<(), LeaveReason> {
        match (self.stage, *message) {
            (Stage::Named, Message::LeaderInfo { epoch, protocol }) => {
                self.offered(step, epoch, protocol)
            }
            // Only an image mends what is here.
            (Stage::Promised, Message::Diff { .. }) if step.replica.diverged => {
                Err(out_of_turn(PacketKind::Diff))
            }
            (Stage::Promised, Message::Trunc { .. }) if step.replica.diverged => {
                Err(out_of_turn(PacketKind::Trunc))
            }
            (Stage::Promised, Message::Diff { .. }) => {
                self.begin(step);
                Ok(())
            }
            (Stage::Promised, Message::Trunc { zxid }) => {
                Self::truncate(step, zxid)?;
                self.begin(step);
                Ok(())
            }
            (Stage::Promised, Message::Snap { zxid }) => self.image_coming(step, zxid),
            (Stage::Syncing | Stage::Sealing { .. } | Stage::Sealed, _) => {
                self.history(step, message)
            }
            (_, Message::Ping { .. }) => Ok(()),
            (Stage::Named, _) => Err(out_of_turn(PacketKind::LeaderInfo)),
            _ => Err(out_of_turn(PacketKind::Diff)),
        }
    }

    /// Takes a packet of the history, of NEWLEADER and UPTODATE, or one of broadcast that came between them.
    fn history(&mut self, step: &mut Step<'_>, message: &Message<'_>) -> Result<(), LeaveReason> {
        match *message {
            Message::Proposal { zxid, txn } => self.proposed(step, zxid, txn),
            Message::Commit { zxid } => self.commit_early(step, zxid),
            Message::Inform { zxid, txn } => {
                self.proposed(step, zxid, txn)?;
                self.commit_early(step, zxid)
            }
            Message::CommitAndActivate { zxid, designated } => {
                self.commit_early(step, zxid)?;
                self.activate(step, zxid, designated)
            }
            Message::InformAndActivate { zxid, designated, txn } => {
                self.proposed(step, zxid, txn)?;
                self.commit_early(step, zxid)?;
                self.activate(step, zxid, designated)
            }
            Message::NewLeader { epoch, config } if self.stage == Stage::Syncing => {
                self.seal(step, epoch, config)
            }
            Message::UpToDate if self.stage == Stage::Sealed => self.serve(step),
            Message::NewLeader { .. } => Err(out_of_turn(PacketKind::NewLeader)),
            Message::UpToDate => Err(out_of_turn(PacketKind::UpToDate)),
            // PING is not answered before UPTODATE; the rest is ignored, as by the reference.
            _ => Ok(()),
        }
    }

    /// A commit that is applied with UPTODATE.
    fn commit_early(&mut self, step: &mut Step<'_>, zxid: Zxid) -> Result<(), LeaveReason> {
        self.commit(zxid, step.replica.has(Bug::CommitOutOfOrder))?;
        if step.replica.has(Bug::ApplyBeforeUpToDate) {
            step.replica.commit(self.committed, step.out);
        }
        Ok(())
    }

    /// The leader names its epoch: promises it, if it promised no later one.
    fn offered(
        &mut self,
        step: &mut Step<'_>,
        epoch: Epoch,
        protocol: i32,
    ) -> Result<(), LeaveReason> {
        if protocol < PROTOCOL_VERSION {
            return Err(LeaveReason::Leader(LinkError::OldProtocol { protocol }));
        }
        // An observer's promise is nobody's quorum: it may follow any leader that is not behind its history.
        let observed = step.replica.current.max(Epoch::of(step.replica.history.last()));
        let accepted = if self.is_observer { observed } else { step.replica.accepted };
        if epoch < accepted && !step.replica.has(Bug::AcceptOlderEpoch) {
            return Err(LeaveReason::Leader(LinkError::OldEpoch { proposed: epoch, accepted }));
        }
        self.epoch = epoch;
        self.batches = BATCHING_PROTOCOL <= protocol.min(step.replica.settings.protocol);
        let current = step.replica.current;
        if step.replica.accepted < epoch {
            let write = step.replica.accept(epoch, step.out);
            if step.replica.has(Bug::AckEpochBeforeDurable) {
                self.promise(step, Some(current));
            } else {
                self.stage = Stage::Promising { write, current: Some(current) };
            }
        } else {
            // Promised before: the promise may still be on its way to the disk.
            let write = step.replica.ordered();
            self.stage = Stage::Promising { write, current: None };
            self.durable(step);
        }
        Ok(())
    }

    /// The promise is durable.
    pub(super) fn promise(&mut self, step: &mut Step<'_>, current: Option<Epoch>) {
        let Some(link) = self.link else { return };
        self.stage = Stage::Promised;
        self.heard_until = step.now + step.replica.settings.init_time();
        let zxid = step.replica.shown_last();
        step.send(To::Link(link), Plain::AckEpoch { zxid, current });
    }

    /// What is logged now is in the leader's history.
    fn begin(&mut self, step: &mut Step<'_>) {
        self.committed = step.replica.history.last();
        self.stage = Stage::Syncing;
        if step.replica.has(Bug::CurrentEpochBeforeHistory) {
            step.replica.establish(self.epoch, step.out);
        }
    }

    /// Forgets what the leader does not have.
    fn truncate(step: &mut Step<'_>, to: Zxid) -> Result<(), LeaveReason> {
        let settled = step.replica.committed;
        if to < settled && !cfg!(planted) {
            return Err(LeaveReason::Leader(LinkError::TruncSettled { to, settled }));
        }
        let last = step.replica.history.last();
        if last < to || step.replica.history.floor(to).is_some_and(|it| it != to) {
            return Err(LeaveReason::Leader(LinkError::Gap { zxid: to, last }));
        }
        let to = match step.replica.history.after(to) {
            Some(mut behind) if step.replica.has(Bug::TruncTooLittle) => {
                behind.next().unwrap_or(to)
            }
            _ => to,
        };
        if to < last {
            step.replica.history.truncate(to);
            step.replica.write(Write::Truncate { to }, step.out);
        }
        Ok(())
    }

    /// An image follows. What is here stays until it has come whole.
    fn image_coming(&mut self, step: &mut Step<'_>, zxid: Zxid) -> Result<(), LeaveReason> {
        let settled = step.replica.committed;
        if zxid < settled {
            return Err(LeaveReason::Leader(LinkError::TruncSettled { to: zxid, settled }));
        }
        let Some(link) = self.link else { return Ok(()) };
        self.stage = Stage::Imaging { zxid };
        step.out.push(Output::ReceiveSnapshot { link, zxid });
        Ok(())
    }

    /// The image has come: it takes the place of everything.
    pub(super) fn image_received(&mut self, step: &mut Step<'_>) {
        let Stage::Imaging { zxid } = self.stage else { return };
        step.replica.history.restart(zxid);
        step.replica.committed = zxid;
        step.replica.diverged = false;
        step.replica.write(Write::InstallSnapshot { zxid }, step.out);
        self.begin(step);
    }

    /// The history is complete: writes the epoch behind it.
    fn seal(
        &mut self,
        step: &mut Step<'_>,
        epoch: Epoch,
        config: Option<&[u8]>,
    ) -> Result<(), LeaveReason> {
        if epoch != self.epoch {
            let why = LinkError::OldEpoch { proposed: epoch, accepted: self.epoch };
            return Err(LeaveReason::Leader(why));
        }
        // Learners before 3.5 sent nothing; an empty text says nothing either.
        if let Some(text) = config.filter(|it| 1 < it.len()) {
            let config = parse_config(text, epoch.zxid()).map_err(LeaveReason::Leader)?;
            // A change that this leader has proposed is the later one.
            if self.changed <= config.version() {
                step.replica.propose_config(&config, step.out);
            }
            self.config = Some(config);
        }
        // What the leader sent as committed is acked by the ack of NEWLEADER.
        self.acks.retain(|&(_, zxid)| self.committed < zxid);
        let write = step.replica.establish(epoch, step.out);
        self.stage = Stage::Sealing { write };
        if step.replica.is_durable(write) || step.replica.has(Bug::AckNewLeaderBeforeDurable) {
            self.ack_leader(step);
        }
        Ok(())
    }

    /// The history and the epoch are durable.
    pub(super) fn ack_leader(&mut self, step: &mut Step<'_>) {
        let Some(link) = self.link else { return };
        self.stage = Stage::Sealed;
        self.heard_until = step.now + step.replica.settings.sync_time();
        step.send(To::Link(link), Plain::Ack { zxid: self.epoch.zxid() });
    }

    /// A quorum has the history: it is the ensemble's, and may be shown.
    fn serve(&mut self, step: &mut Step<'_>) -> Result<(), LeaveReason> {
        let Some(link) = self.link else { return Ok(()) };
        // A reference leader sends along what is only proposed: that waits for its commit.
        let is_pending = |it: &Arc<QuorumConfig>| self.pending.contains(&Zxid(it.version()));
        if let Some(config) = self.config.take().filter(|it| !is_pending(it)) {
            self.adopt(step, &config)?;
        }
        // The second one is the reference's, which the leader passes over.
        step.send(To::Link(link), Plain::Ack { zxid: self.epoch.zxid() });
        self.stage = Stage::Serving;
        step.replica.commit(self.committed, step.out);
        step.out.push(Output::Serve { epoch: self.epoch });
        self.ack_durable(step);
        Ok(())
    }

    /// Activates the configuration of NEWLEADER.
    fn adopt(&self, step: &mut Step<'_>, config: &Arc<QuorumConfig>) -> Result<(), LeaveReason> {
        if step.replica.commit_config(config, step.out)
            && step.replica.is_observer() != self.is_observer
        {
            return Err(LeaveReason::Reconfigured { designated: self.leader });
        }
        Ok(())
    }
}
