//! The configuration, in the words of each room.

use std::path::Path;

use engine::auth::{AclCheck, AuthConfig, DigestAlg};
use engine::reaper::ReaperConfig;
use engine::rules::{
    Digest, EagerAcl, ExtendedTypes, QuotaCheck, Reconfig, Rules, TxnLenMax, UnknownSessions,
};
use net::admission::{AdmissionSettings, ThrottleSettings, ThrottleWeights};
use net::shard::{RequestThrottle, ShardSettings, StaleRequests};
use wal::{Direct, ForceSync};

use crate::config::{Config, DigestAlgorithm, EnsembleConfig};
use crate::ensemble::{Manners, Place};
use crate::pipeline::{LocalPolicy, Reaping};
use crate::threads::Unpinned;

const MIB: usize = 1 << 20;

/// What transactions and reads go by.
pub(crate) fn rules(config: &Config) -> Rules {
    let tree = config.tree;
    Rules {
        auth: auth(config),
        extended_types: if tree.extended_types { ExtendedTypes::On } else { ExtendedTypes::Off },
        digest: if tree.digest { Digest::On } else { Digest::Off },
        quota: if tree.enforce_quota { QuotaCheck::On } else { QuotaCheck::Off },
        reconfig: if config.reconfig_enabled { Reconfig::On } else { Reconfig::Off },
        // A member that has local sessions says so itself.
        unknown_sessions: UnknownSessions::default(),
        eager_acl: match &config.ensemble {
            Some(ensemble) if ensemble.eager_acl => EagerAcl::On,
            // A standalone server of the reference has no use for it either.
            _ => EagerAcl::Off,
        },
        txn_len_max: TxnLenMax(txn_len_max(config)),
    }
}

/// The longest transaction, bytes.
pub(crate) fn txn_len_max(config: &Config) -> usize {
    let network = &config.network;
    network.frame_len_max as usize + network.txn_len_more as usize
}

/// Bytes of the tree's region.
pub(crate) fn region_len(config: &Config) -> usize {
    (config.own.arena_reserve_mib as usize) << 20
}

/// How owners of TTL znodes are read in what ZooKeeper writes.
pub(crate) fn java_types(config: &Config) -> snapshot::java::ExtendedTypes {
    match rules(config).extended_types {
        ExtendedTypes::On => snapshot::java::ExtendedTypes::On,
        ExtendedTypes::Off => snapshot::java::ExtendedTypes::Off,
    }
}

/// What images between servers go by.
pub(crate) fn place(config: &Config, dir: &Path, seed: [u64; 2], helpers: Unpinned) -> Place {
    let types = java_types(config);
    Place { dir: dir.to_owned(), region_len: region_len(config), types, seed, helpers }
}

fn auth(config: &Config) -> AuthConfig {
    let access = &config.access;
    let digest = match access.digest_algorithm {
        DigestAlgorithm::Sha1 => DigestAlg::Sha1,
        DigestAlgorithm::Sha256 => DigestAlg::Sha256,
        DigestAlgorithm::Sha512 => DigestAlg::Sha512,
    };
    AuthConfig {
        acl: if access.skip_acl { AclCheck::Skip } else { AclCheck::On },
        digest: access.digest_enabled.then_some(digest),
        super_digest: access.super_digest.as_ref().map(|it| it.expose().as_bytes().to_vec()),
        ensemble: None,
        enforced: access.enforced_schemes.iter().map(|it| it.as_bytes().to_vec()).collect(),
    }
}

/// How a member treats clients.
pub(crate) fn manners(config: &Config, ensemble: &EnsembleConfig) -> Manners {
    let after_ms = u64::from(config.sessions.tick_ms).max(READ_ONLY_AFTER_MS_MIN);
    Manners {
        read_only_after_ms: config.readonly_mode.then_some(after_ms),
        leader_serves: ensemble.leader_serves,
        observer_master_port: ensemble.observer_master_port,
    }
}

/// How long a leader is looked for before read-only mode, at least. Milliseconds. Source: `QuorumPeer.run`.
const READ_ONLY_AFTER_MS_MIN: u64 = 2_000;

/// What a member's new sessions are.
pub(crate) fn local_policy(ensemble: &EnsembleConfig) -> LocalPolicy {
    match (ensemble.local_sessions, ensemble.local_sessions_upgrade) {
        (false, _) => LocalPolicy::Off,
        (true, false) => LocalPolicy::Refusing,
        (true, true) => LocalPolicy::Upgrading,
    }
}

/// What one of `shards` session shards goes by: limits of the whole server are shared out.
pub(crate) fn shard(config: &Config, shards: usize) -> ShardSettings {
    let defaults = ShardSettings::default();
    let sessions = config.sessions;
    let outstanding_max = config.requests.global_outstanding_limit as usize / shards;
    let watches = config.own.watches_per_session as usize;
    let request_len_max = config.network.frame_len_max as usize;
    ShardSettings {
        tick_ms: u64::from(sessions.tick_ms),
        timeout_ms_min: sessions.timeout_ms_min as i32,
        timeout_ms_max: sessions.timeout_ms_max as i32,
        sessionless_ms: u64::from(config.network.sessionless_timeout_ms),
        request_len_max,
        skip_len_max: request_len_max.saturating_mul(16).max(defaults.skip_len_max),
        set_watches_len_max: request_len_max.max(defaults.set_watches_len_max),
        outstanding_max: outstanding_max.max(1),
        in_flight_bytes_max: (defaults.in_flight_bytes_max / shards).max(MIB),
        unsent_len_high: config.own.send_buffer_len_max as usize,
        watches_max: if watches == 0 { u32::MAX as usize } else { watches },
        throttle: throttle(config, shards),
        words: config.whitelist(),
        auth: auth(config),
        ..defaults
    }
}

/// When requests are held back. A limit of the whole server lets at least one request into each shard.
fn throttle(config: &Config, shards: usize) -> RequestThrottle {
    let requests = config.requests;
    let requests_max = match requests.throttle_max_requests as usize {
        0 => usize::MAX,
        all => (all / shards).max(1),
    };
    let large_bytes_max = requests.large_request_max_bytes as usize / shards;
    let stale = requests.stale_latency_check;
    RequestThrottle {
        requests_max,
        op_wait_ms: Some(u64::from(requests.throttled_op_wait_ms)).filter(|&it| 0 < it),
        stale: if stale { StaleRequests::Dropped } else { StaleRequests::Kept },
        large_len: requests.large_request_threshold.map_or(usize::MAX, |it| it as usize),
        large_bytes_max,
    }
}

/// Who may come in.
pub(crate) fn admission(config: &Config) -> AdmissionSettings {
    let throttle = config.connection_throttle;
    let weights = if throttle.weight_enabled {
        ThrottleWeights {
            new: throttle.global_session_weight,
            renewed: throttle.renew_session_weight,
        }
    } else {
        ThrottleWeights { new: 1, renewed: 1 }
    };
    AdmissionSettings {
        cnxns_per_address_max: config.network.max_client_cnxns,
        cnxns_max: config.network.max_cnxns,
        throttle: ThrottleSettings {
            tokens: throttle.tokens,
            fill_time_ms: u64::from(throttle.fill_time_ms),
            fill_count: throttle.fill_count,
            freeze_time_ms: throttle.freeze_time_ms.map(u64::from),
            drop_increase: throttle.drop_increase,
            drop_decrease: throttle.drop_decrease,
            decrease_ratio: throttle.decrease_ratio,
            weights,
        },
    }
}

/// When containers and TTL znodes go.
pub(crate) fn reaping(config: &Config) -> Reaping {
    let tree = config.tree;
    Reaping {
        interval_ms: u64::from(tree.container_check_interval_ms).max(1),
        per_minute_max: u64::from(tree.container_max_per_minute).max(1),
        config: ReaperConfig { never_used_ms_max: tree.container_never_used_ms as i64 },
    }
}

/// How the log is kept.
pub(crate) fn log(config: &Config) -> wal::Options {
    let storage = &config.storage;
    let whole_kb = storage
        .txn_log_size_limit_kb
        .map_or(storage.pre_alloc_kb, |limit| limit.min(storage.pre_alloc_kb));
    let block = wal::frame::BLOCK as u64;
    wal::Options {
        segment_bytes: (whole_kb << 10).next_multiple_of(block).max(2 * block),
        force_sync: if storage.force_sync { ForceSync::On } else { ForceSync::Off },
        direct: Direct::IfPossible,
        reserve_bytes: u64::from(config.own.disk_reserve_mib) << 20,
    }
}
