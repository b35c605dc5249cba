//! One connection: where it stands, what it waits for, what it has still to be sent.
//!
//! ZooKeeper: `NIOServerCnxn`. Buffers are borrowed from the shard's pool while they hold something, so that an idle
//! connection costs this struct and nothing else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use engine::auth::AuthIds;
use jute::{Code, Op, SessionId, Xid};

use crate::figures::Summary;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing whole was heard: a handshake or a four-letter word may come.
    Fresh,
    /// A four-letter word is being answered.
    Word,
    /// The pipeline was asked for the session.
    Connecting,
    /// The session is there.
    Connected,
    /// What is unsent is sent, then it is closed. Nothing is read.
    Closing,
}

/// A request that was taken and not answered, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) xid: Xid,
    pub(crate) op: Op,
    /// When it was read, monotonic milliseconds.
    pub(crate) started_ms: u64,
    pub(crate) work: Work,
}

/// Who does it.
#[derive(Debug)]
pub(crate) enum Work {
    /// The pipeline. `len` bytes were sent there; `watch` is the path to watch when the answer comes, or the record of
    /// the watches that are set again.
    Remote { len: u32, watch: Option<Box<[u8]>> },
    /// The shard, when everything before it has been answered; with the record behind the header.
    Local(Box<[u8]>),
    /// The shard says no.
    Refused(Refused),
}

/// A request that is answered with a code and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The answer.
    Answer(Code),
    /// The answer to an op that nobody may ask for: then the connection is closed.
    Unimplemented,
}

/// Replies and events on their way to the socket.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    pub(crate) bytes: Vec<u8>,
    /// How many of them the socket has taken.
    pub(crate) sent: usize,
}

impl SendBuffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What `cons` tells of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) latency: Summary,
    pub(crate) last_op: Option<Op>,
    pub(crate) last_cxid: Option<Xid>,
    pub(crate) last_zxid: i64,
    pub(crate) last_response_ms: u64,
    pub(crate) last_latency_ms: u64,
}

/// One connection.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is its own fact; they come in any combination"
)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) stage: Stage,
    /// Whether the handshake had the `readOnly` byte, which then its answer has too.
    pub(crate) says_read_only: bool,
    /// Whether it stands in the list of connections to be sent to.
    pub(crate) dirty: bool,
    /// Whether it waits for something before more is taken from it.
    pub(crate) stalled: bool,
    /// Whether the driver was told not to read from it.
    pub(crate) paused: bool,
    /// Whether a request was taken that is its last.
    pub(crate) ending: bool,
    /// Whether the pipeline has heard of it.
    pub(crate) asked_for_session: bool,
    /// Whether it stands in the list of touched sessions.
    pub(crate) touched: bool,
    /// The session; `SessionId::NONE` before the handshake is done.
    pub(crate) session: SessionId,
    /// The session's timeout, milliseconds.
    pub(crate) timeout_ms: i32,
    /// Who it is.
    pub(crate) auth: Arc<AuthIds>,
    /// What was read and cannot be taken yet.
    pub(crate) unread: Vec<u8>,
    /// Since when that waits for others' requests, monotonic milliseconds.
    pub(crate) held_back_ms: Option<u64>,
    /// Bytes of an oversize request that are still to be thrown away.
    pub(crate) skip: usize,
    /// Requests that were taken and not answered, oldest first.
    pub(crate) pending: VecDeque<Pending>,
    /// How many of them the pipeline holds and the throttle counts.
    pub(crate) outstanding: u32,
    pub(crate) out: SendBuffer,
    /// When it was accepted, monotonic milliseconds.
    pub(crate) accepted_ms: u64,
    /// When something was last heard of it, monotonic milliseconds.
    pub(crate) heard_ms: u64,
    /// When the pipeline was last told of that, monotonic milliseconds.
    pub(crate) reported_ms: u64,
    /// The moment under which the idle queue holds it, monotonic milliseconds.
    pub(crate) due_ms: u64,
    pub(crate) counts: Counts,
}

impl Connection {
    pub(crate) fn new(now_ms: u64, peer: SocketAddr, auth: Arc<AuthIds>) -> Self {
        Self {
            peer,
            stage: Stage::Fresh,
            says_read_only: false,
            dirty: false,
            stalled: false,
            paused: false,
            ending: false,
            asked_for_session: false,
            touched: false,
            session: SessionId::NONE,
            timeout_ms: 0,
            auth,
            unread: Vec::new(),
            held_back_ms: None,
            skip: 0,
            pending: VecDeque::new(),
            outstanding: 0,
            out: SendBuffer::default(),
            accepted_ms: now_ms,
            heard_ms: now_ms,
            reported_ms: 0,
            due_ms: 0,
            counts: Counts::default(),
        }
    }

    /// Whether it has something under way: then it waits for others under load.
    pub(crate) fn holds(&self) -> bool {
        0 < self.outstanding || !self.out.is_empty()
    }

    /// Bytes that it holds in buffers.
    pub(crate) fn buffered(&self) -> usize {
        self.unread.len() + self.out.bytes.len()
    }
}

const _: () = assert!(size_of::<Connection>() <= 400);
