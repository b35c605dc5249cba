//! What goes into a server's machine and what comes out of it.
//!
//! *The contract with the driver.* One [`Input`] at a time; the outputs of a step are taken up, in their order, before the
//! next step: a [`Packet`] names transactions by zxid, and their bytes are read from [`crate::Peer::message`] until then.
//! Packets of a link are sent in the order of their outputs, and a closed link still sends what was output before the
//! close. Writes are made in order, each durable before one of another kind begins; [`Input::Durable`] says how far they are.

use alloc::sync::Arc;
use alloc::vec::Vec;

use jute::{SessionId, Zxid};

use crate::wire::{LearnerInfo, Message, Touch};
use crate::{Epoch, Permit, QuorumConfig, Sid};

use super::{LeaveReason, LinkError};

/// A connection of the learner channel. The driver numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u64);

/// A write to the disk, by the order of writes. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Whoever waits for a `sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncFrom {
    /// A client of this server, by a number that the driver chose.
    Local(u64),
    /// A learner, by its link; it knows whose turn it is by their order.
    Learner(Link),
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Nothing but time: [`crate::Peer::next_deadline`] is reached.
    Deadline,
    /// The election is over.
    Elected {
        /// Who leads.
        leader: Sid,
    },
    /// A server that voted for this one searches again; only while this one leads.
    Searches {
        /// Which.
        sid: Sid,
    },
    /// The oracle has been asked. Not asked, it has said nothing.
    Oracle {
        /// What it allows.
        permit: Permit,
    },
    /// The election has learned of an agreed configuration. Only while looking.
    Learned {
        /// The configuration.
        config: &'a Arc<QuorumConfig>,
    },
    /// Somebody connected to the port for learners.
    Accepted {
        /// The connection.
        link: Link,
    },
    /// [`Output::Connect`] succeeded.
    Connected {
        /// The connection.
        link: Link,
        /// Whom to.
        to: Sid,
    },
    /// [`Output::Connect`] failed.
    ConnectFailed {
        /// Whom to.
        to: Sid,
    },
    /// A connection ended, or its bytes made no sense.
    Closed {
        /// The connection.
        link: Link,
    },
    /// A packet came.
    Packet {
        /// The connection.
        link: Link,
        /// The packet.
        message: Message<'a>,
    },
    /// All writes up to this one are durable.
    Durable {
        /// The last of them.
        write: WriteId,
    },
    /// The answer to [`Output::AskLog`].
    LogFloor {
        /// The learner's link.
        link: Link,
        /// The last transaction of the log up to the one asked for, if the log can be read from there on without a gap; none also if an
        /// image is the shorter way.
        floor: Option<Zxid>,
    },
    /// [`Output::StreamLog`] is done: all of it is in the link's queue.
    LogStreamed {
        /// The learner's link.
        link: Link,
    },
    /// The answer to [`Output::SendSnapshot`]: an image is chosen, and waits.
    SnapshotChosen {
        /// The learner's link.
        link: Link,
        /// The last transaction in it, at most the last committed here.
        zxid: Zxid,
    },
    /// The chosen image is in the link's queue whole.
    SnapshotSent {
        /// The learner's link.
        link: Link,
    },
    /// What is applied here is not what the ensemble has: the tree is of no use until an image takes its place.
    Diverged,
    /// Some of the image that follows SNAP has come.
    SnapshotPart {
        /// The leader's link.
        link: Link,
    },
    /// The image that followed SNAP has come whole, and waits beside what is there.
    SnapshotReceived {
        /// The leader's link.
        link: Link,
    },
    /// A transaction of the pipeline, of a leader that serves.
    Propose {
        /// [`crate::Peer::next_zxid`].
        zxid: Zxid,
        /// Header, record, and mostly a digest.
        txn: &'a [u8],
    },
    /// A `sync` whose turn has come in the order of requests; or, at a leader, a client of its own is to hear that its session is over.
    Sync {
        /// Who waits.
        from: SyncFrom,
    },
    /// A client showed life. At a learner: to be told to the leader.
    Touch(Touch),
    /// A client wants to go on with a session, at a learner.
    Revalidate(Touch),
    /// The answer to [`Output::Revalidate`], at the leader. What made an end of the session is proposed before it is said to be over.
    Revalidated {
        /// Who asked.
        link: Link,
        /// The session.
        session: SessionId,
        /// Its state.
        valid: Validity,
    },
}

/// Whether a session is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validity {
    /// It is, and belongs to the one who asked.
    Alive,
    /// It is not.
    Expired,
}

/// Learners that are told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Get proposals and commits.
    Followers,
    /// Get what is committed.
    Observers,
}

/// Who gets a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One.
    Link(Link),
    /// All that have joined the group. The packet is encoded once.
    Group(Group),
}

/// A packet to send. [`crate::Peer::message`] makes its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A logged transaction.
    Proposal {
        /// Which.
        zxid: Zxid,
    },
    /// A logged transaction that is committed, to observers.
    Inform {
        /// Which.
        zxid: Zxid,
    },
    /// A logged reconfiguration that is committed, to observers.
    InformAndActivate {
        /// Which.
        zxid: Zxid,
        /// Who should lead now.
        designated: Sid,
    },
    /// To the leader, with what was touched since the last.
    PingAnswer {
        /// The ping's.
        zxid: Zxid,
        /// Sessions and timeouts, as [`crate::wire::Touches`] reads them.
        touches: Vec<u8>,
    },
    /// The history is complete.
    NewLeader {
        /// The epoch.
        epoch: Epoch,
        /// The configuration's text.
        config: Vec<u8>,
    },
    /// One that says all in itself.
    Plain(Plain),
}

/// A packet of numbers. See [`Message`], whose words these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the message of its name")]
pub enum Plain {
    Ack { zxid: Zxid },
    Commit { zxid: Zxid },
    CommitAndActivate { zxid: Zxid, designated: Sid },
    Ping { zxid: Zxid },
    Sync,
    Revalidate(Touch),
    Revalidated { session: SessionId, valid: Validity },
    FollowerInfo { accepted: Epoch, info: LearnerInfo },
    ObserverInfo { accepted: Epoch, info: LearnerInfo },
    LeaderInfo { epoch: Epoch, protocol: i32 },
    AckEpoch { zxid: Zxid, current: Option<Epoch> },
    UpToDate,
    Diff { zxid: Zxid },
    Trunc { zxid: Zxid },
    Snap { zxid: Zxid },
}

/// Something to make durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A transaction behind the last: [`crate::Peer::txn`] has its bytes.
    Append {
        /// Which.
        zxid: Zxid,
    },
    /// The log ends with this one.
    Truncate {
        /// The last that stays.
        to: Zxid,
    },
    /// The epoch that is promised.
    AcceptedEpoch(Epoch),
    /// The epoch whose history this is.
    CurrentEpoch(Epoch),
    /// The image received takes the place of state and log, in one step: after a crash there is the one or the other.
    InstallSnapshot {
        /// Its last transaction.
        zxid: Zxid,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a packet.
    Send {
        /// Whom.
        to: To,
        /// What.
        packet: Packet,
    },
    /// From here on the link gets what its group gets.
    Join {
        /// The link.
        link: Link,
        /// The group.
        group: Group,
    },
    /// Close a connection, behind what was sent.
    Close {
        /// The connection.
        link: Link,
        /// Why; `None`: the role ended.
        why: Option<LinkError>,
    },
    /// Connect to a server's port for learners.
    Connect {
        /// Whom.
        to: Sid,
    },
    /// Make something durable.
    Write {
        /// Its number.
        write: WriteId,
        /// What.
        what: Write,
    },
    /// Where does the log on the disk stand. Answer: [`Input::LogFloor`].
    AskLog {
        /// The learner's link.
        link: Link,
        /// The transaction asked for.
        zxid: Zxid,
    },
    /// Send a range of the log as PROPOSAL and COMMIT each, at the pace of the link. Then [`Input::LogStreamed`].
    StreamLog {
        /// The learner's link.
        link: Link,
        /// Behind this one.
        after: Zxid,
        /// Up to and including this one.
        upto: Zxid,
    },
    /// Choose an image to send. Answer: [`Input::SnapshotChosen`].
    SendSnapshot {
        /// The learner's link.
        link: Link,
        /// It must hold everything up to here, which the learner has.
        at_least: Zxid,
    },
    /// Send the chosen image's bytes now, at the pace of the link. Then [`Input::SnapshotSent`].
    StreamSnapshot {
        /// The learner's link.
        link: Link,
    },
    /// What follows on the link is an image. Then [`Input::SnapshotReceived`].
    ReceiveSnapshot {
        /// The leader's link.
        link: Link,
        /// Its last transaction.
        zxid: Zxid,
    },
    /// Everything up to here is decided: apply it.
    Commit {
        /// The last.
        upto: Zxid,
    },
    /// A role begins. A server that leads hears learners from now on.
    Elected {
        /// Who leads.
        leader: Sid,
    },
    /// This server may serve clients: as leader of its epoch, or as learner of the link's leader.
    Serve {
        /// The epoch.
        epoch: Epoch,
    },
    /// The role has ended, its clients with it; elect a leader.
    Look {
        /// Why.
        why: LeaveReason,
    },
    /// The reconfiguration of this version is agreed.
    Activate {
        /// The configuration.
        config: Arc<QuorumConfig>,
    },
    /// A configuration is proposed, and known from now on.
    Propose {
        /// The configuration.
        config: Arc<QuorumConfig>,
    },
    /// The packet of this step is a request: prep it.
    Request {
        /// Whose.
        link: Link,
    },
    /// The ping of this step has touches.
    Touched {
        /// Whose.
        link: Link,
    },
    /// Is this session alive, at the leader. Answer: [`Input::Revalidated`]. At a follower that observers hear: the leader is asked, and what the
    /// session asks by another link of an observer comes too late.
    Revalidate {
        /// Who asks.
        link: Link,
        /// The session.
        touch: Touch,
    },
    /// The leader's answer about a session.
    SessionIs {
        /// The session.
        session: SessionId,
        /// Its state.
        valid: Validity,
    },
    /// What was committed when this `sync` began is applied here.
    Synced {
        /// The driver's number.
        id: u64,
    },
}
