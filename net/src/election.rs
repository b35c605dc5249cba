//! The election port: connections of votes, on real sockets.
//!
//! ZooKeeper: `QuorumCnxManager`. The rules are in [`quorum::election::links`]; this moves its bytes, on the caller's thread.
//! *Absent:* the election itself; SASL and TLS.
#![expect(
    clippy::todo,
    clippy::needless_pass_by_value,
    clippy::size_of_ref,
    reason = "the shape comes before the bodies"
)]

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use quorum::{Address, Moment, Sid, Views};

use crate::driver::KeepAlive;
pub use crate::port::PortError;

/// How the port behaves.
#[derive(Clone, Debug)]
pub struct ElectionPortSettings {
    /// Who this is.
    pub myid: Sid,
    /// Where it listens, and what it tells others of that.
    pub own_addresses: Vec<Address>,
    /// Whether it listens on every address of the machine, at the ports of its own. Source: `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// How long a connection, or saying who connects, may take. Source: `zookeeper.cnxTimeout`.
    pub connect_timeout: Duration,
    /// Whether the kernel probes silent connections. Source: `zookeeper.tcpKeepAlive`.
    pub keep_alive: KeepAlive,
}

/// What the port has to say to the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message came.
    Message {
        /// Whose.
        from: Sid,
        /// The frame without its length.
        body: &'a [u8],
    },
    /// The server can be talked to.
    Reached {
        /// Which.
        sid: Sid,
    },
    /// The server could not be connected to, or its connection broke.
    Lost {
        /// Which.
        sid: Sid,
    },
}

/// The port. Dropping it closes everything.
#[derive(Debug)]
pub struct ElectionPort {}

impl ElectionPort {
    /// Listens, and begins to connect.
    ///
    /// # Errors
    /// [`PortError`] if an address of our own cannot be listened on.
    pub fn open(
        settings: ElectionPortSettings,
        views: Views,
        now: Moment,
    ) -> Result<Self, PortError> {
        todo!("{settings:?} {views:?} {now:?}")
    }

    /// Readable when there is something for [`ElectionPort::turn`]. Never changes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// When [`ElectionPort::turn`] is due if `fd` does not become readable before.
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }

    /// Sends a frame, its length before it, instead of any that still waits to be sent to `to`.
    pub fn send(&mut self, now: Moment, to: Sid, frame: Arc<[u8]>) {
        todo!("{now:?} {to} {frame:?}")
    }

    /// Tries at once every connection that is missing.
    pub fn reconnect(&mut self, now: Moment) {
        todo!("{now:?}")
    }

    /// The members changed, or a change was proposed.
    pub fn reconfigured(&mut self, now: Moment, views: Views) {
        todo!("{now:?} {views:?}")
    }

    /// Moves the bytes that can be moved, and says what came.
    pub fn turn(&mut self, now: Moment, heard: &mut dyn FnMut(Heard<'_>)) {
        todo!("{now:?} {}", size_of_val(&heard))
    }
}
