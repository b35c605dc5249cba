//! The records of requests. Paths are unchecked here: reads take any, writes check them.

use crate::field::record;
use crate::{AclList, DecodeError, Op, Record as _, Strings, Xid, Zxid};

record! {
    /// What stands before every request but the first of a connection.
    RequestHeader {
        /// The client's number for it.
        xid: Xid,
        /// The op's number.
        op: i32,
    }
}

record! {
    /// create, create2, createContainer.
    CreateRequest<'a> {
        /// The path; the counter is appended by sequential modes.
        path: Option<&'a [u8]>,
        /// The data.
        data: Option<&'a [u8]>,
        /// The ACL.
        acl: AclList<'a>,
        /// The create mode.
        flags: i32,
    }
}

record! {
    /// createTTL.
    CreateTtlRequest<'a> {
        /// The path; the counter is appended by sequential modes.
        path: Option<&'a [u8]>,
        /// The data.
        data: Option<&'a [u8]>,
        /// The ACL.
        acl: AclList<'a>,
        /// The create mode.
        flags: i32,
        /// Milliseconds.
        ttl_ms: i64,
    }
}

record! {
    /// delete.
    DeleteRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// The version it must have; −1 for any.
        version: i32,
    }
}

record! {
    /// exists, getData, getChildren, getChildren2.
    PathWatchRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// Whether to leave a watch.
        watch: bool,
    }
}

record! {
    /// getACL, sync, getEphemerals, getAllChildrenNumber, deleteContainer; the reply of sync.
    PathRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
    }
}

record! {
    /// setData.
    SetDataRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// The data.
        data: Option<&'a [u8]>,
        /// The version it must have; −1 for any.
        version: i32,
    }
}

record! {
    /// setACL.
    SetAclRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// The ACL.
        acl: AclList<'a>,
        /// The ACL version it must have; −1 for any.
        version: i32,
    }
}

record! {
    /// check, inside a multi.
    CheckVersionRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// The version it must have; −1 for any.
        version: i32,
    }
}

record! {
    /// addWatch.
    AddWatchRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// 0 persistent, 1 persistent-recursive.
        mode: i32,
    }
}

record! {
    /// checkWatches, removeWatches.
    PathTypeRequest<'a> {
        /// The path.
        path: Option<&'a [u8]>,
        /// The watcher type: 1 children, 2 data, 3 any, 4 persistent, 5 persistent-recursive.
        kind: i32,
    }
}

record! {
    /// setWatches.
    SetWatches<'a> {
        /// What the client has seen.
        relative_zxid: Zxid,
        /// Left by getData, and by exists on a znode that was there.
        data: Strings<'a>,
        /// Left by exists on a znode that was not there.
        exist: Strings<'a>,
        /// Left by getChildren.
        child: Strings<'a>,
    }
}

record! {
    /// setWatches2.
    SetWatches2<'a> {
        /// What the client has seen.
        relative_zxid: Zxid,
        /// Left by getData, and by exists on a znode that was there.
        data: Strings<'a>,
        /// Left by exists on a znode that was not there.
        exist: Strings<'a>,
        /// Left by getChildren.
        child: Strings<'a>,
        /// Persistent ones.
        persistent: Strings<'a>,
        /// Persistent recursive ones.
        recursive: Strings<'a>,
    }
}

impl<'a> SetWatches2<'a> {
    /// Reads the record of either op: setWatches has no tables of persistent watches.
    ///
    /// # Errors
    /// It is no record of `op`.
    pub fn decode_as(op: Op, body: &'a [u8]) -> Result<Self, DecodeError> {
        if op == Op::SetWatches2 {
            return Self::decode(body);
        }
        let SetWatches { relative_zxid, data, exist, child } = SetWatches::decode(body)?;
        let (persistent, recursive) = (Strings::EMPTY, Strings::EMPTY);
        Ok(Self { relative_zxid, data, exist, child, persistent, recursive })
    }
}

record! {
    /// auth.
    AuthPacket<'a> {
        /// Ignored; 0.
        kind: i32,
        /// The scheme.
        scheme: Option<&'a [u8]>,
        /// The credentials.
        auth: Option<&'a [u8]>,
    }
}

record! {
    /// sasl.
    SaslRequest<'a> {
        /// The mechanism's bytes.
        token: Option<&'a [u8]>,
    }
}

record! {
    /// reconfig.
    ReconfigRequest<'a> {
        /// Server lines that join or change.
        joining: Option<&'a [u8]>,
        /// Ids that leave.
        leaving: Option<&'a [u8]>,
        /// The whole new membership.
        members: Option<&'a [u8]>,
        /// The config version it must have; −1 for any.
        config: i64,
    }
}
