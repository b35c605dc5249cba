//! The records of transactions, as the log keeps them and ZAB carries them.
//!
//! An entry is a [`TxnHeader`], the record that its type names, and mostly a [`TxnDigest`].

use crate::field::record;
use crate::{AclList, List, SessionId, Strings, Zxid};

record! {
    /// What stands before every transaction. 32 bytes.
    TxnHeader {
        /// The session that asked.
        client: SessionId,
        /// The client's number for its request.
        cxid: i32,
        /// The order.
        zxid: Zxid,
        /// When it was prepared; wall milliseconds since 1970, by the leader's clock.
        time_ms: i64,
        /// The op's number, which names the record that follows.
        op: i32,
    }
}

impl TxnHeader {
    /// Bytes of a header.
    pub const LEN: usize = 32;
}

record! {
    /// The tree's digest after the transaction. 12 bytes.
    TxnDigest {
        /// How it is computed; 2.
        version: i32,
        /// The digest.
        tree: i64,
    }
}

impl TxnDigest {
    /// Bytes of a digest.
    pub const LEN: usize = 12;
    /// How the digest is computed. Source: `DigestCalculator.DIGEST_VERSION`.
    pub const VERSION: i32 = 2;
}

record! {
    /// create, create2.
    CreateTxn<'a> {
        /// The final path.
        path: &'a [u8],
        /// The data.
        data: Option<&'a [u8]>,
        /// The ACL after fix-up.
        acl: AclList<'a>,
        /// Whether the header's client owns it.
        ephemeral: bool,
        /// The parent's creation count after it; −1: one more than before.
        parent_cversion: i32,
    }
}

record! {
    /// createTTL.
    CreateTtlTxn<'a> {
        /// The final path.
        path: &'a [u8],
        /// The data.
        data: Option<&'a [u8]>,
        /// The ACL after fix-up.
        acl: AclList<'a>,
        /// The parent's creation count after it; −1: one more than before.
        parent_cversion: i32,
        /// Milliseconds.
        ttl_ms: i64,
    }
}

record! {
    /// createContainer.
    CreateContainerTxn<'a> {
        /// The final path.
        path: &'a [u8],
        /// The data.
        data: Option<&'a [u8]>,
        /// The ACL after fix-up.
        acl: AclList<'a>,
        /// The parent's creation count after it; −1: one more than before.
        parent_cversion: i32,
    }
}

record! {
    /// delete, deleteContainer.
    DeleteTxn<'a> {
        /// The path.
        path: &'a [u8],
    }
}

record! {
    /// setData, reconfig.
    SetDataTxn<'a> {
        /// The path.
        path: &'a [u8],
        /// The data.
        data: Option<&'a [u8]>,
        /// The version after it.
        version: i32,
    }
}

record! {
    /// setACL.
    SetAclTxn<'a> {
        /// The path.
        path: &'a [u8],
        /// The ACL after fix-up.
        acl: AclList<'a>,
        /// The ACL version after it.
        version: i32,
    }
}

record! {
    /// check, inside a multi. Changes nothing.
    CheckVersionTxn<'a> {
        /// The path.
        path: &'a [u8],
        /// One more than the version that was found.
        version: i32,
    }
}

record! {
    /// createSession; the header's client is the new session.
    CreateSessionTxn {
        /// The negotiated timeout, milliseconds.
        timeout_ms: i32,
    }
}

record! {
    /// closeSession; the header's client is the session.
    CloseSessionTxn<'a> {
        /// Its ephemerals.
        paths: Strings<'a>,
    }
}

record! {
    /// A request that failed, which takes a zxid all the same.
    ErrorTxn {
        /// The code's number.
        err: i32,
    }
}

record! {
    /// One op of a multi.
    SubTxn<'a> {
        /// The op's number.
        op: i32,
        /// Its record.
        record: &'a [u8],
    }
}

record! {
    /// multi: its ops in order. If one is an error, none was done.
    MultiTxn<'a> {
        /// The ops.
        txns: List<'a, SubTxn<'a>>,
    }
}
