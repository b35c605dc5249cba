//! Ids of servers and of leader generations.

use core::fmt;

use jute::Zxid;

/// A server's id: its `myid`, the N of `server.N`.
///
/// Compared as a signed number. Servers that are no voters of their own configuration propose [`Sid::NEVER`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub i64);

impl Sid {
    /// The id that loses against every other in an election. Source: `FastLeaderElection.getInitId`.
    pub const NEVER: Self = Self(i64::MIN);
    /// What a server without an id says of itself. Source: `QuorumPeer.OBSERVER_ID`, `QuorumCnxManager`.
    pub const ANONYMOUS: Self = Self(i64::MAX);
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sid {}", self.0)
    }
}

/// A leader generation: the high half of a zxid. A long on the wire and in the epoch files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl Epoch {
    /// Before the first leader.
    pub const ZERO: Self = Self(0);
    /// The epoch that loses against every other in an election. Source: `FastLeaderElection.getPeerEpoch`.
    pub const NEVER: Self = Self(i64::MIN);

    /// The generation that made `zxid`.
    pub fn of(zxid: Zxid) -> Self {
        Self(zxid.0 >> 32)
    }

    /// The zxid before the first transaction of this generation: what NEWLEADER carries.
    pub fn zxid(self) -> Zxid {
        Zxid(self.0 << 32)
    }

    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.0)
    }
}
