//! What must never be seen.

use jute::Zxid;
use quorum::zab::LinkError;
use quorum::{Epoch, Sid};

/// A rule that a run broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Violation {
    #[error("server {sid} applied {zxid} as number {count}, where others have {expected}")]
    Disagreement { sid: Sid, zxid: Zxid, count: u64, expected: Zxid },
    #[error("server {sid} has another state after {zxid} than others")]
    OtherState { sid: Sid, zxid: Zxid },
    #[error("{zxid} was applied after {last}")]
    OrderOfZxids { zxid: Zxid, last: Zxid },
    #[error("server {sid} applied {zxid}, which nobody proposed so")]
    NotProposed { sid: Sid, zxid: Zxid },
    #[error("server {sid} was told that {zxid} is committed, and does not have it")]
    CommittedUnknown { sid: Sid, zxid: Zxid },
    #[error("{zxid} was applied while only {count} voters had it on their disks")]
    NoQuorumHasIt { zxid: Zxid, count: usize },
    #[error("servers {one} and {other} both led {epoch}")]
    TwoLeaders { epoch: Epoch, one: Sid, other: Sid },
    #[error("server {sid} leads {epoch} with {count} transactions of {committed} committed ones")]
    LeaderLacks { sid: Sid, epoch: Epoch, count: u64, committed: u64 },
    #[error("a write that began when {before} was acknowledged became {zxid}")]
    RealTime { before: Zxid, zxid: Zxid },
    #[error("server {sid} answered a sync at {applied}, {acked} was acknowledged before it began")]
    StaleSync { sid: Sid, applied: Zxid, acked: Zxid },
    #[error("the epoch on a disk went from {from} to {to}")]
    EpochWentBack { from: Epoch, to: Epoch },
    #[error("{zxid} was logged behind {last}")]
    LogGap { last: Zxid, zxid: Zxid },
    #[error("a crash alone made a disk that a start refuses")]
    DiskRefused,
    #[error("a start did not find {zxid} as it was written, and did not say so")]
    DiskLost { zxid: Zxid },
    #[error("server {sid} was to forget what is behind {to}, and had applied {applied}")]
    AppliedTakenBack { sid: Sid, to: Zxid, applied: Zxid },
    #[error("server {sid} acked {zxid} before it acked NEWLEADER")]
    AckOrder { sid: Sid, zxid: Zxid },
    #[error("server {sid} spoke of its promise of {epoch} before that was durable")]
    PromiseNotDurable { sid: Sid, epoch: Epoch },
    #[error("leader {sid} decided on {epoch}, and a learner had told it of {named}")]
    EpochNotAbove { sid: Sid, epoch: Epoch, named: Epoch },
    #[error("server {sid} has the history of {epoch}, and had promised {promised}")]
    OldLeader { sid: Sid, epoch: Epoch, promised: Epoch },
    #[error("server {sid} was sent what breaks the protocol: {why}")]
    Protocol { sid: Sid, why: LinkError },
    #[error("server {sid} left a session's requests out of order")]
    SessionOrder { sid: Sid },
    #[error("{zxid} was acknowledged and is not in the history")]
    AckedLost { zxid: Zxid },
    #[error(
        "{count} of {all} servers are at the end of the history {wait_s} s after the last fault"
    )]
    NoAgreement { count: usize, all: usize, wait_s: u64 },
    #[error("no write was acknowledged within {wait_s} s after the last fault")]
    NoProgress { wait_s: u64 },
    #[error("a packet could not be read")]
    BadPacket,
    #[error("the machine stopped itself")]
    Panic,
    #[error("two runs of the seed differ: traces {one:#x} and {other:#x}")]
    NotTheSame { one: u64, other: u64 },
}

/// Whether a server of ours never gives another a reason to say this.
pub fn is_broken_protocol(why: LinkError) -> bool {
    matches!(
        why,
        LinkError::OutOfTurn { .. }
            | LinkError::OldProtocol { .. }
            | LinkError::Gap { .. }
            | LinkError::CommitOrder { .. }
            | LinkError::BadTxn { .. }
            | LinkError::BadConfig { .. }
            | LinkError::TruncSettled { .. }
    )
}
