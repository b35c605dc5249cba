//! What must never be seen.

use jute::{SessionId, Xid, Zxid};
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
    #[error("server {sid} chose a leader in round {round} after it had chosen one")]
    ChoseTwice { sid: Sid, round: i64 },
    #[error("server {sid} chose {leader}, which is behind a quorum or not what it was said to be")]
    NotTheNewest { sid: Sid, leader: Sid },
    #[error("server {sid} leads {epoch} with {count} transactions of {committed} committed ones")]
    LeaderLacks { sid: Sid, epoch: Epoch, count: u64, committed: u64 },
    #[error("a write that began when {before} was acknowledged became {zxid}")]
    RealTime { before: Zxid, zxid: Zxid },
    #[error(
        "session {session}: a sync was answered at {applied}, {acked} was acknowledged before it began"
    )]
    StaleSync { session: SessionId, applied: Zxid, acked: Zxid },
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
    #[error(
        "session {session}: {zxid} is a request that was made before one that is in front of it"
    )]
    SessionOrder { session: SessionId, zxid: Zxid },
    #[error("session {session} began again with {zxid}")]
    SessionTwice { session: SessionId, zxid: Zxid },
    #[error("session {session}: {zxid} is a request that nobody made, or made twice")]
    NobodyAsked { session: SessionId, zxid: Zxid },
    #[error("{zxid} ended with {found}, and replay ends with {expected}")]
    OtherOutcome { zxid: Zxid, expected: i32, found: i32 },
    #[error("session {session}: the answer to {xid:?} is not what replay gives at {zxid}")]
    OtherAnswer { session: SessionId, xid: Xid, zxid: Zxid },
    #[error("session {session}: {xid:?} was answered as {zxid}, which is not its transaction")]
    NotReplayed { session: SessionId, xid: Xid, zxid: Zxid },
    #[error("session {session}: an answer to {xid:?} came where another is next")]
    ReplyOrder { session: SessionId, xid: Xid },
    #[error("session {session} was shown {to} after {from}")]
    WentBack { session: SessionId, from: Zxid, to: Zxid },
    #[error("session {session} read what was not there at {zxid}")]
    OtherRead { session: SessionId, zxid: Zxid },
    #[error("session {session} was shown {shown} before it was told of {change}, which it watches")]
    WatchAfterData { session: SessionId, change: Zxid, shown: Zxid },
    #[error(
        "session {session}: its watches were set again at {set}, and it was not told of {change}"
    )]
    WatchLost { session: SessionId, change: Zxid, set: Zxid },
    #[error("session {session} was told of {zxid}, which no watch of its waits for")]
    OtherEvent { session: SessionId, zxid: Zxid },
    #[error("session {session} was told of {to} after {from}")]
    EventOrder { session: SessionId, from: Zxid, to: Zxid },
    #[error(
        "session {session} ended with {zxid}, and its ephemerals are not those that {zxid} takes"
    )]
    EphemeralsLeft { session: SessionId, zxid: Zxid },
    #[error("{zxid} makes an ephemeral of session {session}, which no transaction has made")]
    EphemeralOfLocal { session: SessionId, zxid: Zxid },
    #[error("{zxid} makes or ends session {session}, which is a local one")]
    LocalLogged { session: SessionId, zxid: Zxid },
    #[error("session {session} was said to be over, and is not")]
    ToldExpired { session: SessionId },
    #[error("a client asked for session {asked} and was given {found}")]
    OtherSession { asked: SessionId, found: SessionId },
    #[error(
        "server {sid} ended session {session} with {zxid} after {silent_ms} ms, and it had {timeout_ms}"
    )]
    ExpiredEarly { sid: Sid, session: SessionId, zxid: Zxid, silent_ms: u64, timeout_ms: u64 },
    #[error(
        "server {sid} ended session {session} with {zxid}, whose client was there all the time"
    )]
    ExpiredThough { sid: Sid, session: SessionId, zxid: Zxid },
    #[error("session {session} goes on, and had ended before its client asked for it")]
    Resumed { session: SessionId },
    #[error("session {session} has no client, and lives on {wait_s} s after the last fault")]
    NotExpired { session: SessionId, wait_s: u64 },
    #[error("{zxid} deletes a container or TTL znode whose time had never come")]
    ReapedEarly { zxid: Zxid },
    #[error("a container that {zxid} left empty is there {wait_s} s after the last fault")]
    NotReaped { zxid: Zxid, wait_s: u64 },
    #[error("an idle client did not keep its session within {wait_s} s after the last fault")]
    NoRest { wait_s: u64 },
    #[error("server {sid}: {zxid} did not leave the tree that it should")]
    Diverged { sid: Sid, zxid: Zxid },
    #[error("server {sid} has another tree after {zxid} than others")]
    OtherTree { sid: Sid, zxid: Zxid },
    #[error("server {sid} has another tree at the end than replay")]
    NotTheReplayed { sid: Sid },
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
