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
            unsent_len_high: 1 << 20,
            unsent_len_max: 64 << 20,
            buffered_bytes_max: 256 << 20,
            watches_max: 1_000_000,
            words: Whitelist::named([]),
            auth: AuthConfig::default(),
        }
    }
}
