//! The learner port: connections of a leader and its learners, on real sockets. Documents say "quorum port".
//!
//! ZooKeeper: the sockets of `Leader.LearnerCnxAcceptor`, `LearnerHandler` and `Learner`. One thread, the caller's.
//! *Absent:* what packets mean; when to retry; SASL and TLS.
#![expect(
    clippy::todo,
    clippy::needless_pass_by_value,
    clippy::size_of_ref,
    reason = "the shape comes before the bodies"
)]

use std::os::fd::BorrowedFd;
use std::time::Duration;

use quorum::wire::Message;
use quorum::zab::{Group, Link, To};
use quorum::{Address, Moment, Sid};

use crate::driver::KeepAlive;
pub use crate::port::PortError;

/// Above so many queued bytes a link is not given more of a snapshot or of the log, until [`Arrived::Drained`].
pub const QUEUED_MARK: usize = 1 << 20;

/// How the port behaves.
#[derive(Clone, Debug)]
pub struct LearnerPortSettings {
    /// Who this is.
    pub myid: Sid,
    /// Where it listens while it leads.
    pub own_addresses: Vec<Address>,
    /// Whether it listens on every address of the machine, at the ports of its own. Source: `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// How long one call of [`LearnerPort::connect`] may take.
    pub connect_timeout: Duration,
    /// Whether the kernel probes silent connections. Source: `zookeeper.tcpKeepAlive`.
    pub keep_alive: KeepAlive,
    /// Longest data of a packet, bytes. Source: `jute.maxbuffer` and `zookeeper.jute.maxbuffer.extrasize`.
    pub data_len_max: usize,
    /// Bytes that may wait for a learner that does not read; then it is closed.
    pub queued_max: usize,
}

/// Something that happened.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// Somebody connected to us.
    Accepted {
        /// The connection.
        link: Link,
    },
    /// [`LearnerPort::connect`] succeeded.
    Connected {
        /// The connection.
        link: Link,
        /// Whom to.
        to: Sid,
    },
    /// [`LearnerPort::connect`] failed at every address.
    ConnectFailed {
        /// Whom to.
        to: Sid,
    },
    /// The other side, or what it sent, ended a connection. Not for those closed by [`LearnerPort::close`].
    Closed {
        /// The connection.
        link: Link,
        /// Why; `None`: the other side closed it.
        why: Option<PortError>,
    },
    /// A packet came.
    Packet {
        /// The connection.
        link: Link,
        /// The packet.
        message: Message<'a>,
    },
    /// The queue was above [`QUEUED_MARK`] and is below it again.
    Drained {
        /// The connection.
        link: Link,
    },
    /// Bytes of a snapshot came, behind [`LearnerPort::take_raw`].
    SnapshotBytes {
        /// The connection.
        link: Link,
        /// As they came.
        bytes: &'a [u8],
    },
}

/// The port. Dropping it closes everything.
#[derive(Debug)]
pub struct LearnerPort {}

impl LearnerPort {
    /// A port that connects; it listens from [`LearnerPort::listen`] on.
    ///
    /// Tries to listen, so that an address that is taken is known at the start.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn open(settings: LearnerPortSettings) -> Result<Self, PortError> {
        todo!("{settings:?}")
    }

    /// Accepts learners from now on. To be called when this server is elected leader, before its machine is told.
    ///
    /// Who does not lead must not listen: a learner that is refused tries again, one that is accepted and closed elects again.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn listen(&mut self) -> Result<(), PortError> {
        todo!()
    }

    /// Accepts no more. Connections stay.
    pub fn stop_listening(&mut self) {
        todo!()
    }

    /// Readable when there is something for [`LearnerPort::turn`]. Never changes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// When [`LearnerPort::turn`] is due if `fd` does not become readable before.
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }

    /// Connects to the first of `addresses` that answers. Then [`Arrived::Connected`] or [`Arrived::ConnectFailed`].
    ///
    /// A call for the same server that is not over is given up, and says nothing more.
    pub fn connect(&mut self, now: Moment, to: Sid, addresses: &[Address]) {
        todo!("{now:?} {to} {addresses:?}")
    }

    /// Queues a packet; [`LearnerPort::flush`] sends it. For a group it is encoded and kept once.
    pub fn send(&mut self, to: To, message: &Message<'_>) {
        todo!("{to:?} {message:?}")
    }

    /// From here on the link gets what its group gets.
    pub fn join(&mut self, link: Link, group: Group) {
        todo!("{link:?} {group:?}")
    }

    /// Closes a link behind what was queued for it. Nothing more is heard of it.
    pub fn close(&mut self, link: Link) {
        todo!("{link:?}")
    }

    /// Bytes that the kernel has not taken; 0 if the link is closed.
    pub fn queued(&self, link: Link) -> usize {
        todo!("{link:?}")
    }

    /// Queues bytes as they are: those of a snapshot.
    pub fn send_raw(&mut self, link: Link, bytes: &[u8]) {
        todo!("{link:?} {bytes:?}")
    }

    /// What comes behind the packet that is being taken is a snapshot, until [`LearnerPort::end_raw`].
    pub fn take_raw(&mut self, link: Link) {
        todo!("{link:?}")
    }

    /// The snapshot is over; `unread` was given as [`Arrived::SnapshotBytes`] and is packets.
    pub fn end_raw(&mut self, link: Link, unread: &[u8]) {
        todo!("{link:?} {unread:?}")
    }

    /// Reads, and says what came. The port may be used from within `arrived`.
    pub fn turn(&mut self, now: Moment, arrived: &mut dyn FnMut(&mut Self, Arrived<'_>)) {
        todo!("{now:?} {}", size_of_val(&arrived))
    }

    /// Sends what is queued: one call for each link.
    pub fn flush(&mut self) {
        todo!()
    }
}
