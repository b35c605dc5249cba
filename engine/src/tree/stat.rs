//! What the tree keeps of a znode beside name, data and ACL.

use jute::SessionId;

/// Whose a znode is: the meaning of ZooKeeper's `ephemeralOwner`.
///
/// Source: `EphemeralType`. How a number of the wire is read depends on the server's settings, so that is
/// not done here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// A persistent znode.
    #[default]
    Nobody,
    /// An ephemeral znode: goes with its session.
    Session(SessionId),
    /// A container: goes some time after its last child.
    Container,
    /// A TTL znode: goes when it had no children and no change for a time. The number of the wire.
    Ttl(i64),
}

impl Owner {
    /// What `ephemeralOwner` is for a container.
    pub const CONTAINER: i64 = i64::MIN;
    /// The bits that mark a TTL.
    const TTL: i64 = 0xFF << 56;
    /// The bits that say how many milliseconds a TTL has.
    pub const TTL_MASK: i64 = (1 << 40) - 1;

    /// A TTL znode that lives `ms` milliseconds without a change, 1 to 2^40 - 1.
    pub const fn ttl(ms: i64) -> Self {
        assert!(0 < ms && ms >> 40 == 0, "a TTL beyond 40 bits");
        Self::Ttl(Self::TTL | ms)
    }

    /// `ephemeralOwner` as transactions, snapshots and the digest carry it.
    pub const fn raw(self) -> i64 {
        match self {
            Self::Nobody => 0,
            Self::Session(id) => id.0,
            Self::Container => Self::CONTAINER,
            Self::Ttl(raw) => raw,
        }
    }
}

/// A znode's header as it is stored. ZooKeeper's `StatPersisted`.
///
/// Differs from a client's [`jute::Stat`]: `cversion` counts creations only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatPersisted {
    /// The transaction that created it.
    pub czxid: i64,
    /// The transaction that last set its data.
    pub mzxid: i64,
    /// The transaction that last created or deleted a child.
    pub pzxid: i64,
    /// When it was created; wall milliseconds since 1970, by the leader's clock.
    pub ctime: i64,
    /// When its data was last set; wall milliseconds since 1970.
    pub mtime: i64,
    /// Changes of the data.
    pub version: i32,
    /// Children ever created: the number of the next sequential child.
    pub cversion: i32,
    /// Changes of the ACL.
    pub aversion: i32,
    /// Whose it is. Fixed at creation.
    pub owner: Owner,
}

impl StatPersisted {
    /// The header of a znode that is created now.
    pub fn created(zxid: jute::Zxid, time: i64, owner: Owner) -> Self {
        let zxid = zxid.0;
        Self {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            owner,
            ..Self::default()
        }
    }

    /// What clients see, given the length of the data and the count of the children.
    pub const fn shown(&self, data_length: i32, num_children: i32) -> jute::Stat {
        jute::Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: match self.owner {
                Owner::Session(id) => id.0,
                Owner::Nobody | Owner::Container | Owner::Ttl(_) => 0,
            },
            data_length,
            num_children,
            pzxid: self.pzxid,
        }
    }
}
