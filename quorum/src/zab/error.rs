//! Why a connection is closed, and why a role is given up.

use jute::Zxid;

use crate::wire::PacketKind;
use crate::{Epoch, Sid};

use super::SyncKind;

/// What a learner or a leader did that it must not. Its connection is closed; nothing else is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A packet that cannot come now.
    #[error("{kind:?} came out of its turn")]
    OutOfTurn {
        /// What came.
        kind: PacketKind,
    },
    /// A learner of before ZAB 1.0.
    #[error("protocol {protocol:#x} is older than 0x10000")]
    OldProtocol {
        /// What it speaks.
        protocol: i32,
    },
    /// A learner that knows a later configuration.
    #[error("the configuration {theirs:#x} of the learner is newer than {ours:#x}")]
    ConfigAhead {
        /// The learner's version.
        theirs: i64,
        /// Ours.
        ours: i64,
    },
    /// A learner with a more recent history.
    #[error("the learner is ahead: {theirs} at {zxid}, the leader began at {ours_zxid} of {ours}")]
    LearnerAhead {
        /// Its current epoch.
        theirs: Epoch,
        /// Its last transaction.
        zxid: Zxid,
        /// Ours.
        ours: Epoch,
        /// Our last transaction.
        ours_zxid: Zxid,
    },
    /// A learner that accepted less than was proposed, or a leader that proposes less than was accepted.
    #[error("{proposed} was proposed, {accepted} is accepted")]
    OldEpoch {
        /// By the leader.
        proposed: Epoch,
        /// By the learner.
        accepted: Epoch,
    },
    /// A proposal that does not follow.
    #[error("{zxid} was proposed behind {last}")]
    Gap {
        /// What came.
        zxid: Zxid,
        /// What came before.
        last: Zxid,
    },
    /// A commit that is not the next.
    #[error("{zxid} was committed, {next} comes next")]
    CommitOrder {
        /// What came.
        zxid: Zxid,
        /// The next; [`Zxid::ZERO`] if none is proposed.
        next: Zxid,
    },
    /// A transaction whose header has another zxid, or none.
    #[error("the transaction of {zxid} does not carry its zxid")]
    BadTxn {
        /// The packet's.
        zxid: Zxid,
    },
    /// A configuration that cannot be read.
    #[error("the configuration with {zxid} cannot be read")]
    BadConfig {
        /// What carried it.
        zxid: Zxid,
    },
    /// TRUNC of what is applied.
    #[error("asked to forget what is behind {to}, {settled} is settled")]
    TruncSettled {
        /// What should stay.
        to: Zxid,
        /// What must stay.
        settled: Zxid,
    },
    /// An image that ends behind what the leader has settled.
    #[error("an image of {zxid}, {settled} is settled")]
    ImageAhead {
        /// The image's.
        zxid: Zxid,
        /// What is settled.
        settled: Zxid,
    },
    /// An observer for which there is no place among those that are synchronised: it comes back.
    #[error(
        "{count} learners are synchronised by {kind:?}, {max} is the most for an observer to be another"
    )]
    TooManySyncs {
        /// How.
        kind: SyncKind,
        /// How many are.
        count: u32,
        /// The most.
        max: u32,
    },
    /// Nothing was heard for too long.
    #[error("nothing was heard in time")]
    Silent,
    /// A proposal was not acked in time.
    #[error("{zxid} was not acked in time")]
    SlowAck {
        /// The proposal.
        zxid: Zxid,
    },
    /// Another connection of the same server took its place.
    #[error("server {sid} has connected anew")]
    Replaced {
        /// The server.
        sid: Sid,
    },
    /// There is nobody to talk to: this server does not lead, or follows somebody else.
    #[error("this server is not in that role")]
    NotLeading,
}

/// Why a role was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The leader could not be reached.
    #[error("server {leader} could not be reached as leader")]
    Unreachable {
        /// The leader.
        leader: Sid,
    },
    /// The leader's connection ended.
    #[error("the connection to the leader ended")]
    LinkLost,
    /// The leader broke the protocol.
    #[error("the leader is left: {0}")]
    Leader(LinkError),
    /// A phase took longer than initLimit.
    #[error("no quorum in time for {phase:?}")]
    NoQuorum {
        /// Which.
        phase: Phase,
    },
    /// What is applied here is not what the ensemble has.
    #[error("the tree here is not the ensemble's: an image is needed")]
    Diverged,
    /// A server that voted for this one searches again, and has for longer than is to be waited for its epoch.
    #[error("server {sid}, which voted for this one, has changed its mind")]
    Disloyal {
        /// Which.
        sid: Sid,
    },
    /// Too few followers are in step.
    #[error("followers in step are no quorum")]
    QuorumLost,
    /// The own disk takes longer than syncLimit.
    #[error("the own disk is too slow to lead")]
    SlowDisk,
    /// The epoch has no zxid left: an election finds who leads the next.
    #[error("the counter of the epoch is at its end")]
    Rollover,
    /// The epoch has no zxid left, and all that follow are told who leads the next: the same server.
    #[error("the counter of the epoch is at its end: server {leader} leads the next epoch too")]
    Resumed {
        /// Who leads.
        leader: Sid,
    },
    /// A follower promised a later epoch to a leader that never was: it can only follow a leader with a later one still.
    #[error("a follower has accepted {accepted}")]
    Outpaced {
        /// What it promised.
        accepted: Epoch,
    },
    /// A reconfiguration made somebody else the leader, or gave this server another role.
    #[error("reconfigured: server {designated} should lead")]
    Reconfigured {
        /// Who should lead.
        designated: Sid,
    },
}

/// Where a leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A quorum is to name its accepted epochs, then to accept the new one.
    Discovery,
    /// A quorum is to have the leader's history.
    Synchronization,
    /// Transactions flow.
    Broadcast,
}
