//! The records of replies and events.

use crate::field::record;
use crate::{Code, Xid, Zxid};

record! {
    /// What stands before every reply but the first of a connection. 16 bytes.
    ReplyHeader {
        /// The request's number.
        xid: Xid,
        /// The last transaction that the answering tree held.
        zxid: Zxid,
        /// The outcome; a body follows only 0.
        err: i32,
    }
}

impl ReplyHeader {
    /// Bytes of a header on the wire.
    pub const LEN: usize = 16;

    /// A header with this outcome.
    pub fn new(xid: Xid, zxid: Zxid, code: Code) -> Self {
        Self { xid, zxid, err: code.number() }
    }
}

/// What a watch tells. Source: `Watcher.Event.EventType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum EventType {
    /// Nothing happened to a znode: the connection's state changed.
    None = -1,
    /// The znode was created.
    NodeCreated = 1,
    /// The znode was deleted.
    NodeDeleted = 2,
    /// Its data was set.
    NodeDataChanged = 3,
    /// A child was created or deleted.
    NodeChildrenChanged = 4,
}

/// The state that an event carries. Source: `Watcher.Event.KeeperState`. A server sends only `SyncConnected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum KeeperState {
    /// Connected to a server of a quorum.
    SyncConnected = 3,
}

record! {
    /// An event. Its header's xid is −1.
    WatcherEvent<'a> {
        /// An [`EventType`]'s number.
        kind: i32,
        /// A [`KeeperState`]'s number.
        state: i32,
        /// The znode it happened to.
        path: &'a [u8],
    }
}
