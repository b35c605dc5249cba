//! What the configuration says to a session shard.

use engine::auth::AuthConfig;

use crate::words::Whitelist;

/// Limits and switches of one shard. Numbers that the configuration gives for the whole server come in divided by the
/// count of shards.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The unit of timeouts, milliseconds, at least 1. Source: `tickTime`.
    pub tick_ms: u64,
    /// The shortest session timeout given out, milliseconds. Source: `minSessionTimeout`.
    pub timeout_ms_min: i32,
    /// The longest session timeout given out, milliseconds. Source: `maxSessionTimeout`.
    pub timeout_ms_max: i32,
    /// How long a connection may live without a session, milliseconds. Source: `zookeeper.nio.sessionlessCnxnTimeout`.
    pub sessionless_ms: u64,
    /// The longest request, bytes behind the length. Source: `jute.maxbuffer`.
    pub request_len_max: usize,
    /// The longest request that is skipped and answered with an error; a longer one ends the connection. Bytes.
    ///
    /// Differs: the reference ends the connection at `jute.maxbuffer`.
    pub skip_len_max: usize,
    /// The longest setWatches, which a client cannot make shorter, bytes.
    ///
    /// Differs: the reference has `jute.maxbuffer` here too, and a client with many watches can never come back.
    pub set_watches_len_max: usize,
    /// Requests at the pipeline beyond which connections that have one there are not read.
    /// Source: `zookeeper.globalOutstandingLimit`.
    pub outstanding_max: usize,
    /// Bytes of requests at the pipeline beyond which the same happens.
    pub in_flight_bytes_max: usize,
    /// When requests are held back.
    pub throttle: RequestThrottle,
    /// Unsent bytes of a connection beyond which it is not read.
    pub unsent_len_high: usize,
    /// Unsent bytes of a connection beyond which it is cut off: the client does not read.
    pub unsent_len_max: usize,
    /// Bytes that all connections together may hold in unfinished requests and unsent replies; beyond, connections that
    /// hold some are not read, and at twice as much the one that holds most is cut off.
    pub buffered_bytes_max: usize,
    /// Watches of one connection; a request that would leave another is answered `QuotaExceeded`.
    ///
    /// Differs: the reference has no such limit.
    pub watches_max: usize,
    /// Four-letter words that are answered. Source: `4lw.commands.whitelist`.
    pub words: Whitelist,
    /// Schemes, the super user, enforced authentication.
    pub auth: AuthConfig,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            tick_ms: 3_000,
            timeout_ms_min: 6_000,
            timeout_ms_max: 60_000,
            sessionless_ms: 10_000,
            request_len_max: 0xf_ffff,
            skip_len_max: 16 << 20,
            set_watches_len_max: 64 << 20,
            outstanding_max: 1_000,
            in_flight_bytes_max: 64 << 20,
            throttle: RequestThrottle::default(),
            unsent_len_high: 1 << 20,
            unsent_len_max: 64 << 20,
            buffered_bytes_max: 256 << 20,
            watches_max: 1_000_000,
            words: Whitelist::named([]),
            auth: AuthConfig::default(),
        }
    }
}

/// When requests are held back, and which are too many. Off by default, as in the reference.
#[derive(Clone, Copy, Debug)]
pub struct RequestThrottle {
    /// Requests at the pipeline with which none is taken from anybody; `usize::MAX` is no limit.
    /// Source: `zookeeper.request_throttle_max_requests`.
    pub requests_max: usize,
    /// A request held back longer is answered `ThrottledOp`, milliseconds; none is never. Pings and ends of sessions are
    /// not. Source: `zookeeper.throttled_op_wait_time`.
    pub op_wait_ms: Option<u64>,
    /// What happens to a request held back longer than its session's timeout.
    /// Source: `zookeeper.request_stale_latency_check`.
    pub stale: StaleRequests,
    /// Bytes above which a request is large; `usize::MAX` is never. Source: `zookeeper.largeRequestThreshold`.
    pub large_len: usize,
    /// Bytes of large requests at the pipeline; one that exceeds it ends its connection.
    /// Source: `zookeeper.largeRequestMaxBytes`.
    pub large_bytes_max: usize,
}

/// What happens to a request that was held back longer than its session's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleRequests {
    /// It is carried out.
    Kept,
    /// It ends its connection.
    Dropped,
}

impl Default for RequestThrottle {
    fn default() -> Self {
        Self {
            requests_max: usize::MAX,
            op_wait_ms: None,
            stale: StaleRequests::Kept,
            large_len: usize::MAX,
            large_bytes_max: 100 << 20,
        }
    }
}
