//! What can go wrong at a port between servers.

use std::fmt;

use quorum::wire::{InitialError, MessageError, NotificationError, PacketError};
use quorum::{Address, Sid};

/// Which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// Where votes come: the second number of a `server.N` line.
    Election,
    /// Where learners come while this server leads: the first number of a `server.N` line.
    Quorum,
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Election => "election port",
            Self::Quorum => "quorum port",
        })
    }
}

/// A port that cannot be opened, or why a connection at it was closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// The address is taken, not ours, or not allowed.
    #[error("server.{sid}: cannot listen on {address}, the {kind}: {error}")]
    Listen {
        /// This server.
        sid: Sid,
        /// Which port.
        kind: PortKind,
        /// As configured.
        address: Address,
        /// Why.
        error: std::io::Error,
    },
    /// There is no address to listen on.
    #[error("server.{sid}: no line of the configuration says where the {kind} is")]
    NoAddress {
        /// This server.
        sid: Sid,
        /// Which port.
        kind: PortKind,
    },
    /// The system gives no descriptor, or no thread.
    #[error("{what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// The connection broke: reset, timed out, unreachable.
    #[error("the connection broke: {error}")]
    Broken {
        /// What the system says.
        error: std::io::Error,
    },
    /// Plain text where only TLS is spoken.
    #[error("it does not speak TLS, which sslQuorum=true asks for")]
    NotTls,
    /// A handshake failed, or what came cannot be decrypted.
    #[error("TLS: {why}")]
    Tls {
        /// In words for an operator.
        why: String,
        /// What it was.
        error: Box<rustls::Error>,
    },
    /// A certificate that is not for who shows it.
    #[error(
        "TLS: its certificate is for {names}, not for its address{}",
        host.as_deref().map_or_else(String::new, |it| format!(" or {it}"))
    )]
    Name {
        /// The name that it was called by.
        host: Option<Box<str>>,
        /// What the certificate is for.
        names: String,
    },
    /// A connection that we made did not come to be within its time.
    #[error("TLS: no end of the handshake in time; does it speak TLS?")]
    NoHandshake,
    /// Bytes that are no packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A packet whose data makes no sense.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Bytes that are no election frame.
    #[error(transparent)]
    Frame(#[from] NotificationError),
    /// An election connection that does not begin as one does.
    #[error(transparent)]
    Initial(#[from] InitialError),
    /// The other side does not read what is sent to it.
    #[error("{queued} bytes are not read, {queued_max} are allowed")]
    NotReading {
        /// Bytes that wait.
        queued: usize,
        /// The limit.
        queued_max: usize,
    },
}
