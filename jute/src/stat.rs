//! The header of a znode as clients see it.

use crate::field::record;

record! {
    /// What a reply says of a znode. 68 bytes.
    Stat {
        /// The transaction that created it.
        czxid: i64,
        /// The transaction that last set its data.
        mzxid: i64,
        /// When it was created; wall milliseconds since 1970, by the leader's clock.
        ctime: i64,
        /// When its data was last set; wall milliseconds since 1970.
        mtime: i64,
        /// Changes of the data.
        version: i32,
        /// Changes of the children: twice the creations, less the children there are.
        cversion: i32,
        /// Changes of the ACL.
        aversion: i32,
        /// The session that owns an ephemeral znode, else 0.
        ephemeral_owner: i64,
        /// Bytes of data; 0 for null.
        data_length: i32,
        /// Children there are.
        num_children: i32,
        /// The transaction that last created or deleted a child.
        pzxid: i64,
    }
}

impl Stat {
    /// Bytes of a stat on the wire.
    pub const LEN: usize = 68;
}
