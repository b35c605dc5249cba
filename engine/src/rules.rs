//! What the configuration says about transactions and reads.
//!
//! ZooKeeper: system properties, read all over `PrepRequestProcessor`, `EphemeralType` and `DigestCalculator`.

use crate::auth::AuthConfig;

/// What requests may do here. The default is what the reference does when nothing is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Schemes, super user, and whether ACLs are looked at.
    pub auth: AuthConfig,
    /// Whether TTL znodes can be created. Source: `zookeeper.extendedTypesEnabled`.
    pub extended_types: ExtendedTypes,
    /// Whether transactions carry the tree's digest. Source: `zookeeper.digest.enabled`.
    pub digest: Digest,
    /// Whether quotas are looked at. Source: `zookeeper.enforceQuota`.
    pub quota: QuotaCheck,
    /// What reconfig is answered. Source: `reconfigEnabled`.
    pub reconfig: Reconfig,
    /// Whether a session that the tree does not know may write. Source: `localSessionsEnabled`.
    pub unknown_sessions: UnknownSessions,
    /// Whether a member refuses by ACL before it asks the leader. Source: `zookeeper.enableEagerACLCheck`.
    pub eager_acl: EagerAcl,
    /// The longest transaction. Source: `jute.maxbuffer` and `jute.maxbuffer.extrasize` together.
    pub txn_len_max: TxnLenMax,
}

/// The longest transaction, bytes; above 1 KiB more than the longest request.
///
/// What would be longer is refused with `BadArguments`, and an ephemeral with which the end of its session would be is with
/// `QuotaExceeded`. Differs: the reference makes it, and no learner and no start of a server can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnLenMax(pub usize);

impl Default for TxnLenMax {
    fn default() -> Self {
        Self(0xf_ffff + (64 << 20))
    }
}

/// Whether a session that the tree does not know may write. None may have ephemerals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSessions {
    /// It is answered with `SessionExpired`.
    #[default]
    Expired,
    /// It may: it is known to the server that its client is connected to.
    Local,
}

/// Whether a member of an ensemble refuses by ACL before it asks the leader. See [`crate::eager`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EagerAcl {
    /// Every refusal is a transaction.
    #[default]
    Off,
    /// It does.
    On,
}

/// Whether TTL znodes can be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedTypes {
    /// A create with a TTL is answered with `Unimplemented`.
    #[default]
    Off,
    /// They can.
    On,
}

/// Whether transactions carry the tree's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// All but failed ones do.
    #[default]
    On,
    /// None does.
    Off,
}

/// Whether quotas are looked at. Usage is counted either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaCheck {
    /// They are not.
    #[default]
    Off,
    /// Beyond a hard limit a request is answered with `QuotaExceeded`, beyond a soft one it is noted.
    On,
}

/// What reconfig is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reconfig {
    /// `ReconfigDisabled`.
    #[default]
    Off,
    /// What the ensemble says; `Unimplemented` where there is none, as a standalone server of the reference does.
    On,
}
