//! What an operator should read of a connection that did not behave: one line each.

use std::net::SocketAddr;

use jute::{Op, SessionId};

/// Something about one connection that is worth a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// A request longer than `jute.maxbuffer`.
    #[error(
        "client {peer} session {session}: request of {len} bytes ({op:?} {path:?}) is over the limit of {len_max}, {fate}"
    )]
    Oversize {
        /// Whose.
        peer: SocketAddr,
        /// Whose.
        session: SessionId,
        /// What it asks for, if it is an op.
        op: Option<Op>,
        /// The beginning of its path.
        path: String,
        /// Bytes.
        len: usize,
        /// Bytes that are allowed.
        len_max: usize,
        /// What happens to it.
        fate: Fate,
    },
    /// A length below zero, or one that no handshake has.
    #[error("client {peer} session {session}: a frame of {len} bytes, closed")]
    Length {
        /// Whose.
        peer: SocketAddr,
        /// Whose; none before the handshake.
        session: SessionId,
        /// As read.
        len: i64,
    },
    /// A record that cannot be read where nothing can be answered.
    #[error("client {peer} session {session}: {error}, closed")]
    Record {
        /// Whose.
        peer: SocketAddr,
        /// Whose; none before the handshake.
        session: SessionId,
        /// What is wrong with it.
        error: jute::DecodeError,
    },
    /// A client that has seen what this server has not.
    #[error(
        "client {peer} has seen zxid {seen}, this server is at {here}: closed, it must try another server"
    )]
    Ahead {
        /// Whose.
        peer: SocketAddr,
        /// The client's last zxid.
        seen: jute::Zxid,
        /// Ours.
        here: jute::Zxid,
    },
    /// A large request while there are too many bytes of such under way.
    #[error(
        "client {peer} session {session}: {op:?} of {len} bytes while {in_flight} bytes of large requests are under way, over the limit of {len_max}, closed"
    )]
    Large {
        /// Whose.
        peer: SocketAddr,
        /// Whose.
        session: SessionId,
        /// What it asks for.
        op: Op,
        /// Bytes.
        len: usize,
        /// Bytes of others.
        in_flight: usize,
        /// Bytes that are allowed.
        len_max: usize,
    },
    /// A client that does not read what it is sent.
    #[error("client {peer} session {session} does not read: {len} bytes unsent, closed")]
    Deaf {
        /// Whose.
        peer: SocketAddr,
        /// Whose.
        session: SessionId,
        /// Bytes.
        len: usize,
    },
    /// Nothing was heard for as long as the session may be silent.
    #[error("client {peer} session {session} was silent for {silent_ms} ms, closed")]
    Silent {
        /// Whose.
        peer: SocketAddr,
        /// Whose; none before the handshake.
        session: SessionId,
        /// Milliseconds.
        silent_ms: u64,
    },
    /// Sessions come faster than the throttle lets in.
    #[error("client {peer}: connection throttled, closed")]
    Throttled {
        /// Whose.
        peer: SocketAddr,
    },
    /// Credentials were refused.
    #[error(
        "client {peer} session {session}: authentication with scheme {scheme:?} failed, closed"
    )]
    AuthFailed {
        /// Whose.
        peer: SocketAddr,
        /// Whose.
        session: SessionId,
        /// The scheme.
        scheme: String,
    },
}

/// What becomes of an oversize request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is skipped and answered with an error.
    Answered,
    /// The connection is closed.
    Closed,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answered => "skipped and answered with an error",
            Self::Closed => "closed",
        })
    }
}

/// Bytes from outside as text for a log line: nothing in it can end the line.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
