//! The table of keys: what each is called, what it may be, what it does, and where its value goes.
//!
//! ZooKeeper: the keys that `QuorumPeerConfig` parses and the system properties that the server's classes read. Both are keys
//! here, with and without the prefix `zookeeper.`. docs/operations.md shows this table, and a test compares the two.
//! One row per key makes this file longer than others; each row stands alone.
//! Absent: values that depend on each other, see `parse`.

use std::time::Duration;

use quorum::Role;
use quorum::zab::SyncBy;

use super::default::{COMMIT_LOG_COUNT_MIN, SNAP_COUNT_MIN, SNAP_RETAIN_MIN};
use super::draft::{Bad, Draft};
use super::keys_tls::TLS_KEYS;
use super::settings::{Purge, Secret};
use super::value::{
    choice, cores, decoded, digest_algorithm, duration_ms, integer, list, path, share, switch,
    text, words,
};

/// A key that does something.
#[derive(Debug)]
pub struct Key {
    /// Its name without the prefix `zookeeper.`.
    pub name: &'static str,
    /// What happens when it is not given.
    pub default: &'static str,
    /// What it may be; the end of the message that refuses anything else.
    pub allowed: &'static str,
    /// What it does.
    pub effect: &'static str,
    /// Reads a value and puts it where it belongs.
    pub(super) set: fn(&mut Draft, &str) -> Result<(), Bad>,
}

impl Key {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.name.ends_with("superDigest") || self.name.ends_with(".password")
    }
}

/// What ZooKeeper can do and this server cannot yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// TLS and X.509 certificates.
    Tls,
    /// SASL and Kerberos.
    Sasl,
    /// Schemes by providers of the operator's own.
    Providers,
    /// The HTTP admin port.
    Admin,
    /// Figures for a monitoring system.
    Metrics,
    /// The audit log.
    Audit,
}

impl Capability {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Tls, Self::Sasl, Self::Providers, Self::Admin, Self::Metrics, Self::Audit];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS for clients",
            Self::Sasl => "SASL",
            Self::Providers => "authentication providers",
            Self::Admin => "the admin port",
            Self::Metrics => "metrics providers",
            Self::Audit => "the audit log",
        }
    }

    /// What its keys do not do yet.
    pub const fn absence(self) -> &'static str {
        match self {
            Self::Tls => "no port for clients speaks TLS; they connect in plain text",
            Self::Sasl => "no client can authenticate by SASL",
            Self::Providers => "only the schemes world, auth, digest and ip exist",
            Self::Admin => "no HTTP port is opened; use the four-letter words",
            Self::Metrics => "figures are shown by mntr only",
            Self::Audit => "nothing is audited",
        }
    }
}

/// A key of a capability that does not exist yet.
#[derive(Clone, Copy, Debug)]
pub struct LaterKey {
    /// Its name without the prefix `zookeeper.`; `*` at the end stands for anything.
    pub name: &'static str,
    /// What it belongs to.
    pub capability: Capability,
}

/// A key that tunes something which this server is built without.
#[derive(Clone, Copy, Debug)]
pub struct IdleKey {
    /// Its name without the prefix `zookeeper.`; `*` at the end stands for anything.
    pub name: &'static str,
    /// Why there is nothing to tune.
    pub reason: &'static str,
}

/// Whether `name`, which may end in `*`, stands for `key`.
pub(super) fn stands_for(name: &str, key: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => name == key,
    }
}

pub(super) const BOOL: &str = "true or false";
const COUNT: &str = "a number from 0 to 2147483647";
const POSITIVE: &str = "a number from 1 to 2147483647";
const POSITIVE_OR_UNSET: &str = "a number from 0 to 2147483647, or -1 for the default";
const MILLIS: &str = "milliseconds, from 0 to 2147483647";
const MILLIS_POSITIVE: &str = "milliseconds, from 1 to 2147483647";
const SHARE: &str = "a number from 0 to 1";
const PATH: &str = "the path of a directory";
const PORT: &str = "a port from 0 to 65535; 0 picks a free one";

pub(super) const I32: i64 = i32::MAX as i64;

/// Every key that does something: [`KEYS`], and those of the ports between servers.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(TLS_KEYS)
}

/// Most keys that do something, by subject.
pub static KEYS: &[Key] = &[
    // Where clients connect.
    Key {
        name: "clientPort",
        default: "2181",
        allowed: PORT,
        effect: "TCP port of clients",
        set: |d, v| integer(v, 0..=65_535).map(|it| d.client_port = Some(it as u16)),
    },
    Key {
        name: "clientPortAddress",
        default: "every address; 127.0.0.1 if no port is named either",
        allowed: "an IP address or a host name, with clientPort",
        effect: "address that clients connect to",
        set: |d, v| text(v).map(|it| d.client_address = Some(it)),
    },
    Key {
        name: "clientPortListenBacklog",
        default: "-1",
        allowed: "a number from 1 to 2147483647, or -1 for the default",
        effect: "connections that wait in the kernel to be accepted",
        set: |d, v| {
            let backlog = integer(v, -1..=I32)?;
            d.config.network.listen_backlog = u32::try_from(backlog).ok().filter(|&it| 0 < it);
            Ok(())
        },
    },
    Key {
        name: "maxClientCnxns",
        default: "60",
        allowed: COUNT,
        effect: "connections from one address; 0 is no limit",
        set: |d, v| {
            integer(v, -1..=I32).map(|it| d.config.network.max_client_cnxns = it.max(0) as u32)
        },
    },
    Key {
        name: "maxCnxns",
        default: "0",
        allowed: COUNT,
        effect: "connections in all; 0 is no limit",
        set: |d, v| decoded(v, -1..=I32).map(|it| d.config.network.max_cnxns = it.max(0) as u32),
    },
    Key {
        name: "nio.sessionlessCnxnTimeout",
        default: "10000",
        allowed: MILLIS_POSITIVE,
        effect: "how long a connection may stay without a session",
        set: |d, v| {
            decoded(v, 1..=I32).map(|it| d.config.network.sessionless_timeout_ms = it as u32)
        },
    },
    Key {
        name: "clientTcpKeepAlive",
        default: "false",
        allowed: BOOL,
        effect: "the kernel probes silent client connections",
        set: |d, v| switch(v).map(|it| d.config.network.tcp_keep_alive = it),
    },
    Key {
        name: "jute.maxbuffer",
        default: "1048575",
        allowed: "bytes, from 1024 to 1073741824",
        effect: "longest request; a longer one is refused",
        set: |d, v| decoded(v, 1024..=1 << 30).map(|it| d.config.network.frame_len_max = it as u32),
    },
    Key {
        name: "jute.maxbuffer.extrasize",
        default: "67108864",
        allowed: "bytes, to 536870912; less than 1024 counts as 1024",
        effect: "with `jute.maxbuffer`, how long a transaction may be; what would be longer is refused, and an ephemeral with which the end of its session would be; servers of the reference among the members take no more than they are set to, `jute.maxbuffer` if nothing is said",
        set: |d, v| {
            decoded(v, -I32..=1 << 29).map(|it| d.config.network.txn_len_more = it.max(1024) as u32)
        },
    },
    // Data.
    Key {
        name: "dataDir",
        default: "./ringkeeper-data; a file must name it",
        allowed: PATH,
        effect: "where snapshots are kept, and the log too unless dataLogDir is given",
        set: |d, v| path(v).map(|it| d.data_dir = Some(it)),
    },
    Key {
        name: "dataLogDir",
        default: "dataDir",
        allowed: PATH,
        effect: "where the log is kept",
        set: |d, v| path(v).map(|it| d.data_log_dir = Some(it)),
    },
    Key {
        name: "datadir.autocreate",
        default: "true",
        allowed: BOOL,
        effect: "missing data directories are created; false: they end the start",
        set: |d, v| switch(v).map(|it| d.config.storage.autocreate_dirs = it),
    },
    Key {
        name: "db.autocreate",
        default: "true",
        allowed: BOOL,
        effect: "an empty data directory starts an empty tree; false: only with a file named initialize in dataDir; a member of an ensemble without one neither votes nor leads before it has an image (`docs/zab.md`)",
        set: |d, v| switch(v).map(|it| d.config.storage.autocreate_db = it),
    },
    Key {
        name: "snapCount",
        default: "100000",
        allowed: "a number from 2 to 2147483647; less counts as 2",
        effect: "transactions between two snapshots, at most; what a standalone server replays at its start counts, so that a long log is not replayed twice",
        set: |d, v| {
            let count = decoded(v, -I32..=I32)?.max(0) as u32;
            d.config.storage.snap_count = d.at_least("snapCount", count, SNAP_COUNT_MIN);
            Ok(())
        },
    },
    Key {
        name: "snapSizeLimitInKb",
        default: "4194304",
        allowed: "KiB, from 0 to 9007199254740991",
        effect: "log between two snapshots, at most; 0 is no limit",
        set: |d, v| {
            decoded(v, -1..=(1 << 53) - 1)
                .map(|it| d.config.storage.snap_size_limit_kb = it.max(0) as u64)
        },
    },
    Key {
        name: "preAllocSize",
        default: "65536",
        allowed: "KiB, from 0 to 16777216",
        effect: "length of a preallocated log segment",
        set: |d, v| integer(v, 0..=1 << 24).map(|it| d.config.storage.pre_alloc_kb = it as u64),
    },
    Key {
        name: "txnLogSizeLimitInKb",
        default: "-1",
        allowed: "KiB, from 1 to 9007199254740991, or -1 for no limit",
        effect: "length at which a log segment is closed early",
        set: |d, v| {
            let limit = decoded(v, -1..=(1 << 53) - 1)?;
            d.config.storage.txn_log_size_limit_kb = u64::try_from(limit).ok().filter(|&it| 0 < it);
            Ok(())
        },
    },
    Key {
        name: "forceSync",
        default: "yes",
        allowed: "yes or no",
        effect: "a write is on the disk before it is acknowledged; no: a power cut can lose it",
        // `true` means yes to the reference as well, but so does `false`: that one is refused.
        set: |d, v| {
            choice(v, &[("yes", true), ("true", true), ("no", false)])
                .map(|it| d.config.storage.force_sync = it)
        },
    },
    Key {
        name: "fsync.warningthresholdms",
        default: "1000",
        allowed: MILLIS,
        effect: "a log write that takes longer is reported",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.config.storage.fsync_warning_ms = it as u64),
    },
    Key {
        name: "autopurge.purgeInterval",
        default: "unset: a purge after each snapshot",
        allowed: "hours, or a number with ms, s, m, h or d; 0 is never",
        effect: "how often old snapshots and log segments are deleted",
        set: |d, v| {
            d.config.storage.purge = match duration_ms(v, 3_600_000)? {
                0 => Purge::Off,
                interval_ms => Purge::Every { interval_ms },
            };
            Ok(())
        },
    },
    Key {
        name: "autopurge.snapRetainCount",
        default: "3",
        allowed: "a number from 3 to 2147483647; less counts as 3",
        effect: "snapshots that a purge keeps, with the log they need",
        set: |d, v| {
            let count = integer(v, -I32..=I32)?.max(0) as u32;
            let count = d.at_least("autopurge.snapRetainCount", count, SNAP_RETAIN_MIN);
            d.config.storage.snap_retain_count = count;
            Ok(())
        },
    },
    // Sessions.
    Key {
        name: "tickTime",
        default: "3000",
        allowed: "milliseconds, from 1 to 107374182",
        effect: "unit of timeouts; sessions expire at its multiples",
        set: |d, v| integer(v, 1..=I32 / 20).map(|it| d.config.sessions.tick_ms = it as u32),
    },
    Key {
        name: "minSessionTimeout",
        default: "2 ticks",
        allowed: "milliseconds, from 1 to 2147483647, or -1 for the default",
        effect: "shortest session timeout that a client can get",
        set: |d, v| integer(v, -1..=I32).map(|it| d.timeout_ms_min = timeout(it)),
    },
    Key {
        name: "maxSessionTimeout",
        default: "20 ticks",
        allowed: "milliseconds, from 1 to 2147483647, or -1 for the default",
        effect: "longest session timeout that a client can get",
        set: |d, v| integer(v, -1..=I32).map(|it| d.timeout_ms_max = timeout(it)),
    },
    // Requests.
    Key {
        name: "globalOutstandingLimit",
        default: "1000",
        allowed: COUNT,
        effect: "requests in flight in all; above it, who has one in flight is not read",
        set: |d, v| {
            decoded(v, 0..=I32).map(|it| d.config.requests.global_outstanding_limit = it as u32)
        },
    },
    Key {
        name: "request_throttle_max_requests",
        default: "0",
        allowed: COUNT,
        effect: "requests in the pipeline; above it, further ones wait; 0 is no limit",
        set: |d, v| {
            decoded(v, 0..=I32).map(|it| d.config.requests.throttle_max_requests = it as u32)
        },
    },
    Key {
        name: "request_stale_latency_check",
        default: "false",
        allowed: BOOL,
        effect: "a request that waited longer than its session's timeout ends its connection",
        set: |d, v| switch(v).map(|it| d.config.requests.stale_latency_check = it),
    },
    Key {
        name: "throttled_op_wait_time",
        default: "0",
        allowed: MILLIS,
        effect: "a request that waited longer is answered THROTTLEDOP; 0 is never",
        set: |d, v| {
            decoded(v, 0..=I32).map(|it| d.config.requests.throttled_op_wait_ms = it as u32)
        },
    },
    Key {
        name: "largeRequestMaxBytes",
        default: "104857600",
        allowed: "bytes, from 1 to 2147483647",
        effect: "large requests in flight in all; what exceeds it ends its connection",
        set: |d, v| {
            decoded(v, 1..=I32).map(|it| d.config.requests.large_request_max_bytes = it as u32)
        },
    },
    Key {
        name: "largeRequestThreshold",
        default: "-1",
        allowed: "bytes, from 1 to 2147483647, or -1 for never",
        effect: "length above which a request is large",
        set: |d, v| {
            let threshold = decoded(v, -1..=I32)?;
            if threshold == 0 {
                return Err(Bad);
            }
            d.config.requests.large_request_threshold = u32::try_from(threshold).ok();
            Ok(())
        },
    },
    // New connections.
    Key {
        name: "connection_throttle_tokens",
        default: "0",
        allowed: COUNT,
        effect: "new sessions at once before they are refused; 0 is no throttle",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.config.connection_throttle.tokens = it as u32),
    },
    Key {
        name: "connection_throttle_fill_time",
        default: "1",
        allowed: MILLIS_POSITIVE,
        effect: "how often tokens come back",
        set: |d, v| {
            decoded(v, 1..=I32).map(|it| d.config.connection_throttle.fill_time_ms = it as u32)
        },
    },
    Key {
        name: "connection_throttle_fill_count",
        default: "1",
        allowed: COUNT,
        effect: "tokens that come back each time",
        set: |d, v| {
            decoded(v, 0..=I32).map(|it| d.config.connection_throttle.fill_count = it as u32)
        },
    },
    Key {
        name: "connection_throttle_freeze_time",
        default: "-1",
        allowed: POSITIVE_OR_UNSET,
        effect: "milliseconds between moves of the probability of refusal; -1 keeps it at 0",
        set: |d, v| {
            let time = decoded(v, -1..=I32)?;
            d.config.connection_throttle.freeze_time_ms = u32::try_from(time).ok();
            Ok(())
        },
    },
    Key {
        name: "connection_throttle_drop_increase",
        default: "0.02",
        allowed: SHARE,
        effect: "step up of the probability of refusal",
        set: |d, v| share(v).map(|it| d.config.connection_throttle.drop_increase = it),
    },
    Key {
        name: "connection_throttle_drop_decrease",
        default: "0.002",
        allowed: SHARE,
        effect: "step down of the probability of refusal",
        set: |d, v| share(v).map(|it| d.config.connection_throttle.drop_decrease = it),
    },
    Key {
        name: "connection_throttle_decrease_ratio",
        default: "0",
        allowed: SHARE,
        effect: "share of tokens at which the probability goes down",
        set: |d, v| share(v).map(|it| d.config.connection_throttle.decrease_ratio = it),
    },
    Key {
        name: "connection_throttle_weight_enabled",
        default: "false",
        allowed: BOOL,
        effect: "kinds of session cost different numbers of tokens",
        set: |d, v| switch(v).map(|it| d.config.connection_throttle.weight_enabled = it),
    },
    Key {
        name: "connection_throttle_global_session_weight",
        default: "3",
        allowed: POSITIVE,
        effect: "tokens of a new session",
        set: |d, v| {
            decoded(v, 1..=I32)
                .map(|it| d.config.connection_throttle.global_session_weight = it as u32)
        },
    },
    Key {
        name: "connection_throttle_renew_session_weight",
        default: "2",
        allowed: POSITIVE,
        effect: "tokens of a session that comes back",
        set: |d, v| {
            decoded(v, 1..=I32)
                .map(|it| d.config.connection_throttle.renew_session_weight = it as u32)
        },
    },
    Key {
        name: "connection_throttle_local_session_weight",
        default: "1",
        allowed: POSITIVE,
        effect: "tokens of a local session; the others cost at least as many",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.local_session_weight = it as u32),
    },
    // Access.
    Key {
        name: "skipACL",
        default: "no",
        allowed: "yes or no",
        effect: "yes: every client may do everything",
        // `false` means no to the reference as well, but so does `true`: that one is refused.
        set: |d, v| {
            choice(v, &[("yes", true), ("no", false), ("false", false)])
                .map(|it| d.config.access.skip_acl = it)
        },
    },
    Key {
        name: "DigestAuthenticationProvider.enabled",
        default: "true",
        allowed: BOOL,
        effect: "the scheme digest exists",
        set: |d, v| switch(v).map(|it| d.config.access.digest_enabled = it),
    },
    Key {
        name: "DigestAuthenticationProvider.superDigest",
        default: "none",
        allowed: "user:base64 of the digest of user:password",
        effect: "the digest id that every ACL lets through",
        set: |d, v| {
            if !v.is_empty() && !v.contains(':') {
                return Err(Bad);
            }
            d.config.access.super_digest = (!v.is_empty()).then(|| Secret::new(v.into()));
            Ok(())
        },
    },
    Key {
        name: "DigestAuthenticationProvider.digestAlg",
        default: "SHA1",
        allowed: "SHA1, SHA-256 or SHA-512",
        effect: "hash behind digest ids",
        set: |d, v| digest_algorithm(v).map(|it| d.config.access.digest_algorithm = it),
    },
    Key {
        name: "enforce.auth.enabled",
        default: "false",
        allowed: BOOL,
        effect: "requests need a connection that is authenticated by a scheme of enforce.auth.schemes",
        set: |d, v| switch(v).map(|it| d.enforce_auth = it),
    },
    Key {
        name: "enforce.auth.schemes",
        default: "none",
        allowed: "a list of digest, ip, sasl, x509",
        effect: "schemes of which one is enough",
        set: |d, v| {
            let schemes = list(v);
            if schemes.iter().any(|it| !["digest", "ip", "sasl", "x509"].contains(&it.as_str())) {
                return Err(Bad);
            }
            d.schemes = schemes;
            Ok(())
        },
    },
    Key {
        name: "sessionRequireClientSASLAuth",
        default: "false",
        allowed: BOOL,
        effect: "true: as enforce.auth.enabled=true with enforce.auth.schemes=sasl, so every request is refused",
        set: |d, v| switch(v).map(|it| d.require_sasl = it),
    },
    // The tree.
    Key {
        name: "enforceQuota",
        default: "false",
        allowed: BOOL,
        effect: "what exceeds a hard quota is refused, and any exceeded quota is logged; false: usage is counted only",
        set: |d, v| switch(v).map(|it| d.config.tree.enforce_quota = it),
    },
    Key {
        name: "extendedTypesEnabled",
        default: "false",
        allowed: BOOL,
        effect: "TTL znodes can be created",
        set: |d, v| switch(v).map(|it| d.config.tree.extended_types = it),
    },
    Key {
        name: "digest.enabled",
        default: "true",
        allowed: BOOL,
        effect: "a digest of the whole tree is kept and checked",
        set: |d, v| switch(v).map(|it| d.config.tree.digest = it),
    },
    Key {
        name: "znode.container.checkIntervalMs",
        default: "60000",
        allowed: MILLIS_POSITIVE,
        effect: "how often empty containers and old TTL znodes are looked for",
        set: |d, v| {
            decoded(v, 1..=I32).map(|it| d.config.tree.container_check_interval_ms = it as u32)
        },
    },
    Key {
        name: "znode.container.maxPerMinute",
        default: "10000",
        allowed: POSITIVE,
        effect: "how many of them are deleted in a minute, at most",
        set: |d, v| {
            decoded(v, 1..=I32).map(|it| d.config.tree.container_max_per_minute = it as u32)
        },
    },
    Key {
        name: "znode.container.maxNeverUsedIntervalMs",
        default: "0",
        allowed: MILLIS,
        effect: "how long a container that never had a child stays; 0 is for ever",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.config.tree.container_never_used_ms = it as u64),
    },
    // Commands.
    Key {
        name: "4lw.commands.whitelist",
        default: "none but srvr",
        allowed: "a list of four-letter words, or *",
        effect: "four-letter words that are answered; srvr always is",
        set: |d, v| {
            d.config.words = words(v);
            Ok(())
        },
    },
    Key {
        name: "readonlymode.enabled",
        default: "false",
        allowed: BOOL,
        effect: "a member without a leader serves clients that read only; isro is answered, which is all that it does standalone",
        set: |d, v| switch(v).map(|it| d.config.readonly_mode = it),
    },
    // The ensemble.
    Key {
        name: "standaloneEnabled",
        default: "true",
        allowed: BOOL,
        effect: "one listed voter alone runs standalone; false: it is an ensemble of one",
        set: |d, v| switch(v).map(|it| d.standalone_enabled = it),
    },
    Key {
        name: "dynamicConfigFile",
        default: "none",
        allowed: "the path of a file",
        effect: "file that lists the servers, instead of this one",
        set: |d, v| path(v).map(|it| d.dynamic_file = Some(it)),
    },
    Key {
        name: "reconfigEnabled",
        default: "false",
        allowed: BOOL,
        effect: "the members of an ensemble can be changed while it runs; standalone, reconfig is refused for want of one",
        set: |d, v| switch(v).map(|it| d.config.reconfig_enabled = it),
    },
    Key {
        name: "initLimit",
        default: "none; an ensemble needs it",
        allowed: "ticks, from 1 to 2147483647",
        effect: "how long a server may take to find its leader and to learn what it missed, each",
        set: |d, v| integer(v, 1..=I32).map(|it| d.ensemble.init_limit = it as u32),
    },
    Key {
        name: "syncLimit",
        default: "none; an ensemble needs it",
        allowed: "ticks, from 1 to 2147483647",
        effect: "how long a server may be silent, or owe an acknowledgement",
        set: |d, v| integer(v, 1..=I32).map(|it| d.ensemble.sync_limit = it as u32),
    },
    Key {
        name: "connectToLearnerMasterLimit",
        default: "0: initLimit",
        allowed: "ticks, from 0 to 2147483647",
        effect: "how long connecting to the leader may take",
        set: |d, v| integer(v, 0..=I32).map(|it| d.ensemble.connect_limit = it as u32),
    },
    Key {
        name: "leaderConnectDelayDuringRetryMs",
        default: "100",
        allowed: MILLIS,
        effect: "pause between tries to connect to the leader",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.ensemble.connect_pause_ms = it as u32),
    },
    Key {
        name: "electionAlg",
        default: "3",
        allowed: "3",
        effect: "none: there is one way to elect",
        set: |_, v| integer(v, 3..=3).map(drop),
    },
    Key {
        name: "peerType",
        default: "what the server's line says",
        allowed: "participant or observer",
        effect: "none but a warning if the server's line says something else",
        set: |d, v| {
            d.peer_type = Some(Role::parse(v).map_err(|_| Bad)?);
            Ok(())
        },
    },
    Key {
        name: "quorumListenOnAllIPs",
        default: "false",
        allowed: BOOL,
        effect: "quorum and election port listen on every address, not on the listed ones only",
        set: |d, v| switch(v).map(|it| d.ensemble.listen_on_all = it),
    },
    Key {
        name: "multiAddress.enabled",
        default: "false",
        allowed: BOOL,
        effect: "servers may have several addresses, joined by |; releases before 3.6 do not understand them",
        set: |d, v| switch(v).map(|it| d.ensemble.multi_address = it),
    },
    Key {
        name: "cnxTimeout",
        default: "5000",
        allowed: MILLIS_POSITIVE,
        effect: "how long connecting to an election port may take",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.ensemble.connect_timeout_ms = it as u32),
    },
    Key {
        name: "quorumCnxnTimeoutMs",
        default: "-1: syncLimit",
        allowed: "milliseconds, from 1 to 2147483647, or -1 for the default",
        effect: "how long the first bytes of an election connection may take",
        set: |d, v| {
            decoded(v, -1..=I32).map(|it| d.ensemble.handshake_timeout_ms = it.max(0) as u32)
        },
    },
    Key {
        name: "electionPortBindRetry",
        default: "3",
        allowed: COUNT,
        effect: "tries to open the election port; 0 is without end",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.ensemble.bind_tries = it as u32),
    },
    Key {
        name: "tcpKeepAlive",
        default: "false",
        allowed: BOOL,
        effect: "the kernel probes silent connections between servers",
        set: |d, v| switch(v).map(|it| d.ensemble.tcp_keep_alive = it),
    },
    Key {
        name: "fastleader.minNotificationInterval",
        default: "200",
        allowed: MILLIS_POSITIVE,
        effect: "first wait for votes before one's own is sent again",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.ensemble.notification_ms_min = it as u32),
    },
    Key {
        name: "fastleader.maxNotificationInterval",
        default: "60000",
        allowed: MILLIS_POSITIVE,
        effect: "longest such wait; it doubles up to this",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.ensemble.notification_ms_max = it as u32),
    },
    Key {
        name: "leaderServes",
        default: "yes",
        allowed: "yes or no",
        effect: "the leader serves clients",
        set: |d, v| {
            choice(v, &[("yes", true), ("no", false)]).map(|it| d.ensemble.leader_serves = it)
        },
    },
    Key {
        name: "commitLogCount",
        default: "4096",
        allowed: "a number from 500 to 2147483647; less counts as 500",
        effect: "transactions kept in memory for servers that were away; older ones come from the log",
        set: |d, v| {
            let count = decoded(v, -I32..=I32)?.max(0) as u32;
            let count = d.at_least("commitLogCount", count, COMMIT_LOG_COUNT_MIN);
            d.ensemble.window.count_max = count as usize;
            Ok(())
        },
    },
    Key {
        name: "leader.maxConcurrentSnapSyncs",
        default: "10",
        allowed: POSITIVE,
        effect: "learners that are brought up to date by images at a time, above which a further observer has to come back; \
                 followers never have to, and count",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.ensemble.sync_limits.snap_max = it as u32),
    },
    Key {
        name: "leader.maxConcurrentDiffSyncs",
        default: "100",
        allowed: POSITIVE,
        effect: "the same of learners that are brought up to date from the log",
        set: |d, v| decoded(v, 1..=I32).map(|it| d.ensemble.sync_limits.diff_max = it as u32),
    },
    Key {
        name: "forceSnapshotSync",
        default: "false",
        allowed: BOOL,
        effect: "learners get an image, even if they lack nothing, once there is a quorum; for trials",
        set: |d, v| {
            let forced = switch(v)?;
            d.ensemble.sync_by = if forced { SyncBy::Force } else { SyncBy::Need };
            Ok(())
        },
    },
    Key {
        name: "oraclePath",
        default: "none",
        allowed: "the path of a file",
        effect: "a file in which the operator of an ensemble with two voters says whether this one may go on alone: `1` is yes, everything else is no; see Two voters",
        set: |d, v| path(v).map(|it| d.ensemble.oracle_path = Some(it)),
    },
    Key {
        name: "leader.maxTimeToWaitForEpoch",
        default: "-1: initLimit",
        allowed: "milliseconds, from 0 to 2147483647; below 0 for the default",
        effect: "how long whoever was elected waits for its followers once one of those that voted for it searches again",
        set: |d, v| {
            let wait_ms = decoded(v, -I32..=I32)?;
            d.ensemble.epoch_wait = (0 <= wait_ms).then(|| millis(wait_ms));
            Ok(())
        },
    },
    Key {
        name: "observerMasterPort",
        default: "none",
        allowed: "a port from 0 to 65535, the same at every server; 0 is none",
        effect: "port at which followers tell observers, which turn to them and not to the leader",
        set: |d, v| {
            let port = integer(v, 0..=65_535)? as u16;
            d.ensemble.observer_master_port = (port != 0).then_some(port);
            Ok(())
        },
    },
    Key {
        name: "observer.election.DelayMs",
        default: "200",
        allowed: MILLIS,
        effect: "an observer that has lost its leader searches after a random part of this",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.ensemble.observer_delays.election = millis(it)),
    },
    Key {
        name: "observer.reconnectDelayMs",
        default: "0",
        allowed: MILLIS,
        effect: "an observer connects to the leader, or to followers that it has tried before, after a random part of this",
        set: |d, v| decoded(v, 0..=I32).map(|it| d.ensemble.observer_delays.reconnect = millis(it)),
    },
    Key {
        name: "localSessionsEnabled",
        default: "false",
        allowed: "true or false, the same at every member",
        effect: "a member's new sessions are known to it alone, and cost no transaction; without ephemerals",
        set: |d, v| switch(v).map(|it| d.ensemble.local_sessions = it),
    },
    Key {
        name: "localSessionsUpgradingEnabled",
        default: "false",
        allowed: "true or false, the same at every member",
        effect: "the first ephemeral makes a local session a global one; false: it is refused",
        set: |d, v| switch(v).map(|it| d.ensemble.local_sessions_upgrade = it),
    },
    Key {
        name: "enableEagerACLCheck",
        default: "false",
        allowed: BOOL,
        effect: "a member refuses by ACL what its clients ask before it asks the leader, and nothing is logged for it",
        set: |d, v| switch(v).map(|it| d.ensemble.eager_acl = it),
    },
    Key {
        name: "testingonly.initialZxid",
        default: "0",
        allowed: "a number from 0 to 4294967280, the same at every member",
        effect: "counter behind which each leader numbers its transactions: to try what happens at its end",
        set: |d, v| integer(v, 0..=0xffff_fff0).map(|it| d.ensemble.first_counter = it as u32),
    },
    // What only this server has.
    Key {
        name: "ringkeeper.cores",
        default: "every core that the process may use",
        allowed: "how many (2), or which (0-3,6)",
        effect: "cores to run on",
        set: |d, v| cores(v).map(|it| d.config.own.cores = it),
    },
    Key {
        name: "ringkeeper.arenaReserveMiB",
        default: "65536",
        allowed: "MiB, from 64 to 16777216",
        effect: "address space for the tree, the most it can ever hold; memory is taken as it grows",
        set: |d, v| integer(v, 64..=1 << 24).map(|it| d.config.own.arena_reserve_mib = it as u32),
    },
    Key {
        name: "ringkeeper.watchesPerSession",
        default: "1000000",
        allowed: COUNT,
        effect: "watches that one session may hold; 0 is no limit",
        set: |d, v| integer(v, 0..=I32).map(|it| d.config.own.watches_per_session = it as u32),
    },
    Key {
        name: "ringkeeper.sendBufferBytes",
        default: "8388608",
        allowed: "bytes, from 65536 to 2147483647",
        effect: "replies that may wait for a slow reader before it is no longer read",
        set: |d, v| integer(v, 65_536..=I32).map(|it| d.config.own.send_buffer_len_max = it as u32),
    },
    Key {
        name: "ringkeeper.diskReserveMiB",
        default: "256",
        allowed: "MiB, from 0 to 1073741824",
        effect: "free disk space below which user writes are refused",
        set: |d, v| integer(v, 0..=1 << 30).map(|it| d.config.own.disk_reserve_mib = it as u32),
    },
];

/// A timeout as the reference reads it: -1 is unset, and 0 has to be a timeout after all.
fn timeout(value: i64) -> Option<u32> {
    u32::try_from(value).ok().map(|it| it.max(1))
}

/// A number that is not below 0.
fn millis(value: i64) -> Duration {
    Duration::from_millis(value.unsigned_abs())
}
