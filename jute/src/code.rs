//! The error codes of replies, with ZooKeeper's numbers.

/// The outcome of a request. Source: `KeeperException.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The server failed.
    SystemError = -1,
    /// In a failed multi: an op after the one that failed.
    RuntimeInconsistency = -2,
    /// The server's data is inconsistent.
    DataInconsistency = -3,
    /// The connection was lost; clients say this, servers do not.
    ConnectionLoss = -4,
    /// The request's bytes hold no such request.
    MarshallingError = -5,
    /// The op is not known or not available here.
    Unimplemented = -6,
    /// Not done in time; clients try again.
    OperationTimeout = -7,
    /// An argument is wrong.
    BadArguments = -8,
    /// The session is not known.
    UnknownSession = -12,
    /// No quorum of the new configuration is in reach.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14,
    /// Some API error.
    ApiError = -100,
    /// There is no such znode.
    NoNode = -101,
    /// The ACL does not allow it.
    NoAuth = -102,
    /// The version is another one.
    BadVersion = -103,
    /// Ephemeral znodes have no children.
    NoChildrenForEphemerals = -108,
    /// The znode exists already.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session has expired.
    SessionExpired = -112,
    /// The callback is invalid; clients say this.
    InvalidCallback = -113,
    /// The ACL is not a valid one.
    InvalidAcl = -114,
    /// The credentials were refused.
    AuthFailed = -115,
    /// The session lives on another connection now.
    SessionMoved = -118,
    /// This server is read-only.
    NotReadOnly = -119,
    /// A local session cannot own ephemerals.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// Not answered in time; clients say this.
    RequestTimeout = -122,
    /// Reconfiguration is switched off.
    ReconfigDisabled = -123,
    /// The connection must authenticate first.
    SessionClosedRequireAuth = -124,
    /// A hard quota is exceeded.
    QuotaExceeded = -125,
    /// Refused under load; try again.
    ThrottledOp = -127,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The code with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Ok,
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::DataInconsistency,
        Self::ConnectionLoss,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::OperationTimeout,
        Self::BadArguments,
        Self::UnknownSession,
        Self::NewConfigNoQuorum,
        Self::ReconfigInProgress,
        Self::ApiError,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidCallback,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::EphemeralOnLocalSession,
        Self::NoWatcher,
        Self::RequestTimeout,
        Self::ReconfigDisabled,
        Self::SessionClosedRequireAuth,
        Self::QuotaExceeded,
        Self::ThrottledOp,
    ];
}
