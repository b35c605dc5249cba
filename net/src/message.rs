//! What session shards and the pipeline shard say to each other: one message per turn, over bounded rings.
//!
//! Order is the contract. A session shard's items reach the pipeline in the order of their arrival on each
//! connection; the pipeline answers every item that wants an answer in the same order, and puts the events of a
//! transaction before the answer to it and before every answer that could show it. So a shard that walks a
//! [`Deliver`] from front to back keeps all of ZooKeeper's promises about order.
//!
//! Absent here: rings, wake-ups.

use std::ops::Range;
use std::sync::Arc;

use engine::auth::AuthIds;
use jute::{Code, EventType, Op, SessionId, Xid, Zxid};

use crate::words::Serving;

/// A connection of one session shard: a slot, and how often the slot was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Place in the shard's table.
    pub slot: u32,
    /// Uses of the slot before this one: an answer to a connection that has gone finds another generation.
    pub generation: u32,
}

/// One turn of a session shard: what the pipeline shall do, in order.
#[derive(Debug, Default)]
pub struct Forward {
    /// What, in order.
    pub items: Vec<ForwardItem>,
    /// The bodies that the items' ranges mean.
    pub bytes: Vec<u8>,
    /// Sessions heard of since the last report, and when: monotonic milliseconds.
    pub touched: Vec<(SessionId, u64)>,
}

impl Forward {
    /// Memory that the items hold, in bytes.
    pub fn memory_len(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<ForwardItem>()
    }

    /// What an item's range means.
    pub fn body(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// One thing that the pipeline shall do.
#[derive(Debug)]
pub enum ForwardItem {
    /// A handshake. Answered by [`DeliverItem::Connected`] or [`DeliverItem::Refused`].
    Connect {
        /// Whose.
        conn: ConnId,
        /// 0 for a new session.
        session: SessionId,
        /// The password sent, in `bytes`.
        password: Range<u32>,
        /// The negotiated timeout, milliseconds.
        timeout_ms: i32,
        /// The connection's ids.
        auth: Arc<AuthIds>,
    },
    /// The connection's ids are others now.
    Auth {
        /// Whose.
        conn: ConnId,
        /// All of them.
        auth: Arc<AuthIds>,
    },
    /// A request whose place in the order matters: a write, a sync, or a read or ping behind writes of its session.
    /// Answered by [`DeliverItem::Reply`].
    Request {
        /// Whose.
        conn: ConnId,
        /// Whose.
        session: SessionId,
        /// The client's number.
        xid: Xid,
        /// What.
        op: Op,
        /// The record behind the request header, in `bytes`.
        body: Range<u32>,
    },
    /// The connection has ended; its session lives on until it expires. Nothing is to be sent to it any more.
    Gone {
        /// Whose.
        conn: ConnId,
    },
}

/// One applied batch, as one session shard sees it.
#[derive(Debug, Default)]
pub struct Deliver {
    /// The tree holds every transaction up to this one.
    pub applied: Zxid,
    /// What happened, in order.
    pub items: Vec<DeliverItem>,
    /// The bodies that the items' ranges mean.
    pub bytes: Vec<u8>,
}

/// One thing that happened.
#[derive(Debug)]
pub enum DeliverItem {
    /// A znode changed. Comes before everything that shows the change.
    Event {
        /// The transaction.
        zxid: Zxid,
        /// What happened to the znode. For created and deleted, the shard also tells the watchers of the parent's children.
        kind: EventType,
        /// The znode, in `bytes`.
        path: Range<u32>,
        /// The ACL that says who may hear of it, as jute bytes in `bytes`; empty if anybody may.
        acl: Range<u32>,
        /// The same for the parent, for those who watch its children.
        parent_acl: Range<u32>,
    },
    /// The answer to a [`ForwardItem::Request`].
    Reply {
        /// Whose.
        conn: ConnId,
        /// The client's number.
        xid: Xid,
        /// The reply header's zxid.
        zxid: Zxid,
        /// The outcome.
        code: Code,
        /// The record behind the reply header, in `bytes`.
        body: Range<u32>,
    },
    /// The session is there.
    Connected {
        /// Whose.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its timeout, milliseconds.
        timeout_ms: i32,
    },
    /// The session is unknown or expired, or the password is wrong: say so and close.
    Refused {
        /// Whose.
        conn: ConnId,
    },
    /// Close without a word: the session has moved or ended.
    Close {
        /// Whose.
        conn: ConnId,
    },
    /// From now on clients are let in, or those who read only.
    Serve(Serving),
    /// The server leads and follows nobody: end every connection, and let no client in.
    Stop,
}
