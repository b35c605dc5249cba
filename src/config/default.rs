//! The defaults: what a server does that was told nothing.
//!
//! Source: the initial values in `QuorumPeerConfig`, `ZooKeeperServer` and the classes that read a property each. Where a
//! default differs from the reference's, the setting's own documentation says so.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::settings::{
    Access, ClientAddress, Config, ConnectionThrottle, Cores, DigestAlgorithm, Network, Own, Purge,
    Requests, Sessions, Storage, Tree, WordList,
};

/// Directory that a server without a configuration file keeps its data in, under the working directory.
pub const DATA_DIR: &str = "./ringkeeper-data";

/// Port of a server that was not told one.
pub const CLIENT_PORT: u16 = 2181;

/// Ticks of the shortest session timeout, unless configured.
pub(super) const TICKS_MIN: u32 = 2;

/// Ticks of the longest session timeout, unless configured.
pub(super) const TICKS_MAX: u32 = 20;

/// Fewest snapshots that a purge leaves. Source: `PurgeTxnLog`.
pub(super) const SNAP_RETAIN_MIN: u32 = 3;

/// Fewest transactions between snapshots. Source: `ZooKeeperServer.getSnapCount`.
pub(super) const SNAP_COUNT_MIN: u32 = 2;

/// Fewest transactions kept in memory for learners. Source: `ZKDatabase.DEFAULT_COMMIT_LOG_COUNT`.
pub(super) const COMMIT_LOG_COUNT_MIN: u32 = 500;

impl Default for Config {
    /// A server without file and arguments: 127.0.0.1:2181, data in [`DATA_DIR`].
    fn default() -> Self {
        Self {
            network: Network::default(),
            storage: Storage::default(),
            sessions: Sessions::default(),
            requests: Requests::default(),
            connection_throttle: ConnectionThrottle::default(),
            access: Access::default(),
            tree: Tree::default(),
            words: WordList::Named(Vec::new()),
            own: Own::default(),
            ensemble: None,
            reconfig_enabled: false,
            readonly_mode: false,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            client_address: ClientAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            client_port: CLIENT_PORT,
            listen_backlog: None,
            max_client_cnxns: 60,
            max_cnxns: 0,
            sessionless_timeout_ms: 10_000,
            tcp_keep_alive: false,
            frame_len_max: 0xf_ffff,
            txn_len_more: 64 << 20,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(DATA_DIR),
            data_log_dir: PathBuf::from(DATA_DIR),
            autocreate_dirs: true,
            autocreate_db: true,
            snap_count: 100_000,
            snap_size_limit_kb: 4_194_304,
            pre_alloc_kb: 65_536,
            txn_log_size_limit_kb: None,
            force_sync: true,
            fsync_warning_ms: 1_000,
            purge: Purge::AfterSnapshot,
            snap_retain_count: SNAP_RETAIN_MIN,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        let tick_ms = 3_000;
        Self { tick_ms, timeout_ms_min: TICKS_MIN * tick_ms, timeout_ms_max: TICKS_MAX * tick_ms }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            global_outstanding_limit: 1_000,
            throttle_max_requests: 0,
            stale_latency_check: false,
            throttled_op_wait_ms: 0,
            large_request_max_bytes: 100 * 1024 * 1024,
            large_request_threshold: None,
        }
    }
}

impl Default for ConnectionThrottle {
    fn default() -> Self {
        Self {
            tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weight_enabled: false,
            global_session_weight: 3,
            renew_session_weight: 2,
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            skip_acl: false,
            super_digest: None,
            digest_enabled: true,
            digest_algorithm: DigestAlgorithm::Sha1,
            enforced_schemes: Vec::new(),
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            enforce_quota: false,
            extended_types: false,
            digest: true,
            container_check_interval_ms: 60_000,
            container_max_per_minute: 10_000,
            container_never_used_ms: 0,
        }
    }
}

impl Default for Own {
    fn default() -> Self {
        Self {
            cores: Cores::All,
            arena_reserve_mib: 65_536,
            watches_per_session: 1_000_000,
            send_buffer_len_max: 8 * 1024 * 1024,
            disk_reserve_mib: 256,
        }
    }
}
