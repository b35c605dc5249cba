//! What a server is told: every setting, typed, with its unit and default.
//!
//! ZooKeeper: `QuorumPeerConfig`, `ServerConfig` and the system properties that the server's classes read one by one.
//! Invariants (held by [`Config::parse`](super::Config::parse)): both data directories are named; `1 <= timeout_ms_min <=
//! timeout_ms_max`; `enforced_schemes` is empty unless authentication is enforced.
//! Absent: settings of capabilities that do not exist yet; they are listed, with that remark, in the key table.

use core::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::ensemble::EnsembleConfig;

/// Everything a server needs to know before it starts. Plain data; nothing changes it after the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients connect, and how many may.
    pub network: Network,
    /// Directories, log, snapshots and their purge.
    pub storage: Storage,
    /// Ticks and session timeouts.
    pub sessions: Sessions,
    /// Limits on requests in flight.
    pub requests: Requests,
    /// Limits on the rate of new connections.
    pub connection_throttle: ConnectionThrottle,
    /// Who may do what.
    pub access: Access,
    /// What the tree may hold.
    pub tree: Tree,
    /// Four-letter words that are answered.
    pub words: WordList,
    /// What this server has beside ZooKeeper's settings.
    pub own: Own,
    /// What a member of an ensemble is told; `None`: the server is alone.
    pub ensemble: Option<EnsembleConfig>,
    /// Whether `reconfig` is let through to its ACL check. Default false.
    ///
    /// Source: `reconfigEnabled`. A standalone server has nothing to reconfigure either way.
    pub reconfig_enabled: bool,
    /// Whether a server cut off from its ensemble would serve reads. Default false.
    ///
    /// Source: `readonlymode.enabled`. Standalone it only adds `isro` to the words that are answered; a member without a leader serves
    /// clients that read only.
    pub readonly_mode: bool,
}

/// Where clients connect, and how many may.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Where the client port listens. Source: `clientPortAddress`.
    pub client_address: ClientAddress,
    /// TCP port of clients; 0 lets the kernel pick one. Default 2181. Source: `clientPort`.
    pub client_port: u16,
    /// Connections that the kernel keeps waiting for an accept; `None` leaves the number to the server. Default `None`.
    ///
    /// Source: `clientPortListenBacklog`, where -1 and 0 mean unset.
    pub listen_backlog: Option<u32>,
    /// Connections from one address at a time; 0 is no limit. Default 60. Source: `maxClientCnxns`.
    pub max_client_cnxns: u32,
    /// Connections in all; 0 is no limit. Default 0. Source: `maxCnxns`.
    pub max_cnxns: u32,
    /// How long a connection may stay without a session. Milliseconds, default 10,000.
    ///
    /// Source: `nio.sessionlessCnxnTimeout`.
    pub sessionless_timeout_ms: u32,
    /// Whether the kernel probes silent client connections. Default false. Source: `clientTcpKeepAlive`.
    pub tcp_keep_alive: bool,
    /// Longest request frame. Bytes, default 1,048,575. Source: `jute.maxbuffer`.
    pub frame_len_max: u32,
    /// How much longer a transaction may be. Bytes, default 67,108,864. Source: `jute.maxbuffer.extrasize`.
    pub txn_len_more: u32,
}

/// The address part of where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// Every address of this machine: what a file that names a port but no address means.
    Any,
    /// One address. `127.0.0.1` where neither file nor command line names a port.
    Ip(IpAddr),
    /// A host name, still to be resolved.
    Name(String),
}

/// Directories, log, snapshots and their purge.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Where snapshots go. Default `./ringkeeper-data` without a file; a file must name it. Source: `dataDir`.
    pub data_dir: PathBuf,
    /// Where log segments go. Default: `data_dir`. Source: `dataLogDir`.
    pub data_log_dir: PathBuf,
    /// Whether missing data directories are created. Default true. Source: `datadir.autocreate`.
    pub autocreate_dirs: bool,
    /// Whether an empty data directory starts an empty tree. Default true. Source: `db.autocreate`.
    pub autocreate_db: bool,
    /// Transactions between two snapshots, at most; at least 2. Default 100,000. Source: `snapCount`.
    pub snap_count: u32,
    /// Log written between two snapshots, at most. KiB; 0 is no limit. Default 4,194,304 (4 GiB).
    ///
    /// Source: `snapSizeLimitInKb`.
    pub snap_size_limit_kb: u64,
    /// Length of a preallocated log segment. KiB, default 65,536 (64 MiB). Source: `preAllocSize`.
    pub pre_alloc_kb: u64,
    /// Length at which a log segment is closed early. KiB; `None` is never. Default `None`.
    ///
    /// Source: `txnLogSizeLimitInKb`, where negative numbers and 0 mean never.
    pub txn_log_size_limit_kb: Option<u64>,
    /// Whether a write is on the disk before it is acknowledged. Default true. Source: `forceSync`.
    pub force_sync: bool,
    /// A log write that takes longer is reported. Milliseconds, default 1,000. Source: `fsync.warningthresholdms`.
    pub fsync_warning_ms: u64,
    /// When old snapshots and segments are deleted.
    pub purge: Purge,
    /// Snapshots kept by a purge; at least 3. Default 3. Source: `autopurge.snapRetainCount`.
    pub snap_retain_count: u32,
}

/// When old snapshots and the log before them are deleted.
///
/// Differs: the reference purges only if `autopurge.purgeInterval` is set, and full disks are what its operators report most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Never: `autopurge.purgeInterval` is 0 or less.
    Off,
    /// After each snapshot: `autopurge.purgeInterval` is not set.
    AfterSnapshot,
    /// At the start and then every so many milliseconds: `autopurge.purgeInterval` is positive.
    Every {
        /// Milliseconds, at least 1.
        interval_ms: u64,
    },
}

/// Ticks and session timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The unit of timeouts, and the grain of session expiry. Milliseconds, default 3,000. Source: `tickTime`.
    pub tick_ms: u32,
    /// Shortest timeout that a client can get. Milliseconds, default 2 ticks. Source: `minSessionTimeout`.
    pub timeout_ms_min: u32,
    /// Longest timeout that a client can get. Milliseconds, default 20 ticks. Source: `maxSessionTimeout`.
    pub timeout_ms_max: u32,
}

/// Limits on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Requests in flight in all, above which a connection with one in flight is not read. Default 1,000.
    ///
    /// Source: `globalOutstandingLimit`.
    pub global_outstanding_limit: u32,
    /// Requests in the pipeline, above which further ones wait before it; 0 is no limit. Default 0.
    ///
    /// Source: `request_throttle_max_requests`.
    pub throttle_max_requests: u32,
    /// Whether a request that waited longer than its session's timeout ends its connection. Default false.
    ///
    /// Source: `request_stale_latency_check`.
    pub stale_latency_check: bool,
    /// A request that waited longer is answered THROTTLEDOP. Milliseconds; 0 is never. Default 0.
    ///
    /// Source: `throttled_op_wait_time`.
    pub throttled_op_wait_ms: u32,
    /// Bytes of large requests in flight in all; what exceeds it ends its connection. Default 104,857,600.
    ///
    /// Source: `largeRequestMaxBytes`.
    pub large_request_max_bytes: u32,
    /// Length above which a request is large. Bytes; `None` is never. Default `None`. Source: `largeRequestThreshold`.
    pub large_request_threshold: Option<u32>,
}

/// Limits on the rate of new connections: a token bucket, and before it a probability of refusal that follows the load.
///
/// Source: `BlueThrottle`; keys `connection_throttle_*`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnectionThrottle {
    /// Tokens in a full bucket; 0 switches the throttle off. Default 0.
    ///
    /// The file counts new sessions; where kinds cost different numbers, this is that many times what a new one costs.
    pub tokens: u32,
    /// How often tokens come back. Milliseconds, default 1.
    pub fill_time_ms: u32,
    /// Tokens that come back each time. Default 1. Counted as `tokens` is.
    pub fill_count: u32,
    /// How often the probability of refusal moves. Milliseconds; `None` keeps it at 0. Default `None`.
    pub freeze_time_ms: Option<u32>,
    /// Step up of the probability, while the bucket is empty. 0 to 1, default 0.02.
    pub drop_increase: f64,
    /// Step down of the probability. 0 to 1, default 0.002.
    pub drop_decrease: f64,
    /// Share of full at which the probability goes down. 0 to 1, default 0.
    pub decrease_ratio: f64,
    /// Whether kinds of session cost different numbers of tokens. Default false; then each costs 1.
    pub weight_enabled: bool,
    /// Tokens of a new session. Default 3; never less than a local one.
    pub global_session_weight: u32,
    /// Tokens of a session that comes back. Default 2; never less than a local one.
    pub renew_session_weight: u32,
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether every ACL is ignored. Default false. Source: `skipACL`.
    pub skip_acl: bool,
    /// The digest id that every ACL lets through, as `user:base64`. Default none.
    ///
    /// Source: `DigestAuthenticationProvider.superDigest`.
    pub super_digest: Option<Secret>,
    /// Whether the scheme `digest` exists. Default true. Source: `DigestAuthenticationProvider.enabled`.
    pub digest_enabled: bool,
    /// Hash behind digest ids. Default SHA-1. Source: `DigestAuthenticationProvider.digestAlg`.
    pub digest_algorithm: DigestAlgorithm,
    /// Schemes of which a connection needs one before its requests are carried out; empty is no such rule. Default empty.
    ///
    /// Source: `enforce.auth.enabled` with `enforce.auth.schemes`; `sessionRequireClientSASLAuth` is the rule `[sasl]`.
    pub enforced_schemes: Vec<String>,
}

/// Hash behind the ids of the scheme `digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-1: the default of every ZooKeeper.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What the tree may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Whether what exceeds a hard quota is refused, and what exceeds any is logged. Default false. Source: `enforceQuota`.
    pub enforce_quota: bool,
    /// Whether TTL znodes may be created. Default false. Source: `extendedTypesEnabled`.
    pub extended_types: bool,
    /// Whether the tree's digest is kept. Default true. Source: `digest.enabled`.
    pub digest: bool,
    /// How often empty containers and old TTL znodes are looked for. Milliseconds, default 60,000.
    ///
    /// Source: `znode.container.checkIntervalMs`.
    pub container_check_interval_ms: u32,
    /// How many of them are deleted in a minute, at most. Default 10,000. Source: `znode.container.maxPerMinute`.
    pub container_max_per_minute: u32,
    /// How long a container that never had a child stays. Milliseconds; 0 is for ever. Default 0.
    ///
    /// Source: `znode.container.maxNeverUsedIntervalMs`.
    pub container_never_used_ms: u64,
}

/// The four-letter words that are answered. Default: `srvr`, and `isro` in read-only mode.
///
/// Source: `4lw.commands.whitelist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordList {
    /// `*`: every one.
    All,
    /// These, and those that are always answered.
    Named(Vec<String>),
}

/// What this server has beside ZooKeeper's settings: keys `ringkeeper.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Cores to run on. Default: every core that the process may use. Source: `ringkeeper.cores`, `--cores`.
    pub cores: Cores,
    /// Address space reserved for the tree: the most that it can ever hold. MiB, default 65,536 (64 GiB).
    ///
    /// Reserved, not used: memory is taken as the tree grows. Source: `ringkeeper.arenaReserveMiB`.
    pub arena_reserve_mib: u32,
    /// Watches that one session may hold. Default 1,000,000; 0 is no limit. Source: `ringkeeper.watchesPerSession`.
    pub watches_per_session: u32,
    /// Replies and events waiting for one slow reader, above which it is no longer read. Bytes, default 8,388,608.
    ///
    /// Source: `ringkeeper.sendBufferBytes`.
    pub send_buffer_len_max: u32,
    /// Free disk space below which user writes are refused. MiB, default 256. Source: `ringkeeper.diskReserveMiB`.
    pub disk_reserve_mib: u32,
}

/// Which cores the server's threads run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every core that the process may use.
    All,
    /// So many of them, from the first.
    Count(u32),
    /// Exactly these, by the kernel's numbers, ascending and each once.
    Ids(Vec<u32>),
}

/// A password or what stands for one. It has no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself. Never log what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
